/** Who listens to what: connections by stream key. A stream on the wrong route is kept and never served. */
import { parseStream, type Route, type StreamName } from '../streams.ts'
import type { SimTime } from './time.ts'
import type { SimPeer } from './transport.ts'

/** A consumer that lets this much pile up is cut, as exchanges do with slow ones. */
const BUFFERED_BYTES_MAX = 64 * 1024 * 1024

export interface ConnectionOptions {
  readonly route: Route
  /** Whether frames are wrapped with the name of their stream (`/stream`) or bare (`/ws`). */
  readonly combined: boolean
  /** How long each frame of a stream is on its way. */
  readonly lagMs: number
}

export interface ConnectionWorld {
  readonly time: SimTime
  note(text: string): void
  /** Called once when it is over, before its peer hears of it: nothing counts as sent to it any more. */
  over(connection: Connection): void
}

/** One client connection, with the names that it subscribed to. */
export class Connection {
  readonly id: number
  readonly route: Route
  readonly combined: boolean
  readonly names = new Set<string>()
  /** Set once the handshake is over: until then nothing may be done to it. */
  ready = false
  readonly #peer: SimPeer
  readonly #time: SimTime
  readonly #note: (text: string) => void
  readonly #over: (connection: Connection) => void
  readonly #lagMs: number
  #heldUntilMs = 0
  #underWay: { readonly dueMs: number; readonly payload: string | Uint8Array }[] = []
  #open = true
  #mute: string | undefined

  constructor(id: number, options: ConnectionOptions, peer: SimPeer, world: ConnectionWorld) {
    this.id = id
    this.route = options.route
    this.combined = options.combined
    this.#lagMs = options.lagMs
    this.#peer = peer
    this.#time = world.time
    this.#note = world.note
    this.#over = world.over
  }

  get open(): boolean {
    return this.#open
  }

  /** The kind of fault that made it half open; undefined while it works. */
  get mute(): string | undefined {
    return this.#mute
  }

  /** From here on the client gets nothing from it, neither pongs nor an end, and is not heard. */
  silenceForGood(kind: string): void {
    this.#mute = kind
  }

  /** Frames of streams stay on their way until this moment, and then come all at once. */
  hold(untilMs: number): void {
    this.#heldUntilMs = Math.max(this.#heldUntilMs, untilMs)
  }

  /** Sends one frame of a stream, after the connection's lag; the order is kept. */
  send(payload: string | Uint8Array): void {
    const nowMs = this.#time.nowMs()
    const dueMs = Math.max(nowMs + this.#lagMs, this.#heldUntilMs)
    if (dueMs <= nowMs && this.#underWay.length === 0) {
      this.reply(payload)
      return
    }
    this.#underWay.push({ dueMs, payload })
    if (this.#underWay.length === 1) this.#time.after(dueMs - nowMs, () => this.#arrive())
  }

  /** Sends what is due, and waits for the rest: one timer, because timers of a machine may overtake each other. */
  #arrive(): void {
    const nowMs = this.#time.nowMs()
    let count = 0
    for (const { dueMs, payload } of this.#underWay) {
      if (dueMs > nowMs) break
      this.reply(payload)
      count++
    }
    this.#underWay.splice(0, count)
    const [next] = this.#underWay
    if (next !== undefined && this.#open) this.#time.after(next.dueMs - nowMs, () => this.#arrive())
  }

  /** Sends one text frame at once. A connection that is over gets nothing more: its client sees the loss. */
  reply(payload: string | Uint8Array): void {
    if (!this.#open || this.#mute !== undefined) return
    if (this.#peer.bufferedBytes > BUFFERED_BYTES_MAX) {
      this.#note(`connection ${this.id} was cut: it left more than ${BUFFERED_BYTES_MAX} bytes unread`)
      this.terminate()
      return
    }
    this.#peer.send(payload)
  }

  /** Wraps a payload for this connection, by the name under which it subscribed. */
  publish(stream: StreamName, data: string): void {
    this.send(this.combined ? `{"stream":${JSON.stringify(stream.name)},"data":${data}}` : data)
  }

  ping(): void {
    if (this.#open && this.#mute === undefined) this.#peer.ping()
  }

  /** Ends the connection with a close frame. */
  close(code: number, reason: string): void {
    if (!this.#open || this.#mute !== undefined) return
    this.ended()
    this.#peer.close(code, reason)
  }

  /** Ends the connection without a close frame; the client sees code 1006. */
  terminate(): void {
    if (!this.#open || this.#mute !== undefined) return
    this.ended()
    this.#peer.terminate()
  }

  /** Ends it, half open or not: the exchange is gone. */
  discard(): void {
    if (!this.#open) return
    this.ended()
    this.#peer.terminate()
  }

  /** The carrier says that it is over. */
  ended(): void {
    if (!this.#open) return
    this.#open = false
    this.#over(this)
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
    // Before it listens: what the source still has to send until now is not for this connection.
    this.#listener.subscribed(connection, stream)
    let listeners = this.#byKey.get(stream.key)
    if (listeners === undefined) {
      listeners = new Map()
      this.#byKey.set(stream.key, listeners)
    }
    listeners.set(connection, [...(listeners.get(connection) ?? []), stream])
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
   * The connections of a route that follow this symbol (`*`: any): on `public` those that follow its depth,
   * on `market` those with any of its streams.
   */
  following(symbol: string, route: Route): Connection[] {
    return [...this.connections].filter((connection) => {
      if (connection.route !== route || !connection.ready || connection.mute !== undefined) return false
      if (symbol === '*') return true
      const streams = [...connection.names].map(parseStream).filter((stream) => stream?.symbol === symbol)
      return streams.some((stream) => route === 'market' || stream?.channel === 'depth')
    })
  }
}
