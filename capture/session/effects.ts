import type { EndedBy, HaltReason } from '../../api/reasons.ts'
import type { Stream } from '../../api/streams.ts'
import type { Book } from '../book/mod.ts'
import type { DepthEvent, LevelBuffer, MarkPrice, Trade } from '../exchange/mod.ts'

/**
 * What a step asks of the world. The live process carries requests out and counts rows; recording stages rows and
 * ignores requests. Arguments are scratch: valid during the call only.
 */
export interface Effects {
  /** Ask the exchange for a snapshot. The outcome comes back as inputs that carry the request's id. */
  fetch(request: SnapshotRequest): void
  /** Close a connection and open another one of the same route. */
  reconnect(connection: number, why: string): void
  /** End the process: what it would write cannot be trusted. */
  halt(reason: HaltReason, message: string): void
  readonly rows: RowSink
}

export interface SnapshotRequest {
  readonly id: number
  readonly limit: number
  /** Failures in a row before this one: the wait grows with them. */
  readonly attempt: number
  /** Joins after a start or a reconnect are spread over time, since many captures may share their cause. */
  readonly spread: boolean
}

/** Columns that every row has. `received` is in microseconds since the epoch. */
export interface RowHead {
  seq: number
  connection: number
  received: number
}

export type DepthRowKind = 'snapshot' | 'delta' | 'book'

export interface RowSink {
  /** The top of the book after an event. */
  books(head: RowHead, event: DepthEvent, book: Book, gapBefore: boolean): void
  /** One entry of the full-depth record; `book` is the state after it, for its reach. */
  depth(head: RowHead, kind: DepthRowKind, row: DepthRow, book: Book, gapBefore: boolean): void
  trade(head: RowHead, trade: Trade, gapBefore: boolean): void
  markPrice(head: RowHead, mark: MarkPrice): void
  coverage(head: RowHead, row: CoverageRow): void
}

/** Ids are 0 where the entry has none (a snapshot has no previous id). Times are ms since the epoch. */
export interface DepthRow {
  readonly previousId: bigint
  readonly firstId: bigint
  readonly finalId: bigint
  readonly eventTime: number
  readonly transactionTime: number
  readonly bids: LevelBuffer
  readonly asks: LevelBuffer
}

export type CoverageState = 'proven' | 'observed' | 'suspect'

/** One unbroken interval of one stream in one window. Times are receive times in microseconds. */
export interface CoverageRow {
  readonly ofStream: Stream
  readonly window: number
  readonly from: number
  readonly to: number
  /** What its first row chains to; where it has no row, the id it stands at. */
  readonly previousId: bigint
  /** 0 where it has no row. */
  readonly firstId: bigint
  readonly lastId: bigint
  readonly rows: number
  readonly state: CoverageState
  /** Null where the interval goes on in the next window. */
  readonly endedBy: EndedBy | null
  readonly detail: string
}
