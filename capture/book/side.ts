import type { LevelBuffer } from '../exchange/mod.ts'

const LEVELS_INITIAL = 1024

/**
 * One side of a book: prices and quantities in sorted arrays with the best level last, so that the many changes
 * near the touch move few elements. `sign` is 1 for bids (higher is better) and −1 for asks.
 *
 * `reach` is the side's horizon: the last known price. Levels beyond it are unknown, not absent, and are not kept.
 * Unlimited reach is −Infinity for bids and Infinity for asks.
 */
export class BookSide {
  readonly sign: 1 | -1
  prices = new Float64Array(LEVELS_INITIAL)
  qtys = new Float64Array(LEVELS_INITIAL)
  size = 0
  reach: number
  /** Where the last change was: a hint for the search, no part of the book's state. */
  #lastAt = 0

  constructor(sign: 1 | -1) {
    this.sign = sign
    this.reach = -sign * Number.POSITIVE_INFINITY
  }

  get unlimited(): boolean {
    return !Number.isFinite(this.reach)
  }

  /** Price of the i-th best level, 0 being the best; NaN where there is none. */
  price(i: number): number {
    return i < this.size ? this.prices[this.size - 1 - i] : Number.NaN
  }

  /** Quantity of the i-th best level; NaN where there is none. */
  qty(i: number): number {
    return i < this.size ? this.qtys[this.size - 1 - i] : Number.NaN
  }

  clear(): void {
    this.size = 0
    this.reach = -this.sign * Number.POSITIVE_INFINITY
  }

  /** Is the price at or within the reach? */
  knows(price: number): boolean {
    return (price - this.reach) * this.sign >= 0
  }

  /** Replaces the side by levels sorted best first; the reach becomes the last of them where `bounded`. */
  load(levels: LevelBuffer, bounded: boolean): void {
    this.clear()
    const count = levels.length
    while (this.prices.length < count) this.#grow()
    for (let i = 0; i < count; i++) {
      this.prices[count - 1 - i] = levels.data[i * 2]
      this.qtys[count - 1 - i] = levels.data[i * 2 + 1]
    }
    this.size = count
    if (bounded && count > 0) this.reach = levels.data[(count - 1) * 2]
  }

  /** Becomes what another one of the same sign is. */
  copyFrom(other: BookSide): void {
    while (this.prices.length < other.size) this.#grow()
    this.prices.set(other.prices.subarray(0, other.size))
    this.qtys.set(other.qtys.subarray(0, other.size))
    this.size = other.size
    this.reach = other.reach
  }

  /** Applies absolute quantities; zero deletes, deleting an unknown level is normal. */
  apply(levels: LevelBuffer): void {
    const data = levels.data
    const end = levels.length * 2
    for (let i = 0; i < end; i += 2) this.set(data[i], data[i + 1])
  }

  /** Keeps the best `count` levels. What lay beyond is unknown from here on: the reach becomes the last one kept. */
  trim(count: number): void {
    if (this.size <= count) return
    const beyond = this.size - count
    this.prices.copyWithin(0, beyond, this.size)
    this.qtys.copyWithin(0, beyond, this.size)
    this.size = count
    this.reach = this.prices[0]
  }

  set(price: number, qty: number): void {
    if (!this.knows(price)) return
    const at = this.#position(price)
    const prices = this.prices
    if (at < this.size && prices[at] === price) {
      if (qty !== 0) this.qtys[at] = qty
      else this.#remove(at)
    } else if (qty !== 0) this.#insert(at, price, qty)
  }

  /**
   * Index of the price, or where it belongs: every level before it is worse. Searches from the last change outwards
   * in growing steps, then by halving: exchanges send the levels of an event sorted, so the next one is close.
   */
  #position(price: number): number {
    const { prices, sign, size } = this
    const from = Math.min(this.#lastAt, size)
    let low = 0
    let high = size
    if (from < size && (prices[from] - price) * sign < 0) {
      low = from + 1
      for (let at = low, step = 1; at < size; at += step, step *= 2) {
        if ((prices[at] - price) * sign >= 0) {
          high = at
          break
        }
        low = at + 1
      }
    } else {
      high = from
      for (let at = high - 1, step = 1; at >= 0; at -= step, step *= 2) {
        if ((prices[at] - price) * sign < 0) {
          low = at + 1
          break
        }
        high = at
      }
    }
    // every level below `low` is worse than the price, every level from `high` on is at least as good
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((prices[middle] - price) * sign < 0) low = middle + 1
      else high = middle
    }
    this.#lastAt = low
    return low
  }

  #insert(at: number, price: number, qty: number): void {
    if (this.size === this.prices.length) this.#grow()
    this.prices.copyWithin(at + 1, at, this.size)
    this.qtys.copyWithin(at + 1, at, this.size)
    this.prices[at] = price
    this.qtys[at] = qty
    this.size++
  }

  #remove(at: number): void {
    this.prices.copyWithin(at, at + 1, this.size)
    this.qtys.copyWithin(at, at + 1, this.size)
    this.size--
  }

  #grow(): void {
    const prices = new Float64Array(this.prices.length * 2)
    const qtys = new Float64Array(this.qtys.length * 2)
    prices.set(this.prices)
    qtys.set(this.qtys)
    this.prices = prices
    this.qtys = qtys
  }
}
