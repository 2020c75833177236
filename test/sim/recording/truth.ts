/**
 * The simulator's own book of one recorded symbol: what REST serves at each point of the timeline.
 *
 * Nothing before the recorded snapshot; then its recorded body until an event beyond it was sent; then the
 * book rebuilt from it and from the events that passed, which is never ahead of what was sent.
 */
import { SimError } from '../errors.ts'
import { snapshotBody } from '../market/wire.ts'
import type { TrueBook, WireLevel } from '../source.ts'
import { RecordedBook } from './book.ts'
import { snapshotId, times } from './fields.ts'
import type { SnapshotFrame, WireFrame } from './file.ts'

/** Events that may wait to be applied: a snapshot is asked for seldom, and then must not hold up the frames. */
const BACKLOG_MAX = 256

export class Truth {
  readonly #symbol: string
  readonly #recorded: SnapshotFrame
  readonly #recordedId: bigint
  readonly #passed: WireFrame[] = []
  readonly #book: RecordedBook
  #applied = 0
  #recordedServes = true
  #reached = false

  constructor(symbol: string, recorded: SnapshotFrame) {
    this.#symbol = symbol
    this.#recorded = recorded
    this.#recordedId = snapshotId(recorded.body)
    this.#book = new RecordedBook(recorded.body)
  }

  /** Whether the timeline has reached the recorded snapshot. */
  get reached(): boolean {
    return this.#reached
  }

  reach(): void {
    this.#reached = true
  }

  /** A depth event passed, whether it was sent or withheld: the exchange's book has it either way. */
  pass(frame: WireFrame, lastId: bigint): void {
    this.#passed.push(frame)
    // Events that end at or below a recorded snapshot leave it the newest book there is.
    if (this.#reached && lastId > this.#recordedId) this.#recordedServes = false
    if (this.#passed.length - this.#applied >= BACKLOG_MAX) this.#current()
  }

  /** Body of a snapshot now: byte for byte as recorded where it serves whole. */
  body(limit: number): string | Uint8Array {
    if (!this.#recordedServes) {
      const book = this.#current()
      return snapshotBody(book.book(limit), book.times.event, book.times.change)
    }
    if (limit >= this.#recorded.limit) return this.#recorded.body
    const { bids, asks } = JSON.parse(this.#recorded.body.toString('utf8')) as {
      bids: WireLevel[]
      asks: WireLevel[]
    }
    const { event, change } = times(this.#recorded.body)
    const cut = { lastUpdateId: this.#recordedId, bids: bids.slice(0, limit), asks: asks.slice(0, limit) }
    return snapshotBody(cut, event, change)
  }

  /** The best levels at the last event that passed; undefined before the recorded snapshot. */
  now(limit: number): TrueBook | undefined {
    return this.#reached ? this.#current().book(limit) : undefined
  }

  /** Best bid and ask prices now; undefined before the recorded snapshot, or with an empty side. */
  touch(): { readonly bid: string; readonly ask: string } | undefined {
    if (!this.#reached) return undefined
    const { bids, asks } = this.#current().book(1)
    const [bid, ask] = [bids[0]?.[0], asks[0]?.[0]]
    return bid === undefined || ask === undefined ? undefined : { bid, ask }
  }

  /**
   * The book at the recorded snapshot or at the end of an event that has passed, rebuilt from the start.
   * Throws SimError `book_unknown` at any other id.
   */
  bookAt(id: bigint): TrueBook {
    const book = new RecordedBook(this.#recorded.body)
    for (const frame of this.#passed) {
      if (book.lastId >= id) break
      book.apply(frame.bare)
    }
    if (book.lastId === id) return book.book()
    throw new SimError(
      'book_unknown',
      `${this.#symbol}: no book is known at id ${id}, only at the recorded snapshot's and at each u sent since.`,
    )
  }

  /** The book at the last event that passed. */
  #current(): RecordedBook {
    for (; this.#applied < this.#passed.length; this.#applied++) {
      const frame = this.#passed[this.#applied]
      if (frame !== undefined) this.#book.apply(frame.bare)
    }
    return this.#book
  }
}
