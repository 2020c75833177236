/** `/fapi/v1/exchangeInfo`: the limits of an address and the listing, cut to what a capture reads. */
import type { Listing } from '../source.ts'
import { WEIGHT_A_MINUTE_MAX } from './weight.ts'

const QUOTES = ['USDT', 'USDC', 'BUSD', 'FDUSD']

/** A listing with how the exchange stands to the symbol. */
export interface Listed extends Listing {
  readonly status: 'TRADING' | 'SETTLING'
}

/** The body, as JSON. `serverTime` is in milliseconds since the epoch. */
export function exchangeInfo(listings: readonly Listed[], serverTime: number): string {
  return JSON.stringify({
    timezone: 'UTC',
    serverTime,
    futuresType: 'U_MARGINED',
    rateLimits: [
      { rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: WEIGHT_A_MINUTE_MAX },
      { rateLimitType: 'ORDERS', interval: 'MINUTE', intervalNum: 1, limit: 1200 },
    ],
    exchangeFilters: [],
    assets: [],
    symbols: listings.map(entry),
  })
}

function entry(listing: Listed) {
  const { symbol, status, priceDecimals, qtyDecimals, tickSize, stepSize } = listing
  const quote = QUOTES.find((name) => symbol.endsWith(name)) ?? 'USDT'
  return {
    symbol,
    pair: symbol,
    contractType: 'PERPETUAL',
    deliveryDate: 4133404800000,
    onboardDate: 1569398400000,
    status,
    baseAsset: symbol.endsWith(quote) ? symbol.slice(0, -quote.length) : symbol,
    quoteAsset: quote,
    marginAsset: quote,
    pricePrecision: priceDecimals,
    quantityPrecision: qtyDecimals,
    baseAssetPrecision: 8,
    quotePrecision: 8,
    underlyingType: 'COIN',
    filters: [
      { filterType: 'PRICE_FILTER', minPrice: tickSize, maxPrice: '10000000', tickSize },
      { filterType: 'LOT_SIZE', minQty: stepSize, maxQty: '10000000', stepSize },
    ],
    orderTypes: ['LIMIT', 'MARKET'],
    timeInForce: ['GTC', 'IOC', 'FOK', 'GTX'],
  }
}
