/**
 * Waits that keep many captures behind one address from coming back together. Each is evenly random below a
 * bound, so that a crowd that lost one exchange spreads itself.
 */
import type { FetchWait } from '../session/mod.ts'
import type { Random } from './timers.ts'

const GROWTH_FIRST_MS = 1_000
const GROWTH_MS_MAX = 60_000
/** Spreads attempts to connect; how many there may be at most is kept by `Attempts`. */
const ATTEMPT_MS_PER_SYMBOL = 2_500
/** Who has used up the attempts of five minutes has waited long: the rest only keeps a crowd from one moment. */
const BARRED_MS_PER_SYMBOL = 250
/** A socket that keeps being lost at once gets its immediate try no more often than this, and no less. */
const IMMEDIATE_EVERY_MS_MIN = 5_000
const IMMEDIATE_EVERY_MS_MAX = 300_000
/** Weight that a crowd of captures may spend a second: half of 2,400 a minute. */
const WEIGHT_A_SECOND = 20
/** A small join is widened within this, or the crowd's time where that is longer. */
const WIDEN_MS = 10_000

/** Upper bound of the wait after `failures` failures in a row: 0, then 1 s doubling up to 60 s. */
export function growthMs(failures: number): number {
  if (failures <= 0) return 0
  return Math.min(GROWTH_MS_MAX, GROWTH_FIRST_MS * 2 ** Math.min(failures - 1, 16))
}

/** Wait before a request that failed `failures` times in a row. */
export function retryMs(failures: number, random: Random): number {
  return random() * growthMs(failures)
}

/**
 * Wait that spreads a request over the captures that share its cause. A capture that is alone behind its address
 * has nobody to make room for, and waits not at all.
 */
export function spreadMs(share: number, weight: number, random: Random): number {
  return random() * spreadMsMax(share, weight)
}

function spreadMsMax(share: number, weight: number): number {
  return (((share - 1) * weight) / WEIGHT_A_SECOND) * 1000
}

/** The wait that a request asks for, besides that for its failures. */
export function fetchMs(wait: FetchWait, share: number, weight: number, random: Random): number {
  switch (wait) {
    case 'none':
      return 0
    case 'share':
      return spreadMs(share, weight, random)
    case 'widen':
      return random() * Math.max(WIDEN_MS, spreadMsMax(share, weight))
  }
}

/**
 * Is a lost socket tried at once? Where data came since its last try, provided that this is not fresh: a peer that
 * sends one message and hangs up must not be called in a tight loop.
 */
export function connectsAtOnce(failures: number, sinceLastTryMs: number, share: number): boolean {
  const crowdMs = Math.min(IMMEDIATE_EVERY_MS_MAX, share * ATTEMPT_MS_PER_SYMBOL)
  return failures === 0 && sinceLastTryMs >= Math.max(IMMEDIATE_EVERY_MS_MIN, crowdMs)
}

/** Random wait before connecting, where no try at once is due and none is allowed for `barredMs`. */
export function connectMs(failures: number, barredMs: number, share: number, random: Random): number {
  const perSymbol = barredMs > 0 ? BARRED_MS_PER_SYMBOL : ATTEMPT_MS_PER_SYMBOL
  return barredMs + random() * (growthMs(Math.max(1, failures)) + share * perSymbol)
}
