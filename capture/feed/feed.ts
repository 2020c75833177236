import type { Stream } from '../../api/streams.ts'
import type { Exchange, Listing } from '../exchange/mod.ts'
import type { FetchRequest, Input, OverloadInput } from '../session/mod.ts'
import { Allowance } from './allowance.ts'
import { Budget } from './budget.ts'
import { type Clock, nodeClock, ReceiveClock } from './clock.ts'
import { FeedError } from './errors.ts'
import { ExchangeClock } from './exchange-clock.ts'
import { Gate } from './gate.ts'
import { ListingWatch } from './listing.ts'
import type { FeedLog } from './log.ts'
import { nodeHttp, nodeSocket } from './node-transport.ts'
import { Outlet } from './outlet.ts'
import { Requests } from './requests.ts'
import { Rest } from './rest.ts'
import { Routes } from './routes.ts'
import type { RouteStatus } from './socket.ts'
import { Ticker } from './ticker.ts'
import { nodeTimers, type Random, TimerGroup, type Timers } from './timers.ts'
import type { Http, OpenSocket } from './transport.ts'

export interface FeedOptions {
  readonly exchange: Exchange
  readonly symbol: string
  readonly streams: readonly Stream[]
  /** Base URL of a simulated exchange, instead of the exchange's own addresses. */
  readonly endpoints?: string | undefined
  /** Symbols captured behind this address, rounded up to a power of two; default 1. */
  readonly share?: number | undefined
  readonly clock?: Clock | undefined
  readonly timers?: Timers | undefined
  readonly random?: Random | undefined
  readonly openSocket?: OpenSocket | undefined
  readonly http?: Http | undefined
  /** What is left of what the exchange allows this process; by default nothing was used, and nothing is kept. */
  readonly allowance?: Allowance | undefined
  /** Gets every input, one at a time, in order. */
  onInput(input: Input): void
  readonly log: FeedLog
}

export interface FeedStatus {
  readonly routes: readonly RouteStatus[]
  readonly usedWeight: number
  readonly weightLimit: number
  /** Receive time before which nothing is sent, microseconds; 0 for no pause. */
  readonly pausedUntil: number
  /** By the latest probes of the exchange's clock, the last one so long ago; null before the first. */
  readonly clock: { readonly offsetMs: number; readonly ageMs: number } | null
}

/**
 * The feed of one symbol: sockets, REST, clocks and waits. Whatever happens comes out of `onInput`, stamped; it
 * holds no book and judges no data. It is started once and stopped once; a new run takes a new feed.
 */
export class Feed {
  /** Stamps every input. The process anchors it at each segment. */
  readonly receiveClock: ReceiveClock
  readonly #options: FeedOptions
  readonly #timers: TimerGroup
  readonly #outlet: Outlet
  readonly #allowance: Allowance
  readonly #budget: Budget
  readonly #requests: Requests
  readonly #exchangeClock: ExchangeClock
  readonly #listing: ListingWatch
  readonly #ticker: Ticker
  readonly #routes: Routes
  readonly #abort = new AbortController()
  #share: number
  #started = false

  /** Throws FeedError where the endpoints are no URL or the share is no number of symbols. Opens nothing yet. */
  constructor(options: FeedOptions) {
    const { exchange, symbol, log } = options
    const clock = options.clock ?? nodeClock
    const random = options.random ?? Math.random
    this.#options = options
    this.#share = checkedShare(options.share ?? 1)
    this.#timers = new TimerGroup(options.timers ?? nodeTimers)
    this.receiveClock = new ReceiveClock(clock)
    this.#outlet = new Outlet((input) => options.onInput(input))
    const addresses = addressesOf(exchange, options.endpoints)
    this.#allowance = options.allowance ?? new Allowance({ clock })
    this.#budget = new Budget({
      clock,
      allowance: this.#allowance,
      weightLimit: exchange.limits.weightPerMinute,
      share: () => this.#share,
      exchangeNowMs: () => this.#exchangeClock.nowMs(),
      onPause: (pausedUntilMs) => {
        const until = new Date(pausedUntilMs).toISOString()
        log.warn({ pausedUntilMs }, `the exchange asked for a pause: nothing is sent before ${until}`)
      },
    })
    const rest = new Rest({
      base: addresses.rest,
      usedWeightHeader: exchange.usedWeightHeader,
      http: options.http ?? nodeHttp,
      clock,
      timers: options.timers ?? nodeTimers,
    })
    const gate = new Gate(this.#budget, rest, this.#abort.signal)
    const shared = {
      exchange,
      symbol,
      gate,
      clock,
      timers: this.#timers,
      random,
      log,
      share: () => this.#share,
    }
    const { receiveClock } = this
    this.#exchangeClock = new ExchangeClock({
      ...shared,
      receiveClock,
      onSample: (sample) => this.#onSample(sample),
    })
    const put = (input: Input) => this.#put(input)
    this.#requests = new Requests({ ...shared, receiveClock, exchangeClock: this.#exchangeClock, put })
    this.#listing = new ListingWatch({ ...shared, onListing: (listing) => this.#onListing(listing) })
    const onStall = (stalledMs: number) => this.overload(stalledMs, 'loop')
    this.#ticker = new Ticker(clock, this.#timers, () => this.#onTick(), onStall)
    this.#routes = new Routes({
      ...shared,
      streams: options.streams,
      socketBase: addresses.socket,
      // a route ends its own timers: those that drop sockets outlive the feed's
      timers: options.timers ?? nodeTimers,
      openSocket: options.openSocket ?? nodeSocket,
      budget: this.#budget,
      allowance: this.#allowance,
      nowUs: () => this.#now(),
      put,
    })
  }

  /** Connects, and begins to tick, to sample the exchange's clock and to ask for the listing. */
  start(): void {
    if (this.#started || this.stopped) {
      throw new FeedError('FeedStarted', 'a feed is started once: make a new one for a new run')
    }
    this.#started = true
    this.#ticker.start()
    this.#routes.start()
    this.#exchangeClock.start()
    this.#listing.start()
  }

  /**
   * Asks the exchange, after the waits that the request and its failures call for. The outcome comes as inputs
   * that carry the request's id: `refused`, or `sent` and then `response`. Throws FeedError where the exchange
   * sends snapshots in band.
   */
  fetch(request: FetchRequest): void {
    if (!this.stopped) this.#requests.fetch(request)
  }

  /** A request that has not left yet is dropped without a word; what is on its way is still answered. */
  forget(request: number): void {
    this.#requests.forget(request)
  }

  /**
   * Closes a connection, and opens another one of its route where none is left. One that has ended is being
   * replaced already.
   */
  reconnect(connection: number, why: string): void {
    this.#routes.close(connection, why)
  }

  /**
   * Opens a second connection beside the open one of a route: once, without retries. It comes as `opened`, or
   * the log says why not. When one of the two is lost the other one is the route's. Throws FeedError where the
   * route is none of this capture.
   */
  openBeside(route: string): void {
    this.#routes.openBeside(route)
  }

  /** Closes one of the two connections of a route; the other one goes on. The last one is replaced, as always. */
  closeOne(connection: number, why: string): void {
    this.#routes.close(connection, why)
  }

  /** Asks for the symbol's listing soon, at most once in five minutes. It comes as a `listing`. */
  checkListing(why: string): void {
    if (!this.stopped) this.#listing.check(why)
  }

  /** Hands on that this process stood still, or could not write, for so long. */
  overload(stalledMs: number, what: OverloadInput['what']): void {
    const fault = what === 'loop' ? 'stood still' : 'could not write'
    this.#options.log.warn(
      { stalledMs, what },
      `this process ${fault} for ${stalledMs} ms: frames may be lost`,
    )
    this.#put({ kind: 'overload', received: this.#now(), stalledMs, what })
  }

  /**
   * Ends everything. Inputs after it are the `closed` of open connections alone, which come at once, or where
   * `onInput` is at work right after it. Resolves when no socket is left.
   */
  async stop(): Promise<void> {
    this.#outlet.close()
    this.#timers.close()
    this.#abort.abort()
    await this.#routes.stop()
  }

  get stopped(): boolean {
    return this.#abort.signal.aborted
  }

  /** Symbols behind this address, when it changes. */
  setShare(share: number): void {
    this.#share = checkedShare(share)
  }

  status(): FeedStatus {
    const { offset, ageMs = 0 } = this.#exchangeClock
    const paused = this.#budget.pausedMs
    return {
      routes: this.#routes.status(),
      usedWeight: this.#budget.usedWeight,
      weightLimit: this.#budget.weightLimit,
      pausedUntil: paused === 0 ? 0 : this.#now() + Math.ceil(paused * 1000),
      clock: offset === undefined ? null : { offsetMs: offset / 1000, ageMs },
    }
  }

  #onSample({ offset, rtt }: { readonly offset: number; readonly rtt: number }): void {
    this.#put({ kind: 'clock', received: this.#now(), offset, rtt })
  }

  #onListing({ status, word, weightPerMinute }: Listing): void {
    if (weightPerMinute !== undefined) this.#budget.weightLimit = weightPerMinute
    this.#put({ kind: 'listing', received: this.#now(), status, word })
  }

  #onTick(): void {
    this.#allowance.followClock()
    const wallDistance = this.receiveClock.wallDistance()
    this.#put({ kind: 'tick', received: this.#now(), wallDistance, share: this.#share })
  }

  /** Where every input passes, its stamp taken just before. */
  #put(input: Input): void {
    this.#outlet.put(input)
  }

  #now(): number {
    return this.receiveClock.now()
  }
}

function checkedShare(share: number): number {
  if (Number.isSafeInteger(share) && share >= 1) return share
  throw new FeedError(
    'ShareInvalid',
    `a share of ${share}: expected the number of symbols behind the address, a whole number from 1`,
  )
}

function addressesOf(exchange: Exchange, endpoints: string | undefined): { rest: string; socket: string } {
  const addresses = endpoints === undefined ? exchange.endpoints : exchange.endpointsAt(endpoints)
  for (const [address, schemes] of [
    [addresses.rest, ['http:', 'https:']],
    [addresses.socket, ['ws:', 'wss:']],
  ] as const) {
    if (!URL.canParse(address) || !schemes.some((scheme) => scheme === new URL(address).protocol)) {
      throw new FeedError(
        'EndpointInvalid',
        `"${address}" is no address of an exchange: give http://host:port`,
      )
    }
  }
  return addresses
}
