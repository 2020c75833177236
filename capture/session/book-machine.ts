import type { EndedBy, EndReason, HaltReason } from '../../api/reasons.ts'
import { Book, type Decoder, type Encoder } from '../book/mod.ts'
import {
  type DepthEvent,
  type Exchange,
  LevelBuffer,
  meets,
  PrecisionError,
  ProtocolError,
  Snapshot,
} from '../exchange/mod.ts'
import { EventBuffer } from './buffer.ts'
import type { Counters } from './counters.ts'
import type { DepthRow, Effects, RowHead } from './effects.ts'
import { decodeSnapshot, encodeSnapshot } from './encoding.ts'
import type { ResponseInput } from './input.ts'
import type { Coverage, Sequence } from './ledger.ts'
import { FALLS_MAX, ResyncBudget } from './resync-budget.ts'
import { SnapshotRequests } from './snapshot-request.ts'

/**
 * `connecting`: no socket. `buffering`: events are kept, a snapshot is asked for. `joining`: a snapshot waits for
 * the event that meets it. `live`: the book is proven. `halted`: for good.
 */
export const BOOK_STATES = ['connecting', 'buffering', 'joining', 'live', 'halted'] as const
export type BookState = (typeof BOOK_STATES)[number]

/** A snapshot is asked for after the first event, or after this long without one. */
const FIRST_EVENT_WAIT_US = 5_000_000

/** What the machine shares with the rest of the session. */
export interface Shared {
  readonly exchange: Exchange
  readonly symbol: string
  readonly counters: Counters
  readonly seq: Sequence
  /** Index of the open window. */
  window: number
  /** Ends the session: calls back into `end` of every machine. */
  halt(reason: HaltReason, message: string, received: number, effects: Effects): void
}

/**
 * The book of one symbol: buffers events, joins them with a snapshot, follows the exchange's chain, and discards
 * the book at the first doubt. Rows of `books` and `depth` come from here, and the coverage of both.
 */
export class BookMachine {
  state: BookState = 'connecting'
  /** Since when it is in its state, receive time in microseconds. */
  since = 0
  /** Why the last live book ended; empty before the first. */
  lastGap: EndReason | '' = ''
  readonly book = new Book()
  /** Connection that the book follows; 0 for none. */
  connection = 0
  readonly #shared: Shared
  readonly #books: Coverage | undefined
  readonly #depth: Coverage | undefined
  readonly #buffer = new EventBuffer()
  #pending: Snapshot | undefined
  readonly #requests = new SnapshotRequests()
  readonly #budget = new ResyncBudget()
  #liveLongest = 0
  #openedAt = 0
  /** Nothing vouches that the next row follows the last one. */
  #gapBefore = true
  #eventTime = 0
  #transactionTime = 0
  readonly #head: RowHead = { seq: 0, connection: 0, received: 0 }

  constructor(shared: Shared, books: Coverage | undefined, depth: Coverage | undefined) {
    this.#shared = shared
    this.#books = books
    this.#depth = depth
  }

  get buffered(): number {
    return this.#buffer.length
  }

  opened(connection: number, received: number): void {
    this.connection = connection
    this.#openedAt = received
    this.#buffer.clear()
    this.#enter('buffering', received)
  }

  /** The longest time until `now` that the book was live without a break, microseconds. */
  liveForUs(now: number): number {
    return Math.max(this.#liveLongest, this.state === 'live' ? now - this.since : 0)
  }

  /** The socket is lost: a new connection never resumes a book. */
  closed(why: string, received: number, effects: Effects): void {
    const wasLive = this.state === 'live'
    if (wasLive) this.#endCoverage('reconnect', why, effects)
    this.#discard()
    this.#buffer.clear()
    this.connection = 0
    this.#requests.spread = true
    this.#enter('connecting', received)
    if (wasLive) this.#countGap('reconnect', received, effects)
  }

  event(event: DepthEvent, received: number, effects: Effects): void {
    if (this.state === 'live') {
      const link = this.#shared.exchange.link(event, this.book.id)
      if (link === 'next' || link === 'reset') {
        this.#apply(event, received, effects)
        this.#ask(received, effects)
        return
      }
      if (link === 'heartbeat') {
        this.#books?.advance(this.book.id, received)
        this.#depth?.advance(this.book.id, received)
        return
      }
      const detail = `event ${event.firstId}..${event.finalId} follows ${event.previousId}, the book is at ${this.book.id}`
      this.gap('sequence', detail, received, effects)
    }
    if (this.state === 'halted') return
    this.#keep(event, received)
    this.#tryJoin(received, effects)
    this.#ask(received, effects)
  }

  tick(received: number, effects: Effects): void {
    this.#ask(received, effects)
  }

  refused(request: number, until: number, received: number): void {
    if (!this.#requests.refused(request, until, received)) this.#shared.counters.add('responses_ignored')
  }

  response(input: ResponseInput, effects: Effects): void {
    if (!this.#requests.answered(input.request, input.retryAt)) {
      return this.#shared.counters.add('responses_ignored')
    }
    const snapshot = this.#read(input, effects)
    if (snapshot === undefined) {
      this.#shared.counters.add('snapshots_failed')
      this.#requests.failed()
    } else {
      this.#pending = snapshot
      this.#tryJoin(input.received, effects)
    }
    this.#ask(input.received, effects)
  }

  /** Discards a live book; coverage ends with its last evidence. What was kept for a join is dropped in any state. */
  gap(reason: EndReason, detail: string, received: number, effects: Effects): void {
    this.#buffer.clear()
    if (this.state !== 'live') return
    this.#endCoverage(reason, detail, effects)
    this.#discard()
    this.#requests.spread = false
    this.#enter('buffering', received)
    this.#countGap(reason, received, effects)
  }

  /** Ends coverage for good: the session halts or stops. */
  end(by: EndedBy, detail: string, received: number, effects: Effects): void {
    this.#endCoverage(by, detail, effects)
    this.#discard()
    this.#buffer.clear()
    this.#enter('halted', received)
  }

  /** Opens a window: a live book is written whole, so that every file reads alone. */
  openWindow(received: number, effects: Effects): void {
    if (this.state !== 'live' || this.#depth === undefined) return
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
    const head = this.#place(this.#shared.seq.nextOfBoundary(), received)
    effects.rows.depth(head, 'book', row, this.book, false)
  }

  #keep(event: DepthEvent, received: number): void {
    const follows = (next: DepthEvent, lastId: bigint) => this.#shared.exchange.link(next, lastId) === 'next'
    this.#shared.counters.add('events_dropped', this.#buffer.push(event, received, follows))
  }

  /** Asks for a snapshot where one is needed. */
  #ask(received: number, effects: Effects): void {
    if (this.state !== 'buffering') return
    if (this.#buffer.length === 0 && received - this.#openedAt < FIRST_EVENT_WAIT_US) return
    const asked = this.#requests.ask(this.#shared.exchange.snapshot, received, effects)
    if (asked) this.#shared.counters.add('snapshots_asked')
  }

  #read(input: ResponseInput, effects: Effects): Snapshot | undefined {
    const method = this.#shared.exchange.snapshot
    if (input.status !== 200 || method.kind !== 'rest') return undefined
    const snapshot = new Snapshot()
    try {
      method.decode(input.body, this.#requests.limit, snapshot)
      return snapshot
    } catch (error) {
      if (error instanceof PrecisionError) {
        this.#shared.halt('PrecisionLoss', error.message, input.received, effects)
        return undefined
      }
      if (!(error instanceof ProtocolError)) throw error
      this.#shared.counters.add('parse_errors')
      return undefined
    }
  }

  /**
   * Joins the waiting snapshot with the kept events: those that end below it are dropped, the first one left must
   * meet it. If it begins above, the snapshot is too old: another one is fetched and the events are kept. If none
   * is left, the snapshot waits.
   */
  #tryJoin(received: number, effects: Effects): void {
    const snapshot = this.#pending
    if (snapshot === undefined || this.state === 'live' || this.state === 'halted') return
    const start = this.#buffer.firstNotBelow(snapshot.id)
    if (start === this.#buffer.length) {
      if (this.state !== 'joining') this.#enter('joining', received)
      return
    }
    const first = this.#buffer.at(start)
    if (!meets(first.event, snapshot.id)) {
      this.#pending = undefined
      this.#requests.failed()
      this.#shared.counters.add('snapshots_too_old')
      if (this.state !== 'buffering') this.#enter('buffering', received)
      return
    }
    this.#join(snapshot, start, received, effects)
  }

  #join(snapshot: Snapshot, start: number, received: number, effects: Effects): void {
    this.#pending = undefined
    this.#requests.succeeded()
    this.book.load(snapshot)
    this.#shared.counters.add('joins')
    this.#enter('live', received)
    const waiting = this.#buffer.take()
    const { event: first, received: from } = waiting[start]
    this.#books?.start(first.previousId, from, this.connection)
    this.#depth?.start(first.previousId, from, this.connection)
    if (this.book.fault() === 'crossed') return this.#crossed(received, effects)
    if (this.#depth !== undefined) {
      const row: DepthRow = {
        previousId: 0n,
        firstId: 0n,
        finalId: snapshot.id,
        eventTime: snapshot.eventTime,
        transactionTime: snapshot.transactionTime,
        bids: snapshot.bids,
        asks: snapshot.asks,
      }
      const head = this.#place(this.#shared.seq.next(), received)
      effects.rows.depth(head, 'snapshot', row, this.book, this.#gapBefore)
    }
    for (let i = start; i < waiting.length; i++) {
      // a fault among the kept events ends the book again; those that follow wait for the next snapshot
      if (this.#isLive()) this.#apply(waiting[i].event, waiting[i].received, effects)
      else if (this.#isBuffering()) this.#keep(waiting[i].event, waiting[i].received)
    }
  }

  #isLive(): boolean {
    return this.state === 'live'
  }

  #isBuffering(): boolean {
    return this.state === 'buffering'
  }

  /** The event follows the book's id, or meets the snapshot that was just loaded. */
  #apply(event: DepthEvent, received: number, effects: Effects): void {
    this.book.apply(event)
    const fault = this.book.fault()
    if (fault === 'crossed') return this.#crossed(received, effects)
    if (fault !== undefined) {
      this.gap(fault, `after event ${event.finalId}`, received, effects)
      if (this.#isBuffering()) this.#keep(event, received)
      return
    }
    this.#eventTime = event.eventTime
    this.#transactionTime = event.transactionTime
    const seq = this.#shared.seq
    if (this.#depth !== undefined) {
      effects.rows.depth(this.#place(seq.next(), received), 'delta', event, this.book, false)
      this.#depth.row(event.finalId, received)
    }
    if (this.#books !== undefined) {
      effects.rows.books(this.#place(seq.next(), received), event, this.book, this.#gapBefore)
      this.#books.row(event.finalId, received)
    }
    this.#gapBefore = false
  }

  /** A book that shows crossed was wrong before it showed: what vouched for its rows is withdrawn. */
  #crossed(received: number, effects: Effects): void {
    const message = `best bid ${this.book.bids.price(0)} is not below best ask ${this.book.asks.price(0)} at id ${this.book.id}`
    const { seq, window } = this.#shared
    for (const coverage of [this.#books, this.#depth]) {
      coverage?.suspect('CrossedBook', message, window, seq, effects.rows)
    }
    this.#shared.halt('CrossedBook', message, received, effects)
  }

  #endCoverage(by: EndedBy, detail: string, effects: Effects): void {
    const { seq, window } = this.#shared
    for (const coverage of [this.#books, this.#depth]) coverage?.end(by, detail, window, seq, effects.rows)
  }

  /** The last thing of a fall from live: it may halt. */
  #countGap(reason: EndReason, received: number, effects: Effects): void {
    this.lastGap = reason
    this.#gapBefore = true
    this.#shared.counters.add('gaps')
    if (!this.#budget.fall(reason, received)) return
    const message = `the book was lost more than ${FALLS_MAX} times in ten minutes, last for ${reason}`
    this.#shared.halt('ResyncStorm', message, received, effects)
  }

  /** Forgets the book, the waiting snapshot and the request on its way. */
  #discard(): void {
    this.book.clear()
    this.#pending = undefined
    this.#requests.forget()
  }

  #enter(state: BookState, received: number): void {
    if (this.state === 'live') this.#liveLongest = Math.max(this.#liveLongest, received - this.since)
    this.state = state
    this.since = received
  }

  #place(seq: number, received: number): RowHead {
    this.#head.seq = seq
    this.#head.connection = this.connection
    this.#head.received = received
    return this.#head
  }

  encode(out: Encoder): void {
    out.string(this.state)
    out.integer(this.since)
    out.string(this.lastGap)
    this.book.encode(out)
    out.integer(this.connection)
    this.#buffer.encode(out)
    out.boolean(this.#pending !== undefined)
    if (this.#pending !== undefined) encodeSnapshot(this.#pending, out)
    this.#requests.encode(out)
    this.#budget.encode(out)
    out.integer(this.#liveLongest)
    out.integer(this.#openedAt)
    out.boolean(this.#gapBefore)
    out.integer(this.#eventTime)
    out.integer(this.#transactionTime)
  }

  decode(from: Decoder): void {
    this.state = oneOf(from.string(), BOOK_STATES)
    this.since = from.integer()
    this.lastGap = from.string() as EndReason | ''
    this.book.decode(from)
    this.connection = from.integer()
    this.#buffer.decode(from)
    this.#pending = from.boolean() ? decodeSnapshot(from) : undefined
    this.#requests.decode(from)
    this.#budget.decode(from)
    this.#liveLongest = from.integer()
    this.#openedAt = from.integer()
    this.#gapBefore = from.boolean()
    this.#eventTime = from.integer()
    this.#transactionTime = from.integer()
  }
}

function oneOf<T extends string>(value: string, legal: readonly T[]): T {
  const found = legal.find((candidate) => candidate === value)
  if (found === undefined) throw new RangeError(`"${value}" is none of ${legal.join(', ')}`)
  return found
}
