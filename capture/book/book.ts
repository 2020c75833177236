import type { DepthEvent, LevelBuffer, Snapshot } from '../exchange/mod.ts'
import type { Decoder, Encoder } from './canonical.ts'
import { BookSide } from './side.ts'

/** What is wrong with a book after an event, if anything. */
export type BookFault = 'crossed' | 'empty_side' | 'horizon'

/** The book of one symbol at one id: two sides, each with its horizon. */
export class Book {
  readonly bids = new BookSide(1)
  readonly asks = new BookSide(-1)
  /** Id of the exchange that the book is at. */
  id = 0n

  clear(): void {
    this.bids.clear()
    this.asks.clear()
    this.id = 0n
  }

  /**
   * Replaces the book by a snapshot. A side shorter than the snapshot's limit is the whole side: its reach is
   * unlimited. `bounded: false` keeps levels beyond the snapshot as they come, for replays that compare with
   * books that were never pruned.
   */
  load(snapshot: Snapshot, bounded = true): void {
    this.bids.load(snapshot.bids, bounded && snapshot.bids.length >= snapshot.limit)
    this.asks.load(snapshot.asks, bounded && snapshot.asks.length >= snapshot.limit)
    this.id = snapshot.id
  }

  /** Becomes what another book is. */
  copyFrom(other: Book): void {
    this.bids.copyFrom(other.bids)
    this.asks.copyFrom(other.asks)
    this.id = other.id
  }

  /** Brings the book to the event's id. The caller has proven that the event follows or meets the book's id. */
  apply(event: DepthEvent): void {
    this.bids.apply(event.bids)
    this.asks.apply(event.asks)
    this.id = event.finalId
  }

  /** Forgets levels beyond the best `count` a side: the exchange does not report all their changes. */
  trim(count: number): void {
    this.bids.trim(count)
    this.asks.trim(count)
  }

  /**
   * The invariants: the best bid is below the best ask, and both sides have a level. A side without one is empty
   * where its reach is unlimited, and out of its horizon where it is not.
   */
  fault(): BookFault | undefined {
    const { bids, asks } = this
    if (bids.size === 0 || asks.size === 0) {
      const lost = (bids.size === 0 && !bids.unlimited) || (asks.size === 0 && !asks.unlimited)
      return lost ? 'horizon' : 'empty_side'
    }
    return bids.prices[bids.size - 1] >= asks.prices[asks.size - 1] ? 'crossed' : undefined
  }

  /** The whole book as levels best first, for rows that replace a reader's book. */
  levels(bids: LevelBuffer, asks: LevelBuffer): void {
    copyLevels(this.bids, bids)
    copyLevels(this.asks, asks)
  }

  encode(out: Encoder): void {
    out.id(this.id)
    for (const side of [this.bids, this.asks]) {
      out.float(side.reach)
      out.count(side.size)
      for (let i = 0; i < side.size; i++) {
        out.float(side.prices[i])
        out.float(side.qtys[i])
      }
    }
  }

  decode(from: Decoder): void {
    this.clear()
    this.id = from.id()
    for (const side of [this.bids, this.asks]) {
      const reach = from.float()
      const count = from.count()
      for (let i = 0; i < count; i++) {
        const price = from.float()
        side.set(price, from.float())
      }
      side.reach = reach
    }
  }
}

function copyLevels(side: BookSide, into: LevelBuffer): void {
  into.clear()
  for (let i = side.size - 1; i >= 0; i--) into.push(side.prices[i], side.qtys[i])
}

/**
 * How many of the best `count` slots of a side are proven. With unlimited reach all are (a missing level is known
 * to be absent); otherwise only the levels that exist within the reach.
 */
export function levelsProven(side: BookSide, count: number): number {
  return side.unlimited ? count : Math.min(count, side.size)
}
