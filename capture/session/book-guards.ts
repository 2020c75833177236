import type { EndReason } from '../../api/reasons.ts'
import type { Decoder, Difference, Encoder } from '../book/mod.ts'
import type { Snapshot } from '../exchange/mod.ts'
import type { Effects } from './effects.ts'
import type { LiveBook } from './live-book.ts'
import { FALLS_MAX, ResyncBudget } from './resync-budget.ts'
import type { Shared } from './shared.ts'
import { Streak } from './streak.ts'

/** Joins in a row that ended with an empty side, connections in a row that froze: then it is no accident. */
const EMPTY_JOINS_MAX = 3
const FROZEN_CONNECTIONS_MAX = 3

/** When a book was live, microseconds, and what became of it. */
export interface Fall {
  readonly liveForUs: number
  readonly received: number
}

/**
 * What a lost book says of the exchange, or of us: one loss heals itself, the same loss again and again halts, and a
 * book that was wrong withdraws what vouched for its rows.
 */
export class BookGuards {
  readonly #shared: Shared
  readonly #live: LiveBook
  readonly #budget = new ResyncBudget()
  readonly #empty = new Streak(EMPTY_JOINS_MAX)
  readonly #frozen = new Streak(FROZEN_CONNECTIONS_MAX)
  /** The connection that was judged frozen last: its end says nothing more. */
  #frozenConnection = 0

  constructor(shared: Shared, live: LiveBook) {
    this.#shared = shared
    this.#live = live
  }

  /** A book that shows crossed was wrong before it showed: what vouched for its rows is withdrawn. */
  crossed(received: number, effects: Effects): void {
    const { book } = this.#live
    const message = `best bid ${book.bids.price(0)} is not below best ask ${book.asks.price(0)} at id ${book.id}`
    this.#live.suspect('CrossedBook', message, effects)
    this.#shared.halt('CrossedBook', message, received, effects)
  }

  /** The exchange's book is another one at the same id: as `crossed`, but no halt. Returns what differs, in words. */
  mismatch(difference: Difference, effects: Effects): string {
    const { side, price, qty, otherQty } = difference
    const detail = `at id ${this.#live.book.id} the ${side} level ${price} is ${qty} here, ${otherQty} at the exchange`
    this.#live.suspect('audit_mismatch', detail, effects)
    return detail
  }

  /** A live book is about to be lost, or was none from the start. Returns whether it halted. */
  falls(reason: EndReason, detail: string, { liveForUs, received }: Fall, effects: Effects): boolean {
    if (reason !== 'empty_side') {
      this.#empty.reset()
      return false
    }
    if (!this.#empty.add(liveForUs)) return false
    const message = `${EMPTY_JOINS_MAX} books in a row had an empty side, the last ${detail}`
    this.#live.suspect('EmptyBook', message, effects)
    this.#shared.halt('EmptyBook', message, received, effects)
    return true
  }

  /** A snapshot in which a side is empty is no book, and counts as one that lost its side. Returns whether it is refused. */
  refuses(snapshot: Snapshot, received: number, effects: Effects): boolean {
    if (snapshot.bids.length > 0 && snapshot.asks.length > 0) return false
    this.#shared.counters.add('snapshots_impossible')
    this.falls('empty_side', `in snapshot ${snapshot.id}`, { liveForUs: 0, received }, effects)
    return true
  }

  /** A live book was lost: each loss costs weight that all captures share. */
  fell(reason: EndReason, received: number, effects: Effects): void {
    if (!this.#budget.fall(reason, received)) return
    const message = `the book was lost more than ${FALLS_MAX} times in ten minutes, last for ${reason}`
    this.#shared.halt('ResyncStorm', message, received, effects)
  }

  /** The connection was silent where it should not be. Returns whether it halted. */
  froze(connection: number, why: string, { liveForUs, received }: Fall, effects: Effects): boolean {
    // one that was joined again before it closed counts once
    if (connection === this.#frozenConnection) return false
    this.#frozenConnection = connection
    this.#shared.counters.add('proofs_frozen')
    if (!this.#frozen.add(liveForUs)) {
      effects.checkListing(why)
      return false
    }
    const message = `${FROZEN_CONNECTIONS_MAX} connections in a row froze, the last: ${why}`
    this.#shared.halt('StaleFeed', message, received, effects)
    return true
  }

  /** The connection is closed: if it was not frozen, those that were before it do not count any more. */
  closed(connection: number): void {
    if (connection !== this.#frozenConnection) this.#frozen.reset()
  }

  encode(out: Encoder): void {
    for (const part of [this.#budget, this.#empty, this.#frozen]) part.encode(out)
    out.integer(this.#frozenConnection)
  }

  decode(from: Decoder): void {
    for (const part of [this.#budget, this.#empty, this.#frozen]) part.decode(from)
    this.#frozenConnection = from.integer()
  }
}
