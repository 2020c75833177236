/** The one place that makes a bucket: of a directory, or of an address in S3 with what the environment says. */
import type { ProcessStorage, S3ProcessStorage } from '../../api/config.ts'
import { BareAddress } from '../../api/storage.ts'
import { type Bucket, BucketError } from './bucket.ts'
import { LocalBucket } from './local.ts'
import {
  environmentCredentials,
  hasWebIdentity,
  mountedCredentials,
  S3Bucket,
  type S3Config,
  type S3Options,
  webIdentityCredentials,
} from './s3/mod.ts'

type Env = Readonly<Record<string, string | undefined>>

/**
 * Touches neither disk nor network. What the configuration leaves open is taken from the usual variables:
 * `AWS_REGION`, `AWS_ENDPOINT_URL_S3`, `AWS_CA_BUNDLE`. Throws BucketError for an address that is none.
 */
export function openBucket(storage: ProcessStorage, env: Env, options: S3Options = {}): Bucket {
  const { local, s3 } = storage
  if (s3 !== undefined) return new S3Bucket(configOf(s3, env), { env, ...options })
  const { requests } = options
  if (local !== undefined) return new LocalBucket(local.path, requests === undefined ? {} : { requests })
  throw new BucketError('storage_missing', 'configuration', 'there is no storage: give s3 or local')
}

function configOf(s3: S3ProcessStorage, env: Env): S3Config {
  const { bucket, prefix, forcePathStyle } = s3
  return {
    bucket,
    prefix,
    forcePathStyle,
    region: s3.region ?? first(env, 'AWS_REGION', 'AWS_DEFAULT_REGION'),
    endpoint: s3.endpoint ?? endpointOf(env),
    caFile: s3.caFile ?? first(env, 'AWS_CA_BUNDLE'),
    credentials: credentialsOf(s3, env),
  }
}

/** One source and no other: a Secret that is missing must not mean that some other identity is used. */
function credentialsOf({ credentialsDir }: S3ProcessStorage, env: Env) {
  if (credentialsDir !== undefined) return mountedCredentials(credentialsDir)
  return hasWebIdentity(env) ? webIdentityCredentials(env) : environmentCredentials(env)
}

function endpointOf(env: Env): string | undefined {
  const endpoint = first(env, 'AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL')
  if (endpoint === undefined || BareAddress.safeParse(endpoint).success) return endpoint
  throw new BucketError(
    'endpoint_invalid',
    'configuration',
    'AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL) is no address like https://store.example:9000',
  )
}

function first(env: Env, ...names: readonly string[]): string | undefined {
  return names.map((name) => env[name]).find((value) => value !== undefined && value !== '')
}
