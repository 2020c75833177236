/** Small HTTP servers that answer as a test tells them, and buckets that point at them. */
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { inspect } from 'node:util'
import { BucketError } from '../../capture/ship/bucket.ts'
import {
  environmentCredentials,
  S3Bucket,
  type S3Config,
  type S3Deadlines,
  type S3Options,
} from '../../capture/ship/s3/mod.ts'
import { sha256 } from './fixture.ts'

/** Must never appear anywhere but in requests. */
export const SECRETS = {
  AWS_ACCESS_KEY_ID: 'AKIDCANARY0123456789',
  AWS_SECRET_ACCESS_KEY: 'secretCANARYsecretCANARYsecretCANARY',
  AWS_SESSION_TOKEN: 'tokenCANARYtokenCANARY',
} as const

/** Far above what a machine may stand still: a request that is answered never meets them. */
export const PATIENT: S3Deadlines = {
  connectMs: 600_000,
  silenceMs: 600_000,
  baseMs: 600_000,
  bytesPerSecondMin: 64 * 1024,
}

export interface Context {
  after(work: () => Promise<void> | void): void
}

/** A request that came, its body read to the end. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
  readonly socket: Socket
}

export type Answer = (seen: Seen, response: http.ServerResponse) => void

export interface FakeStore {
  readonly endpoint: string
  readonly port: number
  readonly seen: Seen[]
  readonly server: http.Server
  answer: Answer
}

export interface FakeStoreOptions {
  readonly tls?: { readonly key: string; readonly cert: string }
}

/** A store that answers each request by `answer`, once its body is there. */
export async function fakeStore(
  context: Context,
  answer: Answer,
  options: FakeStoreOptions = {},
): Promise<FakeStore> {
  const { tls } = options
  const seen: Seen[] = []
  const onRequest: http.RequestListener = async (request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => undefined) // a client that ends its socket is what some tests are about
    for await (const chunk of request) chunks.push(chunk)
    const { method = '', url = '', headers, rawHeaders, socket } = request
    const one = { method, url, headers, rawHeaders, socket, body: Buffer.concat(chunks) }
    seen.push(one)
    store.answer(one, response)
  }
  const server = tls === undefined ? http.createServer(onRequest) : https.createServer(tls, onRequest)
  const port = await listen(context, server)
  const store: FakeStore = {
    endpoint: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    ...{ port, seen, server, answer },
  }
  return store
}

export async function listen(context: Context, server: http.Server): Promise<number> {
  // idle connections are ended by clients alone: a server that does so may meet the next request on its way
  server.keepAliveTimeout = 0
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

/** A patient bucket at an endpoint, with the credentials that must not leak; its connections end with the test. */
export function bucketAt(
  context: Context,
  endpoint: string,
  config: Partial<S3Config> = {},
  options: S3Options = {},
): S3Bucket {
  const bucket = new S3Bucket(
    { bucket: 'data', prefix: 'l2', endpoint, credentials: environmentCredentials(SECRETS), ...config },
    { env: {}, ...options, deadlines: { ...PATIENT, ...options.deadlines } },
  )
  context.after(() => bucket.close())
  return bucket
}

/** The error of an operation; fails where there is none, or where it is of another kind. */
export async function failureIn(work: Promise<unknown>): Promise<BucketError> {
  try {
    await work
  } catch (error) {
    if (error instanceof BucketError) return error
    throw error
  }
  throw new Error('it succeeded')
}

/** All that can be seen of a value, also what is hidden. */
export function everything(value: unknown): string {
  const own = inspect(value, { depth: Number.POSITIVE_INFINITY, showHidden: true, maxArrayLength: null })
  return `${own}\n${JSON.stringify(value)}\n${value instanceof Error ? value.stack : ''}`
}

export function putTo(bucket: S3Bucket, key: string, body: Buffer): Promise<void> {
  return bucket.put(key, body, sha256(body))
}

export function errorXml(code: string, more = ''): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>text</Message>${more}</Error>`
}

/** Answers with a status and a body. */
export function reply(status: number, body = '', headers: http.OutgoingHttpHeaders = {}): Answer {
  return (_seen, response) => void response.writeHead(status, headers).end(body)
}

/** What a store that took an object says. */
export const TAKEN: Answer = reply(200, '', { etag: '"x"' })
