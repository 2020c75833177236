/**
 * A book that is true by construction: single changes, one id each. What a connection or a snapshot shows of it is
 * cut out of the same history, each in its own way.
 */
import type { Level } from '../support/frames.ts'

export interface Change {
  readonly side: 'b' | 'a'
  /** Place of the price on its side, from the touch outwards. */
  readonly place: number
  readonly qty: number
}

/** Prices of a side: bids from 1000 down, asks from 1001 up. */
export const priceOf = ({ side, place }: Pick<Change, 'side' | 'place'>): number =>
  side === 'b' ? 1000 - place : 1001 + place

/** Levels a side that are there at the start. */
const LEVELS_FIRST = 30
/** Id of the first change. */
const ID_FIRST = 101

export class TrueBook {
  readonly changes: readonly Change[]

  constructor(changes: readonly Change[]) {
    this.changes = changes
  }

  get lastId(): number {
    return ID_FIRST + this.changes.length - 1
  }

  /** Quantities by price of one side at an id, best first. */
  at(id: number, side: Change['side']): Map<number, number> {
    const levels = new Map<number, number>()
    for (let place = 0; place < LEVELS_FIRST; place++) levels.set(priceOf({ side, place }), 1)
    for (const change of this.changes.slice(0, Math.max(0, id - ID_FIRST + 1))) {
      if (change.side !== side) continue
      if (change.qty === 0) levels.delete(priceOf(change))
      else levels.set(priceOf(change), change.qty)
    }
    const sign = side === 'b' ? -1 : 1
    return new Map([...levels].sort(([a], [b]) => (a - b) * sign))
  }

  /** The best levels as a snapshot shows them. */
  top(id: number, side: Change['side'], limit: number): Level[] {
    return [...this.at(id, side)].slice(0, limit).map(([price, qty]) => [String(price), String(qty)])
  }

  /** What changed in (after, upTo], absolute, as a merged event shows it. */
  event(after: number, upTo: number): { readonly b: Level[]; readonly a: Level[] } {
    const levels = (side: Change['side']): Level[] => {
      const touched = this.changes
        .slice(after - ID_FIRST + 1, upTo - ID_FIRST + 1)
        .filter((change) => change.side === side)
        .map(priceOf)
      const now = this.at(upTo, side)
      return [...new Set(touched)].map((price) => [String(price), String(now.get(price) ?? 0)])
    }
    return { b: levels('b'), a: levels('a') }
  }
}
