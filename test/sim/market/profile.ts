/**
 * What a symbol's market is like: how its numbers look and how it behaves. Prices count in ticks and
 * quantities in steps, spelt as the exchange does.
 */
import { SimError } from '../errors.ts'
import type { Listing } from '../source.ts'

/** How prices and quantities are spelt. */
export interface Numbers {
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

/** A stretch that comes again and again, at random: its mean length and the mean time from one to the next. */
export interface Stretch {
  readonly everyMs: number
  readonly lastsMs: number
}

export interface Profile extends Numbers {
  /** Changes a second, on average, outside bursts and quiet stretches. */
  readonly rate: number
  /** Levels a side that the book holds about. */
  readonly levels: number
  /** Share of the actions that are trades. */
  readonly tradeShare: number
  /** Stretches in which `times` as much happens. */
  readonly bursts: (Stretch & { readonly times: number }) | undefined
  /** Stretches without any change or trade; mark prices go on. */
  readonly quiet: Stretch | undefined
}

export type ProfileSettings = { readonly [Name in keyof Profile]?: Profile[Name] | undefined }

const BTC: Numbers = { priceDecimals: 2, tick: 10, qtyDecimals: 3, startTicks: 639_440, qtyMean: 900 }
const ETH: Numbers = { priceDecimals: 2, tick: 1, qtyDecimals: 3, startTicks: 345_678, qtyMean: 6_000 }
const LOW: Numbers = { priceDecimals: 6, tick: 1, qtyDecimals: 0, startTicks: 12_341, qtyMean: 90_000 }

const RATE_DEFAULT = 400
const PLAIN = { rate: RATE_DEFAULT, levels: 1500, tradeShare: 0.08, bursts: undefined, quiet: undefined }

/** Profiles by name; what they leave open comes from the symbol (its numbers) and from `plain`. */
export const PROFILES = {
  /** Some 1,500 levels a side, so that a snapshot of 1,000 has a finite reach. */
  plain: {},
  bursty: { rate: 50, bursts: { everyMs: 30_000, lastsMs: 2_000, times: 40 } },
  /** Hours without a change between hours with few. */
  quiet: { rate: 1, levels: 60, quiet: { everyMs: 3 * 3_600_000, lastsMs: 3_600_000 } },
  low: { ...LOW, levels: 800 },
  thin: { rate: 2, levels: 60 },
  tiny: { rate: 1, levels: 12 },
  big: { levels: 4000 },
} as const satisfies Record<string, ProfileSettings>

export type ProfileName = keyof typeof PROFILES

/** BTC-like, ETH-like, and for every other symbol low-priced numbers; then what the settings say. */
export function profileOf(symbol: string, ...settings: readonly ProfileSettings[]): Profile {
  const numbers = symbol.startsWith('BTC') ? BTC : symbol.startsWith('ETH') ? ETH : LOW
  const profile: Profile = Object.assign({}, PLAIN, numbers, ...settings.map(given))
  if (profile.rate > 0 && profile.levels >= 1 && profile.startTicks > 2 * profile.levels) return profile
  throw new SimError(
    'wrong_call',
    `${symbol}: a market needs a rate above 0, at least one level a side, and a first price of more than two ticks a level.`,
  )
}

/** Settings without those that are undefined: they mean "as it is". */
function given(settings: ProfileSettings): ProfileSettings {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
}

/** The settings of a named profile, or the settings themselves. Throws SimError `wrong_call`. */
export function profileSettings(wanted: string | ProfileSettings): ProfileSettings {
  if (typeof wanted !== 'string') return wanted
  if (Object.hasOwn(PROFILES, wanted)) return PROFILES[wanted as ProfileName]
  throw new SimError(
    'wrong_call',
    `There is no market profile "${wanted}"; there are: ${Object.keys(PROFILES).join(', ')}.`,
  )
}

export function priceString(profile: Numbers, ticks: number): string {
  return decimal(ticks * profile.tick, profile.priceDecimals)
}

export function qtyString(profile: Numbers, steps: number): string {
  return decimal(steps, profile.qtyDecimals)
}

export function listingOf(symbol: string, profile: Numbers): Listing {
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
