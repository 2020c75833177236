import type { Book, BookSide } from '../../capture/book/mod.ts'
import type { LevelBuffer } from '../../capture/exchange/mod.ts'
import type { Walk } from '../sim/market/history.ts'
import type { Numbers } from '../sim/market/profile.ts'
import type { Side, SideName } from '../sim/market/side.ts'

/** A level that is not as it truly was. A quantity of 0 stands for a level that is not there. */
export interface Wrong {
  readonly side: SideName
  readonly price: number
  readonly qty: number
  readonly trueQty: number
}

/** Wrong levels that are told of one book; more say no more. */
const WRONG_MAX = 8

/**
 * The simulator's true book, in the doubles that the exchange's decimals stand for. A whole number over a power of
 * ten is rounded once, like the decimal itself: so equal decimals give equal doubles.
 */
export class TrueBooks {
  readonly #walk: Walk
  readonly #tick: number
  readonly #priceScale: number
  readonly #qtyScale: number

  constructor(walk: Walk, { tick, priceDecimals, qtyDecimals }: Numbers) {
    this.#walk = walk
    this.#tick = tick
    this.#priceScale = 10 ** priceDecimals
    this.#qtyScale = 10 ** qtyDecimals
  }

  /** Is the book at this id known? From here on it is the one that is compared with. */
  goTo(id: bigint): boolean {
    return this.#walk.goTo(id)
  }

  /** How a captured book differs inside its reach from the true one at hand. */
  wrongOf(book: Book): Wrong[] {
    return [...this.#wrongSide(book.bids, 'bid'), ...this.#wrongSide(book.asks, 'ask')].slice(0, WRONG_MAX)
  }

  /** How levels as they stand in a row differ from the true quantities; 0 stands for none. */
  wrongLevels(levels: LevelBuffer, side: SideName): Wrong[] {
    const wrong: Wrong[] = []
    for (let i = 0; i < levels.length && wrong.length < WRONG_MAX; i++) {
      const price = levels.data[i * 2]
      const qty = levels.data[i * 2 + 1]
      const trueQty = this.#qtyAt(side, price)
      if (qty !== trueQty) wrong.push({ side, price, qty, trueQty })
    }
    return wrong
  }

  /** How the best `count` slots of a side differ from the true ones; a slot without a level claims that there is none. */
  wrongSlots(mine: BookSide, side: SideName, count: number): Wrong[] {
    const truth = this.#walk.side(side)
    for (let i = 0; i < count; i++) {
      const ticks = truth.at(i)
      const truePrice = ticks === undefined ? Number.NaN : this.#price(ticks)
      const trueQty = ticks === undefined ? Number.NaN : truth.qty(ticks) / this.#qtyScale
      if (Object.is(mine.price(i), truePrice) && Object.is(mine.qty(i), trueQty)) continue
      // what follows a wrong slot is shifted: the levels themselves tell which one is wrong
      const all = this.#wrongSide(mine, side)
      return all.length > 0 ? all : [{ side, price: truePrice, qty: 0, trueQty }]
    }
    return []
  }

  #wrongSide(mine: BookSide, side: SideName): Wrong[] {
    const truth = this.#walk.side(side)
    const wrong: Wrong[] = []
    let i = 0
    let j = 0
    while (wrong.length < WRONG_MAX) {
      const price = mine.price(i)
      const ticks = truth.at(j)
      const truePrice = ticks === undefined ? Number.NaN : this.#price(ticks)
      if (price === truePrice) {
        const qty = mine.qty(i)
        const trueQty = truth.qty(ticks ?? 0) / this.#qtyScale
        if (qty !== trueQty) wrong.push({ side, price, qty, trueQty })
        i++
        j++
      } else if (Number.isNaN(truePrice) || (price - truePrice) * mine.sign > 0) {
        if (Number.isNaN(price)) break
        wrong.push({ side, price, qty: mine.qty(i++), trueQty: 0 })
      } else {
        // beyond the reach levels are unknown, not absent
        if (!mine.knows(truePrice)) break
        wrong.push({ side, price: truePrice, qty: 0, trueQty: truth.qty(ticks ?? 0) / this.#qtyScale })
        j++
      }
    }
    return wrong
  }

  #price(ticks: number): number {
    return (ticks * this.#tick) / this.#priceScale
  }

  #qtyAt(side: SideName, price: number): number {
    const truth: Side = this.#walk.side(side)
    return truth.qty(Math.round((price * this.#priceScale) / this.#tick)) / this.#qtyScale
  }
}
