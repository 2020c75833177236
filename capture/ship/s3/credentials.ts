/** Where credentials come from. Each source is read anew for each client, and after each authentication error. */
import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import type { NodeHttpHandler } from '@smithy/node-http-handler'
import { BucketError } from '../bucket.ts'
import { systemCode } from '../durable.ts'
import { classifyS3Error } from './classify.ts'

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** When they end, ms since the epoch; undefined where they do not tell. */
  readonly expiresMs?: number
}

/** What a source that asks a server needs. */
export interface CredentialContext {
  readonly region: string
  readonly handler: NodeHttpHandler
  readonly signal: AbortSignal
}

export interface CredentialSource {
  /** For messages to a person: where credentials are looked for. */
  readonly description: string
  /** Throws BucketError: `CredentialsMissing` where there are none (yet). */
  read(context: CredentialContext): Promise<Credentials>
  /** Whether `read` would find others than it did last; absent where nobody can see it. Throws nothing. */
  readonly changed?: () => Promise<boolean>
}

/** Names of the files and of the environment variables. */
const ID = 'AWS_ACCESS_KEY_ID'
const SECRET = 'AWS_SECRET_ACCESS_KEY'
const TOKEN = 'AWS_SESSION_TOKEN'
const ROLE = 'AWS_ROLE_ARN'
const TOKEN_FILE = 'AWS_WEB_IDENTITY_TOKEN_FILE'
/** A credential is short; a file that is not was mounted by mistake. */
const FILE_BYTES_MAX = 16 * 1024

type Env = Readonly<Record<string, string | undefined>>

/** Files of fixed names in a directory, as a mounted Secret lays them down. They may come and change at any time. */
export function mountedCredentials(directory: string): CredentialSource {
  const description = `files ${ID} and ${SECRET} in ${directory}`
  let lastRead = ''
  return {
    description,
    read: async () => {
      const files = await readFiles(directory)
      lastRead = fingerprintOf(files)
      const fault = files.find(({ text }) => text instanceof BucketError)?.text
      if (fault instanceof BucketError) throw fault
      return credentialsOf(
        Object.fromEntries(files.map(({ name, text }) => [name, String(text)])),
        `${directory} does not hold them; create the Secret with the keys ${ID} and ${SECRET}`,
      )
    },
    changed: async () => fingerprintOf(await readFiles(directory)) !== lastRead,
  }
}

interface CredentialFile {
  readonly name: string
  /** What it holds, or why it cannot be read. */
  readonly text: string | BucketError
}

async function readFiles(directory: string): Promise<CredentialFile[]> {
  const files = [ID, SECRET, TOKEN].map(async (name) => ({ name, text: await readValue(directory, name) }))
  return await Promise.all(files)
}

/** By what they hold: names, sizes and times of a mounted Secret may stay when it changes, or change when it does not. */
function fingerprintOf(files: readonly CredentialFile[]): string {
  const said = files.map(({ text }) => (text instanceof BucketError ? text.message : [text]))
  return createHash('sha256').update(JSON.stringify(said)).digest('hex')
}

/** The usual variables of the environment; they never change while a process lives. */
export function environmentCredentials(env: Env): CredentialSource {
  return {
    description: `the environment variables ${ID} and ${SECRET}`,
    read: async () =>
      credentialsOf(
        env,
        `set ${ID} and ${SECRET} in the environment (profiles in ~/.aws are not read; ` +
          '`aws configure export-credentials --format env` prints one as variables)',
      ),
  }
}

/** Whether the variables of a web identity are set. */
export function hasWebIdentity(env: Env): boolean {
  return filled(env[ROLE]) && filled(env[TOKEN_FILE])
}

/** A role that is assumed with a token from a file, which the cluster renews. Asks STS, at most each few minutes. */
export function webIdentityCredentials(env: Env): CredentialSource {
  const roleArn = env[ROLE] ?? ''
  const file = env[TOKEN_FILE] ?? ''
  const description = `the web identity of ${roleArn} with the token in ${file}`
  return {
    description,
    read: async ({ region, handler, signal }) => {
      const webIdentityToken = await readToken(file)
      const { fromWebToken } = await import('@aws-sdk/credential-provider-web-identity')
      const endpoint = env['AWS_ENDPOINT_URL_STS']
      const assume = fromWebToken({
        roleArn,
        roleSessionName: env['AWS_ROLE_SESSION_NAME'] ?? 'l2cap',
        webIdentityToken,
        clientConfig: {
          region: env['AWS_REGION'] ?? region,
          requestHandler: handler,
          maxAttempts: 1,
          ...(filled(endpoint) ? { endpoint } : {}),
        },
      })
      try {
        const given = await orAborted(assume(), signal)
        const { accessKeyId, secretAccessKey, sessionToken, expiration } = given
        return {
          accessKeyId,
          secretAccessKey,
          ...(sessionToken === undefined ? {} : { sessionToken }),
          ...(expiration === undefined ? {} : { expiresMs: expiration.getTime() }),
        }
      } catch (error) {
        const { class: errorClass, code, message, retryAfterMs } = classifyS3Error(error)
        // whatever STS refuses is a matter of the role and its token, not of the bucket
        const own = errorClass === 'configuration' ? 'credential' : errorClass
        throw new BucketError(code, own, `no credentials from ${description}: ${message}`, { retryAfterMs })
      }
    },
  }
}

async function readToken(file: string): Promise<string> {
  try {
    const token = (await fs.readFile(file, 'utf8')).trim()
    if (token !== '') return token
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw unreadable(file, error)
  }
  throw new BucketError(
    'CredentialsMissing',
    'credential',
    `no credentials: there is no token in ${file} yet`,
  )
}

/** A value from a file, without the newline that editors leave; empty where there is no file, or why it cannot be read. */
async function readValue(directory: string, name: string): Promise<string | BucketError> {
  const file = path.join(directory, name)
  try {
    const text = await fs.readFile(file, 'utf8')
    if (text.length <= FILE_BYTES_MAX) return text.replace(/\s+$/, '')
    return new BucketError('CredentialsMissing', 'credential', `${file} is too long to be a credential`)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error))) return ''
    return unreadable(file, error)
  }
}

function unreadable(file: string, error: unknown): BucketError {
  const why = systemCode(error) || 'an error that nothing expected'
  return new BucketError(
    'CredentialsMissing',
    'credential',
    `${file} cannot be read (${why}); give the process the right to it`,
  )
}

function credentialsOf(values: Env, remedy: string): Credentials {
  const accessKeyId = values[ID] ?? ''
  const secretAccessKey = values[SECRET] ?? ''
  const sessionToken = values[TOKEN] ?? ''
  if (accessKeyId === '' || secretAccessKey === '') {
    throw new BucketError('CredentialsMissing', 'credential', `no credentials: ${remedy}`)
  }
  const fault = malformedCredentials(values)
  if (fault !== undefined) {
    throw new BucketError('CredentialsMalformed', 'credential', `the credentials cannot be used: ${fault}`)
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken === '' ? {} : { sessionToken }) }
}

/** Why credentials of these names can be none; undefined where they can be. */
export function malformedCredentials(values: Env): string | undefined {
  // a line break or a letter beyond ASCII would end in a header, and in a message of Node that shows it
  if ([ID, SECRET, TOKEN].every((name) => /^[\x21-\x7e]*$/.test(values[name] ?? ''))) return undefined
  return 'they hold spaces, line breaks or letters beyond ASCII; was something else pasted?'
}

/** The result, or the signal's reason as soon as it is aborted: STS is asked through a client that takes no signal. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function filled(value: string | undefined): value is string {
  return value !== undefined && value !== ''
}
