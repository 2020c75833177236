import type { Book, BookSide, Decoder, Encoder } from '../book/mod.ts'

/** The last level that is published may use so much of the reach before a fresh snapshot is wanted. */
const REACH_USED_MAX = 0.75
/** The mid may move by so much of the reach. */
const MID_MOVED_MAX = 0.5

/** Tells when the proven part of the book is running out, so that a fresh snapshot comes before a gap does. */
export class HorizonWatch {
  #mid = 0
  /** Distance from the mid to the nearer reach when the book was loaded; infinite where both are unlimited. */
  #distance = Number.POSITIVE_INFINITY

  /** A snapshot was joined, or an audit took the book's place. */
  loaded(book: Book): void {
    this.#mid = midOf(book)
    this.#distance = Math.min(reachDistance(book.bids, this.#mid), reachDistance(book.asks, this.#mid))
  }

  /** Is the reach used up too far for `levels` a side? */
  isShort(book: Book, levels: number): boolean {
    const mid = midOf(book)
    if (Math.abs(mid - this.#mid) >= this.#distance * MID_MOVED_MAX) return true
    // a side that holds many levels loses reach at its far end, without the mid having moved
    const left = this.#distance * (1 - MID_MOVED_MAX)
    if (reachDistance(book.bids, mid) < left || reachDistance(book.asks, mid) < left) return true
    return isUsedUp(book.bids, mid, levels) || isUsedUp(book.asks, mid, levels)
  }

  encode(out: Encoder): void {
    out.float(this.#mid)
    out.float(this.#distance)
  }

  decode(from: Decoder): void {
    this.#mid = from.float()
    this.#distance = from.float()
  }
}

function midOf(book: Book): number {
  return (book.bids.price(0) + book.asks.price(0)) / 2
}

function reachDistance(side: BookSide, mid: number): number {
  return side.unlimited ? Number.POSITIVE_INFINITY : Math.abs(side.reach - mid)
}

function isUsedUp(side: BookSide, mid: number, levels: number): boolean {
  if (side.unlimited) return false
  if (side.size < levels) return true
  return Math.abs(side.price(levels - 1) - mid) >= reachDistance(side, mid) * REACH_USED_MAX
}
