/**
 * A small S3 server in the test's own process that does evil on demand. It knows PUT, GET, HEAD and ListObjectsV2 of
 * one bucket, path style; looks at signatures as far as who signed and whether the signed hash is the body's; and
 * counts each fault that it carries out.
 */
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import net from 'node:net'
import { type FaultKind, type FaultTarget, type Operation, REFUSALS, RETRY_AFTER_S } from './faults.ts'
import { flipped, md5Hex, Objects, sha256Base64, sha256Hex } from './objects.ts'
import { errorXml, listXml, PORTAL } from './xml.ts'

const PAGE_KEYS_MAX = 1000
/** What a body is read in, where it is left unread in the middle. */
const HALF = 0.5

interface Asked {
  readonly operation: Operation
  readonly bucket: string
  readonly key: string
  readonly query: URLSearchParams
  readonly head: boolean
}

interface Injected {
  readonly kind: FaultKind
  readonly target: FaultTarget
  left: number
}

export class EvilStore {
  readonly bucket = 'evil'
  readonly region = 'us-east-1'
  readonly accessKey = 'evilkey'
  readonly secretKey = 'evilsecret'
  /** The truth. */
  readonly objects = new Objects()
  /** How often each fault was carried out. */
  readonly fired = new Map<FaultKind, number>()
  /** Requests that were answered in the end, `put <key>`. */
  readonly requests: string[] = []
  /** Requests of which at least the head came. */
  taken = 0
  /** The hash of what a GET of each key last gave out whole, in hex. */
  readonly served = new Map<string, string>()
  /** What a client of S3 must not do; empty at the end of every test. */
  readonly complaints: string[] = []
  readonly #faults: Injected[] = []
  readonly #sockets = new Set<Socket>()
  readonly #http: http.Server
  readonly #net: net.Server

  private constructor() {
    this.#http = http.createServer({ keepAliveTimeout: 0 }, (request, reply) => this.#take(request, reply))
    // a client that asks before it sends a large body gets its yes only if nothing is to happen before
    this.#http.on('checkContinue', (request, reply) =>
      this.#take(request, reply, () => reply.writeContinue()),
    )
    this.#net = net.createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket))
  }

  static async start(): Promise<EvilStore> {
    const store = new EvilStore()
    await new Promise<void>((done) => store.#net.listen(0, '127.0.0.1', done))
    return store
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#net.address() as AddressInfo).port}`
  }

  /** From now on, until `heal`. Faults that are injected later come first. */
  inject(kind: FaultKind, target: FaultTarget = {}): void {
    this.#faults.unshift({ kind, target, left: target.times ?? Number.POSITIVE_INFINITY })
    if (kind === 'get_old') this.objects.remember()
    // connections that were kept open would never be accepted (the HTTP server cannot end them: it does not listen)
    if (kind.endsWith('_accept')) for (const socket of this.#sockets) socket.destroy()
  }

  /** Whether what is asked next in this way is met with silence. */
  hangs(operation: Operation, key: string): boolean {
    const asked = { operation, key, bucket: this.bucket, query: new URLSearchParams(), head: false }
    return this.#faults.some(
      ({ left, kind, target }) => left > 0 && kind.startsWith('hang_') && fits(target, asked),
    )
  }

  /** Ends all faults. Requests that hang go on hanging; their clients gave up, or will. */
  heal(): void {
    this.#faults.length = 0
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#http.close()
    await new Promise((done) => this.#net.close(done))
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    // the client went away, as it may
    socket.on('error', () => undefined)
    if (this.#happens('hang_accept')) return
    if (this.#happens('reset_accept')) {
      socket.resetAndDestroy()
      return
    }
    this.#http.emit('connection', socket)
    socket.resume()
  }

  /** Whether this fault is next for what was asked; it is then counted. */
  #happens(kind: FaultKind, asked?: Asked): boolean {
    const fault = this.#faults.find((each) => each.left > 0 && each.kind === kind && fits(each.target, asked))
    if (fault === undefined) return false
    fault.left--
    this.fired.set(kind, (this.fired.get(kind) ?? 0) + 1)
    return true
  }

  #take(request: http.IncomingMessage, reply: http.ServerResponse, goOn?: () => void): void {
    this.taken++
    const asked = parse(request)
    const { socket } = request
    if (this.#happens('hang_headers', asked)) return
    if (this.#happens('reset_headers', asked)) {
      socket.resetAndDestroy()
      return
    }
    goOn?.()
    const stopsAt = this.#stopsInBody(request, asked)
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.byteLength
      if (stopsAt === undefined || bytes < stopsAt.bytes) return
      if (stopsAt.resets) socket.resetAndDestroy()
      else request.pause()
    })
    request.on('end', () => {
      if (stopsAt === undefined) this.#answer(asked, request, Buffer.concat(chunks), reply)
    })
  }

  #stopsInBody(
    request: http.IncomingMessage,
    asked: Asked,
  ): { readonly bytes: number; readonly resets: boolean } | undefined {
    const length = Number(request.headers['content-length'] ?? 0)
    // what has no body is stopped before its reply
    if (length === 0) return undefined
    const bytes = Math.max(1, Math.floor(length * HALF))
    if (this.#happens('hang_body', asked)) return { bytes, resets: false }
    if (this.#happens('reset_body', asked)) return { bytes, resets: true }
    return undefined
  }

  #answer(asked: Asked, request: http.IncomingMessage, body: Buffer, reply: http.ServerResponse): void {
    this.#complain(asked, request, body)
    const refused = this.#refusal(asked)
    if (refused !== undefined) {
      send(reply, asked, ...refused)
      return
    }
    this.requests.push(`${asked.operation} ${asked.key}`)
    if (asked.operation === 'put') this.#put(asked, request, body, reply)
    else if (asked.operation === 'list') this.#list(asked, reply)
    else this.#get(asked, reply)
  }

  /** What every request must be, or it is somebody else's fault than the store's. */
  #complain(asked: Asked, request: http.IncomingMessage, body: Buffer): void {
    const { authorization = '', ...headers } = request.headers
    const what = `${asked.operation} ${asked.key}`
    if (!authorization.includes(`Credential=${this.accessKey}/`)) this.complaints.push(`${what}: not signed`)
    if (headers['x-amz-content-sha256'] !== sha256Hex(body)) {
      this.complaints.push(`${what}: signed another hash, ${headers['x-amz-content-sha256']}`)
    }
    if (String(headers['content-encoding'] ?? '').includes('chunked'))
      this.complaints.push(`${what}: chunked`)
    for (const name of ['if-match', 'if-none-match']) {
      if (headers[name] !== undefined) this.complaints.push(`${what}: ${name}`)
    }
    if (asked.query.has('uploadId') || asked.query.has('uploads')) this.complaints.push(`${what}: multipart`)
  }

  #refusal(asked: Asked): Refusal | undefined {
    for (const kind of Object.keys(REFUSALS) as FaultKind[]) {
      const refusal = REFUSALS[kind]
      if (refusal === undefined || !this.#happens(kind, asked)) continue
      const [status, code] = refusal
      const headers = kind === 'slow_down' ? { 'retry-after': String(RETRY_AFTER_S) } : {}
      return [status, errorXml(code), { ...XML, ...headers }]
    }
    if (this.#happens('unavailable', asked)) return [503, 'upstream connect error', {}]
    if (this.#happens('html', asked)) return [200, PORTAL, { 'content-type': 'text/html' }]
    if (this.#happens('error_in_200', asked)) return [200, errorXml('InternalError'), XML]
    if (asked.bucket !== this.bucket) return [404, errorXml('NoSuchBucket'), XML]
    return undefined
  }

  #put(asked: Asked, request: http.IncomingMessage, body: Buffer, reply: http.ServerResponse): void {
    const { key } = asked
    const given = request.headers['x-amz-checksum-sha256']
    const flips = this.#happens('put_flipped', asked)
    if (!flips && given !== undefined && given !== sha256Base64(body)) {
      send(reply, asked, 400, errorXml('BadDigest'), XML)
      return
    }
    if (this.#happens('put_truncated', asked)) this.objects.put(key, body.subarray(0, body.byteLength >> 1))
    else if (!this.#happens('put_forgotten', asked)) this.objects.put(key, flips ? flipped(body) : body)
    if (this.#stopsReply(asked, reply)) return
    const wrong = this.#happens('put_wrong_checksum', asked)
    const checksum = wrong ? sha256Base64(flipped(body)) : (given ?? '')
    reply.setHeader('etag', `"${md5Hex(body)}"`)
    if (checksum !== '') reply.setHeader('x-amz-checksum-sha256', checksum)
    send(reply, asked, 200, '', {})
  }

  #get(asked: Asked, reply: http.ServerResponse): void {
    const old = this.#happens('get_old', asked)
    const missing = this.#happens('get_missing', asked)
    const found = old ? this.objects.old(asked.key) : this.objects.get(asked.key)
    if (found === undefined || missing) {
      send(reply, asked, 404, errorXml('NoSuchKey'), XML)
      return
    }
    // not the bit that a put flips: two such lies would be the truth again
    const body = this.#happens('get_flipped', asked) ? flipped(found, 0.25) : found
    const wrong = this.#happens('get_wrong_checksum', asked)
    const headers = {
      etag: `"${md5Hex(found)}"`,
      'content-type': 'application/octet-stream',
      'x-amz-checksum-sha256': sha256Base64(wrong ? flipped(found) : found),
      'x-amz-checksum-type': 'FULL_OBJECT',
    }
    if (this.#stopsReply(asked, reply, body, headers)) return
    if (!asked.head) this.served.set(asked.key, sha256Hex(body))
    send(reply, asked, 200, body, headers)
  }

  #list(asked: Asked, reply: http.ServerResponse): void {
    const { query } = asked
    const prefix = query.get('prefix') ?? ''
    const after = query.get('continuation-token') ?? query.get('start-after') ?? ''
    const limit = Math.min(PAGE_KEYS_MAX, Number(query.get('max-keys') ?? PAGE_KEYS_MAX))
    if (this.#stopsReply(asked, reply)) return
    send(reply, asked, 200, listXml(this.bucket, prefix, this.objects.page(prefix, after, limit)), XML)
  }

  /** Half of the reply where it has a body, nothing of it where it has none; then silence, or a reset. */
  #stopsReply(
    asked: Asked,
    reply: http.ServerResponse,
    body: Buffer = Buffer.alloc(0),
    headers: http.OutgoingHttpHeaders = {},
  ): boolean {
    const hangs = this.#happens('hang_reply', asked)
    const resets = !hangs && this.#happens('reset_reply', asked)
    if (!hangs && !resets) return false
    const cut = () => {
      if (resets) reply.socket?.resetAndDestroy()
    }
    if (body.byteLength === 0) cut()
    else {
      reply.writeHead(200, { ...headers, 'content-length': body.byteLength })
      reply.write(body.subarray(0, body.byteLength >> 1), cut)
    }
    return true
  }
}

type Refusal = readonly [status: number, body: string, headers: http.OutgoingHttpHeaders]

const XML: http.OutgoingHttpHeaders = { 'content-type': 'application/xml' }

function send(
  reply: http.ServerResponse,
  { head }: Asked,
  status: number,
  body: string | Buffer,
  headers: http.OutgoingHttpHeaders,
): void {
  reply.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  reply.end(head ? undefined : body)
}

function parse(request: http.IncomingMessage): Asked {
  const url = new URL(request.url ?? '/', 'http://evil')
  const [, bucket = '', ...rest] = url.pathname.split('/')
  const key = decodeURIComponent(rest.join('/'))
  const operation = request.method === 'PUT' ? 'put' : key === '' ? 'list' : 'get'
  return { operation, bucket, key, query: url.searchParams, head: request.method === 'HEAD' }
}

function fits({ operation, keys }: FaultTarget, asked: Asked | undefined): boolean {
  if (asked === undefined) return true
  if (operation !== undefined && operation !== asked.operation) return false
  return (
    keys === undefined ||
    keys.test(asked.operation === 'list' ? (asked.query.get('prefix') ?? '') : asked.key)
  )
}
