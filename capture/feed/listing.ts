import { type Exchange, type Listing, ProtocolError } from '../exchange/mod.ts'
import { retryMs, spreadMs } from './backoff.ts'
import type { Clock } from './clock.ts'
import type { Gate } from './gate.ts'
import type { FeedLog } from './log.ts'
import type { Random, Timers } from './timers.ts'

/** A symbol that does not trade is asked for again, in place. */
const NOT_TRADING_EVERY_MS = 300_000
/** Whoever wonders whether the symbol trades is answered no more often than this. */
const CHECK_EVERY_MS_MIN = 300_000

export interface ListingWatchOptions {
  readonly exchange: Exchange
  readonly symbol: string
  readonly gate: Gate
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly log: FeedLog
  share(): number
  onListing(listing: Listing): void
}

/** Asks for the symbol's listing until it comes, again while the symbol does not trade, and when told to. */
export class ListingWatch {
  readonly #options: ListingWatchOptions
  #failures = 0
  #asks = false
  /** The next time is set. */
  #waits = false
  #checkedAtUs = Number.NEGATIVE_INFINITY
  #cancelNext: () => void = () => {}

  constructor(options: ListingWatchOptions) {
    this.#options = options
  }

  start(): void {
    void this.#ask()
  }

  /** Asks soon; where it did so in the last five minutes, when these are over. */
  check(why: string): void {
    const { clock, random, share, exchange, symbol, log } = this.#options
    // an answer is coming anyway
    if (this.#waits || this.#asks) return
    const now = clock.monotonicUs()
    const againMs = CHECK_EVERY_MS_MIN - (now - this.#checkedAtUs) / 1000
    if (againMs > 0) {
      this.#checkedAtUs = now + againMs * 1000
      return this.#askAfter(againMs)
    }
    this.#checkedAtUs = now
    log.info({ why }, `the listing of ${symbol} is asked for because ${why}`)
    // an exchange that falls silent does so for all captures at once
    this.#askAfter(spreadMs(share(), exchange.listing(symbol).weight, random))
  }

  /** There is one next time, whoever sets it. */
  #askAfter(ms: number): void {
    this.#cancelNext()
    this.#waits = true
    this.#cancelNext = this.#options.timers.after(ms, () => void this.#ask())
  }

  async #ask(): Promise<void> {
    const { random, onListing } = this.#options
    this.#waits = false
    this.#asks = true
    const listing = await this.#fetch()
    this.#asks = false
    if (listing === undefined) {
      this.#failures++
      this.#askAfter(retryMs(this.#failures, random))
      return
    }
    this.#failures = 0
    if (listing.status !== 'trading') this.#askAfter(NOT_TRADING_EVERY_MS)
    onListing(listing)
  }

  async #fetch(): Promise<Listing | undefined> {
    const { exchange, symbol, gate, log } = this.#options
    const outcome = await gate.ask(exchange.listing(symbol), 'join', () => {})
    if (outcome.kind !== 'answered') return undefined
    const { status, error, body } = outcome.result
    let why = error
    if (status === 200) {
      try {
        return exchange.decodeListing(body, symbol)
      } catch (thrown) {
        if (!(thrown instanceof ProtocolError)) throw thrown
        why = thrown.message
      }
    }
    log.warn({ status, error: why }, `the listing of ${symbol} could not be read: ${why}; it is asked again`)
    return undefined
  }
}
