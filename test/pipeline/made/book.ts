/**
 * What a made bucket must hold, worked out from the test's own inputs: the book and the coverage as DATA.md describes
 * them, in plain maps and without a line of the code under test.
 */

export type Level = readonly [price: string, qty: string]

/** A cell as JSON carries it: integers and times as decimal text, infinity as "inf". */
export type Cell = string | number | boolean | null | readonly (string | number)[]
export type Row = Readonly<Record<string, Cell>>

export interface MadeEvent {
  readonly received: number
  readonly U: bigint
  readonly u: bigint
  readonly pu: bigint
  readonly E: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
}

/** Levels a side that a capture keeps. */
const KEPT_MAX = 1000

class MadeSide {
  readonly levels = new Map<number, number>()
  /** Undefined where the whole side is known. */
  reach: number | undefined
  readonly #sign: 1 | -1

  constructor(sign: 1 | -1) {
    this.#sign = sign
  }

  load(levels: readonly Level[], limit: number): void {
    this.levels.clear()
    for (const [price, qty] of levels) this.levels.set(Number(price), Number(qty))
    this.reach = levels.length < limit ? undefined : Number(levels.at(-1)?.[0])
  }

  apply(levels: readonly Level[]): void {
    for (const [price, qty] of levels) {
      if (this.reach !== undefined && (Number(price) - this.reach) * this.#sign < 0) continue
      if (Number(qty) === 0) this.levels.delete(Number(price))
      else this.levels.set(Number(price), Number(qty))
    }
    // the best are kept, and what lies behind the last of them is unknown from here on
    if (this.levels.size <= KEPT_MAX) return
    const best = this.sorted()
    for (const [price] of best.slice(KEPT_MAX)) this.levels.delete(price)
    this.reach = best[KEPT_MAX - 1]?.[0]
  }

  /** All levels, best first. */
  sorted(): [number, number][] {
    return [...this.levels].sort(([a], [b]) => (b - a) * this.#sign)
  }

  proven(count: number): number {
    return this.reach === undefined ? count : Math.min(count, this.levels.size)
  }
}

export class MadeBook {
  readonly bids = new MadeSide(1)
  readonly asks = new MadeSide(-1)
  id = 0n

  /** Cells of a `books` row: derived columns, then `levels` levels. */
  top(levels: number): Row {
    const bids = this.bids.sorted()
    const asks = this.asks.sorted()
    const [bid, bidQty] = bids[0]
    const [ask, askQty] = asks[0]
    const row: Record<string, Cell> = {
      bid_levels_proven: String(this.bids.proven(levels)),
      ask_levels_proven: String(this.asks.proven(levels)),
      mid: (bid + ask) / 2,
      spread: ask - bid,
      microprice: (ask * bidQty + bid * askQty) / (bidQty + askQty),
      imbalance: (bidQty - askQty) / (bidQty + askQty),
      best_bid_price: bid,
      best_bid_qty: bidQty,
      best_ask_price: ask,
      best_ask_qty: askQty,
    }
    for (let i = 0; i < levels; i++) {
      row[`bid_price_${i}`] = bids[i]?.[0] ?? null
      row[`bid_qty_${i}`] = bids[i]?.[1] ?? null
      row[`ask_price_${i}`] = asks[i]?.[0] ?? null
      row[`ask_qty_${i}`] = asks[i]?.[1] ?? null
    }
    return row
  }

  /** Cells that say how far a `depth` row's book is known. */
  reach(): Row {
    return { bid_reach: this.bids.reach ?? 0, ask_reach: this.asks.reach ?? 'inf' }
  }
}

/** Levels as they were sent: the four lists of a `depth` row. */
export function sentLevels(bids: readonly Level[], asks: readonly Level[]): Row {
  return {
    bid_prices: bids.map(([price]) => Number(price)),
    bid_qtys: bids.map(([, qty]) => Number(qty)),
    ask_prices: asks.map(([price]) => Number(price)),
    ask_qtys: asks.map(([, qty]) => Number(qty)),
  }
}

/** An interval from its beginning to its end, over all its windows. Ids are 0 where the stream has no chain. */
export interface Stretch {
  readonly prev: bigint
  readonly last: bigint
  readonly from: number
  readonly to: number
}

/** Coverage of one stream: its open interval, and those that have ended. */
export class MadeCoverage {
  readonly stream: string
  readonly ended: Stretch[] = []
  open = false
  #from = 0
  #to = 0
  #prev = 0n
  #first = 0n
  #last = 0n
  #rows = 0
  #connection = 0
  #began: { readonly prev: bigint; readonly from: number } = { prev: 0n, from: 0 }

  constructor(stream: string) {
    this.stream = stream
  }

  start(prev: bigint, received: number, connection: number): void {
    this.open = true
    this.#from = received
    this.#to = received
    this.#prev = prev
    this.#last = prev
    this.#rows = 0
    this.#connection = connection
    this.#began = { prev, from: received }
  }

  row(id: bigint, received: number): void {
    if (this.#rows === 0) this.#first = id
    this.#rows++
    this.#last = id
    this.#to = Math.max(this.#to, received)
  }

  /** The interval's row; the interval goes on in the next window where `endedBy` is null. */
  write(window: number, endedBy: string | null): Row {
    const none = this.#rows === 0
    const row = {
      ...this.#head(window),
      from_time: String(this.#from),
      prev_id: String(none ? this.#last : this.#prev),
      first_id: none ? '0' : String(this.#first),
      rows: String(this.#rows),
      state: this.stream === 'mark_price' ? 'observed' : 'proven',
      ended_by: endedBy,
    }
    if (endedBy === null) {
      this.#from = this.#to
      this.#prev = this.#last
      this.#rows = 0
    } else {
      this.open = false
      this.ended.push({ ...this.#began, last: this.#last, to: this.#to })
    }
    return row
  }

  /** Withdraws everything since the interval began. */
  suspect(window: number, endedBy: string): Row {
    const { prev, from } = this.#began
    return {
      ...this.#head(window),
      from_time: String(from),
      prev_id: String(prev),
      first_id: '0',
      rows: '0',
      state: 'suspect',
      ended_by: endedBy,
    }
  }

  #head(window: number): Row {
    return {
      connection: String(this.#connection),
      received_time: String(this.#to),
      of_stream: this.stream,
      window: String(window),
      to_time: String(this.#to),
      last_id: String(this.#last),
    }
  }
}
