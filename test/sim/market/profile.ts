/** How a symbol's numbers look: prices count in ticks and quantities in steps, spelt as the exchange does. */
import type { Listing } from '../source.ts'

export interface Profile {
  /** Digits after the point in price strings. */
  readonly priceDecimals: number
  /** One tick, in units of the last digit: Binance's BTCUSDT moves in 0.10 but is spelt with two digits. */
  readonly tick: number
  readonly qtyDecimals: number
  /** First mid price, ticks. */
  readonly startTicks: number
  /** Mean quantity of a level, steps. */
  readonly qtyMean: number
}

const BTC: Profile = { priceDecimals: 2, tick: 10, qtyDecimals: 3, startTicks: 639_440, qtyMean: 900 }
const ETH: Profile = { priceDecimals: 2, tick: 1, qtyDecimals: 3, startTicks: 345_678, qtyMean: 6_000 }
const LOW: Profile = { priceDecimals: 6, tick: 1, qtyDecimals: 0, startTicks: 12_341, qtyMean: 90_000 }

/** BTC-like, ETH-like, and for every other symbol a low-priced one. */
export function profileOf(symbol: string): Profile {
  if (symbol.startsWith('BTC')) return BTC
  return symbol.startsWith('ETH') ? ETH : LOW
}

export function priceString(profile: Profile, ticks: number): string {
  return decimal(ticks * profile.tick, profile.priceDecimals)
}

export function qtyString(profile: Profile, steps: number): string {
  return decimal(steps, profile.qtyDecimals)
}

export function listingOf(symbol: string, profile: Profile): Listing {
  const { priceDecimals, qtyDecimals, tick } = profile
  return {
    symbol,
    priceDecimals,
    qtyDecimals,
    tickSize: decimal(tick, priceDecimals),
    stepSize: decimal(1, qtyDecimals),
  }
}

/** `decimal(12341, 6)` is `0.012341`: exact, without floating point. */
export function decimal(units: number, decimals: number): string {
  if (decimals === 0) return String(units)
  const digits = String(units).padStart(decimals + 1, '0')
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`
}
