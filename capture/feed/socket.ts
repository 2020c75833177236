import type { Attempts, Caller } from './attempts.ts'
import { connectMs, connectsAtOnce } from './backoff.ts'
import type { Clock } from './clock.ts'
import { CLOSE_NORMAL, Connection, type Loss } from './connection.ts'
import type { FeedLog } from './log.ts'
import { type Random, TimerGroup, type Timers } from './timers.ts'
import { type OpenSocket, reasonOf } from './transport.ts'

/** What a route tells of its connections. `closed` comes exactly once after each `opened`. */
export interface RouteEvents {
  opened(connection: number, route: string): void
  message(connection: number, payload: Uint8Array): void
  closed(connection: number, loss: Loss): void
  /** The peer refused the connection for coming too often, and wants none for so long (0: did not say). */
  limited(status: number, retryAfterMs: number): void
}

export interface RouteOptions {
  readonly route: string
  readonly url: string
  /** Messages to send once open. */
  readonly hello: readonly string[]
  /** Without this route there is no book: it connects before others. */
  readonly carriesBook: boolean
  readonly messageBytesMax: number
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly openSocket: OpenSocket
  readonly attempts: Attempts
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
  /** Its open connections, at most two; `since` is when each opened, receive time in microseconds. */
  readonly open: readonly { readonly connection: number; readonly since: number }[]
  /** Why the last connection ended or could not be made; empty before the first loss. */
  readonly why: string
  /** Attempts of this run that did not open. */
  readonly failures: number
}

/**
 * One route of a capture: a socket that is replaced whenever it is lost, for ever. While it is open a second one
 * may be opened beside it, once, without retries; whichever is left is the route's one.
 */
export class RouteSocket implements Caller {
  readonly carriesBook: boolean
  lastTryUs = Number.NEGATIVE_INFINITY
  readonly #options: RouteOptions
  readonly #timers: TimerGroup
  /** Connections that were closed by us and whose sockets have not ended yet. */
  readonly #leaving = new Set<Connection>()
  #first: Connection | undefined
  /** Only while the first one is open. */
  #second: Connection | undefined
  #waits = false
  /** Attempts since data last came. */
  #fruitless = 0
  #failures = 0
  #since: number
  #why = ''
  #stopped = false
  #onLeft: (() => void) | undefined

  constructor(options: RouteOptions) {
    this.#options = options
    this.carriesBook = options.carriesBook
    this.#timers = new TimerGroup(options.timers)
    this.#since = options.nowUs()
    options.attempts.add(this)
  }

  get name(): string {
    return this.#options.route
  }

  get isOpen(): boolean {
    return this.#first?.isOpen === true
  }

  /**
   * Connects at once, unless there is a pause. The first attempts of a process are not barred, since whoever starts
   * many captures spreads their starts; those of a later feed of it are.
   */
  start(): void {
    const { attempts, pausedMs } = this.#options
    const barred = !attempts.areFirst && attempts.barredMs(this) > 0
    if (pausedMs() > 0 || barred) this.#connectLater()
    else this.#first = this.#connect()
  }

  /** Opens a second connection beside the open one, or says in the log why not. It is tried once. */
  openBeside(): void {
    const { route, log, attempts, pausedMs } = this.#options
    const why = this.#stopped
      ? 'the feed was stopped'
      : !this.isOpen
        ? 'it has no open one'
        : this.#second !== undefined
          ? 'it has two already'
          : pausedMs() > 0
            ? 'the exchange asked for a pause'
            : attempts.barredMs(this) > 0
              ? 'the attempts that this capture has in five minutes are used up'
              : undefined
    if (why !== undefined) log.info({ route }, `${route}: no second connection is opened: ${why}`)
    else this.#second = this.#connect(true)
  }

  /** Closes an open connection of this route; where no other one is left, another is opened. False where not its. */
  close(number: number, why: string): boolean {
    const connection = [this.#first, this.#second].find((own) => own?.isOpen && own.number === number)
    if (this.#stopped || connection === undefined) return false
    connection.close()
    this.#lost(connection, { code: CLOSE_NORMAL, reason: why, silent: false })
    return true
  }

  /** Closes for good. Resolves when no socket is left; the `closed` of open connections come at once. */
  stop(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true
      this.#timers.close()
      const own = [this.#first, this.#second]
      this.#first = undefined
      this.#second = undefined
      for (const connection of own) if (connection !== undefined) this.#leave(connection)
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
    return {
      route: this.#options.route,
      state: this.isOpen ? 'open' : 'connecting',
      since: this.#since,
      open: [this.#first, this.#second].flatMap((own) =>
        own?.isOpen ? [{ connection: own.number, since: own.openedAt }] : [],
      ),
      why: this.#why,
      failures: this.#failures,
    }
  }

  #connectLater(): void {
    // whoever heard of a loss may have stopped the feed, or lost the other connection as well
    if (this.#stopped || this.#waits || this.#first !== undefined) return
    const { clock, share, random, attempts, pausedMs } = this.#options
    const paused = pausedMs()
    const barred = Math.max(0, attempts.barredMs(this) - paused)
    const sinceLastTryMs = (clock.monotonicUs() - this.lastTryUs) / 1000
    const atOnce = paused === 0 && barred === 0 && connectsAtOnce(this.#fruitless, sinceLastTryMs, share())
    const waitMs = atOnce
      ? attempts.holdMs(this)
      : paused + connectMs(this.#fruitless, barred, share(), random)
    if (waitMs === 0) {
      this.#first = this.#connect()
      return
    }
    this.#waits = true
    this.#timers.after(waitMs, () => {
      this.#waits = false
      // a pause may have begun while this waited, or the other route may have taken the attempt
      if (pausedMs() > 0 || attempts.barredMs(this) > 0) this.#connectLater()
      else this.#first = this.#connect()
    })
  }

  /** Starts an attempt. Undefined where not even that was possible, which is a failure like any other. */
  #connect(beside = false): Connection | undefined {
    const { clock, attempts, timers } = this.#options
    this.lastTryUs = clock.monotonicUs()
    this.#fruitless++
    attempts.made()
    try {
      return new Connection(
        { ...this.#options, timers: this.#timers, lastTimers: timers },
        {
          opened: (connection) => this.#opened(connection),
          message: (connection, payload) => {
            this.#fruitless = 0
            this.#options.events.message(connection.number, payload)
          },
          lost: (connection, loss) => this.#lost(connection, loss),
          failed: (connection, why, status, retryAfterMs) =>
            this.#failed(connection === this.#second, why, status, retryAfterMs),
          gone: (connection) => this.#left(connection),
        },
      )
    } catch (error) {
      this.#failed(beside, reasonOf(error), 0, 0)
      return undefined
    }
  }

  #opened(connection: Connection): void {
    const { route, hello, events, log, nextConnection, nowUs } = this.#options
    connection.number = nextConnection()
    connection.openedAt = nowUs()
    if (connection === this.#first) this.#since = connection.openedAt
    for (const text of hello) connection.send(text)
    const beside = connection === this.#second ? ' beside the open one' : ''
    log.info(
      { route, connection: connection.number },
      `${route}: connection ${connection.number} is open${beside}`,
    )
    events.opened(connection.number, route)
  }

  #failed(beside: boolean, why: string, status: number, retryAfterMs: number): void {
    const { route, url, log, events } = this.#options
    if (beside) this.#second = undefined
    else this.#first = undefined
    this.#failures++
    this.#why = why
    const next = beside
      ? 'it was to be a second connection, and is not tried again by itself'
      : 'it is tried again'
    log.warn({ route, failures: this.#failures }, `${route}: cannot connect to ${url}: ${why}; ${next}`)
    if (status === 429 || status === 418) events.limited(status, retryAfterMs)
    this.#connectLater()
  }

  /** An open connection is gone: says so once. The other one takes its place, or a new one is tried. */
  #lost(connection: Connection, loss: Loss): void {
    const { route, events, log, nowUs } = this.#options
    if (connection === this.#first) this.#first = this.#second
    this.#second = undefined
    if (!this.isOpen) this.#since = nowUs()
    if (!connection.isGone) this.#leaving.add(connection)
    this.#why = loss.reason === '' ? `closed with code ${loss.code}` : loss.reason
    const { number } = connection
    log.warn(
      { route, connection: number, code: loss.code },
      `${route}: connection ${number} ended: ${this.#why}`,
    )
    events.closed(number, loss)
    this.#connectLater()
  }

  #leave(connection: Connection): void {
    const { number, isOpen } = connection
    this.#leaving.add(connection)
    connection.close()
    if (isOpen) this.#options.events.closed(number, { code: CLOSE_NORMAL, reason: 'stopped', silent: false })
  }

  #left(connection: Connection): void {
    this.#leaving.delete(connection)
    if (this.#leaving.size === 0) this.#onLeft?.()
  }
}
