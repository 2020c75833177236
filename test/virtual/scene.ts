import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { judge, type Verdict } from './oracle.ts'
import { type Plan, planOf, SYMBOL } from './plan.ts'
import type { Outcome, World } from './world.ts'

const HOUR_MS = 3_600_000

/** A plan without surprises, for tests that say themselves what happens. */
export function scene(seed: number, changes: Partial<Plan> = {}): Plan {
  return {
    ...planOf(seed),
    startMs: Date.UTC(2026, 10, 22, 11, 50),
    troubleMs: 30_000,
    market: { rate: 10, levels: 40, tradeShare: 0.1, quiet: undefined, bursts: undefined },
    config: {
      exchange: 'BinanceUsdm',
      symbol: SYMBOL,
      streams: ['books', 'depth', 'trades', 'mark_price'],
      bookLevels: 5,
      guards: { staleAfterSeconds: 5, clockSkewMillis: 500, auditSeconds: 600 },
    },
    rotationSeconds: 60,
    share: 1,
    latency: { minMs: 5, maxMs: 15 },
    lagMs: [0, 20],
    restMs: [5, 30],
    wallOffsetMs: 3,
    pingEveryMs: 180_000,
    takeOverMs: 23 * HOUR_MS,
    lifetimeMs: 24 * HOUR_MS,
    faults: [],
    ...changes,
  }
}

export function judged(outcome: Outcome): Promise<Verdict> {
  return judge(outcome, join(tmpdir(), `l2cap-scene-${process.pid}-${outcome.plan.seed}`))
}

/** Gaps and other ends of coverage so far, as `stream/reason` with their number. */
export function gapsOf({ capture }: World): Record<string, number> {
  const gaps = capture.keeper?.rows.gaps ?? []
  return Object.fromEntries(gaps.map(({ stream, reason, count }) => [`${stream}/${reason}`, count]))
}

/** What the sessions of the process counted so far. */
export function countersOf({ capture }: World): Readonly<Record<string, number>> {
  return capture.keeper?.counters ?? {}
}
