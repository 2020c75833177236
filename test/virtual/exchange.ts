import { type Exchange, exchangeByName } from '../../capture/exchange/mod.ts'

/** Sessions replace a connection half an hour before its end, and up to an hour earlier, by the symbol's name. */
const AHEAD_MS = 1_800_000
const SPREAD_MS = 3_600_000

/** Binance USD-M, as if its connections lived so long that `symbol` replaces one at this age. */
export function exchangeWith(symbol: string, takeOverMs: number): Exchange {
  const exchange = exchangeByName('BinanceUsdm')
  const connectionLifetimeMs = takeOverMs + AHEAD_MS + fractionOf(symbol) * SPREAD_MS
  return { ...exchange, limits: { ...exchange.limits, connectionLifetimeMs } }
}

/** FNV-1a of the name, as a part of one: how sessions spread what many of them do. */
function fractionOf(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text, 'utf8')) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash / 2 ** 32
}
