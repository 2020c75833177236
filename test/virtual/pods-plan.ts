/** Hand-overs of a plan: which pod follows which, how, and what goes wrong meanwhile. */
import { Random } from '../sim/market/mod.ts'

/**
 * How a pod ends when its successor is live. `ordinary`: it is told to go, by a signal. `drained`: its process is gone,
 * and its pod is annotated. `lost`: it is gone, and may come back. `cut_off`: it is told to go and the store does not
 * hear it for longer than anybody waits. `discarded`: it stays, and the successor is removed.
 */
export const ENDS = ['ordinary', 'drained', 'lost', 'cut_off', 'discarded'] as const

export interface Handing {
  /** When the successor starts. */
  readonly atMs: number
  readonly how: (typeof ENDS)[number]
  /** How long the old one records on after the signal. */
  readonly handoffMs: number
  /** When processes are killed, after the successor's start. */
  readonly kills: readonly { readonly afterMs: number; readonly who: 'old' | 'new' }[]
  /** When a lost one is back; undefined: never. */
  readonly backAfterMs: number | undefined
}

export interface PodsPlan {
  /** How long a successor waits for a manifest. */
  readonly handoverMs: number
  readonly handings: readonly Handing[]
  /** When the store is away, for so long. */
  readonly outages: readonly { readonly atMs: number; readonly durationMs: number }[]
}

const PODS_SHARE = 0.15
const HANDINGS_MAX = 3

/** Undefined for most seeds: one capture is enough to judge a journal by. */
export function podsOf(seed: number, troubleMs: number): PodsPlan | undefined {
  const random = new Random(seed, 'pods')
  return random.chance(PODS_SHARE) ? podsPlan(random, troubleMs) : undefined
}

export function podsPlan(random: Random, troubleMs: number): PodsPlan {
  const count = 1 + random.below(HANDINGS_MAX)
  const handings = Array.from({ length: count }, () => handing(random, troubleMs))
  const outages = random.chance(0.3)
    ? [{ atMs: random.below(troubleMs), durationMs: 1_000 + random.below(40_000) }]
    : []
  return {
    handoverMs: 12_000 + random.below(30_000),
    handings: handings.sort((a, b) => a.atMs - b.atMs),
    outages,
  }
}

function handing(random: Random, troubleMs: number): Handing {
  const how = random.chance(0.5) ? 'ordinary' : (ENDS[random.below(ENDS.length)] ?? 'ordinary')
  const kills = Array.from({ length: random.chance(0.4) ? 1 + random.below(3) : 0 }, () => ({
    afterMs: random.below(25_000),
    who: random.chance(0.5) ? ('old' as const) : ('new' as const),
  }))
  return {
    atMs: 3_000 + random.below(troubleMs),
    how,
    handoffMs: random.chance(0.2) ? 0 : random.below(8_000),
    kills,
    backAfterMs: random.chance(0.5) ? 1_000 + random.below(60_000) : undefined,
  }
}
