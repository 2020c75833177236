import { connectMs } from './backoff.ts'
import type { Clock } from './clock.ts'
import type { FeedLog } from './log.ts'
import { type Random, TimerGroup, type Timers } from './timers.ts'
import { type OpenSocket, type RawSocket, type RawSocketEvents, reasonOf } from './transport.ts'

const HANDSHAKE_MS_MAX = 10_000
const PING_EVERY_MS = 10_000
/** A ping timer later than this means that our own loop stalled: no evidence against the peer. */
const PING_LATE_MS_MAX = 1_000
/** How long a peer may take to answer our close before it is dropped. */
const CLOSE_GRACE_MS = 1_000
/** RFC 6455, 7.4.1: closed in order by us; ended without a close frame. */
const CLOSE_NORMAL = 1000
const CLOSE_ABNORMAL = 1006

/** What a route tells of its connections. `closed` comes exactly once after each `opened`. */
export interface RouteEvents {
  opened(connection: number, route: string): void
  message(connection: number, payload: Uint8Array): void
  closed(connection: number, code: number, reason: string): void
  /** The peer refused the connection for coming too often, and wants none for so long (0: did not say). */
  limited(status: number, retryAfterMs: number): void
}

export interface RouteOptions {
  readonly route: string
  readonly url: string
  /** Messages to send once open. */
  readonly hello: readonly string[]
  readonly messageBytesMax: number
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly openSocket: OpenSocket
  readonly events: RouteEvents
  readonly log: FeedLog
  /** Receive time, for status. */
  nowUs(): number
  /** Symbols behind one address. */
  share(): number
  /** Takes the run's next connection number. */
  nextConnection(): number
  /** For how long nothing may be sent, milliseconds. */
  pausedMs(): number
}

export interface RouteStatus {
  readonly route: string
  readonly state: 'open' | 'connecting'
  /** Since when it is in its state, receive time in microseconds. */
  readonly since: number
  /** The open connection's number; 0 while connecting. */
  readonly connection: number
  /** Why the last connection ended or could not be made; empty before the first loss. */
  readonly why: string
  /** Attempts of this run that did not open. */
  readonly failures: number
}

/** One attempt or connection; `number` is 0 until it has opened. */
interface Attempt {
  number: number
  raw: RawSocket | undefined
  awaitsPong: boolean
  cancelPing: () => void
}

/**
 * One route of a capture: a socket that is replaced whenever it is lost, for ever. Holds at most one connection;
 * a lost one is numbered no more, and whatever its socket still says is dropped.
 */
export class RouteSocket {
  readonly #options: RouteOptions
  readonly #timers: TimerGroup
  /** Sockets that were closed by us and have not ended yet, with the timer that drops them. */
  readonly #leaving = new Map<Attempt, () => void>()
  #current: Attempt | undefined
  /** Attempts since data last came. */
  #fruitless = 0
  #failures = 0
  #lastTryUs = Number.NEGATIVE_INFINITY
  #since: number
  #why = ''
  #stopped = false
  #onLeft: (() => void) | undefined

  constructor(options: RouteOptions) {
    this.#options = options
    this.#timers = new TimerGroup(options.timers)
    this.#since = options.nowUs()
  }

  start(): void {
    this.#connectLater()
  }

  /** Closes the connection if it is this route's open one, and opens another. False where it is not. */
  reconnect(connection: number, why: string): boolean {
    const attempt = this.#current
    if (this.#stopped || attempt === undefined || attempt.number === 0 || attempt.number !== connection)
      return false
    this.#current = undefined
    this.#leave(attempt)
    this.#lose(attempt, CLOSE_NORMAL, why)
    return true
  }

  /** Closes for good. Resolves when no socket is left; the `closed` of an open connection comes at once. */
  stop(): Promise<void> {
    const attempt = this.#current
    if (!this.#stopped) {
      this.#stopped = true
      this.#timers.close()
      if (attempt !== undefined) {
        this.#current = undefined
        this.#leave(attempt)
        if (attempt.number !== 0) this.#options.events.closed(attempt.number, CLOSE_NORMAL, 'stopped')
      }
    }
    if (this.#leaving.size === 0) return Promise.resolve()
    const before = this.#onLeft
    return new Promise((resolve) => {
      this.#onLeft = () => {
        before?.()
        resolve()
      }
    })
  }

  status(): RouteStatus {
    const connection = this.#current?.number ?? 0
    return {
      route: this.#options.route,
      state: connection === 0 ? 'connecting' : 'open',
      since: this.#since,
      connection,
      why: this.#why,
      failures: this.#failures,
    }
  }

  #connectLater(): void {
    // whoever heard of a loss may have stopped the feed
    if (this.#stopped) return
    const { clock, share, random, pausedMs } = this.#options
    const sinceLastTryMs = (clock.monotonicUs() - this.#lastTryUs) / 1000
    const paused = pausedMs()
    const fruitless = paused > 0 ? Math.max(1, this.#fruitless) : this.#fruitless
    const waitMs = paused + connectMs(fruitless, sinceLastTryMs, share(), random)
    if (waitMs === 0 && fruitless === 0) {
      this.#connect()
      return
    }
    this.#timers.after(waitMs, () => {
      // a pause may have begun while this waited
      if (pausedMs() > 0) this.#connectLater()
      else this.#connect()
    })
  }

  #connect(): void {
    const { url, messageBytesMax, openSocket, clock } = this.#options
    this.#lastTryUs = clock.monotonicUs()
    this.#fruitless++
    const attempt: Attempt = { number: 0, raw: undefined, awaitsPong: false, cancelPing: () => {} }
    this.#current = attempt
    try {
      const limits = { messageBytesMax, handshakeMs: HANDSHAKE_MS_MAX }
      attempt.raw = openSocket(url, limits, this.#eventsOf(attempt))
    } catch (error) {
      // no socket came into being: the same as one that did not open, counted and tried again
      this.#failed(attempt, reasonOf(error), 0, 0)
    }
  }

  /** What an ended attempt still says is dropped: its `closed` is out. */
  #eventsOf(attempt: Attempt): RawSocketEvents {
    const { message } = this.#options.events
    return {
      open: () => {
        if (attempt === this.#current) this.#opened(attempt)
      },
      message: (payload) => {
        if (attempt !== this.#current) return
        this.#fruitless = 0
        message(attempt.number, payload)
      },
      pong: () => {
        attempt.awaitsPong = false
      },
      closed: (code, reason) => {
        if (attempt === this.#current) this.#lose(attempt, code, reason)
        this.#left(attempt)
      },
      failed: (why, status, retryAfterMs) => {
        if (attempt === this.#current) this.#failed(attempt, why, status, retryAfterMs)
        this.#left(attempt)
      },
    }
  }

  #opened(attempt: Attempt): void {
    const { route, hello, events, log, nextConnection, nowUs } = this.#options
    attempt.number = nextConnection()
    this.#since = nowUs()
    this.#pingLater(attempt)
    for (const text of hello) attempt.raw?.send(text)
    log.info({ route, connection: attempt.number }, `${route}: connection ${attempt.number} is open`)
    events.opened(attempt.number, route)
  }

  #failed(attempt: Attempt, why: string, status: number, retryAfterMs: number): void {
    const { route, url, log, events } = this.#options
    if (attempt === this.#current) this.#current = undefined
    this.#failures++
    this.#why = why
    log.warn(
      { route, failures: this.#failures },
      `${route}: cannot connect to ${url}: ${why}; it is tried again`,
    )
    if (status === 429 || status === 418) events.limited(status, retryAfterMs)
    this.#connectLater()
  }

  /** The connection is gone: says so once, then tries anew. */
  #lose(attempt: Attempt, code: number, reason: string): void {
    const { route, events, log, nowUs } = this.#options
    attempt.cancelPing()
    // from here on whatever the socket still says is dropped
    this.#current = undefined
    this.#since = nowUs()
    this.#why = reason === '' ? `closed with code ${code}` : reason
    const number = attempt.number
    log.warn({ route, connection: number, code }, `${route}: connection ${number} ended: ${this.#why}`)
    events.closed(number, code, reason)
    this.#connectLater()
  }

  /** Each ping must be answered before the next one is due. */
  #pingLater(attempt: Attempt): void {
    const { clock } = this.#options
    const dueUs = clock.monotonicUs() + PING_EVERY_MS * 1000
    attempt.cancelPing = this.#timers.after(PING_EVERY_MS, () => {
      if (attempt !== this.#current) return
      const lateMs = (clock.monotonicUs() - dueUs) / 1000
      if (attempt.awaitsPong && lateMs < PING_LATE_MS_MAX) {
        this.#current = undefined
        this.#drop(attempt)
        this.#lose(attempt, CLOSE_ABNORMAL, 'no pong')
        return
      }
      attempt.awaitsPong = true
      attempt.raw?.ping()
      this.#pingLater(attempt)
    })
  }

  /** Closes in order, and drops the socket if the peer does not answer. Its timer outlives `stop`. */
  #leave(attempt: Attempt): void {
    attempt.cancelPing()
    if (attempt.number === 0) {
      this.#drop(attempt)
      return
    }
    this.#leaving.set(
      attempt,
      this.#options.timers.after(CLOSE_GRACE_MS, () => attempt.raw?.terminate()),
    )
    attempt.raw?.close(CLOSE_NORMAL, '')
  }

  #drop(attempt: Attempt): void {
    if (attempt.raw === undefined) return
    this.#leaving.set(attempt, () => {})
    attempt.raw.terminate()
  }

  #left(attempt: Attempt): void {
    this.#leaving.get(attempt)?.()
    this.#leaving.delete(attempt)
    if (this.#leaving.size === 0) this.#onLeft?.()
  }
}
