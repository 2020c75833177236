/**
 * What the sockets and REST need of whatever makes the traffic: a recording that is played, or a market
 * that is generated. Both are driven by subscriptions and answer for the truth of what they sent.
 */
import type { Connection } from './hub.ts'
import type { StreamName } from './streams.ts'

/** A level as the exchange spells it: price and quantity, decimal strings. */
export type WireLevel = readonly [price: string, qty: string]

/** A book at one update id, best level first on each side. */
export interface TrueBook {
  readonly lastUpdateId: bigint
  readonly bids: readonly WireLevel[]
  readonly asks: readonly WireLevel[]
}

/** A depth event that was generated, whether or not a fault withheld it. */
export interface EmittedBatch {
  /** Which connection it was cut for; 0 in a recording, where all connections share one chain. */
  readonly connection: number
  readonly prevId: bigint
  readonly firstId: bigint
  readonly lastId: bigint
  /** False where a fault withheld it. */
  readonly sent: boolean
}

/** All that a symbol's streams carried, for oracles to compare with what was captured. */
export interface Emitted {
  readonly batches: readonly EmittedBatch[]
  /** `[pu, u]` of each batch, in the order in which they came to be, over all connections. */
  readonly depthIds: readonly (readonly [prevId: bigint, lastId: bigint])[]
  /** Aggregate ids, in order, whether or not anyone listened. */
  readonly tradeIds: readonly bigint[]
}

/** How many digits a symbol's strings carry and the steps they move in, for the listing. */
export interface Listing {
  readonly symbol: string
  readonly priceDecimals: number
  readonly qtyDecimals: number
  readonly tickSize: string
  readonly stepSize: string
}

/** What REST says to one who asks for aggregate trades: the payload's fields without `e`, `E`, `s`. */
export interface TradeRow {
  readonly a: number
  readonly p: string
  readonly q: string
  readonly f: number
  readonly l: number
  readonly T: number
  readonly m: boolean
}

/** What a source tells whoever runs it. */
export interface SourceEvents {
  /** A symbol's timeline is over; the id of its last batch. */
  ended(symbol: string, lastUpdateId: bigint): void
  depthSubscribed(symbol: string): void
  /** Whether a batch that is about to go out may; false: a fault withholds it. */
  mayPass(symbol: string, lastId: bigint): boolean
}

export interface Source {
  readonly symbols: readonly string[]
  /** Streams that exist as they are, by name. */
  readonly streams: readonly string[]
  /** Streams made from others, because the recording has none of them. */
  readonly derived: readonly string[]
  /** Lines of the recording; 0 where traffic is generated. */
  readonly frames: number
  /** Length of the recording at its own speed; 0 where traffic is generated and has no end. */
  readonly seconds: number

  subscribed(connection: Connection, stream: StreamName): void
  unsubscribed(connection: Connection, stream: StreamName): void
  /** The body of a REST snapshot, or undefined when there was none within the time it may wait. */
  snapshot(symbol: string, limit: number): Promise<string | Uint8Array | undefined>
  trades(symbol: string, fromId: bigint | undefined, limit: number): readonly TradeRow[]
  listings(): readonly Listing[]
  /** `u` of the last batch, whether or not it was withheld; 0 before the first. */
  lastDepthId(symbol: string): bigint
  emitted(symbol: string): Emitted
  /** The true book at this id. Throws SimError `book_unknown`. */
  bookAt(symbol: string, id: bigint): TrueBook
  stop(): void
}
