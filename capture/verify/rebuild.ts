/** The book rebuilt from the rows of `depth`, each file alone, and the row of `books` that it must give. */
import { Book, type BookSide, levelsProven } from '../book/mod.ts'

/** Levels of one side within a column of lists: `from` to `to`, best first. */
export interface LevelSlice {
  readonly prices: Float64Array
  readonly qtys: Float64Array
  readonly from: number
  readonly to: number
}

/** One row of `depth`. Reaches as stored: 0 and infinity where unlimited. */
export interface DepthEntry {
  readonly kind: 'snapshot' | 'delta' | 'book'
  readonly id: bigint
  readonly bids: LevelSlice
  readonly asks: LevelSlice
  readonly bidReach: number
  readonly askReach: number
}

/** A batch of `books` by column; absent levels are NaN. */
export interface TopColumns {
  readonly ids: BigInt64Array
  readonly bidLevelsProven: Int32Array
  readonly askLevelsProven: Int32Array
  /** Columns of the levels, best first. */
  readonly bidPrices: readonly Float64Array[]
  readonly bidQtys: readonly Float64Array[]
  readonly askPrices: readonly Float64Array[]
  readonly askQtys: readonly Float64Array[]
  /** What follows from the best levels, by column name. */
  readonly derived: Readonly<Record<(typeof DERIVED_COLUMNS)[number], Float64Array>>
}

/** Columns of `books` that follow from the best levels. */
export const DERIVED_COLUMNS = [
  'mid',
  'spread',
  'microprice',
  'imbalance',
  'best_bid_price',
  'best_bid_qty',
  'best_ask_price',
  'best_ask_qty',
] as const

export interface RebuildFault {
  readonly kind: 'book_crossed' | 'book_mismatch'
  readonly detail: string
}

export class Rebuild {
  #book = new Book()
  #spare = new Book()
  /** The file has given a whole book. */
  #whole = false
  /** The book is that of the run so far, so that a `book` row can be held against it. */
  #known = false

  /** Begins a file. `follows`: the window before was whole and right, and its book is still here. */
  startFile(follows: boolean): void {
    this.#known = this.#known && follows
    this.#whole = false
  }

  apply(entry: DepthEntry): RebuildFault | undefined {
    const fault = entry.kind === 'delta' ? this.#change(entry) : this.#replace(entry)
    if (fault !== undefined) return { kind: 'book_mismatch', detail: fault }
    if (this.#book.fault() !== 'crossed') return undefined
    const { bids, asks, id } = this.#book
    const detail = `rebuilt to id ${id}, its best bid ${bids.price(0)} is not below its best ask ${asks.price(0)}`
    return { kind: 'book_crossed', detail }
  }

  /** How a row of `books` differs from the rebuilt book; undefined where it does not. */
  difference(top: TopColumns, row: number): string | undefined {
    const { bids, asks, id } = this.#book
    const rowId = top.ids[row] ?? 0n
    if (!this.#whole || id !== rowId) {
      const at = this.#whole ? `stands at ${id}` : 'has no book yet'
      return `row ${rowId} has no counterpart: depth ${at}`
    }
    return (
      differs(id, 'bid_levels_proven', top.bidLevelsProven[row], levelsProven(bids, top.bidPrices.length)) ??
      differs(id, 'ask_levels_proven', top.askLevelsProven[row], levelsProven(asks, top.askPrices.length)) ??
      levelDifference(id, 'bid', bids, top.bidPrices, top.bidQtys, row) ??
      levelDifference(id, 'ask', asks, top.askPrices, top.askQtys, row)
    )
  }

  #change(entry: DepthEntry): string | undefined {
    const book = this.#book
    if (!this.#whole) return `the change to id ${entry.id} comes before any whole book in its file`
    book.id = entry.id
    applyLevels(book.bids, entry.bids)
    applyLevels(book.asks, entry.asks)
    return (
      moveReach(entry.id, 'bid', book.bids, reachOfBids(entry)) ??
      moveReach(entry.id, 'ask', book.asks, entry.askReach)
    )
  }

  #replace(entry: DepthEntry): string | undefined {
    const next = this.#spare
    next.clear()
    next.id = entry.id
    next.bids.reach = reachOfBids(entry)
    next.asks.reach = entry.askReach
    // worst first: each insert then lands at the end of the sorted side
    applyLevels(next.bids, entry.bids, true)
    applyLevels(next.asks, entry.asks, true)
    const before = this.#book
    const comparable = entry.kind === 'book' && this.#known && before.id === entry.id
    this.#spare = before
    this.#book = next
    this.#known = true
    this.#whole = true
    if (!comparable) return undefined
    const fault =
      sideDifference('bid', before.bids, next.bids) ?? sideDifference('ask', before.asks, next.asks)
    return fault === undefined
      ? undefined
      : `the book at id ${entry.id} is not the one rebuilt so far: ${fault}`
  }
}

/** What of a row of `books` should follow from its own best levels and does not. */
export function derivedFault(top: TopColumns, row: number): string | undefined {
  const bidPrice = top.bidPrices[0]?.[row] ?? Number.NaN
  const bidQty = top.bidQtys[0]?.[row] ?? Number.NaN
  const askPrice = top.askPrices[0]?.[row] ?? Number.NaN
  const askQty = top.askQtys[0]?.[row] ?? Number.NaN
  const id = top.ids[row] ?? 0n
  const { derived } = top
  return (
    differs(id, 'best_bid_price', derived.best_bid_price[row], bidPrice) ??
    differs(id, 'best_bid_qty', derived.best_bid_qty[row], bidQty) ??
    differs(id, 'best_ask_price', derived.best_ask_price[row], askPrice) ??
    differs(id, 'best_ask_qty', derived.best_ask_qty[row], askQty) ??
    differs(id, 'mid', derived.mid[row], (bidPrice + askPrice) / 2) ??
    differs(id, 'spread', derived.spread[row], askPrice - bidPrice) ??
    differs(
      id,
      'microprice',
      derived.microprice[row],
      (askPrice * bidQty + bidPrice * askQty) / (bidQty + askQty),
    ) ??
    differs(id, 'imbalance', derived.imbalance[row], (bidQty - askQty) / (bidQty + askQty))
  )
}

function levelDifference(
  id: bigint,
  name: string,
  side: BookSide,
  prices: readonly Float64Array[],
  qtys: readonly Float64Array[],
  row: number,
): string | undefined {
  for (let i = 0; i < prices.length; i++) {
    const price = prices[i]?.[row]
    const qty = qtys[i]?.[row]
    // names are made for faults alone: this runs for every level of every row
    if (same(price, side.price(i)) && same(qty, side.qty(i))) continue
    return (
      differs(id, `${name}_price_${i}`, price, side.price(i)) ??
      differs(id, `${name}_qty_${i}`, qty, side.qty(i))
    )
  }
  return undefined
}

/**
 * The reach in force after a change. Between two whole books a capture may give levels up, never learn of more: a
 * reach that moves inwards takes what lies beyond it along, one that moves outwards is a claim without a source.
 */
function moveReach(id: bigint, name: string, side: BookSide, reach: number): string | undefined {
  if (side.reach === reach) return undefined
  if (!side.knows(reach))
    return `at id ${id} the ${name} reach goes from ${side.reach} out to ${reach} without a new book`
  side.reach = reach
  // the best level is last, so what is given up lies in front
  let beyond = 0
  while (beyond < side.size && !side.knows(side.prices[beyond] ?? reach)) beyond++
  side.prices.copyWithin(0, beyond, side.size)
  side.qtys.copyWithin(0, beyond, side.size)
  side.size -= beyond
  return undefined
}

function reachOfBids(entry: DepthEntry): number {
  return entry.bidReach === 0 ? Number.NEGATIVE_INFINITY : entry.bidReach
}

function applyLevels(side: BookSide, levels: LevelSlice, backwards = false): void {
  const { prices, qtys, from, to } = levels
  for (let i = from; i < to; i++) {
    const at = backwards ? to - 1 - (i - from) : i
    side.set(prices[at] ?? Number.NaN, qtys[at] ?? Number.NaN)
  }
}

/** The first level within both reaches that the two sides do not share: `a` rebuilt so far, `b` of the row. */
function sideDifference(name: string, a: BookSide, b: BookSide): string | undefined {
  let i = 0
  let j = 0
  for (;;) {
    while (i < a.size && !b.knows(a.price(i))) i++
    while (j < b.size && !a.knows(b.price(j))) j++
    if (i >= a.size && j >= b.size) return undefined
    if (!same(a.price(i), b.price(j)) || !same(a.qty(i), b.qty(j))) {
      // the better of two prices is where they part; one that is not there is NaN and never better
      const price = (a.price(i) - b.price(j)) * a.sign > 0 || j >= b.size ? a.price(i) : b.price(j)
      const qty = (side: BookSide, at: number) =>
        side.price(at) === price ? String(side.qty(at)) : 'no level'
      return `${name} at ${price}: the row has ${qty(b, j)}, the changes before it give ${qty(a, i)}`
    }
    i++
    j++
  }
}

/** Two NaN are the same absent level; 0 and −0 are the same number. */
function same(a: number | undefined, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b))
}

function differs(
  id: bigint,
  column: string,
  found: number | undefined,
  expected: number,
): string | undefined {
  if (same(found, expected)) return undefined
  const text = (value: number | undefined) => (Number.isNaN(value) ? 'null' : String(value))
  return `at id ${id} ${column} is ${text(found)}, the book says ${text(expected)}`
}
