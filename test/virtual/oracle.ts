import { mkdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseSegmentName } from '../../capture/journal/mod.ts'
import { GeneratedSource } from '../sim/market/mod.ts'
import { allowedIn } from './allowed.ts'
import { checkChains, text, type Violation } from './chain.ts'
import { checkWrongRows, Lies } from './lies.ts'
import { type FaultName, SYMBOL } from './plan.ts'
import { type Follower, type RecordedRow, type RecordedRun, replayRun } from './recorded.ts'
import { TrueBooks } from './truth.ts'
import type { Outcome } from './world.ts'

/** Violations that are told of one run of the world. */
const VIOLATIONS_MAX = 20

/** Faults in which a process may die with its last words unwritten. */
const DEADLY: readonly FaultName[] = ['kill', 'power', 'disk_full', 'disk_slow', 'disk_fails']

export interface Verdict {
  readonly violations: readonly Violation[]
  readonly runs: readonly RecordedRun[]
  /** How often coverage ended for each reason, by stream. */
  readonly ended: Readonly<Record<string, number>>
  /** What all sessions counted. */
  readonly counts: Readonly<Record<string, number>>
  /** Rows that were wrong because the exchange lied. */
  readonly liedRows: number
  readonly rows: number
}

/** Judges from what was recorded alone, against what the simulator knows. `dir` takes the segments for a moment. */
export async function judge(outcome: Outcome, dir: string, follow?: Follower): Promise<Verdict> {
  const { plan, sim, capture } = outcome
  const violations: Violation[] = []
  const tell = (violation: Violation) => {
    if (violations.length < VIOLATIONS_MAX) violations.push(violation)
  }
  const runs = await replayAll(outcome, dir, follow)
  const emitted = sim.emitted(SYMBOL)
  const lies = new Lies(
    emitted.lies,
    emitted.batches.filter(({ fault }) => fault === 'wrong_pu').map(({ lastId }) => lastId),
  )
  const allowed = allowedIn(plan)
  const published = new Published(emitted)
  const mayLose = plan.pods !== undefined || plan.faults.some(({ kind }) => DEADLY.includes(kind))
  const ended: Record<string, number> = {}
  const counts: Record<string, number> = {}
  let liedRows = 0
  let rows = 0
  for (const run of runs) {
    for (const problem of run.problems) tell({ rule: 'replay', evidence: `${run.run}: ${problem}` })
    run.windows.forEach((window, i) => {
      if (window !== i) tell({ rule: 'windows_contiguous', evidence: `${run.run}: ${text(run.windows)}` })
    })
    checkChains(run, plan.config.streams, mayLose, tell)
    liedRows += checkWrongRows(run, lies, plan.config.guards.auditSeconds * 1000, tell)
    published.check(run, tell)
    for (const entry of run.entries) {
      if ('row' in entry) {
        rows++
        continue
      }
      const { ofStream, endedBy, state } = entry.coverage
      if (endedBy === null) continue
      const name = state === 'suspect' ? `${ofStream}/suspect` : `${ofStream}/${endedBy}`
      ended[name] = (ended[name] ?? 0) + 1
      if (!allowed.has(endedBy)) {
        tell({ rule: 'reason_not_allowed', evidence: `${run.run}: ${text(entry.coverage)}` })
      }
    }
    for (const [name, count] of Object.entries(run.counts)) counts[name] = (counts[name] ?? 0) + count
  }
  for (const halt of capture.halts) {
    if (!allowed.has(halt.reason)) tell({ rule: 'halt_not_allowed', evidence: text(halt) })
  }
  checkWorld(outcome, tell)
  return { violations, runs, ended, counts, liedRows, rows }
}

function checkWorld({ sim, capture, live }: Outcome, tell: (v: Violation) => void): void {
  const { attempts, messages, weight } = sim.violations
  if (attempts + messages + weight > 0) tell({ rule: 'limits', evidence: text(sim.violations) })
  if (capture.impatient > 0)
    tell({ rule: 'limits', evidence: `${capture.impatient} requests before Retry-After` })
  if (!live && !capture.isTerminal) {
    const { state, reason } = capture.keeper?.session?.book ?? {}
    tell({
      rule: 'liveness',
      evidence: `${state} (${reason}) at the end, ${text(capture.keeper?.feed?.status())}`,
    })
  }
}

/** Writes the segments where the reader can read them, and replays them run by run. */
async function replayAll(outcome: Outcome, dir: string, follow?: Follower): Promise<RecordedRun[]> {
  const { capture, plan, sim, exchange } = outcome
  await mkdir(dir, { recursive: true })
  const byRun = new Map<string, string[]>()
  for (const path of capture.disk.paths) {
    const name = basename(path)
    const position = parseSegmentName(name)
    if (position === undefined) throw new Error(`${name} is no segment`)
    const copy = join(dir, name)
    await writeFile(copy, capture.disk.read(path))
    byRun.set(position.run, [...(byRun.get(position.run) ?? []), copy])
  }
  if (!(sim.source instanceof GeneratedSource))
    throw new Error('only a generated market knows all of the truth')
  const { walk, numbers } = sim.source.walk(SYMBOL)
  const truth = new TrueBooks(walk, numbers)
  const runs: RecordedRun[] = []
  for (const [run, paths] of [...byRun].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const levels = plan.config.bookLevels
    runs.push(await replayRun(run, { paths: paths.sort(), truth, levels, exchange, follow }))
  }
  await rm(dir, { recursive: true })
  return runs
}

/** What was published is what was emitted and sent, and nothing twice within a run. */
class Published {
  readonly #batches: ReadonlySet<string>
  readonly #trades: ReadonlySet<bigint>
  readonly #marks: ReadonlySet<number>

  constructor(emitted: ReturnType<Outcome['sim']['emitted']>) {
    const sent = emitted.batches.filter((batch) => batch.sent)
    // where the exchange names a wrong id as the one before, that is what a row says
    const named = sent.filter(({ fault }) => fault === 'wrong_pu')
    this.#batches = new Set(
      [...sent, ...named.map((batch) => ({ ...batch, prevId: batch.prevId - 1n }))].map(idsOf),
    )
    this.#trades = new Set(emitted.trades.filter(({ sent }) => sent).map(({ id }) => id))
    this.#marks = new Set(emitted.marks.filter(({ sent }) => sent).map(({ eventTime }) => eventTime))
  }

  check(run: RecordedRun, tell: (v: Violation) => void): void {
    const seen = new Set<string>()
    for (const entry of run.entries) {
      if (!('row' in entry)) continue
      const { row } = entry
      if (row.kind === 'snapshot' || row.kind === 'book') continue
      const key = `${row.stream} ${row.stream === 'mark_price' ? row.eventTime : row.finalId}`
      if (seen.has(key)) tell({ rule: 'published_twice', evidence: `${run.run}: ${text(row)}` })
      seen.add(key)
      if (!this.#isEmitted(row)) tell({ rule: 'never_emitted', evidence: `${run.run}: ${text(row)}` })
    }
  }

  #isEmitted(row: RecordedRow): boolean {
    if (row.stream === 'mark_price') return this.#marks.has(row.eventTime)
    if (row.stream === 'trades') return this.#trades.has(row.finalId)
    return this.#batches.has(idsOf({ prevId: row.previousId, firstId: row.firstId, lastId: row.finalId }))
  }
}

function idsOf({ prevId, firstId, lastId }: { prevId: bigint; firstId: bigint; lastId: bigint }): string {
  return `${prevId} ${firstId} ${lastId}`
}
