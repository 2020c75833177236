import type { EndedBy, HaltReason } from '../../api/reasons.ts'
import type { Stream } from '../../api/streams.ts'
import type { Book } from '../book/mod.ts'
import type { DepthEvent, LevelBuffer, MarkPrice, Trade } from '../exchange/mod.ts'

/**
 * What a step asks of the world. The live process carries requests out and counts rows; recording stages rows and
 * ignores requests. Arguments are scratch: valid during the call only.
 */
export interface Effects {
  /** Ask the exchange for something. The outcome comes back as inputs that carry the request's id. */
  fetch(request: FetchRequest): void
  /** Nobody waits for this request any more; one that has not left yet need not. */
  forget(request: number): void
  /** Close a connection and open another one of the same route. */
  reconnect(connection: number, why: string): void
  /** Open a second connection of the route beside the open one. It comes back as `opened`, or not at all. */
  openBeside(route: string): void
  /** Close one of the two connections of a route; the other one goes on. */
  closeOne(connection: number, why: string): void
  /** Ask for the symbol's listing soon: the exchange behaves as if it did not trade. */
  checkListing(why: string): void
  /** End the process: what it would write cannot be trusted. */
  halt(reason: HaltReason, message: string): void
  readonly rows: RowSink
}

/** How urgent a request is: the share of the address's weight that it may find used. */
export type FetchRank = 'join' | 'proof' | 'audit'

/**
 * How long a request waits besides its failures. `share`: a random part of what all captures behind the address
 * need, since many may ask for the same cause. `widen`: as `share`, and at least a random part of ten seconds.
 */
export type FetchWait = 'none' | 'share' | 'widen'

export interface FetchRequest {
  readonly id: number
  /** A snapshot of the book, or the id of the last trade. */
  readonly what: 'snapshot' | 'last_trade'
  /** Levels a side; 0 for the last trade. */
  readonly limit: number
  /** Levels to ask for instead when a quarter of the address's weight is used. */
  readonly limitWhenBusy: number
  readonly rank: FetchRank
  readonly wait: FetchWait
  /** Failures in a row before this one: the wait grows with them. */
  readonly attempt: number
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
