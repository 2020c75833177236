/** What befalls a soak, and when: made of a seed alone. */
import { Random } from '../sim/market/mod.ts'

export const SOAK_ENV = { minutes: 'L2CAP_SOAK_MINUTES', seed: 'L2CAP_SOAK_SEED' } as const

export type Blow =
  /** A fault of the simulated exchange, as it takes it. */
  | { readonly kind: 'exchange'; readonly symbol: string; readonly faults: string }
  /** SIGKILL of the container's process. */
  | { readonly kind: 'kill'; readonly symbol: string }
  | { readonly kind: 'evict'; readonly symbol: string }
  | { readonly kind: 'store_away' }
  | { readonly kind: 'store_back' }

export interface Planned {
  /** After the first symbol was live, and so on; of the soak. */
  readonly atMs: number
  readonly blow: Blow
}

/** Each symbol gets one about every minute and a half: far below 20 falls from live in ten minutes, which would halt. */
const EXCHANGE_EVERY_MS = 4_500
const KILL_EVERY_MS = 45_000
const EVICT_EVERY_MS = 100_000
const STORE_EVERY_MS = 150_000
const STORE_AWAY_MS = 20_000
/** The last seconds are calm, so that what was done can be seen to heal. */
const CALM_MS = 20_000

/** Drops of connections, gaps, silence; a value is how long it lasts, in seconds. */
const EXCHANGE_FAULTS: readonly (readonly [kind: string, seconds: number])[] = [
  ['cut', 0],
  ['close', 0],
  ['half_open', 0],
  ['drop', 0],
  ['duplicate', 0],
  ['reorder', 0],
  ['wrong_pu', 0],
  ['unknown_field', 0],
  ['trade_drop', 0],
  ['trade_repeat', 0],
  ['rest_5xx', 0],
  ['silence', 12],
  ['silence_depth', 12],
  ['silence_mark', 8],
  ['refuse', 5],
]

/** Everything that happens within so many minutes, in order. The same seed gives the same. */
export function soakPlan(seed: number, minutes: number, symbols: readonly string[]): Planned[] {
  const random = new Random(seed, 'soak')
  const endMs = minutes * 60_000 - CALM_MS
  const turns = turnsOf(random, symbols)
  const kinds = turnsOf(random, EXCHANGE_FAULTS)
  const exchange = every(EXCHANGE_EVERY_MS, endMs, (): Blow => {
    const symbol = turns()
    const [kind, seconds] = kinds()
    const lasts = seconds === 0 ? '' : `+${seconds}`
    return { kind: 'exchange', symbol, faults: `${kind}:${symbol}@0${lasts}` }
  })
  const kills = every(KILL_EVERY_MS, endMs, (): Blow => ({ kind: 'kill', symbol: turns() }))
  const evictions = every(EVICT_EVERY_MS, endMs, (): Blow => ({ kind: 'evict', symbol: turns() }))
  const away = every(STORE_EVERY_MS, endMs - STORE_AWAY_MS, (): Blow => ({ kind: 'store_away' }))
  const back = away.map(({ atMs }): Planned => ({ atMs: atMs + STORE_AWAY_MS, blow: { kind: 'store_back' } }))
  return [exchange, kills, evictions, away, back].flat().sort((a, b) => a.atMs - b.atMs)
}

/** One in the middle of each stretch of time, so that the shortest soak has one of each, too. */
function every(stepMs: number, endMs: number, blow: () => Blow): Planned[] {
  const count = Math.floor(endMs / stepMs + 0.5)
  return Array.from({ length: count }, (_, i) => ({ atMs: (i + 0.5) * stepMs, blow: blow() }))
}

/** Gives all of them in a random order, and then again: each gets its turn. */
function turnsOf<T>(random: Random, all: readonly T[]): () => T {
  let left: T[] = []
  return () => {
    if (left.length === 0) left = [...all]
    const [one] = left.splice(random.below(left.length), 1)
    if (one === undefined) throw new Error('there is nothing to choose from')
    return one
  }
}
