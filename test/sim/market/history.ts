/**
 * The truth about a market's past: its book at every id, within a bounded memory. Pure. Changes lie in typed
 * arrays, some 33 bytes each: a day of virtual time at one change a second takes 3 MB.
 */
import { SimError } from '../errors.ts'
import type { Change, Market, TickBook } from './market.ts'
import { Side, type SideName } from './side.ts'

const SEGMENT_CHANGES = 4096
export const HISTORY_CHANGES_MAX = 2 ** 19

/** Changes from one copy of the book on. */
class Segment {
  /** Id and book before the first of its changes. */
  readonly fromId: bigint
  readonly fromAtMs: number
  readonly sides: Readonly<Record<SideName, Side>>
  /** Ids stay far below 2^53, where a double is exact. */
  readonly ids = new Float64Array(SEGMENT_CHANGES)
  readonly times = new Float64Array(SEGMENT_CHANGES)
  /** Positive for bids, negative for asks. */
  readonly prices = new Float64Array(SEGMENT_CHANGES)
  readonly quantities = new Float64Array(SEGMENT_CHANGES)
  count = 0

  constructor(fromId: bigint, fromAtMs: number, sides: Record<SideName, Side>) {
    this.fromId = fromId
    this.fromAtMs = fromAtMs
    this.sides = sides
  }

  get lastId(): bigint {
    return this.count === 0 ? this.fromId : BigInt(this.ids[this.count - 1] ?? 0)
  }

  add(change: Change): void {
    this.ids[this.count] = Number(change.id)
    this.times[this.count] = change.atMs
    this.prices[this.count] = change.side === 'bid' ? change.price : -change.price
    this.quantities[this.count] = change.qty
    this.count++
  }

  /** The book after its changes up to this id. */
  bookAt(id: bigint): TickBook {
    const { bid, ask } = { bid: this.sides.bid.clone('bid'), ask: this.sides.ask.clone('ask') }
    let at = this.fromId
    for (let index = 0; index < this.count; index++) {
      const own = BigInt(this.ids[index] ?? 0)
      if (own > id) break
      const price = this.prices[index] ?? 0
      if (price > 0) bid.set(price, this.quantities[index] ?? 0)
      else ask.set(-price, this.quantities[index] ?? 0)
      at = own
    }
    return { id: at, bids: bid.levels(), asks: ask.levels() }
  }

  /** Id of the last change not after this moment. */
  idAt(atMs: number): bigint {
    let id = this.fromId
    for (let index = 0; index < this.count && (this.times[index] ?? 0) <= atMs; index++) {
      id = BigInt(this.ids[index] ?? 0)
    }
    return id
  }
}

/** The true book, moved from id to id: cheap where ids ascend, for oracles that look at every one. */
export class Walk {
  readonly #find: (id: bigint) => Segment | undefined
  #segment: Segment | undefined
  /** Changes of the segment that are in the sides. */
  #index = 0
  #id = 0n
  #sides: Readonly<Record<SideName, Side>> = { bid: new Side('bid'), ask: new Side('ask') }

  constructor(find: (id: bigint) => Segment | undefined) {
    this.#find = find
  }

  /** The side as it is at the id that was gone to last; valid until the next call of `goTo`. */
  side(name: SideName): Side {
    return this.#sides[name]
  }

  /** Goes to the book after the last change whose id is not above this one. False where it is not known. */
  goTo(id: bigint): boolean {
    const segment = this.#find(id)
    if (segment === undefined) return false
    if (segment !== this.#segment || id < this.#id) {
      this.#segment = segment
      this.#index = 0
      this.#sides = { bid: segment.sides.bid.clone('bid'), ask: segment.sides.ask.clone('ask') }
    }
    this.#id = id
    const until = Number(id)
    for (; this.#index < segment.count && (segment.ids[this.#index] ?? 0) <= until; this.#index++) {
      const price = segment.prices[this.#index] ?? 0
      const qty = segment.quantities[this.#index] ?? 0
      if (price > 0) this.#sides.bid.set(price, qty)
      else this.#sides.ask.set(-price, qty)
    }
    return true
  }
}

export class History {
  readonly #symbol: string
  readonly #segments: Segment[] = []
  readonly #segmentsMax: number

  /** `changesMax` is rounded up to whole segments of 4,096; older ones are forgotten. */
  constructor(market: Market, changesMax = HISTORY_CHANGES_MAX) {
    this.#symbol = market.options.symbol
    this.#segmentsMax = Math.max(1, Math.ceil(changesMax / SEGMENT_CHANGES))
    this.#segments.push(new Segment(market.lastId, 0, market.sides()))
  }

  /** Notes a change that the market has just made. */
  record(change: Change, market: Market): void {
    const segment = this.#segments.at(-1)
    segment?.add(change)
    if (segment === undefined || segment.count < SEGMENT_CHANGES) return
    this.restart(change.atMs, market)
  }

  /** Goes on from the book as it is now: its id may be below those before, after a reset of ids. */
  restart(atMs: number, market: Market): void {
    this.#segments.push(new Segment(market.lastId, atMs, market.sides()))
    // One more than the limit: the last segment is still being filled.
    if (this.#segments.length > this.#segmentsMax + 1) this.#segments.shift()
  }

  /**
   * The book after the last change whose id is not above `id`. Throws SimError `book_unknown` for an id
   * before the first one kept or after the last one made.
   */
  bookAt(id: bigint): TickBook {
    const segment = this.#segments.findLast((one) => one.fromId <= id && id <= one.lastId)
    // Between two segments lies a hole of ids only after a reset; within one run of ids they touch.
    if (segment !== undefined) return segment.bookAt(id)
    const [first, last] = [this.#segments[0], this.#segments.at(-1)]
    throw new SimError(
      'book_unknown',
      `${this.#symbol}: the book at id ${id} is not known; known are ids ${first?.fromId} to ${last?.lastId}.`,
    )
  }

  walk(): Walk {
    return new Walk((id) => this.#segments.findLast((one) => one.fromId <= id && id <= one.lastId))
  }

  /** The book as it was at this market time, or the oldest one kept. */
  bookAtTime(atMs: number): TickBook {
    const segment = this.#segments.findLast((one) => one.fromAtMs <= atMs) ?? this.#segments[0]
    if (segment === undefined) throw new Error(`${this.#symbol}: a history begins with a segment`)
    return segment.bookAt(segment.idAt(atMs))
  }
}
