import type { Clock } from './clock.ts'
import type { Timers } from './timers.ts'
import type { OpenSocket, RawSocket, RawSocketEvents } from './transport.ts'

const HANDSHAKE_MS_MAX = 10_000
const PING_EVERY_MS = 10_000
/** A ping timer later than this means that our own loop stalled: no evidence against the peer. */
const PING_LATE_MS_MAX = 1_000
/** How long a peer may take to answer our close before it is dropped. */
const CLOSE_GRACE_MS = 1_000
/** RFC 6455, 7.4.1: closed in order by us; ended without a close frame. */
export const CLOSE_NORMAL = 1000
const CLOSE_ABNORMAL = 1006

/** How an open connection ended. */
export interface Loss {
  readonly code: number
  readonly reason: string
  /** Our ping was not answered in time. */
  readonly silent: boolean
}

/** What a connection tells. One that its owner has closed tells `gone` alone. */
export interface ConnectionEvents {
  opened(connection: Connection): void
  message(connection: Connection, payload: Uint8Array): void
  /** It was open and is lost, by the peer or for its silence. */
  lost(connection: Connection, loss: Loss): void
  /** It never opened. `status` is that of an HTTP answer, 0 without; `retryAfterMs` what the peer wants. */
  failed(connection: Connection, why: string, status: number, retryAfterMs: number): void
  /** No socket is left of it: the last thing it tells. */
  gone(connection: Connection): void
}

export interface ConnectionOptions {
  readonly url: string
  readonly messageBytesMax: number
  readonly clock: Clock
  readonly openSocket: OpenSocket
  /** Pings; they end with the route. */
  readonly timers: Timers
  /** Outlives the route: what drops a socket whose peer does not answer our close. */
  readonly lastTimers: Timers
}

/** One socket, from the attempt to connect until its end, with pings that must be answered. */
export class Connection {
  /** Its number within the run, given by the owner as it opens; 0 before. */
  number = 0
  /** Receive time of opening, microseconds, set by the owner; 0 before. */
  openedAt = 0
  readonly #options: ConnectionOptions
  readonly #events: ConnectionEvents
  readonly #raw: RawSocket
  #state: 'connecting' | 'open' | 'ended' = 'connecting'
  #isGone = false
  #awaitsPong = false
  #cancelPing: () => void = () => {}
  #cancelDrop: () => void = () => {}

  /** Starts to connect. Throws where the transport cannot even try. */
  constructor(options: ConnectionOptions, events: ConnectionEvents) {
    this.#options = options
    this.#events = events
    const limits = { messageBytesMax: options.messageBytesMax, handshakeMs: HANDSHAKE_MS_MAX }
    this.#raw = options.openSocket(options.url, limits, this.#rawEvents())
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** No socket is left of it. */
  get isGone(): boolean {
    return this.#isGone
  }

  send(text: string): void {
    this.#raw.send(text)
  }

  /** Closes in order, and drops the socket if the peer does not answer. Tells `gone` and nothing else any more. */
  close(): void {
    const wasOpen = this.isOpen
    this.#end()
    if (!wasOpen) {
      this.#raw.terminate()
      return
    }
    this.#cancelDrop = this.#options.lastTimers.after(CLOSE_GRACE_MS, () => this.#raw.terminate())
    this.#raw.close(CLOSE_NORMAL, '')
  }

  /** What an ended connection still says is dropped: its end is out. */
  #rawEvents(): RawSocketEvents {
    return {
      open: () => {
        if (this.#state !== 'connecting') return
        this.#state = 'open'
        this.#pingLater()
        this.#events.opened(this)
      },
      message: (payload) => {
        // whoever sends is there, whether or not it answers pings
        this.#awaitsPong = false
        if (this.isOpen) this.#events.message(this, payload)
      },
      pong: () => {
        this.#awaitsPong = false
      },
      closed: (code, reason) => {
        this.#isGone = true
        if (this.#end()) this.#events.lost(this, { code, reason, silent: false })
        this.#leave()
      },
      failed: (why, status, retryAfterMs) => {
        this.#isGone = true
        if (this.#end()) this.#events.failed(this, why, status, retryAfterMs)
        this.#leave()
      },
    }
  }

  /** Each ping must be answered before the next one is due. */
  #pingLater(): void {
    const { clock, timers } = this.#options
    const dueUs = clock.monotonicUs() + PING_EVERY_MS * 1000
    this.#cancelPing = timers.after(PING_EVERY_MS, () => {
      if (!this.isOpen) return
      const lateMs = (clock.monotonicUs() - dueUs) / 1000
      if (this.#awaitsPong && lateMs < PING_LATE_MS_MAX) {
        this.#end()
        this.#raw.terminate()
        this.#events.lost(this, { code: CLOSE_ABNORMAL, reason: 'no pong', silent: true })
        return
      }
      this.#awaitsPong = true
      this.#raw.ping()
      this.#pingLater()
    })
  }

  /** Returns whether this is the first end. */
  #end(): boolean {
    const first = this.#state !== 'ended'
    this.#state = 'ended'
    this.#cancelPing()
    return first
  }

  #leave(): void {
    this.#cancelDrop()
    this.#events.gone(this)
  }
}
