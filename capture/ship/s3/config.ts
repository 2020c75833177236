/** Where an S3 bucket is and how it is spoken to, with every default in one place. */
import type { CredentialSource } from './credentials.ts'

export interface S3Config {
  readonly bucket: string
  /** Before every key, without slashes at its ends; empty where there is none. */
  readonly prefix: string
  readonly region?: string | undefined
  /** Address of a store other than AWS, without user, query or fragment. */
  readonly endpoint?: string | undefined
  /** `https://host/bucket/key` instead of `https://bucket.host/key`; by default for every store but AWS. */
  readonly forcePathStyle?: boolean | undefined
  /** PEM of authorities that are trusted besides the usual ones; read for each client. */
  readonly caFile?: string | undefined
  readonly credentials: CredentialSource
}

/** How long a request may take, by stage. Each ends the socket. */
export interface S3Deadlines {
  /** Name, proxy and connection. */
  readonly connectMs: number
  /** No byte moves. Kernels take megabytes of an upload at once, then nothing moves until the store has them. */
  readonly silenceMs: number
  /** The whole request: so long, and the time that its bytes take at `bytesPerSecondMin`. */
  readonly baseMs: number
  readonly bytesPerSecondMin: number
}

export const S3_DEADLINES: S3Deadlines = {
  connectMs: 10_000,
  silenceMs: 30_000,
  baseMs: 30_000,
  bytesPerSecondMin: 64 * 1024,
}

/** Stores other than AWS take any region, most of them this one. */
const REGION_DEFAULT = 'us-east-1'

export interface S3Address {
  readonly region: string
  readonly endpoint: string
  readonly forcePathStyle: boolean
  /** For messages to a person; holds no credentials. */
  readonly description: string
}

/** The address with its defaults filled in. */
export function addressOf(config: S3Config): S3Address {
  const { bucket, prefix, endpoint } = config
  const region = config.region ?? REGION_DEFAULT
  // the certificate of AWS covers one label before its own name
  const forcePathStyle = config.forcePathStyle ?? (endpoint !== undefined || bucket.includes('.'))
  const place = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`
  const at = endpoint === undefined ? `AWS, region ${region}` : endpoint
  // said here: left open, the SDK would look into files of its own for another one
  return {
    region,
    endpoint: endpoint ?? awsEndpoint(region),
    forcePathStyle,
    description: `${place} (${at})`,
  }
}

function awsEndpoint(region: string): string {
  return `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`
}
