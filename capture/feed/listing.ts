import { type Exchange, type Listing, ProtocolError } from '../exchange/mod.ts'
import { retryMs } from './backoff.ts'
import type { Gate } from './gate.ts'
import type { FeedLog } from './log.ts'
import type { Random, Timers } from './timers.ts'

/** A symbol that does not trade is asked for again, in place. */
const NOT_TRADING_EVERY_MS = 300_000

export interface ListingWatchOptions {
  readonly exchange: Exchange
  readonly symbol: string
  readonly gate: Gate
  readonly timers: Timers
  readonly random: Random
  readonly log: FeedLog
  onListing(listing: Listing): void
}

/** Asks for the symbol's listing until it comes, and again while the symbol does not trade. */
export class ListingWatch {
  readonly #options: ListingWatchOptions
  #failures = 0

  constructor(options: ListingWatchOptions) {
    this.#options = options
  }

  start(): void {
    void this.#ask()
  }

  async #ask(): Promise<void> {
    const { timers, random, onListing } = this.#options
    const listing = await this.#fetch()
    if (listing === undefined) {
      this.#failures++
      timers.after(retryMs(this.#failures, random), () => void this.#ask())
      return
    }
    this.#failures = 0
    if (listing.status !== 'trading') timers.after(NOT_TRADING_EVERY_MS, () => void this.#ask())
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
