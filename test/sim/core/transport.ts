/** The seam between the exchange and whatever carries its bytes: real sockets, or memory in virtual time. */

/**
 * The client's end of one WebSocket, as the exchange sees it. It is never called while `connect` still runs,
 * and not again after `close` or `terminate`.
 */
export interface SimPeer {
  /** One text frame. */
  send(payload: string | Uint8Array): void
  /** A ping frame; the client's answer comes back by `SimConnection.pong`. */
  ping(): void
  /** Ends the connection with a close frame. */
  close(code: number, reason: string): void
  /** Ends the connection without one; the client sees code 1006. */
  terminate(): void
  /** Bytes sent that the client has not taken yet. */
  readonly bufferedBytes: number
}

/** The exchange's end of it, for the carrier to call. */
export interface SimConnection {
  /** The client sent a text frame. */
  text(payload: string): void
  /** The client sent a ping; false: it gets no pong, because the connection is half open. */
  ping(): boolean
  /** The client answered a ping. */
  pong(): void
  /** The connection is over, whoever ended it. */
  closed(): void
}

export type Handshake =
  | { readonly kind: 'accepted'; readonly connection: SimConnection }
  /** An HTTP answer instead of the upgrade; no Retry-After where the seconds are 0. */
  | { readonly kind: 'refused'; readonly status: number; readonly retryAfterSeconds: number }
  /** The TCP connection is refused or reset. */
  | { readonly kind: 'reset' }
  /** No answer ever. */
  | { readonly kind: 'hang' }

export interface SimPiece {
  /** Since the piece before, or since the head. */
  readonly afterMs: number
  readonly bytes: Uint8Array
}

/** The answer to one REST request, with the pace at which it goes out. */
export interface SimAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly pieces: readonly SimPiece[]
  /** What follows the last piece: a proper end, nothing ever, or a reset of the TCP connection. */
  readonly end: 'complete' | 'hang' | 'reset'
  /** Before the head; infinite where not even the head ever comes. */
  readonly afterMs: number
}
