import type { Stream } from '../../api/streams.ts'
import type { Book } from '../book/mod.ts'
import type { DepthEvent, MarkPrice, Trade } from '../exchange/mod.ts'
import type { CoverageRow, DepthRow, DepthRowKind, RowHead, RowSink } from '../session/mod.ts'
import { Histogram } from './histogram.ts'

/** Upper bounds of what the exchange and the way from it take, seconds. */
const LAG_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** What happened to a stream's coverage, and how often. */
export interface GapCount {
  readonly stream: Stream
  readonly reason: string
  readonly count: number
}

/**
 * Sees each row as it is made, over all runs of the process: counts rows, gaps and lag. The rows themselves are made
 * again when the segment is recorded. Nothing is allocated a row.
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
  readonly #gaps = new Map<string, GapCount>()

  books(head: RowHead, event: DepthEvent, _book: Book, _gapBefore: boolean): void {
    this.rows.books++
    this.#lagged('books', head, event.eventTime)
  }

  depth(head: RowHead, kind: DepthRowKind, row: DepthRow): void {
    this.rows.depth++
    // snapshots and books were waited for, or are as old as their last event
    if (kind === 'delta') this.#lagged('depth', head, row.eventTime)
  }

  trade(head: RowHead, trade: Trade): void {
    this.rows.trades++
    this.#lagged('trades', head, trade.eventTime)
  }

  markPrice(head: RowHead, mark: MarkPrice): void {
    this.rows.mark_price++
    this.#lagged('mark_price', head, mark.eventTime)
  }

  coverage(_head: RowHead, row: CoverageRow): void {
    // a suspect row withdraws what is past; the end of the interval follows it
    if (row.endedBy === null || row.state === 'suspect') return
    const { ofStream: stream, endedBy: reason } = row
    const key = `${stream} ${reason}`
    this.#gaps.set(key, { stream, reason, count: (this.#gaps.get(key)?.count ?? 0) + 1 })
  }

  /** Ends of coverage by stream and reason; those of a process that ends in order among them. */
  get gaps(): readonly GapCount[] {
    return [...this.#gaps.values()]
  }

  #lagged(stream: Stream, head: RowHead, eventTimeMs: number): void {
    if (eventTimeMs > 0)
      this.lag[stream].observe((head.received - this.clockOffsetUs - eventTimeMs * 1000) / 1e6)
  }
}
