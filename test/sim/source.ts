/**
 * What the sockets and REST need of whatever makes the traffic: a recording that is played, or a market
 * that is generated. Both are driven by subscriptions and answer for the truth of what they sent.
 */
import type { Connection } from './core/hub.ts'
import type { Channel, StreamName } from './streams.ts'

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
  /** The kind of fault that withheld or altered it. */
  readonly fault?: string | undefined
}

export interface EmittedTrade {
  readonly id: bigint
  /** False where a fault withheld it from all; true also where nobody listened. */
  readonly sent: boolean
  readonly fault?: string | undefined
}

export interface EmittedMark {
  /** `E` of the frame, milliseconds. */
  readonly eventTime: number
  readonly sent: boolean
}

/** Something untrue about the book that a client was told. */
export interface Lie {
  readonly kind: string
  /** The connection that was told; 0 for all of a recording, undefined for whoever asked by REST. */
  readonly connection: number | undefined
  /** `u` of the event, or `lastUpdateId` of the snapshot. */
  readonly id: bigint
  /** The levels that are untrue from there on, until something true is said about them. */
  readonly levels: readonly LieLevel[]
}

export type LieLevel = readonly [side: 'bid' | 'ask', price: string]

/** All that a symbol's streams carried, for oracles to compare with what was captured. */
export interface Emitted {
  readonly batches: readonly EmittedBatch[]
  /** `[pu, u]` of each batch, in the order in which they came to be, over all connections. */
  readonly depthIds: readonly (readonly [prevId: bigint, lastId: bigint])[]
  /** Aggregate ids, in order, whether or not anyone listened. */
  readonly tradeIds: readonly bigint[]
  readonly trades: readonly EmittedTrade[]
  readonly marks: readonly EmittedMark[]
  readonly lies: readonly Lie[]
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

/** A depth event that is about to go out: to one connection, or (in a recording) to all. */
export interface DepthEvent {
  readonly symbol: string
  readonly connection: Connection | undefined
  readonly stream: StreamName
  readonly prevId: bigint
  readonly firstId: bigint
  readonly lastId: bigint
  payload(): string
  /** The best levels of the exchange's book as it is now. */
  book(limit: number): TrueBook
}

/** What becomes of something that is about to go out. */
export interface Delivery {
  /** Whether what happened reaches the client in a form that it can read. */
  readonly sent: boolean
  readonly fault?: string | undefined
  /** What goes out in its place; undefined: as it is, where it is sent. */
  readonly payloads?: readonly string[] | undefined
  readonly lie?: readonly LieLevel[] | undefined
}

/** Goes out as it is. */
export const AS_IT_IS: Delivery = { sent: true }

/** The payloads that go out for this one. */
export function outgoing(delivery: Delivery, payload: string): readonly string[] {
  return delivery.payloads ?? (delivery.sent ? [payload] : [])
}

/** What a source tells whoever runs it, and asks. */
export interface SourceEvents {
  /** A symbol's timeline is over; the id of its last batch. */
  ended(symbol: string, lastUpdateId: bigint): void
  depthSubscribed(symbol: string): void
  /** Asked before a depth event goes out to someone. */
  depth(event: DepthEvent): Delivery
  /** Asked of each trade. */
  trade(symbol: string, payload: string): Delivery
  /** Whether faults leave this channel of the symbol silent; the kind that does. */
  silenced(symbol: string, channel: Channel): string | undefined
}

/** What can be done to a generated market beside letting it live. */
export interface MarketControls {
  /** Nothing happens in it until `resume`: no change, no trade, no mark price. */
  pause(symbol: string): void
  resume(symbol: string): void
  /** Ids of changes begin anew, lower than ever. */
  restartIds(symbol: string): void
  /** Takes a whole side away, and brings it back. */
  empty(symbol: string, side: 'bid' | 'ask'): void
  refill(symbol: string): void
  /** The body of a snapshot as it was so many milliseconds ago. */
  ago(symbol: string, limit: number, ms: number): string
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
  /** Undefined for a recording: what is recorded is never changed. */
  readonly controls: MarketControls | undefined

  /** Called before the connection is among the listeners of this stream. */
  subscribed(connection: Connection, stream: StreamName): void
  unsubscribed(connection: Connection, stream: StreamName): void
  /** The body of a REST snapshot; undefined when there was none within the time it may wait. */
  snapshot(symbol: string, limit: number): SnapshotBody | Promise<SnapshotBody>
  trades(symbol: string, fromId: bigint | undefined, limit: number): readonly TradeRow[]
  listings(): readonly Listing[]
  /** `u` of the last batch, whether or not it was withheld; 0 before the first. */
  lastDepthId(symbol: string): bigint
  emitted(symbol: string): Emitted
  /** Notes a snapshot that said something untrue. */
  lied(symbol: string, lie: Lie): void
  /** The true book at this id. Throws SimError `book_unknown`. */
  bookAt(symbol: string, id: bigint): TrueBook
  stop(): void
}

export type SnapshotBody = string | Uint8Array | undefined
