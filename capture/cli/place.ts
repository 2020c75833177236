/** The PATH of a command: a directory of captured data, or an address in a bucket. */
import { stat } from 'node:fs/promises'
import { ConfigError, type ProcessStorage, S3ProcessStorage, validate } from '../../api/config.ts'
import type { Bucket, S3Options } from '../ship/mod.ts'
import { CallError } from './call.ts'
import { systemText } from './system.ts'

export const S3_SCHEME = 's3://'
/** A store that fails for seconds must not cost an hour's reading. */
const READ_TRIES = 6

/** Options of commands that read captured data, for parseArgs. */
export const PLACE_OPTIONS = {
  's3-endpoint': { type: 'string' },
  's3-region': { type: 'string' },
  's3-ca': { type: 'string' },
  's3-virtual-host': { type: 'boolean' },
} as const

export type PlaceValues = {
  readonly [K in keyof typeof PLACE_OPTIONS]?: K extends 's3-virtual-host' ? boolean : string
}

export const PLACE_HELP = `Data in a bucket (PATH is s3://bucket/prefix):
  --s3-endpoint URL     address of a store other than AWS (or AWS_ENDPOINT_URL_S3)
  --s3-region R         region of the bucket (or AWS_REGION; us-east-1)
  --s3-ca FILE          PEM of the authority of the store's certificate (or AWS_CA_BUNDLE)
  --s3-virtual-host     address objects as bucket.host/key also with an endpoint
Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or a web identity (AWS_ROLE_ARN,
AWS_WEB_IDENTITY_TOKEN_FILE); the rights to get objects and to list the prefix are enough. Proxies: HTTPS_PROXY,
HTTP_PROXY, NO_PROXY.`

/** The one PATH of a call. Throws CallError where there is none, or another one. */
export function onePath(command: string, positionals: readonly string[], what: string): string {
  const [path, ...more] = positionals
  const see = `see l2cap ${command} --help`
  if (path === undefined) throw new CallError(`l2cap ${command} needs ${what}; ${see}`)
  if (more.length > 0)
    throw new CallError(`l2cap ${command} takes one path, ${positionals.length} were given; ${see}`)
  return path
}

/** Opens the PATH of a command that reads. Throws CallError where it cannot be the place of data. */
export async function openPlace(path: string, values: PlaceValues): Promise<Bucket> {
  const storage = storageOfPlace(path, values)
  if (storage.local !== undefined) await requireDirectory(storage.local.path)
  const fault = await storageFault(storage, process.env)
  if (fault !== undefined) throw new CallError(fault)
  const { openBucket, BucketError, CALL_WORDS } = await import('../ship/mod.ts')
  const wait = (delayMs: number) => new Promise<void>((done) => setTimeout(done, delayMs))
  const options: S3Options = { reads: { tries: READ_TRIES, wait }, words: CALL_WORDS }
  try {
    return openBucket(storage, process.env, options)
  } catch (error) {
    throw error instanceof BucketError ? new CallError(error.message) : error
  }
}

/** The storage that a PATH and its options name. Throws CallError. */
export function storageOfPlace(path: string, values: PlaceValues): ProcessStorage {
  const said = Object.keys(PLACE_OPTIONS).find((name) => values[name as keyof PlaceValues] !== undefined)
  if (!path.startsWith(S3_SCHEME)) {
    if (said === undefined) return { local: { path } }
    throw new CallError(
      `--${said} is for data in a bucket, and ${path} is a directory; write s3://bucket/prefix`,
    )
  }
  const [bucket = '', ...parts] = path.slice(S3_SCHEME.length).replace(/\/$/, '').split('/')
  if (bucket === '') throw new CallError(`${path} names no bucket; give s3://bucket/prefix`)
  const given = {
    bucket,
    prefix: parts.join('/'),
    region: values['s3-region'],
    endpoint: values['s3-endpoint'],
    caFile: values['s3-ca'],
    ...(values['s3-virtual-host'] === true ? { forcePathStyle: false } : {}),
  }
  try {
    return { s3: validate(S3ProcessStorage, given, path) }
  } catch (error) {
    throw error instanceof ConfigError ? new CallError(error.message) : error
  }
}

/** Why the environment does not do for a bucket; undefined where it does, or where there is none. */
export async function storageFault(
  { s3 }: ProcessStorage,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const given = (name: string) => (env[name] ?? '') !== ''
  if (s3 === undefined) return undefined
  if (given('AWS_ROLE_ARN') && given('AWS_WEB_IDENTITY_TOKEN_FILE')) return undefined
  const missing = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'].filter((name) => !given(name))
  if (missing.length === 0) {
    const { malformedCredentials } = await import('../ship/mod.ts')
    const why = malformedCredentials(env)
    return why === undefined ? undefined : `the credentials for ${textOf(s3)} cannot be used: ${why}`
  }
  return (
    `there are no credentials for ${textOf(s3)}: set ${missing.join(' and ')} in the environment ` +
    '(profiles in ~/.aws are not read; `aws configure export-credentials --format env` prints one as variables)'
  )
}

/** How a command that reads is told of the place: `s3://bucket/prefix --s3-endpoint URL`. */
export function callOf(s3: S3ProcessStorage): string {
  const { endpoint, region, forcePathStyle } = s3
  const options = [
    endpoint === undefined ? '' : ` --s3-endpoint ${endpoint}`,
    region === undefined ? '' : ` --s3-region ${region}`,
    forcePathStyle === false && endpoint !== undefined ? ' --s3-virtual-host' : '',
  ]
  return `${textOf(s3)}${options.join('')}`
}

/** `s3://bucket/prefix`. */
export function textOf({ bucket, prefix }: { readonly bucket: string; readonly prefix: string }): string {
  return `${S3_SCHEME}${bucket}${prefix === '' ? '' : `/${prefix}`}`
}

/** Throws CallError where the path is no directory. */
async function requireDirectory(path: string): Promise<void> {
  const found = await statOf(path)
  if (!found.isDirectory()) {
    throw new CallError(`${path} is a file; give the directory that holds manifest/ and parquet/`)
  }
}

/** Throws CallError where the path is no file. */
export async function requireFile(path: string): Promise<void> {
  if (path.startsWith(S3_SCHEME))
    throw new CallError(`${path} is in a bucket; copy the file from there first`)
  const found = await statOf(path)
  if (!found.isFile()) throw new CallError(`${path} is no file; give the path of one file`)
}

async function statOf(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    throw new CallError(`cannot read ${path}: ${systemText(error)}; check the path`)
  }
}

/** For a place that holds no manifest. */
export function noManifest(path: string): CallError {
  const what = path.startsWith(S3_SCHEME) ? 'bucket and prefix that hold' : 'directory that holds'
  return new CallError(`there is no manifest below ${path}; give the ${what} manifest/ and parquet/`)
}
