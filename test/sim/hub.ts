/** Who listens to what: connections by stream key. A stream on the wrong route is kept and never served. */
import type { WebSocket } from 'ws'
import { parseStream, type Route, type StreamName } from './streams.ts'

/** A consumer that lets this much pile up is cut, as exchanges do with slow ones. */
const BUFFERED_BYTES_MAX = 64 * 1024 * 1024

/** One client socket, with the names that it subscribed to. */
export class Connection {
  readonly id: number
  readonly route: Route
  /** Whether frames are wrapped with the name of their stream (`/stream`) or bare (`/ws`). */
  readonly combined: boolean
  readonly names = new Set<string>()
  readonly #socket: WebSocket
  readonly #note: (text: string) => void

  constructor(id: number, route: Route, combined: boolean, socket: WebSocket, note: (text: string) => void) {
    this.id = id
    this.route = route
    this.combined = combined
    this.#socket = socket
    this.#note = note
  }

  /** Sends one text frame. A socket that is closing gets nothing more: its client sees the loss. */
  send(payload: string | Uint8Array): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    if (this.#socket.bufferedAmount > BUFFERED_BYTES_MAX) {
      this.#note(`connection ${this.id} was cut: it left more than ${BUFFERED_BYTES_MAX} bytes unread`)
      this.#socket.terminate()
      return
    }
    this.#socket.send(payload, { binary: false })
  }

  /** Wraps a payload for this connection, by the name under which it subscribed. */
  publish(stream: StreamName, data: string): void {
    this.send(this.combined ? `{"stream":${JSON.stringify(stream.name)},"data":${data}}` : data)
  }

  /** Ends the connection without a close frame; the client sees code 1006. */
  terminate(): void {
    this.#socket.terminate()
  }
}

export interface HubListener {
  subscribed(connection: Connection, stream: StreamName): void
  unsubscribed(connection: Connection, stream: StreamName): void
}

type Listeners = Map<Connection, StreamName[]>
const NOBODY: ReadonlyMap<Connection, readonly StreamName[]> = new Map()

export class Hub {
  readonly connections = new Set<Connection>()
  readonly #byKey = new Map<string, Listeners>()
  readonly #listener: HubListener

  constructor(listener: HubListener) {
    this.#listener = listener
  }

  subscribe(connection: Connection, name: string): void {
    if (connection.names.has(name)) return
    connection.names.add(name)
    const stream = parseStream(name)
    // Acknowledged and silent, which is how the exchange itself treats a name on the wrong route.
    if (stream === undefined || stream.route !== connection.route) return
    let listeners = this.#byKey.get(stream.key)
    if (listeners === undefined) {
      listeners = new Map()
      this.#byKey.set(stream.key, listeners)
    }
    listeners.set(connection, [...(listeners.get(connection) ?? []), stream])
    this.#listener.subscribed(connection, stream)
  }

  unsubscribe(connection: Connection, name: string): void {
    if (!connection.names.delete(name)) return
    const stream = parseStream(name)
    if (stream === undefined || stream.route !== connection.route) return
    const listeners = this.#byKey.get(stream.key)
    const rest = (listeners?.get(connection) ?? []).filter((other) => other.name !== name)
    if (rest.length > 0) listeners?.set(connection, rest)
    else listeners?.delete(connection)
    if (listeners?.size === 0) this.#byKey.delete(stream.key)
    this.#listener.unsubscribed(connection, stream)
  }

  remove(connection: Connection): void {
    for (const name of [...connection.names]) this.unsubscribe(connection, name)
    this.connections.delete(connection)
  }

  /** The connections that listen to this key, each with the names under which it does. */
  listeners(key: string): ReadonlyMap<Connection, readonly StreamName[]> {
    return this.#byKey.get(key) ?? NOBODY
  }

  /** Sends the same bytes to all listeners, once a connection: wrapped or bare, as each asked. */
  broadcast(key: string, wrapped: Uint8Array, bare: Uint8Array): void {
    for (const connection of this.listeners(key).keys()) connection.send(connection.combined ? wrapped : bare)
  }

  /**
   * Terminates the connections of a route that are subscribed to a stream of this symbol: on `public`
   * those that follow its depth, on `market` any. Returns how many.
   */
  cut(symbol: string, route: Route): number {
    let count = 0
    for (const connection of [...this.connections]) {
      if (connection.route !== route) continue
      const streams = [...connection.names].map(parseStream).filter((stream) => stream?.symbol === symbol)
      if (!streams.some((stream) => route === 'market' || stream?.channel === 'depth')) continue
      connection.terminate()
      // At once, not when the close event comes: nothing may be counted as sent to it from here on.
      this.remove(connection)
      count++
    }
    return count
  }
}
