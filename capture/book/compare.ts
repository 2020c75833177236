import type { Book } from './book.ts'
import type { BookSide } from './side.ts'

/** Where two books disagree. A quantity of 0 stands for a level that is not there. */
export interface Difference {
  readonly side: 'bid' | 'ask'
  readonly price: number
  readonly qty: number
  readonly otherQty: number
}

/**
 * The best level inside both reaches on which two books disagree; undefined where they agree. Levels that only one
 * of them knows say nothing. To be called with books at one id, or to learn whether anything changed between two.
 */
export function differenceOf(book: Book, other: Book): Difference | undefined {
  return differenceOfSide(book.bids, other.bids, 'bid') ?? differenceOfSide(book.asks, other.asks, 'ask')
}

function differenceOfSide(one: BookSide, other: BookSide, side: 'bid' | 'ask'): Difference | undefined {
  // from the best level outwards, the better of both first
  for (let i = 0, j = 0; i < one.size || j < other.size; ) {
    const a = one.price(i)
    const b = other.price(j)
    if (a === b) {
      const qty = one.qty(i)
      const otherQty = other.qty(j)
      if (qty !== otherQty) return { side, price: a, qty, otherQty }
      i++
      j++
      continue
    }
    const first = Number.isNaN(b) || (a - b) * one.sign > 0 ? a : b
    // beyond one of the reaches nothing is known any more, and all that follows lies further out
    if (!one.knows(first) || !other.knows(first)) return undefined
    const ours = first === a
    return { side, price: first, qty: ours ? one.qty(i) : 0, otherQty: ours ? 0 : other.qty(j) }
  }
  return undefined
}
