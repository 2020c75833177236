/** The WebSocket side of the protocol: routes, subscriptions in the URL and by message, pings, limits. */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { messageOf } from './errors.ts'
import { Connection, type Hub } from './hub.ts'
import type { Route } from './streams.ts'

export interface SocketLimits {
  /** The exchange pings each 3 min. */
  readonly pingEveryMs: number
  /** It gives up a connection that did not answer for 10 min. */
  readonly pongWithinMs: number
  /** It ends each connection after 24 h. */
  readonly lifetimeMs: number
}

export const SOCKET_LIMITS: SocketLimits = {
  pingEveryMs: 180_000,
  pongWithinMs: 600_000,
  lifetimeMs: 86_400_000,
}
const STREAMS_MAX = 1024
const MESSAGES_A_SECOND_MAX = 10
const MESSAGE_BYTES_MAX = 64 * 1024
const CLOSE_POLICY = 1008

export interface SocketServer {
  /** Ends all connections without a close frame. */
  stop(): void
}

interface Target {
  readonly route: Route
  readonly combined: boolean
  readonly names: readonly string[]
}

/** Answers upgrade requests of this server. Notes are oddities worth a line to whoever runs the simulator. */
export function serveSockets(
  server: Server,
  hub: Hub,
  limits: SocketLimits,
  note: (text: string) => void,
): SocketServer {
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
  })
  let lastId = 0
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const target = targetOf(request.url ?? '/')
    if (target === undefined || target.names.length > STREAMS_MAX) {
      stream.end(`HTTP/1.1 ${target === undefined ? '404 Not Found' : '400 Bad Request'}\r\n\r\n`)
      return
    }
    sockets.handleUpgrade(request, stream, head, (socket) => {
      const connection = new Connection(++lastId, target.route, target.combined, socket, note)
      hub.connections.add(connection)
      attend(socket, connection, hub, limits, note)
      for (const name of target.names) hub.subscribe(connection, name)
    })
  })
  return {
    stop() {
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
    },
  }
}

/** Reads route, kind and stream names out of a URL; undefined for a path that does not exist. */
function targetOf(url: string): Target | undefined {
  const { pathname, searchParams } = new URL(url, 'http://sim')
  const match = /^\/(public|market)\/(stream|ws)(?:\/(.+))?\/?$/.exec(pathname)
  if (match === null) return undefined
  const route: Route = match[1] === 'public' ? 'public' : 'market'
  const combined = match[2] === 'stream'
  if (combined) {
    return match[3] === undefined ? { route, combined, names: split(searchParams.get('streams')) } : undefined
  }
  try {
    return { route, combined, names: split(decodeURIComponent(match[3] ?? '')) }
  } catch {
    // A path that is no valid percent-encoding names nothing; the client gets a 404.
    return undefined
  }
}

function split(names: string | null): string[] {
  return (names ?? '').split('/').filter((name) => name !== '')
}

/** Keeps one connection: its messages, its pings, its end. */
function attend(
  socket: WebSocket,
  connection: Connection,
  hub: Hub,
  limits: SocketLimits,
  note: (text: string) => void,
): void {
  let pongAt = performance.now()
  let second = 0
  let messages = 0
  const pinger = setInterval(() => {
    if (performance.now() - pongAt > limits.pongWithinMs) {
      note(`connection ${connection.id} was cut: no pong within ${limits.pongWithinMs} ms`)
      socket.terminate()
    } else socket.ping(String(Date.now()))
  }, limits.pingEveryMs)
  const end = setTimeout(() => socket.close(1001), limits.lifetimeMs)
  socket.on('pong', () => {
    pongAt = performance.now()
  })
  socket.on('message', (data: RawData) => {
    const now = Math.floor(performance.now() / 1000)
    messages = now === second ? messages + 1 : 1
    second = now
    if (messages > MESSAGES_A_SECOND_MAX) {
      note(`connection ${connection.id} was closed: more than ${MESSAGES_A_SECOND_MAX} messages in a second`)
      socket.close(CLOSE_POLICY, 'Too many requests')
      return
    }
    connection.send(answer(textOf(data), connection, hub))
  })
  socket.on('error', (error) => note(`connection ${connection.id}: ${messageOf(error)}`))
  socket.on('close', () => {
    clearInterval(pinger)
    clearTimeout(end)
    hub.remove(connection)
  })
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8')
  return Buffer.isBuffer(data) ? data.toString('utf8') : Buffer.from(data).toString('utf8')
}

/** Carries out one request message and returns the exchange's answer to it. */
function answer(text: string, connection: Connection, hub: Hub): string {
  let request: unknown
  try {
    request = JSON.parse(text)
  } catch (thrown) {
    // No failure of ours: the client is told, as the exchange does.
    return refusal(3, `Invalid JSON: ${messageOf(thrown)}`)
  }
  if (typeof request !== 'object' || request === null) return refusal(3, 'Invalid JSON: expected an object')
  const { method, params, id } = request as Record<string, unknown>
  if (typeof id !== 'number' && typeof id !== 'string') return refusal(2, 'Invalid request: id is missing')
  if (method === 'LIST_SUBSCRIPTIONS') return JSON.stringify({ result: [...connection.names], id })
  if (method !== 'SUBSCRIBE' && method !== 'UNSUBSCRIBE') {
    return refusal(2, `Invalid request: unknown method ${JSON.stringify(method)}`, id)
  }
  const names = Array.isArray(params) ? params.filter((name) => typeof name === 'string') : []
  if (!Array.isArray(params) || names.length !== params.length) {
    return refusal(2, 'Invalid request: params must be a list of stream names', id)
  }
  if (method === 'SUBSCRIBE' && connection.names.size + names.length > STREAMS_MAX) {
    return refusal(2, `Invalid request: more than ${STREAMS_MAX} streams`, id)
  }
  for (const name of names) {
    if (method === 'SUBSCRIBE') hub.subscribe(connection, name)
    else hub.unsubscribe(connection, name)
  }
  return JSON.stringify({ result: null, id })
}

function refusal(code: number, msg: string, id?: number | string): string {
  return JSON.stringify(id === undefined ? { error: { code, msg } } : { error: { code, msg }, id })
}
