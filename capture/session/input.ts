/**
 * Every input of a session, in the order in which the session got it. The journal stores exactly these;
 * replaying them through `step` gives the same rows and the same state.
 *
 * `received` is the receive time in microseconds since the Unix epoch (a safe integer until the year 2255).
 */
export type Input =
  | MessageInput
  | OpenedInput
  | ClosedInput
  | SentInput
  | RefusedInput
  | ResponseInput
  | ClockInput
  | ListingInput
  | TickInput
  | OverloadInput
  | StopInput

/** One WebSocket message, byte for byte. */
export interface MessageInput {
  readonly kind: 'message'
  readonly received: number
  /** Connection number within the run, from 1. */
  readonly connection: number
  readonly payload: Uint8Array
}

/** A socket opened: the route is the exchange's name for it (Binance USD-M: `public`, `market`). */
export interface OpenedInput {
  readonly kind: 'opened'
  readonly received: number
  readonly connection: number
  readonly route: string
}

export interface ClosedInput {
  readonly kind: 'closed'
  readonly received: number
  readonly connection: number
  /** WebSocket close code; 1006 where the peer sent none. */
  readonly code: number
  readonly reason: string
  /** It was dropped because our ping was not answered in time: the peer, or the way to it, had fallen silent. */
  readonly silent: boolean
}

/** A REST request left for the exchange. */
export interface SentInput {
  readonly kind: 'sent'
  readonly received: number
  readonly request: number
  /** Levels a side that were asked for in the end; 0 where the request is none for a snapshot. */
  readonly limit: number
}

/** A REST request was not sent, for want of weight or because the exchange asked for a pause. */
export interface RefusedInput {
  readonly kind: 'refused'
  readonly received: number
  readonly request: number
  readonly why: 'weight' | 'rate_limited' | 'stopping'
  /** Receive time from which a request may succeed, microseconds; 0 where unknown. */
  readonly until: number
}

/** The outcome of a REST request. `status` is 0 where no HTTP answer came (`error` says why). */
export interface ResponseInput {
  readonly kind: 'response'
  readonly received: number
  readonly request: number
  readonly status: number
  /** The exchange's used-weight header; -1 where absent. */
  readonly usedWeight: number
  /** Receive time before which the exchange wants no request (`Retry-After`), microseconds; 0 for none. */
  readonly retryAt: number
  readonly error: string
  readonly body: Uint8Array
}

/** One probe of the exchange's clock: offset = our receive clock − the exchange's, in microseconds. */
export interface ClockInput {
  readonly kind: 'clock'
  readonly received: number
  readonly offset: number
  readonly rtt: number
}

/** What the exchange's listing says of the symbol; `absent` means that it was never listed. */
export interface ListingInput {
  readonly kind: 'listing'
  readonly received: number
  readonly status: 'trading' | 'not_trading' | 'absent'
  /** The exchange's own word for the status, for messages to a person. */
  readonly word: string
}

/** Once a second. `wallDistance` = wall clock − receive clock, microseconds. */
export interface TickInput {
  readonly kind: 'tick'
  readonly received: number
  readonly wallDistance: number
  /** Captures behind one address, rounded up to a power of two. */
  readonly share: number
}

/** Our own process stalled, or could not write for so long that frames may have been lost unseen. */
export interface OverloadInput {
  readonly kind: 'overload'
  readonly received: number
  readonly stalledMs: number
  readonly what: 'loop' | 'journal'
}

/** The end of the run. Nothing is recorded after it. `crash` and `journal_corrupt` are added at recovery. */
export interface StopInput {
  readonly kind: 'stop'
  readonly received: number
  readonly reason: 'stopped' | 'crash' | 'journal_corrupt' | 'disk_full' | 'clock_step'
}
