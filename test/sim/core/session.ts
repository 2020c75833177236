/** One connection's life: its messages, the exchange's pings, its end after a day. */
import { messageOf } from '../errors.ts'
import type { Connection, Hub } from './hub.ts'
import type { Violations } from './limits.ts'
import type { SimTime } from './time.ts'
import type { SimConnection } from './transport.ts'

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
export const STREAMS_MAX = 1024
const MESSAGES_A_SECOND_MAX = 10
const CLOSE_GOING_AWAY = 1001
const CLOSE_POLICY = 1008

export interface SessionWorld {
  readonly time: SimTime
  readonly hub: Hub
  readonly limits: SocketLimits
  readonly violations: Violations
  note(text: string): void
}

export class Session implements SimConnection {
  readonly #connection: Connection
  readonly #world: SessionWorld
  #cancelPing: () => void
  readonly #cancelEnd: () => void
  #pongAtMs: number
  #second = 0
  #messages = 0

  constructor(connection: Connection, world: SessionWorld) {
    this.#connection = connection
    this.#world = world
    const { time, limits } = world
    this.#pongAtMs = time.nowMs()
    this.#cancelPing = time.after(limits.pingEveryMs, () => this.#ping())
    this.#cancelEnd = time.after(limits.lifetimeMs, () =>
      connection.close(CLOSE_GOING_AWAY, 'The connection has reached its age'),
    )
  }

  text(payload: string): void {
    const connection = this.#connection
    // Nobody is there any more to hear it.
    if (!connection.open || connection.mute !== undefined || !this.#mayTalk()) return
    connection.reply(this.#answer(payload))
  }

  ping(): boolean {
    const { open, mute } = this.#connection
    return open && mute === undefined && this.#mayTalk()
  }

  pong(): void {
    this.#pongAtMs = this.#world.time.nowMs()
  }

  closed(): void {
    this.#cancelPing()
    this.#cancelEnd()
    this.#connection.ended()
  }

  /** Counts what the client sends; pings are messages too. */
  #mayTalk(): boolean {
    const second = Math.floor(this.#world.time.nowMs() / 1000)
    this.#messages = second === this.#second ? this.#messages + 1 : 1
    this.#second = second
    if (this.#messages <= MESSAGES_A_SECOND_MAX) return true
    this.#world.violations.messages++
    this.#world.note(
      `connection ${this.#connection.id} was closed: more than ${MESSAGES_A_SECOND_MAX} messages in a second`,
    )
    this.#connection.close(CLOSE_POLICY, 'Too many requests')
    return false
  }

  #ping(): void {
    const { time, limits } = this.#world
    const connection = this.#connection
    if (!connection.open) return
    if (time.nowMs() - this.#pongAtMs > limits.pongWithinMs) {
      this.#world.note(`connection ${connection.id} was cut: no pong within ${limits.pongWithinMs} ms`)
      connection.terminate()
      return
    }
    connection.ping()
    this.#cancelPing = time.after(limits.pingEveryMs, () => this.#ping())
  }

  /** Carries out one request message and returns the exchange's answer to it. */
  #answer(text: string): string {
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
    if (method === 'LIST_SUBSCRIPTIONS') return JSON.stringify({ result: [...this.#connection.names], id })
    if (method !== 'SUBSCRIBE' && method !== 'UNSUBSCRIBE') {
      return refusal(2, `Invalid request: unknown method ${JSON.stringify(method)}`, id)
    }
    const names = Array.isArray(params) ? params.filter((name) => typeof name === 'string') : []
    if (!Array.isArray(params) || names.length !== params.length) {
      return refusal(2, 'Invalid request: params must be a list of stream names', id)
    }
    if (method === 'SUBSCRIBE' && this.#connection.names.size + names.length > STREAMS_MAX) {
      this.#world.violations.messages++
      return refusal(2, `Invalid request: more than ${STREAMS_MAX} streams`, id)
    }
    for (const name of names) {
      if (method === 'SUBSCRIBE') this.#world.hub.subscribe(this.#connection, name)
      else this.#world.hub.unsubscribe(this.#connection, name)
    }
    return JSON.stringify({ result: null, id })
  }
}

function refusal(code: number, msg: string, id?: number | string): string {
  return JSON.stringify(id === undefined ? { error: { code, msg } } : { error: { code, msg }, id })
}
