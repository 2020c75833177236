import type { EndedBy } from '../../api/reasons.ts'
import { Book, type BookFault, type Decoder, type Encoder } from '../book/mod.ts'
import { type DepthEvent, LevelBuffer, type Link, meets, type Snapshot } from '../exchange/mod.ts'
import type { DepthRow, Effects, RowHead } from './effects.ts'
import { HorizonWatch } from './horizon-watch.ts'
import type { Coverage } from './ledger.ts'
import type { Position, Standing } from './position.ts'
import type { Shared } from './shared.ts'

/**
 * The book as it is published: what changes it writes its rows and its coverage. Whether a change may be applied is
 * not decided here.
 */
export class LiveBook {
  book = new Book()
  /** Id of the last event that was published; 0 before the first. */
  lastRow = 0n
  readonly #shared: Shared
  readonly #books: Coverage | undefined
  readonly #depth: Coverage | undefined
  readonly #watch = new HorizonWatch()
  /** Nothing vouches that the next row follows the last one. */
  #gapBefore = true
  /** The next event must meet the book's id, not follow it; if it does not, the book was lost for this reason. */
  #meetNext: 'sequence' | 'reconnect' | '' = ''
  #connection = 0
  #eventTime = 0
  #transactionTime = 0
  readonly #head: RowHead = { seq: 0, connection: 0, received: 0 }

  constructor(shared: Shared, books: Coverage | undefined, depth: Coverage | undefined) {
    this.#shared = shared
    this.#books = books
    this.#depth = depth
  }

  /** The last event that was published; undefined before the first. */
  get lastPosition(): Position | undefined {
    return this.lastRow === 0n ? undefined : { id: this.lastRow, timeMs: this.#transactionTime }
  }

  /** What the book stands at, or once it is lost, its last event. */
  get position(): Standing {
    const id = this.book.id === 0n ? this.lastRow : this.book.id
    // after an event the time is the event's, else it may be a snapshot's
    return { id, timeMs: this.#gapBefore ? undefined : this.#transactionTime }
  }

  /** Begins with a snapshot that can be a book; coverage begins at `from` with what the first event chains to. */
  start(snapshot: Snapshot, place: Start, received: number, effects: Effects): void {
    this.#connection = place.connection
    this.#meetNext = ''
    this.book.load(snapshot)
    this.book.trim(this.#shared.exchange.limits.levelsMaintained)
    for (const coverage of [this.#books, this.#depth]) {
      coverage?.start(place.previousId, place.from, place.connection, snapshot.id)
    }
    this.#watch.loaded(this.book)
    this.#eventTime = snapshot.eventTime
    this.#transactionTime = snapshot.transactionTime
    if (this.#depth !== undefined) {
      const { id, eventTime, transactionTime, bids, asks } = snapshot
      const row: DepthRow = {
        previousId: 0n,
        firstId: 0n,
        finalId: id,
        eventTime,
        transactionTime,
        bids,
        asks,
      }
      const head = this.#place(this.#shared.seq.next(), received)
      effects.rows.depth(head, 'snapshot', row, this.book, this.#gapBefore)
    }
  }

  /** Rows that follow come from this connection. */
  follow(connection: number): void {
    this.#connection = connection
    this.meetNext('reconnect')
  }

  /** The next event need only meet the book's id: what came before it chains to nothing here. */
  meetNext(lostFor: 'sequence' | 'reconnect'): void {
    this.#meetNext = lostFor
  }

  /** How an event stands to the book. `repeated`: all that it tells is in the book already. */
  linkOf(event: DepthEvent): Link | 'repeated' {
    const { id } = this.book
    if (this.#meetNext === '') return this.#shared.exchange.link(event, id)
    if (event.finalId <= id) return 'repeated'
    return meets(event, id) ? 'next' : 'broken'
  }

  /** Why the book is lost where the next event does not fit. */
  get lostFor(): 'sequence' | 'reconnect' {
    return this.#meetNext === '' ? 'sequence' : this.#meetNext
  }

  /** Applies an event that follows or meets the book's id. Returns what is wrong with the book then: no row is written. */
  apply(event: DepthEvent, received: number, effects: Effects): BookFault | undefined {
    this.#meetNext = ''
    this.book.apply(event)
    this.book.trim(this.#shared.exchange.limits.levelsMaintained)
    const fault = this.book.fault()
    if (fault !== undefined) return fault
    this.#eventTime = event.eventTime
    this.#transactionTime = event.transactionTime
    const { seq } = this.#shared
    if (this.#depth !== undefined) {
      effects.rows.depth(this.#place(seq.next(), received), 'delta', event, this.book, false)
      this.#depth.row(event.finalId, received)
    }
    if (this.#books !== undefined) {
      effects.rows.books(this.#place(seq.next(), received), event, this.book, this.#gapBefore)
      this.#books.row(event.finalId, received)
    }
    this.#gapBefore = false
    this.lastRow = event.finalId
    return undefined
  }

  /** The silence until `at` is proven: coverage reaches there without a row. */
  prove(at: number): void {
    this.#books?.advance(this.book.id, at)
    this.#depth?.advance(this.book.id, at)
  }

  /** A clean audit takes the book's place; all so far is vouched for. */
  adopt(audited: Book, received: number, effects: Effects): void {
    this.book = audited
    this.book.trim(this.#shared.exchange.limits.levelsMaintained)
    this.#watch.loaded(this.book)
    this.#books?.vouch()
    this.#depth?.vouch()
    this.#bookRow(this.#shared.seq.next(), received, effects)
  }

  /** Opens a window: the book is written whole, so that every file reads alone. */
  openWindow(received: number, effects: Effects): void {
    this.#bookRow(this.#shared.seq.nextOfBoundary(), received, effects)
  }

  /** Is the proven part of the book running out? */
  isShort(): boolean {
    return this.#watch.isShort(this.book, this.#shared.config.bookLevels)
  }

  /** Withdraws what vouched for the rows since the last clean audit or join. */
  suspect(by: EndedBy, detail: string, effects: Effects): void {
    const { seq, window } = this.#shared
    for (const coverage of [this.#books, this.#depth]) {
      coverage?.suspect(by, detail, window, seq, effects.rows)
    }
  }

  /** Ends coverage, and forgets the book. */
  end(by: EndedBy, detail: string, effects: Effects): void {
    const { seq, window } = this.#shared
    for (const coverage of [this.#books, this.#depth]) coverage?.end(by, detail, window, seq, effects.rows)
    this.book.clear()
    this.#gapBefore = true
  }

  #bookRow(seq: number, received: number, effects: Effects): void {
    if (this.#depth === undefined) return
    const bids = new LevelBuffer(this.book.bids.size)
    const asks = new LevelBuffer(this.book.asks.size)
    this.book.levels(bids, asks)
    const row: DepthRow = {
      previousId: 0n,
      firstId: 0n,
      finalId: this.book.id,
      eventTime: this.#eventTime,
      transactionTime: this.#transactionTime,
      bids,
      asks,
    }
    effects.rows.depth(this.#place(seq, received), 'book', row, this.book, false)
  }

  #place(seq: number, received: number): RowHead {
    this.#head.seq = seq
    this.#head.connection = this.#connection
    this.#head.received = received
    return this.#head
  }

  encode(out: Encoder): void {
    this.book.encode(out)
    this.#watch.encode(out)
    out.id(this.lastRow)
    out.boolean(this.#gapBefore)
    out.string(this.#meetNext)
    out.integer(this.#connection)
    out.integer(this.#eventTime)
    out.integer(this.#transactionTime)
  }

  decode(from: Decoder): void {
    this.book.decode(from)
    this.#watch.decode(from)
    this.lastRow = from.id()
    this.#gapBefore = from.boolean()
    this.#meetNext = from.word(['', 'sequence', 'reconnect'])
    this.#connection = from.integer()
    this.#eventTime = from.integer()
    this.#transactionTime = from.integer()
  }
}

/** Where coverage begins. */
export interface Start {
  /** What the first event chains to; the snapshot's own id where there is none yet. */
  readonly previousId: bigint
  /** Receive time of the first event, or of the snapshot; microseconds. */
  readonly from: number
  readonly connection: number
}
