/**
 * A small seeded market of one symbol. Pure: no I/O, no clock; time is the market's own, in milliseconds
 * since it began, and moves only when the caller takes the next event.
 *
 * It works on single changes of a level, one id each, as an exchange's engine does; batches are cut from
 * them elsewhere. The touch walks at random, the book is never crossed, and each side holds about 1,500
 * levels, so that a snapshot of 1,000 has a finite reach.
 */
import type { Profile } from './profile.ts'
import { Random } from './random.ts'
import { Side, type SideName, type TickLevel } from './side.ts'

/** One level was set to an absolute quantity (0: removed). */
export interface Change {
  readonly kind: 'change'
  readonly atMs: number
  readonly id: bigint
  readonly side: SideName
  /** Ticks. */
  readonly price: number
  /** Steps. */
  readonly qty: number
}

/** One aggregated trade; the change that it makes to the book follows as an event of its own. */
export interface Trade {
  readonly kind: 'trade'
  readonly atMs: number
  readonly id: bigint
  readonly firstId: bigint
  readonly lastId: bigint
  readonly price: number
  readonly qty: number
  readonly buyerIsMaker: boolean
}

/** The mark price, each second; in ticks, with fractions. */
export interface Mark {
  readonly kind: 'mark'
  readonly atMs: number
  readonly price: number
}

export type MarketEvent = Change | Trade | Mark

export interface MarketOptions {
  readonly symbol: string
  readonly seed: number
  readonly profile: Profile
  /** Changes a second, on average. */
  readonly rate: number
}

/** The book in ticks and steps, best level first. */
export interface TickBook {
  readonly id: bigint
  readonly bids: readonly TickLevel[]
  readonly asks: readonly TickLevel[]
}

/** Levels stand within this distance of the touch, on every second price: about 1,500 a side. */
const REACH_TICKS = 3000
const SPREAD_TICKS_MAX = 20
/** Ids are shared by all symbols of an exchange, so those of one symbol have holes. */
const ID_GAP_MEAN = 60
const MARK_EVERY_MS = 1000

export class Market {
  readonly options: MarketOptions
  readonly #random: Random
  readonly #sides: Readonly<Record<SideName, Side>> = { bid: new Side('bid'), ask: new Side('ask') }
  readonly #queue: MarketEvent[] = []
  #lastId: bigint
  #lastTradeId: bigint
  #lastFill: bigint
  #actionAtMs: number
  #markAtMs = MARK_EVERY_MS

  constructor(options: MarketOptions) {
    this.options = options
    this.#random = new Random(options.seed, options.symbol)
    this.#lastId = 5_000_000_000_000n + BigInt(this.#random.below(2 ** 31))
    this.#lastTradeId = 2_000_000_000n + BigInt(this.#random.below(2 ** 29))
    this.#lastFill = this.#lastTradeId * 2n
    this.#actionAtMs = this.#random.exponential(1000 / options.rate)
    this.#fill('bid', -1)
    this.#fill('ask', 1)
  }

  /** Id of the last change; before the first one, the id at which the market begins. */
  get lastId(): bigint {
    return this.#lastId
  }

  get lastTradeId(): bigint {
    return this.#lastTradeId
  }

  /** When the next event happens. */
  get nextAtMs(): number {
    return this.#queue[0]?.atMs ?? Math.min(this.#actionAtMs, this.#markAtMs)
  }

  /** Takes the next event: from here on it has happened. */
  next(): MarketEvent {
    const event = this.#queue.shift() ?? this.#happen()
    if (event.kind === 'change') {
      this.#sides[event.side].set(event.price, event.qty)
      this.#lastId = event.id
    } else if (event.kind === 'trade') this.#lastTradeId = event.id
    return event
  }

  /** The book as it is now, cut to `limit` levels a side. */
  book(limit?: number): TickBook {
    return { id: this.#lastId, bids: this.#sides.bid.levels(limit), asks: this.#sides.ask.levels(limit) }
  }

  /** Copies of both sides, to replay changes on. */
  sides(): Record<SideName, Side> {
    return { bid: this.#sides.bid.clone('bid'), ask: this.#sides.ask.clone('ask') }
  }

  /** The best level of a side; a market never runs out of levels. */
  touch(side: SideName): TickLevel {
    const price = this.#sides[side].best()
    if (price === undefined)
      throw new Error(`${this.options.symbol}: the ${side} side of the market is empty`)
    return [price, this.#sides[side].qty(price)]
  }

  #fill(side: SideName, direction: 1 | -1): void {
    const { startTicks } = this.options.profile
    for (let price = startTicks + direction; Math.abs(price - startTicks) <= REACH_TICKS; ) {
      this.#sides[side].set(price, this.#quantity())
      price += direction * (1 + this.#random.below(3))
    }
  }

  /** Decides what happens next; a trade brings two events, the second of them is queued. */
  #happen(): MarketEvent {
    if (this.#markAtMs <= this.#actionAtMs) {
      const mark: Mark = {
        kind: 'mark',
        atMs: this.#markAtMs,
        price: (this.touch('bid')[0] + this.touch('ask')[0]) / 2,
      }
      this.#markAtMs += MARK_EVERY_MS
      return mark
    }
    const atMs = this.#actionAtMs
    this.#actionAtMs += this.#random.exponential(1000 / this.options.rate)
    const side: SideName = this.#random.chance(0.5) ? 'bid' : 'ask'
    if (this.#random.chance(0.08)) return this.#trade(atMs, side)
    const [price, qty] = this.#quote(side)
    return this.#change(atMs, side, price, qty)
  }

  #change(atMs: number, side: SideName, price: number, qty: number): Change {
    const id = this.#lastId + 1n + BigInt(Math.floor(this.#random.exponential(ID_GAP_MEAN)))
    return { kind: 'change', atMs, id, side, price, qty }
  }

  /** A taker hits the best level of a side, in part or as a whole. */
  #trade(atMs: number, side: SideName): Trade {
    const [price, there] = this.touch(side)
    const whole = this.#random.chance(0.25) && this.#sides[side].size > 1
    const qty = whole ? there : Math.min(there, 1 + Math.floor(there * this.#random.next()))
    this.#queue.push(this.#change(atMs, side, price, there - qty))
    // Single fills are not contiguous over aggregates: liquidations are left out of them (about 1 in 140).
    const firstId = this.#lastFill + (this.#random.chance(1 / 140) ? 2n : 1n)
    this.#lastFill = firstId + BigInt(this.#random.below(3))
    return {
      kind: 'trade',
      atMs,
      id: this.#lastTradeId + 1n,
      firstId,
      lastId: this.#lastFill,
      price,
      qty,
      buyerIsMaker: side === 'bid',
    }
  }

  /**
   * What a maker does next on this side: a price and its new quantity. A price is drawn first, mostly near
   * the touch; whether a level stands there decides the rest. So every price within reach holds a level about
   * half of the time, however long the market runs and wherever it has walked.
   */
  #quote(name: SideName): TickLevel {
    const side = this.#sides[name]
    const away = name === 'bid' ? -1 : 1
    const [best] = this.touch(name)
    const spread = this.touch('ask')[0] - this.touch('bid')[0]
    if (spread > 1 && this.#random.chance(spread > SPREAD_TICKS_MAX ? 0.5 : 0.1)) {
      return [best - away * (1 + this.#random.below(spread - 1)), this.#quantity()]
    }
    const farthest = side.at(side.size - 1) ?? best
    if (Math.abs(farthest - best) > REACH_TICKS && this.#random.chance(0.1)) return [farthest, 0]
    const distance = this.#random.chance(0.8)
      ? Math.floor(this.#random.exponential(25))
      : this.#random.below(REACH_TICKS)
    const price = Math.max(1, best + away * distance)
    const there = side.qty(price) > 0
    if (!this.#random.chance(0.4)) return [there ? price : this.#near(side, best), this.#quantity()]
    // The last level is never taken: a market without a side has no price.
    return [price, there && side.size > 1 ? 0 : this.#quantity()]
  }

  /** An existing price near the touch. */
  #near(side: Side, best: number): number {
    return side.at(Math.floor(this.#random.exponential(12))) ?? best
  }

  #quantity(): number {
    return 1 + Math.floor(this.#random.exponential(this.options.profile.qtyMean))
  }
}
