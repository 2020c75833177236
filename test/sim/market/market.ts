/**
 * A small seeded market of one symbol. Pure: no I/O, no clock; time is the market's own, in milliseconds
 * since it began, and moves only when the caller takes the next event.
 *
 * It works on single changes of a level, one id each, as an exchange's engine does; batches are cut from
 * them elsewhere. The touch walks at random, the book is never crossed, and each side holds about as many
 * levels as the profile says.
 */
import { Pace } from './pace.ts'
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
}

/** The book in ticks and steps, best level first. */
export interface TickBook {
  readonly id: bigint
  readonly bids: readonly TickLevel[]
  readonly asks: readonly TickLevel[]
}

/** A change that is decided and has no id yet. */
interface Planned {
  readonly atMs: number
  readonly side: SideName
  readonly price: number
  readonly qty: number
}

/** Every second price within reach holds a level. */
const TICKS_A_LEVEL = 2
const SPREAD_TICKS_MAX = 20
/** Mean distance from the touch of most changes; less in a book that is hardly deeper. */
const NEAR_TICKS = 25
/** Ids are shared by all symbols of an exchange, so those of one symbol have holes. */
const ID_GAP_MEAN = 60
/** How far below their first beginning ids begin anew; more than a run of any length uses. */
const ERA_IDS = 100_000_000_000n
const MARK_EVERY_MS = 1000

export class Market {
  readonly options: MarketOptions
  readonly #random: Random
  readonly #pace: Pace
  readonly #sides: Readonly<Record<SideName, Side>> = { bid: new Side('bid'), ask: new Side('ask') }
  readonly #reachTicks: number
  readonly #nearTicks: number
  readonly #queue: Planned[] = []
  /** The side that has no levels for now. */
  #emptied: SideName | undefined
  #eraId: bigint
  #lastId: bigint
  #lastTradeId: bigint
  #lastFill: bigint
  #actionAtMs: number
  #markAtMs = MARK_EVERY_MS
  #mark: number

  constructor(options: MarketOptions) {
    const { seed, symbol, profile } = options
    this.options = options
    this.#random = new Random(seed, symbol)
    this.#pace = new Pace(profile, new Random(seed, `${symbol}/pace`))
    this.#reachTicks = TICKS_A_LEVEL * profile.levels
    this.#nearTicks = Math.min(NEAR_TICKS, this.#reachTicks / 6)
    this.#eraId = 5_000_000_000_000n + BigInt(this.#random.below(2 ** 31))
    this.#lastId = this.#eraId
    this.#lastTradeId = 2_000_000_000n + BigInt(this.#random.below(2 ** 29))
    this.#lastFill = this.#lastTradeId * 2n
    this.#actionAtMs = this.#pace.next(0)
    this.#mark = profile.startTicks
    for (const side of ['bid', 'ask'] as const) {
      for (const [price, qty] of this.#newSide(side, profile.startTicks)) this.#sides[side].set(price, qty)
    }
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
    const planned = this.#queue.shift()
    return planned === undefined ? this.#happen() : this.#change(planned)
  }

  /** The book as it is now, cut to `limit` levels a side. */
  book(limit?: number): TickBook {
    return { id: this.#lastId, bids: this.#sides.bid.levels(limit), asks: this.#sides.ask.levels(limit) }
  }

  /** Copies of both sides, to replay changes on. */
  sides(): Record<SideName, Side> {
    return { bid: this.#sides.bid.clone('bid'), ask: this.#sides.ask.clone('ask') }
  }

  /** The best level of a side; undefined while the side is empty. */
  touch(side: SideName): TickLevel | undefined {
    const price = this.#sides[side].best()
    return price === undefined ? undefined : [price, this.#sides[side].qty(price)]
  }

  /** Whether a price lies within the best `count` levels of its side as the book is now. */
  within(side: SideName, price: number, count: number): boolean {
    const last = this.#sides[side].at(count - 1)
    return last === undefined || (side === 'bid' ? price >= last : price <= last)
  }

  /** Takes a whole side away at this moment, level by level, until `refill`; one side at a time. */
  empty(side: SideName, atMs: number): void {
    if (this.#emptied !== undefined) return
    this.#emptied = side
    for (const [price] of this.#sides[side].levels()) this.#queue.push({ atMs, side, price, qty: 0 })
  }

  /** Brings the side back that was taken away, next to the other one. */
  refill(atMs: number): void {
    const side = this.#emptied
    if (side === undefined) return
    const best = this.#sides[side === 'bid' ? 'ask' : 'bid'].best() ?? this.options.profile.startTicks
    for (const [price, qty] of this.#newSide(side, best)) this.#queue.push({ atMs, side, price, qty })
    // Of use again once its levels are there: all of them come before anything else happens.
    this.#emptied = undefined
  }

  /** Ids of changes begin anew, below all that were used before. */
  restartIds(): void {
    this.#eraId -= ERA_IDS
    this.#lastId = this.#eraId
  }

  /** Levels of a side that begins beside this price. */
  #newSide(side: SideName, besideTicks: number): TickLevel[] {
    const away = side === 'bid' ? -1 : 1
    const levels: TickLevel[] = []
    for (let price = besideTicks + away; Math.abs(price - besideTicks) <= this.#reachTicks && price > 0; ) {
      levels.push([price, this.#quantity()])
      price += away * (1 + this.#random.below(2 * TICKS_A_LEVEL - 1))
    }
    return levels
  }

  /** Decides what happens next; a trade brings two events, the second of them is queued. */
  #happen(): MarketEvent {
    if (this.#markAtMs <= this.#actionAtMs) return this.#marked()
    const atMs = this.#actionAtMs
    this.#actionAtMs = this.#pace.next(atMs)
    const drawn: SideName = this.#random.chance(0.5) ? 'bid' : 'ask'
    const side = drawn !== this.#emptied ? drawn : drawn === 'bid' ? 'ask' : 'bid'
    const best = this.touch(side)
    if (best === undefined) throw new Error(`${this.options.symbol}: both sides of the market are empty`)
    if (this.#random.chance(this.options.profile.tradeShare)) return this.#trade(atMs, side, best)
    const [price, qty] = this.#quote(side, best[0])
    return this.#change({ atMs, side, price, qty })
  }

  /** The mark price stands still while a side is empty. */
  #marked(): Mark {
    const [bid, ask] = [this.touch('bid'), this.touch('ask')]
    if (bid !== undefined && ask !== undefined) this.#mark = (bid[0] + ask[0]) / 2
    const mark: Mark = { kind: 'mark', atMs: this.#markAtMs, price: this.#mark }
    this.#markAtMs += MARK_EVERY_MS
    return mark
  }

  #change({ atMs, side, price, qty }: Planned): Change {
    this.#lastId += 1n + BigInt(Math.floor(this.#random.exponential(ID_GAP_MEAN)))
    this.#sides[side].set(price, qty)
    return { kind: 'change', atMs, id: this.#lastId, side, price, qty }
  }

  /** A taker hits the best level of a side, in part or as a whole. */
  #trade(atMs: number, side: SideName, [price, there]: TickLevel): Trade {
    const whole = this.#random.chance(0.25) && this.#sides[side].size > 1
    const part = Math.min(there, 1 + Math.floor(there * this.#random.next()))
    // The last level is never taken as a whole: a market without a side has no price.
    const qty = whole ? there : this.#sides[side].size > 1 ? part : Math.max(1, Math.min(part, there - 1))
    this.#queue.push({ atMs, side, price, qty: Math.max(this.#sides[side].size > 1 ? 0 : 1, there - qty) })
    // Single fills are not contiguous over aggregates: liquidations are left out of them (about 1 in 140).
    const firstId = this.#lastFill + (this.#random.chance(1 / 140) ? 2n : 1n)
    this.#lastFill = firstId + BigInt(this.#random.below(3))
    const lastId = this.#lastFill
    this.#lastTradeId += 1n
    return {
      kind: 'trade',
      atMs,
      id: this.#lastTradeId,
      firstId,
      lastId,
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
  #quote(name: SideName, best: number): TickLevel {
    const side = this.#sides[name]
    const away = name === 'bid' ? -1 : 1
    const opposite = this.#sides[name === 'bid' ? 'ask' : 'bid'].best()
    const spread = opposite === undefined ? 1 : Math.abs(opposite - best)
    if (spread > 1 && this.#random.chance(spread > SPREAD_TICKS_MAX ? 0.5 : 0.1)) {
      return [best - away * (1 + this.#random.below(spread - 1)), this.#quantity()]
    }
    const farthest = side.at(side.size - 1) ?? best
    if (Math.abs(farthest - best) > this.#reachTicks && this.#random.chance(0.1)) return [farthest, 0]
    const distance = this.#random.chance(0.8)
      ? Math.floor(this.#random.exponential(this.#nearTicks))
      : this.#random.below(this.#reachTicks)
    const price = Math.max(1, best + away * distance)
    const there = side.qty(price) > 0
    if (!this.#random.chance(0.4)) return [there ? price : this.#near(side, best), this.#quantity()]
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
