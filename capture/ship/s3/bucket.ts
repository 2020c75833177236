/**
 * An S3-compatible store as a bucket. No request is repeated here unless asked for: the shipper has its own loop, and
 * each that is sent is counted. Plain PUT of whole Buffers with our SHA-256, plain GET, paged list; no multipart, no
 * conditions.
 */
import { Readable } from 'node:stream'
import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3'
import { type Bucket, type BucketEntry, BucketError, OBJECT_TOO_LARGE } from '../bucket.ts'
import { type Asked, type RequestOutcome, Requests } from '../requests.ts'
import { failureOf, retryDelayMs } from '../retry.ts'
import { classifyS3Error, statusOf } from './classify.ts'
import { addressOf, S3_DEADLINES, type S3Config, type S3Deadlines } from './config.ts'
import { Deadline } from './deadline.ts'
import { NOT_S3 } from './meanings.ts'
import { type Session, Sessions } from './session.ts'
import { inWords, SPEC_WORDS, type Words } from './words.ts'

/** No capture writes larger objects: what is larger is none of ours, and would not fit into memory. */
const OBJECT_BYTES_MAX = 1024 ** 3
const PAGE_KEYS_MAX = 1000
const ERROR_BYTES_MAX = 64 * 1024
const NAMELESS = 'it says 200 and names no object'
const PAGE_PATTERN = /^text\/html\b/i
/** At the start: an object may hold these letters too. */
const ERROR_PATTERN = /^\s*(?:<\?xml[^>]{0,200}\?>)?\s*<Error[\s>]/

export interface S3Options {
  readonly deadlines?: Partial<S3Deadlines>
  /** For proxies; by default the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly nowMs?: () => number
  /** Counts what is sent. */
  readonly requests?: Requests
  /** What settings are called where they were given; by default as in a specification. */
  readonly words?: Words
  /**
   * For commands that only read and have no loop of their own: tries a request, and who waits between them. They also
   * take objects without an ETag, as a file that was put on a server's disk has none: size and hash decide.
   */
  readonly reads?: { readonly tries: number; readonly wait: (delayMs: number) => Promise<void> }
}

/** What an operation works with. */
interface Attempt {
  readonly session: Session
  readonly deadline: Deadline
}

export class S3Bucket implements Bucket {
  readonly description: string
  readonly #name: string
  readonly #root: string
  readonly #deadlines: S3Deadlines
  readonly #sessions: Sessions
  readonly #options: S3Options
  readonly #requests: Requests
  readonly credentialsChanged: (() => Promise<boolean>) | undefined

  /** Touches nothing: a wrong address is an operation's error. */
  constructor(config: S3Config, options: S3Options = {}) {
    this.description = addressOf(config).description
    this.#name = config.bucket
    this.#root = config.prefix === '' ? '' : `${config.prefix}/`
    this.#options = options
    this.#requests = options.requests ?? new Requests()
    this.credentialsChanged = config.credentials.changed
    this.#deadlines = { ...S3_DEADLINES, ...options.deadlines }
    const { env = process.env, nowMs = Date.now } = options
    this.#sessions = new Sessions(config, this.#deadlines, env, nowMs)
  }

  async put(key: string, body: Buffer, sha256: string): Promise<void> {
    const checksum = Buffer.from(sha256, 'hex').toString('base64')
    await this.#attempt(`writing ${key}`, body.byteLength, async ({ session: { sdk, client }, deadline }) => {
      const command = new sdk.PutObjectCommand({
        Bucket: this.#name,
        Key: this.#root + key,
        Body: body,
        ContentLength: body.byteLength,
        ContentType: contentTypeOf(key),
        ChecksumSHA256: checksum,
      })
      await this.#send({ operation: 'put', key, bytes: body.byteLength }, async () => {
        const { ETag, ChecksumSHA256 } = await client.send(command, { abortSignal: deadline.signal })
        if (ETag === undefined) throw notS3(NAMELESS)
        if (ChecksumSHA256 !== undefined && ChecksumSHA256 !== checksum) {
          throw new BucketError('ChecksumMismatch', 'integrity', 'the store received other bytes')
        }
      })
    })
  }

  async get(key: string, bytesMax = OBJECT_BYTES_MAX): Promise<Buffer | undefined> {
    return await this.#read(`reading ${key}`, async (attempt) => {
      const { session, deadline } = attempt
      const command = new session.sdk.GetObjectCommand({ Bucket: this.#name, Key: this.#root + key })
      try {
        return await this.#send({ operation: 'get', key }, async () => {
          const { Body, ETag, ContentType } = await session.client.send(command, {
            abortSignal: deadline.signal,
          })
          if (!(Body instanceof Readable)) throw notS3('it says 200 without a body')
          // a page of whoever is in the way must not be taken for the object
          if (PAGE_PATTERN.test(ContentType ?? '')) {
            Body.destroy()
            throw notS3('it says 200 and gives a web page')
          }
          if (ETag !== undefined) return await readWhole(Body, bytesMax, deadline)
          return await readNameless(Body, bytesMax, deadline, this.#options.reads !== undefined)
        })
      } catch (error) {
        if (storeCodeOf(error) === 'NoSuchKey') return undefined
        // AWS says so of what is not there, unless the whole bucket may be listed; the prefix alone may be listed
        if (storeCodeOf(error) === 'AccessDenied' && !(await this.#isListed(key, attempt))) {
          return undefined
        }
        throw error
      }
    })
  }

  /** Throws what the store says to a list. */
  async #isListed(key: string, { session: { sdk, client }, deadline }: Attempt): Promise<boolean> {
    const command = new sdk.ListObjectsV2Command({ Bucket: this.#name, Prefix: this.#root + key, MaxKeys: 1 })
    const page = await this.#list(key, () => client.send(command, { abortSignal: deadline.signal }))
    // the key itself sorts before all that begin with it
    return page.Contents?.[0]?.Key === this.#root + key
  }

  async *list(prefix: string): AsyncIterable<BucketEntry> {
    let token: string | undefined
    let last: Buffer | undefined
    do {
      const page = await this.#page(prefix, token)
      for (const entry of page.entries) {
        const name = Buffer.from(entry.key)
        // also what ends a store that gives the same page for ever
        if (last !== undefined && Buffer.compare(last, name) >= 0) {
          throw this.#told(
            listingOf(prefix),
            'ListUnsorted',
            'configuration',
            'keys come twice or not in order',
          )
        }
        last = name
        yield entry
      }
      token = page.next
    } while (token !== undefined)
  }

  /** Ends connections; a later operation opens new ones. */
  close(): void {
    this.#sessions.close()
  }

  async #page(
    prefix: string,
    token: string | undefined,
  ): Promise<{ entries: BucketEntry[]; next: string | undefined }> {
    return await this.#read(listingOf(prefix), async ({ session: { sdk, client }, deadline }) => {
      const command = new sdk.ListObjectsV2Command({
        Bucket: this.#name,
        Prefix: this.#root + prefix,
        MaxKeys: PAGE_KEYS_MAX,
        ...(token === undefined ? {} : { ContinuationToken: token }),
      })
      const page = await this.#list(prefix, () => client.send(command, { abortSignal: deadline.signal }))
      const entries = (page.Contents ?? []).map(({ Key = '', Size = 0, LastModified }) => ({
        key: this.#relative(Key),
        bytes: Size,
        modifiedMs: LastModified?.getTime() ?? 0,
      }))
      const next = page.IsTruncated === true ? page.NextContinuationToken : undefined
      if (page.IsTruncated === true && (next === undefined || entries.length === 0)) {
        throw notS3('a page of the list is not the last and names no next one')
      }
      return { entries, next }
    })
  }

  async #list(
    prefix: string,
    send: () => Promise<ListObjectsV2CommandOutput>,
  ): Promise<ListObjectsV2CommandOutput> {
    return await this.#send({ operation: 'list', key: prefix }, async () => {
      const page = await send()
      assertList(page)
      return page
    })
  }

  /** One request of HTTP, its reply read to the end. */
  async #send<T>(asked: Asked, work: () => Promise<T>): Promise<T> {
    return await this.#requests.run(asked, work, (error) => outcomeOf(error, asked))
  }

  #relative(key: string): string {
    if (key.startsWith(this.#root)) return key.slice(this.#root.length)
    throw notS3('the list holds keys that were not asked for')
  }

  /** An operation that may be repeated at once, where somebody asked for that. */
  async #read<T>(doing: string, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    const { tries, wait } = this.#options.reads ?? { tries: 1, wait: async () => undefined }
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(doing, 0, work)
      } catch (error) {
        const failure = failureOf(error)
        const passes = failure.class === 'transient' || failure.class === 'clock'
        if (!passes || attempt >= tries) throw error
        await wait(failure.class === 'clock' ? 0 : retryDelayMs(failure, attempt, Math.random()))
      }
    }
  }

  /** One request under all deadlines; whatever goes wrong becomes a fresh BucketError. */
  async #attempt<T>(doing: string, sendsBytes: number, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    const deadline = new Deadline(this.#deadlines, sendsBytes)
    let session: Session | undefined
    try {
      session = await this.#sessions.current(deadline.signal)
      return await work({ session, deadline })
    } catch (error) {
      const {
        class: errorClass,
        code,
        message,
        retryAfterMs,
      } = error instanceof BucketError ? failureOf(error) : classifyS3Error(deadline.reason ?? error)
      if (errorClass === 'credential') this.#sessions.doubt()
      throw this.#told(doing, code, errorClass, message, retryAfterMs, session?.secrets)
    } finally {
      deadline.end()
    }
  }

  /** No cause: the SDK's own error holds the signed request. */
  #told(
    doing: string,
    code: string,
    errorClass: BucketError['class'],
    message: string,
    retryAfterMs = 0,
    secrets: readonly string[] = [],
  ): BucketError {
    const clean = (text: string, instead: string) =>
      secrets.some((secret) => text.includes(secret)) ? instead : text
    const told = inWords(message, this.#options.words ?? SPEC_WORDS)
    return new BucketError(
      clean(code, 'Withheld'),
      errorClass,
      `${this.description}: ${doing}: ${clean(told, 'the reply repeats a credential, so it is not shown')}`,
      { retryAfterMs },
    )
  }
}

/** The whole body, or BucketError as soon as it is longer than `bytesMax`. */
async function readWhole(body: Readable, bytesMax: number, deadline: Deadline): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    if (!Buffer.isBuffer(chunk)) throw notS3('its body is no bytes')
    bytes += chunk.byteLength
    if (bytes > bytesMax) {
      body.destroy()
      throw tooLarge(bytesMax)
    }
    chunks.push(chunk)
    deadline.moved(bytes)
  }
  return Buffer.concat(chunks, bytes)
}

/** A page of another kind parses as one without any field. */
function assertList(page: ListObjectsV2CommandOutput): void {
  if (page.Name !== undefined || page.KeyCount !== undefined || page.IsTruncated !== undefined) return
  throw notS3('it says 200 and lists nothing')
}

function listingOf(prefix: string): string {
  return prefix === '' ? 'listing the bucket' : `listing ${prefix}`
}

/** A body that came with 200 and no name: an error of the store after all; else the object for a reader, or no store. */
async function readNameless(
  body: Readable,
  bytesMax: number,
  deadline: Deadline,
  isReader: boolean,
): Promise<Buffer> {
  // an error may be longer than the object should be
  const readMax = isReader ? Math.max(bytesMax, ERROR_BYTES_MAX) : ERROR_BYTES_MAX
  let whole: Buffer
  try {
    whole = await readWhole(body, readMax, deadline)
  } catch (error) {
    if (!(error instanceof BucketError) || error.code !== OBJECT_TOO_LARGE) throw error
    // no error is so long
    throw isReader ? tooLarge(bytesMax) : notS3(NAMELESS)
  }
  const code = errorCodeIn(whole)
  // as the SDK does it for an error in the reply to a PUT
  if (code !== undefined) {
    throw Object.assign(new Error('an error in a 200'), { Code: code, $metadata: { httpStatusCode: 500 } })
  }
  if (!isReader) throw notS3(NAMELESS)
  if (whole.byteLength > bytesMax) throw tooLarge(bytesMax)
  return whole
}

/** The code of a reply that is an error and nothing else. */
function errorCodeIn(whole: Buffer): string | undefined {
  const text = whole.toString('latin1', 0, ERROR_BYTES_MAX)
  return ERROR_PATTERN.test(text) ? /<Code>(\w{1,64})<\/Code>/.exec(text)?.[1] : undefined
}

function tooLarge(bytesMax: number): BucketError {
  return new BucketError(
    OBJECT_TOO_LARGE,
    'integrity',
    `the object has more than the ${bytesMax} bytes that it should`,
  )
}

function outcomeOf(error: unknown, { operation }: Asked): RequestOutcome {
  if (operation === 'get' && storeCodeOf(error) === 'NoSuchKey') return 'absent'
  return error instanceof BucketError || statusOf(error) !== undefined ? 'error' : 'unanswered'
}

function storeCodeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'Code' in error ? error.Code : undefined
}

function notS3(what: string): BucketError {
  return new BucketError('NotS3', NOT_S3.class, `${what}: ${NOT_S3.words}`)
}

function contentTypeOf(key: string): string {
  if (key.endsWith('.json')) return 'application/json'
  if (key.endsWith('.txt')) return 'text/plain'
  return key.endsWith('.parquet') ? 'application/vnd.apache.parquet' : 'application/octet-stream'
}
