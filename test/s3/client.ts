/** The SDK's client for what tests do to a store besides what the product does: buckets, policies, damage. */
import { S3Client } from '@aws-sdk/client-s3'
import { NodeHttpHandler } from '@smithy/node-http-handler'

// where nothing else is configured the SDK would ask the cloud's machine for credentials
process.env['AWS_EC2_METADATA_DISABLED'] = 'true'

const CONNECT_WITHIN_MS = 120_000
const ANSWER_WITHIN_MS = 180_000

export interface ClientOptions {
  readonly endpoint: string
  readonly region: string
  readonly ca?: string | undefined
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
}

/** Throws without an endpoint: the SDK would turn to the vendor's own host. */
export function makeClient({ endpoint, region, ca, credentials }: ClientOptions): S3Client {
  if (endpoint === '') throw new Error('no endpoint: tests never speak to the default host of the SDK')
  return new S3Client({
    endpoint,
    region,
    credentials,
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new NodeHttpHandler({
      connectionTimeout: CONNECT_WITHIN_MS,
      requestTimeout: ANSWER_WITHIN_MS,
      throwOnRequestTimeout: true,
      ...(ca === undefined ? {} : { httpsAgent: { ca } }),
    }),
  })
}
