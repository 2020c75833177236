/**
 * What pods published together, judged as a reader of the bucket would: each event once, whoever brought it, except
 * where a manifest says that rows may be doubled; nothing left out that nobody published; chains and coverage as they
 * must be after each cut; and where nothing goes wrong, no hole between two pods.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Stream } from '../../api/streams.ts'
import { type Cut, cutOf } from '../../capture/record/mod.ts'
import { joinById, joinByTime } from '../../capture/verify/coverage.ts'
import { GeneratedSource } from '../sim/market/mod.ts'
import { checkChains, text, type Violation } from './chain.ts'
import { SYMBOL } from './plan.ts'
import type { Publication } from './pod.ts'
import type { PodsOutcome } from './pods.ts'
import { type RecordedRow, type RecordedRun, replayRun } from './recorded.ts'
import { TrueBooks } from './truth.ts'

type Tell = (violation: Violation) => void

/** A run as it stands in the bucket. */
interface PublishedRun {
  readonly pod: string
  readonly cut: Cut
  /** Windows that say that their rows may be doubled. */
  readonly told: ReadonlySet<number>
  readonly recorded: RecordedRun
}

/** Judges what was committed. `dir` takes the segments for a moment. */
export async function judgePublished(outcome: PodsOutcome, dir: string, tell: Tell): Promise<void> {
  for (const violation of outcome.violations) tell(violation)
  const [first] = outcome.journals
  if (first === undefined) return
  const runs = await replayAll(outcome, dir)
  const { streams } = first.plan.config
  for (const { recorded, cut } of runs) {
    // of a pod that was lost the last window may not be there
    checkChains(recorded, streams, true, tell, cut)
  }
  checkOnce(runs, outcome, tell)
  checkCuts(runs, tell)
  checkFinals(outcome, tell)
  if (isCalm(outcome)) for (const stream of streams) checkNoHole(stream, runs, tell)
}

async function replayAll({ publications, journals }: PodsOutcome, dir: string): Promise<PublishedRun[]> {
  const [first] = journals
  const byRun = new Map<string, Publication[]>()
  for (const publication of publications) {
    if (publication.segment === undefined) continue
    byRun.set(publication.run, [...(byRun.get(publication.run) ?? []), publication])
  }
  if (first === undefined || !(first.sim.source instanceof GeneratedSource)) return []
  const { walk, numbers } = first.sim.source.walk(SYMBOL)
  const truth = new TrueBooks(walk, numbers)
  await mkdir(dir, { recursive: true })
  const runs: PublishedRun[] = []
  for (const [run, windows] of [...byRun].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [one] = windows
    const paths: string[] = []
    for (const { window, segment } of windows) {
      const path = join(dir, `${run}-${String(window).padStart(6, '0')}.journal`)
      await writeFile(path, segment ?? '')
      paths.push(path)
    }
    const cut = cutOf(one?.manifest.cut ?? null)
    const { exchange, plan } = first
    const recorded = await replayRun(run, {
      ...{ paths: paths.sort(), truth, levels: plan.config.bookLevels, exchange, cut },
    })
    const told = new Set(windows.filter(({ manifest }) => manifest.overlaps).map(({ window }) => window))
    runs.push({ pod: one?.pod ?? '', cut, told, recorded })
  }
  await rm(dir, { recursive: true })
  return runs
}

function rowsOf({ recorded }: PublishedRun): RecordedRow[] {
  return recorded.entries
    .flatMap((entry) => ('row' in entry ? [entry.row] : []))
    .filter(({ kind }) => kind === '' || kind === 'delta')
}

/**
 * The direct successor of a pod that was given up says that rows may be doubled. Those that follow it in order do not:
 * what the first one publishes only after that may double theirs, which is the one case that nobody tells.
 */
function checkOnce(runs: readonly PublishedRun[], outcome: PodsOutcome, tell: Tell): void {
  const { pods } = outcome
  const late = givenUp(outcome)
  const follows = new Map(pods.map(({ name, predecessor }) => [name, predecessor]))
  const isExempt = (a: string, b: string) =>
    (late.has(a) && follows.get(b) !== a) || (late.has(b) && follows.get(a) !== b)
  const seen = new Map<string, { readonly run: string; readonly pod: string; readonly told: boolean }>()
  for (const run of runs) {
    for (const row of rowsOf(run)) {
      const key = `${row.stream} ${row.stream === 'mark_price' ? row.eventTime : row.finalId}`
      const told = run.told.has(row.window)
      const other = seen.get(key)
      if (other !== undefined && !told && !other.told && !isExempt(run.pod, other.pod)) {
        tell({
          rule: 'published_by_two',
          evidence: `${run.recorded.run} (${run.pod}) and ${other.run}: ${text(row)}`,
        })
      }
      if (other === undefined || other.told) seen.set(key, { run: run.recorded.run, pod: run.pod, told })
    }
  }
}

/** Pods whose successor did not wait for their last word. */
export function givenUp({ pods, publications }: PodsOutcome): ReadonlySet<string> {
  const told = new Set(publications.flatMap(({ pod, manifest }) => (manifest.overlaps ? [pod] : [])))
  return new Set(pods.flatMap(({ name, predecessor = '' }) => (told.has(name) ? [predecessor] : [])))
}

/** What a run leaves out was published before it: its cut is the last row of another run. */
function checkCuts(runs: readonly PublishedRun[], tell: Tell): void {
  const keyOf = (stream: string, id: bigint, timeMs: number) =>
    stream === 'mark_price' ? `${stream} ${timeMs}` : `${stream} ${id}`
  const known = new Set<string>()
  for (const row of runs.flatMap(rowsOf)) known.add(keyOf(row.stream, row.finalId, row.eventTime))
  for (const { pod, recorded, cut } of runs) {
    for (const [stream, { id, timeMs }] of Object.entries(cut)) {
      const key = keyOf(stream, id, timeMs)
      if (known.has(key)) continue
      tell({ rule: 'cut_at_nothing', evidence: `${recorded.run} (${pod}): ${key} was published by nobody` })
    }
  }
}

/** A pod that drained has said so, once, and nothing of it follows. */
function checkFinals({ pods, publications }: PodsOutcome, tell: Tell): void {
  for (const { name, state } of pods) {
    const own = publications.filter(({ pod }) => pod === name)
    if (state === 'discarded' && own.length > 0 && !own.some(({ manifest }) => manifest.overlaps)) {
      tell({ rule: 'discarded_published', evidence: `${name} published ${own.length} windows` })
    }
    const finals = own.filter(({ manifest }) => manifest.final)
    if (state !== 'drained') continue
    if (finals.length !== 1 || own.at(-1)?.manifest.final !== true) {
      tell({
        rule: 'final',
        evidence: `${name} drained with ${finals.length} final of ${own.length} manifests`,
      })
    }
  }
}

/** Nothing went wrong, and everybody was told to go only when another one was live. */
function isCalm({ journals, handed, pods }: PodsOutcome): boolean {
  const plan = journals[0]?.plan
  if (plan?.pods === undefined || plan.faults.length > 0 || plan.lifetimeMs < 3_600_000) return false
  if (Math.abs(plan.wallOffsetMs) > 60) return false
  const { handings, handoverMs, outages } = plan.pods
  if (outages.length > 0 || handoverMs < 12_000) return false
  const isKind = handed.every((how) => how === 'ordinary' || how === 'discarded')
  const isSlow = handings.every(({ handoffMs, kills }) => handoffMs >= 1_000 && kills.length === 0)
  return isKind && isSlow && pods.every(({ state }) => state === 'drained' || state === 'discarded')
}

function checkNoHole(stream: Stream, runs: readonly PublishedRun[], tell: Tell): void {
  const intervals = runs.flatMap(({ recorded }) =>
    recorded.entries.flatMap((entry) => {
      if (!('coverage' in entry) || entry.coverage.ofStream !== stream) return []
      const { previousId, lastId, from, to, state } = entry.coverage
      return state === 'suspect' ? [] : [{ prevId: previousId, lastId, fromUs: from, toUs: to }]
    }),
  )
  // prices have no ids: their times must join
  const joined = stream === 'mark_price' ? joinByTime(intervals) : joinById(intervals)
  if (joined.length > 1) tell({ rule: 'hole_between_pods', evidence: `${stream}: ${text(joined)}` })
}
