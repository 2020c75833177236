/**
 * Waits that keep many captures behind one address from coming back together. Each is evenly random below a
 * bound, so that a crowd that lost one exchange spreads itself.
 */
import type { Random } from './timers.ts'

const GROWTH_FIRST_MS = 1_000
const GROWTH_MS_MAX = 60_000
/** 300 connection attempts an address in 5 minutes: two sockets a symbol, with room for growth. */
const ATTEMPT_MS_PER_SYMBOL = 2_500
/** A socket that keeps being lost at once gets its immediate try no more often than this. */
const IMMEDIATE_EVERY_MS_MIN = 5_000
/** Weight that a crowd of captures may spend a second: half of 2,400 a minute. */
const WEIGHT_A_SECOND = 20

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
  return random() * (((share - 1) * weight) / WEIGHT_A_SECOND) * 1000
}

/**
 * Wait before connecting: none for the first try since data came, provided that the last try is not fresh
 * (a peer that sends one message and hangs up must not be called in a tight loop), then random.
 */
export function connectMs(failures: number, sinceLastTryMs: number, share: number, random: Random): number {
  const spacing = share * ATTEMPT_MS_PER_SYMBOL
  if (failures === 0 && sinceLastTryMs >= Math.max(IMMEDIATE_EVERY_MS_MIN, spacing)) return 0
  return random() * (growthMs(Math.max(1, failures)) + spacing)
}
