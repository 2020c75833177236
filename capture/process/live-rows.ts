import type { EndedBy } from '../../api/reasons.ts'
import { STREAMS, type Stream } from '../../api/streams.ts'
import type { Book } from '../book/mod.ts'
import type { DepthEvent, MarkPrice, Trade } from '../exchange/mod.ts'
import type { CoverageRow, DepthRow, DepthRowKind, RowHead, RowSink } from '../session/mod.ts'
import { Histogram } from './histogram.ts'

/** Upper bounds of what the exchange and the way from it take, seconds. */
const LAG_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** What happened to a stream's coverage, and how often. */
export interface GapCount {
  readonly stream: Stream
  readonly reason: EndedBy
  readonly count: number
}

/** Coverage of a stream ended, or began. Receive times in microseconds. */
export type CoverageNews =
  | {
      readonly news: 'gap'
      readonly stream: Stream
      readonly reason: EndedBy
      readonly detail: string
      /** The last evidence before it. */
      readonly from: number
    }
  | { readonly news: 'covered'; readonly stream: Stream; readonly from: number }

/**
 * Sees each row as it is made, over all runs of the process: counts rows, gaps and lag, and tells of each gap as
 * coverage does. The rows themselves are made again when the segment is recorded. Nothing is allocated a row.
 */
export class LiveRows implements RowSink {
  readonly rows: Record<Stream, number> = { books: 0, depth: 0, trades: 0, mark_price: 0 }
  /** From the exchange's own time of an event to its receive time, by the exchange's clock; seconds. */
  readonly lag: Readonly<Record<Stream, Histogram>> = {
    books: new Histogram(LAG_SECONDS),
    depth: new Histogram(LAG_SECONDS),
    trades: new Histogram(LAG_SECONDS),
    mark_price: new Histogram(LAG_SECONDS),
  }
  /** Our receive clock − the exchange's, microseconds: what lag is corrected by. */
  clockOffsetUs = 0
  /** Hears of each gap as it begins and ends. */
  onNews: ((news: CoverageNews) => void) | undefined
  readonly #gaps = new Map<string, GapCount>()
  /** The longest time that exactly these streams were covered together, microseconds; by their names. */
  readonly #longest = new Map<string, number>()
  /** Receive time of the last change of which streams are covered, microseconds. */
  #changedAt = 0
  /** Receive time of the last row or coverage, microseconds. */
  #lastAt = 0
  readonly #covered: Record<Stream, boolean> = {
    books: false,
    depth: false,
    trades: false,
    mark_price: false,
  }

  books(head: RowHead, event: DepthEvent, _book: Book, _gapBefore: boolean): void {
    this.rows.books++
    if (!this.#covered.books) this.#begin('books', head.received)
    this.#lagged('books', head, event.eventTime)
  }

  depth(head: RowHead, kind: DepthRowKind, row: DepthRow): void {
    this.rows.depth++
    // snapshots and books were waited for, or are as old as their last event; nor does coverage begin with them
    if (kind !== 'delta') return
    if (!this.#covered.depth) this.#begin('depth', head.received)
    this.#lagged('depth', head, row.eventTime)
  }

  trade(head: RowHead, trade: Trade): void {
    this.rows.trades++
    if (!this.#covered.trades) this.#begin('trades', head.received)
    this.#lagged('trades', head, trade.eventTime)
  }

  markPrice(head: RowHead, mark: MarkPrice): void {
    this.rows.mark_price++
    if (!this.#covered.mark_price) this.#begin('mark_price', head.received)
    this.#lagged('mark_price', head, mark.eventTime)
  }

  coverage(_head: RowHead, row: CoverageRow): void {
    // a suspect row withdraws what is past; the end of the interval follows it
    if (row.state === 'suspect') return
    this.#lastAt = Math.max(this.#lastAt, row.to)
    const { ofStream: stream, endedBy: reason, detail } = row
    // a quiet stream may be covered without a row
    if (!this.#covered[stream]) this.#begin(stream, row.from)
    if (reason === null) return
    this.#gaps.set(`${stream} ${reason}`, { stream, reason, count: this.gapsOf(stream, reason) + 1 })
    this.#change(stream, false, row.to)
    this.onNews?.({ news: 'gap', stream, reason, detail, from: row.to })
  }

  /** How often coverage of a stream ended for a reason. */
  gapsOf(stream: Stream, reason: EndedBy): number {
    return this.#gaps.get(`${stream} ${reason}`)?.count ?? 0
  }

  /** The longest time without a break that all of the streams captured were covered, microseconds. */
  coveredForUs(streams: readonly Stream[]): number {
    const names = namesOf(STREAMS.filter((stream) => streams.includes(stream)))
    const now = this.#together() === names ? this.#lastAt - this.#changedAt : 0
    return Math.max(now, this.#longest.get(names) ?? 0)
  }

  /** Ends of coverage by stream and reason; those of a process that ends in order among them. */
  get gaps(): readonly GapCount[] {
    return [...this.#gaps.values()]
  }

  #begin(stream: Stream, from: number): void {
    this.#change(stream, true, from)
    this.onNews?.({ news: 'covered', stream, from })
  }

  #change(stream: Stream, covered: boolean, at: number): void {
    const streams = this.#together()
    const forUs = at - this.#changedAt
    if (forUs > (this.#longest.get(streams) ?? 0)) this.#longest.set(streams, forUs)
    this.#covered[stream] = covered
    this.#changedAt = at
    this.#lastAt = at
  }

  /** Names of the streams that are covered now. */
  #together(): string {
    return namesOf(STREAMS.filter((stream) => this.#covered[stream]))
  }

  #lagged(stream: Stream, head: RowHead, eventTimeMs: number): void {
    if (head.received > this.#lastAt) this.#lastAt = head.received
    if (eventTimeMs > 0)
      this.lag[stream].observe((head.received - this.clockOffsetUs - eventTimeMs * 1000) / 1e6)
  }
}

function namesOf(streams: readonly Stream[]): string {
  return streams.join(' ')
}
