/**
 * Names of streams, as `<symbol in lower case>@<channel>[@<speed>]`, and the route each is served on.
 * Rules: Binance USD-M WebSocket change notice of 2026-04-23 (books on /public, the rest on /market).
 */

export type Route = 'public' | 'market'
export const ROUTES: readonly Route[] = ['public', 'market']

/** What a stream carries; `other` stands for recorded streams that are passed on by their exact name. */
export type Channel = 'depth' | 'bookTicker' | 'aggTrade' | 'markPrice' | 'other'

export interface StreamName {
  /** The name as the client wrote it; combined sockets get it back. */
  readonly name: string
  /** In upper case, as REST and payloads spell it. */
  readonly symbol: string
  readonly channel: Channel
  /** The interval that the name asks for, milliseconds; 0 for a channel that sends at once. */
  readonly everyMs: number
  readonly route: Route
  /** Equal for the streams that one recorded frame goes out to, whatever speed they name. */
  readonly key: string
}

const SUFFIXES: Readonly<Record<string, readonly [Channel, number, Route]>> = {
  depth: ['depth', 250, 'public'],
  'depth@500ms': ['depth', 500, 'public'],
  'depth@100ms': ['depth', 100, 'public'],
  'depth@0ms': ['depth', 0, 'public'],
  bookTicker: ['bookTicker', 0, 'public'],
  aggTrade: ['aggTrade', 0, 'market'],
  markPrice: ['markPrice', 3000, 'market'],
  'markPrice@1s': ['markPrice', 1000, 'market'],
}

/**
 * Reads a stream name. Undefined for a name that the real exchange would accept and leave silent: one
 * without a symbol, or with a symbol in upper case.
 */
export function parseStream(name: string): StreamName | undefined {
  const at = name.indexOf('@')
  if (at <= 0) return undefined
  const lower = name.slice(0, at)
  if (lower !== lower.toLowerCase()) return undefined
  const symbol = lower.toUpperCase()
  const suffix = name.slice(at + 1)
  const known = Object.hasOwn(SUFFIXES, suffix) ? SUFFIXES[suffix] : undefined
  if (known === undefined) return { name, symbol, channel: 'other', everyMs: 0, route: 'market', key: name }
  const [channel, everyMs, route] = known
  return { name, symbol, channel, everyMs, route, key: streamKey(symbol, channel) }
}

/** The key of a known channel, for those who publish to it. */
export function streamKey(symbol: string, channel: Channel): string {
  return `${symbol.toLowerCase()}@${channel}`
}

/** The name of a stream of this symbol: `streamOf('BTCUSDT', 'depth@100ms')` is `btcusdt@depth@100ms`. */
export function streamOf(symbol: string, suffix: string): string {
  return `${symbol.toLowerCase()}@${suffix}`
}
