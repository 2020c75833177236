/** Waits that grow. Random, so that clients that failed together do not come back together. */
import type { Random } from './time.ts'

export interface BackoffTimes {
  /** The shortest wait. */
  readonly firstMs: number
  /** No wait is longer. */
  readonly maxMs: number
}

/** Doubling more often than this would leave the range of a double long after any cap has been reached. */
const DOUBLINGS_MAX = 40

/** Wait after `failures` failures in a row (1 or more): at least `firstMs`, its upper half random, at most `maxMs`. */
export function jitteredMs(times: BackoffTimes, failures: number, random: Random): number {
  const doublings = Math.min(Math.max(1, failures), DOUBLINGS_MAX)
  const boundMs = Math.min(times.maxMs, times.firstMs * 2 ** doublings)
  return boundMs / 2 + (random() * boundMs) / 2
}

/** `firstMs`, doubled after each failure up to `maxMs`. Without chance: for keys of one queue, which nobody shares. */
export function doubledMs(times: BackoffTimes, failures: number): number {
  return Math.min(times.maxMs, times.firstMs * 2 ** Math.min(Math.max(1, failures) - 1, DOUBLINGS_MAX))
}
