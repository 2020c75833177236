/** The outside world as the feed sees it, small enough that a test can stand in for all of it. */

/** One WebSocket, from the attempt to connect until its end. */
export interface RawSocket {
  send(text: string): void
  ping(): void
  /** Starts the closing handshake. `closed` follows when the peer answers. */
  close(code: number, reason: string): void
  /** Drops the connection, in any state. `closed` or `failed` follows. */
  terminate(): void
}

/**
 * What a socket tells. After `open` comes `closed` exactly once, without `open` comes `failed` exactly once;
 * nothing comes after either. Nothing is called before the constructor has returned.
 */
export interface RawSocketEvents {
  open(): void
  /** One message, text or binary alike, valid for as long as the receiver keeps it. */
  message(payload: Uint8Array): void
  pong(): void
  closed(code: number, reason: string): void
  /** It never opened. `retryAfterMs`: what the peer wants, 0 for nothing; `status` of its answer, 0 without. */
  failed(why: string, status: number, retryAfterMs: number): void
}

export interface RawSocketLimits {
  readonly messageBytesMax: number
  readonly handshakeMs: number
}

/** Starts to connect. Throws where the URL is none. */
export type OpenSocket = (url: string, limits: RawSocketLimits, events: RawSocketEvents) => RawSocket

/** The head of an HTTP answer, and its body as it comes in. */
export interface HttpAnswer {
  readonly status: number
  header(name: string): string | null
  readonly body: AsyncIterable<Uint8Array>
}

/** A GET. Rejects where no answer comes; an abort ends it, and the body with it. Follows no redirect. */
export type Http = (url: string, signal: AbortSignal) => Promise<HttpAnswer>

/** The longest ban that the exchange documents. A wrong header must not stop a capture for ever. */
export const RETRY_AFTER_MS_MAX = 3 * 24 * 3_600_000

/** Milliseconds that a `Retry-After` header asks for (seconds or a date); 0 where absent or unreadable. */
export function retryAfterMs(header: string | null | undefined, wallMs: number): number {
  const text = header?.trim() ?? ''
  const asked = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - wallMs
  return Number.isNaN(asked) ? 0 : Math.min(RETRY_AFTER_MS_MAX, Math.max(0, asked))
}

const REASON_LENGTH_MAX = 200
const CAUSES_MAX = 4

/** What an error says, with its causes, in at most 200 characters: fetch hides the reason in a cause. */
export function reasonOf(error: unknown): string {
  const parts: string[] = []
  let current = error
  for (let depth = 0; current !== undefined && depth < CAUSES_MAX; depth++) {
    if (!(current instanceof Error)) {
      parts.push(String(current))
      break
    }
    const code = 'code' in current && typeof current.code === 'string' ? current.code : ''
    // a connection that was refused on every address is an AggregateError without a message
    const text = current.message === '' ? code || current.name : current.message
    if (!parts.includes(text)) parts.push(text)
    current = current.cause
  }
  return parts.join(': ').slice(0, REASON_LENGTH_MAX)
}
