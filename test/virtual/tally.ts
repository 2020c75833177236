import { END_REASONS, HALT_EXIT_CODES } from '../../api/reasons.ts'
import type { Violation } from './chain.ts'
import type { Verdict } from './oracle.ts'
import { ALL_FAULTS } from './plan.ts'
import { ENDS } from './pods-plan.ts'
import type { Outcome } from './world.ts'

/** Failing seeds that are kept by number. */
const FAILURES_MAX = 1000
/** Reasons that no plan can bring about: they need a damaged disk, or a program that differs from itself. */
const OUT_OF_REACH = ['journal_corrupt', 'ReplayMismatch']

/** Every way in which coverage or a process may end here. */
export const GUARDS: readonly string[] = [...END_REASONS, ...Object.keys(HALT_EXIT_CODES)].filter(
  (reason) => !OUT_OF_REACH.includes(reason),
)

export interface SeedResult {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly fired: readonly string[]
  readonly halts: readonly string[]
  /** Why coverage ended or a book was paused, each reason once. */
  readonly ended: readonly string[]
  readonly counts: Readonly<Record<string, number>>
  readonly rows: number
  readonly liedRows: number
  readonly virtualMs: number
}

export function resultOf({ plan, fired, capture, paused, elapsedMs }: Outcome, verdict: Verdict): SeedResult {
  const ended = Object.keys(verdict.ended).map((name) => name.split('/')[1])
  return {
    seed: plan.seed,
    violations: verdict.violations,
    fired: [...new Set(fired.map(({ kind }) => kind))],
    halts: [...new Set(capture.halts.map(({ reason }) => reason))],
    ended: [...new Set([...ended, ...paused])],
    counts: verdict.counts,
    rows: verdict.rows,
    liedRows: verdict.liedRows,
    virtualMs: elapsedMs,
  }
}

/** One result of several captures in one world; how pods were succeeded counts as faults that acted. */
export function together(
  seed: number,
  results: readonly SeedResult[],
  violations: readonly Violation[],
  handed: readonly string[],
): SeedResult {
  const all = <T>(of: (result: SeedResult) => readonly T[]) => [...new Set(results.flatMap(of))]
  const counts: Record<string, number> = {}
  for (const result of results)
    for (const [name, by] of Object.entries(result.counts)) counts[name] = (counts[name] ?? 0) + by
  const sum = (of: (result: SeedResult) => number) => results.reduce((total, result) => total + of(result), 0)
  return {
    seed,
    violations: [...results.flatMap((result) => result.violations), ...violations],
    fired: [...all(({ fired }) => fired), ...new Set(handed.map((how) => `pod_${how}`))],
    halts: all(({ halts }) => halts),
    ended: all(({ ended }) => ended),
    counts,
    rows: sum(({ rows }) => rows),
    liedRows: sum(({ liedRows }) => liedRows),
    virtualMs: Math.max(0, ...results.map(({ virtualMs }) => virtualMs)),
  }
}

/** What came of many seeds. */
export class Tally {
  seeds = 0
  rows = 0
  liedRows = 0
  virtualMs = 0
  /** Seeds that failed, the first of them in order of number. */
  readonly failed: SeedResult[] = []
  /** Seeds in which each kind of fault acted. */
  readonly fired = new Map<string, number>()
  /** Seeds in which each guard tripped, as an end of coverage or as a halt. */
  readonly tripped = new Map<string, number>()
  /** Seeds in which a kind of fault acted and a guard tripped. */
  readonly #together = new Map<string, number>()
  readonly #counts = new Map<string, number>()

  add(result: SeedResult): void {
    this.seeds++
    this.rows += result.rows
    this.liedRows += result.liedRows
    this.virtualMs += result.virtualMs
    if (result.violations.length > 0) this.#fail(result)
    const tripped = new Set([...result.ended, ...result.halts])
    const fired = result.fired.length === 0 ? ['(none)'] : result.fired
    for (const kind of fired) count(this.fired, kind)
    for (const guard of tripped) {
      count(this.tripped, guard)
      for (const kind of fired) count(this.#together, `${kind}/${guard}`)
    }
    for (const [name, by] of Object.entries(result.counts)) count(this.#counts, name, by)
  }

  /** Kinds of faults and guards that were met in fewer than `min` seeds. */
  missing(min: number): string[] {
    const faults = ALL_FAULTS.filter((kind) => (this.fired.get(kind) ?? 0) < min)
    const guards = GUARDS.filter((guard) => (this.tripped.get(guard) ?? 0) < min)
    const ends = ENDS.map((how) => `pod_${how}`).filter((kind) => (this.fired.get(kind) ?? 0) < min)
    return [...faults, ...guards, ...ends]
  }

  /** For a person: faults against outcomes, in seeds, and what sessions counted. */
  table(): string {
    const lines = [
      `${this.seeds} seeds, ${(this.virtualMs / 3_600_000).toFixed(1)} virtual hours, ${this.rows} rows`,
    ]
    const kinds = [...this.fired].sort(([, a], [, b]) => b - a)
    for (const [kind, seeds] of kinds) {
      const outcomes = [...this.tripped.keys()]
        .map((guard) => [guard, this.#together.get(`${kind}/${guard}`) ?? 0] as const)
        .filter(([guard, together]) => together > 0 && guard !== 'stopped')
        .sort(([, a], [, b]) => b - a)
        .map(([guard, together]) => `${guard} ${together}`)
      lines.push(`  ${kind.padEnd(16)}${String(seeds).padStart(7)}   ${outcomes.join(', ')}`)
    }
    lines.push(`guards: ${GUARDS.map((guard) => `${guard} ${this.tripped.get(guard) ?? 0}`).join(', ')}`)
    lines.push(`sessions: ${[...this.#counts].map(([name, by]) => `${name} ${by}`).join(', ')}`)
    lines.push(`rows that the exchange's own lies made wrong: ${this.liedRows}`)
    return lines.join('\n')
  }

  #fail(result: SeedResult): void {
    if (this.failed.length < FAILURES_MAX) this.failed.push(result)
    this.failed.sort((a, b) => a.seed - b.seed)
  }
}

function count(into: Map<string, number>, name: string, by = 1): void {
  into.set(name, (into.get(name) ?? 0) + by)
}
