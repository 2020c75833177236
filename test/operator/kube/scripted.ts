import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { type Access, Connection, KubeClient, type Meter, type System } from '../../../operator/kube/mod.ts'

export interface Seen {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
  readonly response: ServerResponse
}

/** What the server does with a request. A stream sends its parts and then ends, holds on, or breaks. */
export type Reply =
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
  | { readonly stream: readonly string[]; readonly after: 'end' | 'hold' | 'break' }
  | 'hang'
  | 'break'

/** An API server that does what the test says, and nothing else. */
export class ScriptedServer {
  readonly seen: Seen[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #script: (seen: Seen) => Reply
  #opened = 0

  private constructor(script: (seen: Seen) => Reply) {
    this.#script = script
    this.#server = createServer((request, response) => void this.#serve(request, response))
    this.#server.on('connection', (socket: Socket) => {
      this.#opened += 1
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => {})
    })
  }

  static async start(context: TestContext, script: (seen: Seen) => Reply): Promise<ScriptedServer> {
    const server = new ScriptedServer(script)
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    context.after(() => server.stop())
    return server
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** TCP connections that were ever opened. */
  get opened(): number {
    return this.#opened
  }

  script(next: (seen: Seen) => Reply): void {
    this.#script = next
  }

  lists(): Seen[] {
    return this.seen.filter((one) => !one.query.has('watch'))
  }

  watches(): Seen[] {
    return this.seen.filter((one) => one.query.has('watch'))
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString('utf8')
    const url = new URL(request.url ?? '/', this.address)
    const seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
      response,
    }
    this.seen.push(seen)
    this.#reply(this.#script(seen), response)
  }

  #reply(reply: Reply, response: ServerResponse): void {
    if (reply === 'hang') return
    if (reply === 'break') {
      response.destroy()
      return
    }
    if ('stream' in reply) {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.flushHeaders()
      for (const part of reply.stream) response.write(part)
      if (reply.after === 'end') response.end()
      if (reply.after === 'break') setImmediate(() => response.destroy())
      return
    }
    response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers })
    response.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body ?? {}))
  }
}

/** A client of that server. */
export function clientOf(
  context: TestContext,
  server: ScriptedServer,
  system: System,
  meter?: Meter,
  more: { readonly fence?: () => boolean; readonly read?: () => Promise<Access>; readonly qps?: number } = {},
): KubeClient {
  const access = accessOf(server.address)
  const connection = new Connection(more.read ?? (async () => access), access, system, meter)
  context.after(() => connection.close())
  const { fence, qps } = more
  return new KubeClient({
    connection,
    system,
    ...(meter === undefined ? {} : { meter }),
    ...(fence === undefined ? {} : { fence }),
    ...(qps === undefined ? {} : { qps, burst: 1 }),
  })
}

export function accessOf(server: string, token = 'first'): Access {
  return {
    server,
    headers: { authorization: `Bearer ${token}` },
    tls: {},
    proxy: undefined,
    namespace: undefined,
  }
}

/** A Status as the API server sends it. */
export function failure(
  status: number,
  reason: string,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  const body = {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    code: status,
    reason,
    message: `${reason}!`,
  }
  return { status, body, headers }
}
