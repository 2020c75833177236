import type { Stream } from '../../api/streams.ts'
import type { DepthEvent, Message, Snapshot } from './event.ts'

/** One WebSocket of a capture: which streams it carries and where it connects. */
export interface Subscription {
  /** The exchange's name for the socket's route, e.g. `public`. */
  readonly route: string
  /** Streams whose coverage ends when this socket is lost. */
  readonly streams: readonly Stream[]
  /** Path and query to connect to. */
  readonly path: string
  /** Messages to send once open, for exchanges that subscribe in band. */
  readonly hello: readonly string[]
}

/** How an event stands to the id that the book is at. `heartbeat` and `reset` are exchanges' legal exceptions. */
export type Link = 'next' | 'heartbeat' | 'reset' | 'broken'

/** A REST request: path with query, its weight, and its name for logs. */
export interface RestRequest {
  readonly path: string
  readonly weight: number
}

/** How an exchange gives a full book: asked for by REST, or sent in band after subscribing. */
export type SnapshotMethod =
  | {
      readonly kind: 'rest'
      /** Legal limits, ascending, with their weight. */
      readonly limits: readonly { readonly limit: number; readonly weight: number }[]
      request(symbol: string, limit: number): RestRequest
      /** Fills `into`; throws ProtocolError or PrecisionError. */
      decode(body: Uint8Array, limit: number, into: Snapshot): void
    }
  | { readonly kind: 'in-band' }

/** What the listing says of one symbol, and the limits that hold for an address. */
export interface Listing {
  readonly status: 'trading' | 'not_trading' | 'absent'
  readonly word: string
  /** Request weight an address may use in a minute; undefined where the listing does not say. */
  readonly weightPerMinute: number | undefined
}

/** Id and time (ms since the epoch) of a trade. */
export interface LastTrade {
  readonly id: bigint
  readonly time: number
}

/** Everything the rest of the program knows of an exchange. A folder of its own declares it. */
export interface Exchange {
  readonly name: string
  /** Public base addresses: REST, and the root of the WebSocket routes. */
  readonly endpoints: { readonly rest: string; readonly socket: string }
  /** Addresses on a simulated exchange that serves everything at one base URL. */
  endpointsAt(base: string): { readonly rest: string; readonly socket: string }
  subscriptions(symbol: string, streams: readonly Stream[]): readonly Subscription[]
  /** Decodes one message into `into`. Throws ProtocolError or PrecisionError. */
  decode(payload: Uint8Array, symbol: string, into: Message): void
  /** Does the event follow the id the book is at, within one connection? */
  link(event: DepthEvent, lastId: bigint): Link
  readonly snapshot: SnapshotMethod
  /** The last trade of the symbol, for streams whose silence must be proven. */
  lastTrade(symbol: string): RestRequest
  /** Undefined where there was no trade yet. Throws ProtocolError. */
  decodeLastTrade(body: Uint8Array): LastTrade | undefined
  readonly clock: RestRequest
  /** The exchange's time in ms since the epoch. Throws ProtocolError. */
  decodeClock(body: Uint8Array): number
  listing(symbol: string): RestRequest
  decodeListing(body: Uint8Array, symbol: string): Listing
  /** Header that tells the weight used by this address in the current minute. */
  readonly usedWeightHeader: string
  readonly limits: {
    readonly weightPerMinute: number
    /** The exchange cuts a connection after this long. */
    readonly connectionLifetimeMs: number
    /** Largest legal message; a longer one is a protocol error. */
    readonly messageBytesMax: number
    /** The exchange may leave out changes of levels beyond its best so many a side. */
    readonly levelsMaintained: number
  }
}

/**
 * The one predicate: an event meets an id when it starts at or below it and ends at or above it. Quantities are
 * absolute, so such an event brings a book at that id exactly to the event's own. It decides the join with a
 * snapshot, the take-over between connections and the hand-over between pods.
 */
export function meets(event: { readonly previousId: bigint; readonly finalId: bigint }, id: bigint): boolean {
  return event.previousId <= id && id <= event.finalId
}
