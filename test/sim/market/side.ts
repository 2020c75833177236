/** One side of the book in whole numbers: prices in ticks, quantities in steps. */

export type SideName = 'bid' | 'ask'
export type TickLevel = readonly [price: number, qty: number]

export class Side {
  readonly #sign: 1 | -1
  /** Signed prices, ascending, the best last: most changes are near the touch and move few elements. */
  readonly #keys: number[]
  readonly #qty: Map<number, number>

  constructor(name: SideName, keys: number[] = [], qty: Map<number, number> = new Map()) {
    this.#sign = name === 'bid' ? 1 : -1
    this.#keys = keys
    this.#qty = qty
  }

  get size(): number {
    return this.#keys.length
  }

  /** The best price; undefined where the side is empty. */
  best(): number | undefined {
    return this.at(0)
  }

  /** The price at a rank from the best (0) on; undefined beyond the last. */
  at(rank: number): number | undefined {
    const key = this.#keys[this.#keys.length - 1 - rank]
    return key === undefined ? undefined : key * this.#sign
  }

  /** Quantity at a price; 0 where there is no level. */
  qty(price: number): number {
    return this.#qty.get(price) ?? 0
  }

  /** Sets a level to an absolute quantity; 0 removes it. */
  set(price: number, qty: number): void {
    const key = price * this.#sign
    if (!this.#qty.has(price)) {
      if (qty === 0) return
      this.#keys.splice(this.#find(key), 0, key)
    } else if (qty === 0) {
      this.#keys.splice(this.#find(key), 1)
      this.#qty.delete(price)
      return
    }
    this.#qty.set(price, qty)
  }

  /** The best `limit` levels, best first. */
  levels(limit = Number.POSITIVE_INFINITY): TickLevel[] {
    const count = Math.min(limit, this.#keys.length)
    const levels: TickLevel[] = []
    for (let rank = 0; rank < count; rank++) {
      const price = this.at(rank)
      if (price !== undefined) levels.push([price, this.qty(price)])
    }
    return levels
  }

  clone(name: SideName): Side {
    return new Side(name, [...this.#keys], new Map(this.#qty))
  }

  /** The first index whose key is not below this one. */
  #find(key: number): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#keys[middle] ?? 0) < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
