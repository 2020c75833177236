import type { EndedBy } from '../../api/reasons.ts'
import type { Stream } from '../../api/streams.ts'
import type { Decoder, Encoder } from '../book/mod.ts'
import type { RowHead, RowSink } from './effects.ts'

/** Rows that a boundary between windows may cause: one of coverage a stream, one `book` row, and room to spare. */
const SEQ_RESERVED = 8
/** Details are for a person; what an exchange sends may be long. */
const DETAIL_LENGTH_MAX = 300

/**
 * Numbers the rows of a run. Every input first reserves a few numbers for the rows that a window boundary before
 * it may cause, so that rows have the same `seq` wherever the windows are cut.
 */
export class Sequence {
  #last = 0
  #boundary = 0

  beginStep(): void {
    this.#last += SEQ_RESERVED
    this.#boundary = 0
  }

  next(): number {
    return ++this.#last
  }

  /** A number for a row of the boundary between two inputs: it does not advance the sequence. */
  nextOfBoundary(): number {
    if (this.#boundary === SEQ_RESERVED) throw new Error('two window boundaries between the same two inputs')
    return this.#last + ++this.#boundary
  }

  encode(out: Encoder): void {
    out.integer(this.#last)
    out.count(this.#boundary)
  }

  decode(from: Decoder): void {
    this.#last = from.integer()
    this.#boundary = from.count()
  }
}

/**
 * Coverage of one stream: the open interval, if any. It states presence and reaches as far as evidence does: a
 * chained event, or a frame where the exchange gives no chain. Never a tick.
 */
export class Coverage {
  readonly stream: Stream
  readonly state: 'proven' | 'observed'
  open = false
  lastId = 0n
  /** Receive time of the latest evidence, microseconds. */
  to = 0
  #from = 0
  #previousId = 0n
  #firstId = 0n
  #rows = 0
  #connection = 0
  /** Since when, by what, the interval is vouched for: the last clean audit or join. */
  #vouchedId = 0n
  #vouchedFrom = 0
  /** No row and no audit since it began. */
  #rowless = true

  constructor(stream: Stream) {
    this.stream = stream
    this.state = stream === 'mark_price' ? 'observed' : 'proven'
  }

  /** Since when the interval is vouched for, receive time in microseconds: its beginning, or the last clean audit. */
  get vouchedFrom(): number {
    return this.#vouchedFrom
  }

  /** `standsAt`: the id of the book that it begins with, which is where it stands until its first row. */
  start(previousId: bigint, received: number, connection: number, standsAt = previousId): void {
    if (this.open) throw new Error(`coverage of ${this.stream} is open already`)
    this.open = true
    this.#from = received
    this.to = received
    this.#previousId = previousId
    this.#firstId = 0n
    this.lastId = standsAt
    this.#rows = 0
    this.#connection = connection
    this.#vouchedId = standsAt
    this.#vouchedFrom = received
    this.#rowless = true
  }

  /** A row with evidence up to `id`. */
  row(id: bigint, received: number): void {
    if (this.#rowless) this.#vouchedId = this.#previousId
    this.#rowless = false
    if (this.#rows === 0) this.#firstId = id
    this.#rows++
    this.advance(id, received)
  }

  /** Evidence without a row. */
  advance(id: bigint, received: number): void {
    this.lastId = id
    if (received > this.to) this.to = received
  }

  /** All up to here is vouched for: a clean audit. */
  vouch(): void {
    this.#rowless = false
    this.#vouchedId = this.lastId
    this.#vouchedFrom = this.to
  }

  /** Ends the interval and writes it; nothing if none is open. */
  end(by: EndedBy, detail: string, window: number, seq: Sequence, rows: RowSink): void {
    if (!this.open) return
    this.#write(seq.next(), by, detail, window, rows)
    this.open = false
  }

  /** Withdraws what vouched for the rows since the last clean audit or join, up to the interval's end. */
  suspect(by: EndedBy, detail: string, window: number, seq: Sequence, rows: RowSink): void {
    if (!this.open) return
    rows.coverage(this.#head(seq.next()), {
      ofStream: this.stream,
      window,
      from: this.#vouchedFrom,
      to: this.to,
      previousId: this.#vouchedId,
      firstId: 0n,
      lastId: this.lastId,
      rows: 0,
      state: 'suspect',
      endedBy: by,
      detail: bounded(detail),
    })
  }

  /** Writes what the window holds of an open interval, which goes on from its reach in the next window. */
  cut(window: number, seq: Sequence, rows: RowSink): void {
    if (!this.open) return
    this.#write(seq.nextOfBoundary(), null, '', window, rows)
    this.#from = this.to
    this.#previousId = this.lastId
    this.#firstId = 0n
    this.#rows = 0
  }

  #head(seq: number): RowHead {
    return { seq, connection: this.#connection, received: this.to }
  }

  #write(seq: number, endedBy: EndedBy | null, detail: string, window: number, rows: RowSink): void {
    rows.coverage(this.#head(seq), {
      ofStream: this.stream,
      window,
      from: this.#from,
      to: this.to,
      previousId: this.#rows === 0 ? this.lastId : this.#previousId,
      firstId: this.#firstId,
      lastId: this.lastId,
      rows: this.#rows,
      state: this.state,
      endedBy,
      detail: bounded(detail),
    })
  }

  encode(out: Encoder): void {
    out.boolean(this.open)
    out.id(this.lastId)
    out.integer(this.to)
    out.integer(this.#from)
    out.id(this.#previousId)
    out.id(this.#firstId)
    out.integer(this.#rows)
    out.integer(this.#connection)
    out.id(this.#vouchedId)
    out.integer(this.#vouchedFrom)
    out.boolean(this.#rowless)
  }

  decode(from: Decoder): void {
    this.open = from.boolean()
    this.lastId = from.id()
    this.to = from.integer()
    this.#from = from.integer()
    this.#previousId = from.id()
    this.#firstId = from.id()
    this.#rows = from.integer()
    this.#connection = from.integer()
    this.#vouchedId = from.id()
    this.#vouchedFrom = from.integer()
    this.#rowless = from.boolean()
  }
}

/** Cut in the middle of a character, a text would not survive UTF-8. */
function bounded(detail: string): string {
  return detail.slice(0, DETAIL_LENGTH_MAX).toWellFormed()
}
