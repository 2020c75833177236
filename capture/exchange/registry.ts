import { BinanceUsdm } from './binance-usdm/mod.ts'
import type { Exchange } from './exchange.ts'

/** One line an exchange. */
const EXCHANGES: Readonly<Record<string, Exchange>> = {
  BinanceUsdm,
}

export const EXCHANGE_NAMES: readonly string[] = Object.keys(EXCHANGES)

/** Throws where the name is unknown: configuration is validated before it gets here. */
export function exchangeByName(name: string): Exchange {
  const exchange = Object.hasOwn(EXCHANGES, name) ? EXCHANGES[name] : undefined
  if (exchange === undefined)
    throw new Error(`unknown exchange "${name}": known are ${EXCHANGE_NAMES.join(', ')}`)
  return exchange
}
