/**
 * Binance USD-M futures. Facts it rests on (the exchange's documentation as of November 2026, and recorded
 * traffic): two routes since 2026-04-23, `/public` for books and `/market` for trades and prices, where a stream on
 * the wrong route is acknowledged and stays silent; depth events chain by `pu` to the previous `u`, while `U` is
 * not contiguous; a snapshot joins at `pu <= lastUpdateId <= u`; aggregated trades count by one in `a`.
 */
import type { Stream } from '../../../api/streams.ts'
import type { DepthEvent } from '../event.ts'
import type { Exchange, Link, Subscription } from '../exchange.ts'
import { decodeMessage, decodeSnapshot } from './decode.ts'
import { decodeClock, decodeLastTrade, decodeListing } from './rest.ts'

const STREAM_NAMES: Readonly<Record<Stream, string>> = {
  books: 'depth@100ms',
  depth: 'depth@100ms',
  trades: 'aggTrade',
  mark_price: 'markPrice@1s',
}

const ROUTES: Readonly<Record<string, readonly Stream[]>> = {
  public: ['books', 'depth'],
  market: ['trades', 'mark_price'],
}

export const BinanceUsdm: Exchange = {
  name: 'BinanceUsdm',
  endpoints: { rest: 'https://fapi.binance.com', socket: 'wss://fstream.binance.com' },

  endpointsAt(base) {
    const url = base.replace(/\/+$/, '')
    return { rest: url, socket: url.replace(/^http/, 'ws') }
  },

  /** Combined streams in the address: nothing to send, no acknowledgement that could be mistaken for data. */
  subscriptions(symbol, streams) {
    const lower = encodeURIComponent(symbol.toLowerCase())
    const result: Subscription[] = []
    for (const [route, carried] of Object.entries(ROUTES)) {
      const wanted = carried.filter((stream) => streams.includes(stream))
      if (wanted.length === 0) continue
      const names = new Set(wanted.map((stream) => `${lower}@${STREAM_NAMES[stream]}`))
      result.push({
        route,
        streams: wanted,
        path: `/${route}/stream?streams=${[...names].join('/')}`,
        hello: [],
      })
    }
    return result
  },

  decode: decodeMessage,

  link(event: DepthEvent, lastId: bigint): Link {
    // an event without an id of its own cannot be told from one that was there already
    return event.previousId === lastId && event.finalId > lastId ? 'next' : 'broken'
  },

  snapshot: {
    kind: 'rest',
    limits: [
      { limit: 5, weight: 2 },
      { limit: 10, weight: 2 },
      { limit: 20, weight: 2 },
      { limit: 50, weight: 2 },
      { limit: 100, weight: 5 },
      { limit: 500, weight: 10 },
      { limit: 1000, weight: 20 },
    ],
    request(symbol, limit) {
      const weight = this.limits.find((known) => known.limit === limit)?.weight
      if (weight === undefined) throw new RangeError(`no snapshot of ${limit} levels: the exchange has none`)
      return { path: `/fapi/v1/depth?symbol=${encodeURIComponent(symbol)}&limit=${limit}`, weight }
    },
    decode: decodeSnapshot,
  },

  lastTrade: (symbol) => ({
    path: `/fapi/v1/aggTrades?symbol=${encodeURIComponent(symbol)}&limit=1`,
    weight: 20,
  }),
  decodeLastTrade,
  clock: { path: '/fapi/v1/time', weight: 1 },
  decodeClock,
  listing: () => ({ path: '/fapi/v1/exchangeInfo', weight: 1 }),
  decodeListing,

  usedWeightHeader: 'x-mbx-used-weight-1m',
  limits: {
    weightPerMinute: 2400,
    connectionLifetimeMs: 24 * 3600_000,
    messageBytesMax: 8 * 1024 * 1024,
    levelsMaintained: 1000,
  },
}
