/** One symbol: its runs one after another, then what only shows between them. */
import { formatTimeUs, type Manifest, objectKey, parseTimeUs } from '../ship/mod.ts'
import { coverageByDay, type IdInterval, joinById, joinByTime, type Span, withdraw } from './coverage.ts'
import type { Source } from './fetch.ts'
import { coverageOf } from './intervals.ts'
import { expectedManifestKey, type ListedWindow, listManifests, listObjects, type Market } from './listing.ts'
import { keysBeside, readManifest } from './manifests.ts'
import { overlapsOf, type RowIds } from './overlap.ts'
import { type CoverageDay, Findings } from './report.ts'
import { RunState } from './run-state.ts'
import { WindowCheck, type WindowOutcome } from './window.ts'

/** Coverage of one stream, run by run. */
interface StreamTotal {
  readonly proven: IdInterval[]
  readonly observed: Span[]
  readonly suspect: Span[]
  readonly rowIds: RowIds[]
  fromUs: number
  toUs: number
}

/** One run's coverage of one stream: suspects of later windows may withdraw what earlier ones proved. */
interface RunTotal {
  readonly proven: IdInterval[]
  readonly suspects: IdInterval[]
}

/** What a manifest says of its objects' names, to tell orphans. Undefined where the manifest is not right. */
type Named = { readonly openedUs: number; readonly streams: readonly string[] } | undefined

/** Windows that are not there: from `window` up to, not including, `before`. */
interface Hole {
  readonly run: string
  readonly window: number
  readonly before: number
  /** Somewhere in its day: of the window after it until an object says better. */
  openedUs: number
}

export class MarketCheck {
  readonly #source: Source
  readonly #market: Market
  readonly #findings: Findings
  readonly #streams = new Map<string, StreamTotal>()
  /** By run, then by window. */
  readonly #named = new Map<string, Map<number, Named>>()
  readonly #holes: Hole[] = []
  readonly #onWindow: (done: number, of: number) => void
  /** Are objects read, or are manifests believed? */
  readonly #reads: boolean

  constructor(
    source: Source,
    market: Market,
    findings: Findings,
    onWindow: (done: number, of: number) => void,
    reads = true,
  ) {
    this.#source = source
    this.#market = market
    this.#findings = findings
    this.#onWindow = onWindow
    this.#reads = reads
  }

  /** Checks the market; its coverage comes back. Throws the bucket's errors. */
  async check(): Promise<CoverageDay[]> {
    const { runs, strays } = await listManifests(this.#source.bucket, this.#market)
    for (const key of strays)
      this.#findings.note('manifest_unreadable', key, 'its name is none of a manifest')
    const of = [...runs.values()].reduce((sum, windows) => sum + windows.length, 0)
    let done = 0
    for (const [run, windows] of runs) {
      await this.#checkRun(run, windows, () => this.#onWindow(++done, of))
    }
    if (this.#reads) {
      this.#checkOverlaps()
      await this.#checkOrphans()
    }
    for (const hole of this.#holes) this.#noteHole(hole)
    return this.#coverage()
  }

  async #checkRun(run: string, windows: readonly ListedWindow[], onDone: () => void): Promise<void> {
    const state = new RunState()
    const totals = new Map<string, RunTotal>()
    const named = new Map<number, Named>()
    this.#named.set(run, named)
    let expected = 0
    let hole: Hole | undefined
    for (const { window, key } of windows) {
      if (window > expected) {
        hole = { run, window: expected, before: window, openedUs: dayOfKey(key) }
        this.#holes.push(hole)
        state.forget()
      }
      expected = window + 1
      const manifest = await readManifest(this.#source.bucket, this.#market, key, this.#findings)
      // a window listed twice, under two days: only one of the keys can be its manifest's own
      if (manifest !== undefined || !named.has(window)) named.set(window, namesOf(manifest))
      if (manifest === undefined) state.forget()
      else {
        this.#source.tally.manifests++
        await this.#checkWindow(manifest, state, totals)
        // its journal was damaged and coverage says so: the next window begins from a checkpoint of its own
        if (manifest.coverage.some((row) => row.ended_by === 'journal_corrupt')) state.forget()
      }
      onDone()
    }
    for (const [stream, { proven, suspects }] of totals) {
      this.#stream(stream).proven.push(...joinById(withdraw(proven, suspects)))
    }
  }

  async #checkWindow(manifest: Manifest, state: RunState, totals: Map<string, RunTotal>): Promise<void> {
    const keyOf = keysBeside(this.#market, manifest)
    const outcome = this.#reads
      ? await new WindowCheck(this.#source, manifest, keyOf, state).check()
      : believed(manifest)
    this.#findings.addAll(outcome.findings)
    this.#addCoverage(manifest, keyOf, outcome, totals)
  }

  #addCoverage(
    manifest: Manifest,
    keyOf: (key: string) => string,
    { coverage, damaged }: WindowOutcome,
    totals: Map<string, RunTotal>,
  ): void {
    for (const [name, { intervals, suspects }] of coverage) {
      const total = this.#stream(name)
      const run = totals.get(name) ?? { proven: [], suspects: [] }
      totals.set(name, run)
      for (const { fromUs, toUs } of [...intervals, ...suspects]) {
        total.fromUs = Math.min(total.fromUs, fromUs)
        total.toUs = Math.max(total.toUs, toUs)
      }
      run.suspects.push(...suspects)
      total.suspect.push(...suspects)
      // what is not right is not proven: it is missing by itself
      if (damaged.has(name)) continue
      const object = manifest.objects.find(({ stream }) => stream === name)
      for (const interval of intervals) {
        if (interval.state === 'observed') total.observed.push(interval)
        else run.proven.push(interval)
        if (interval.state === 'observed' || interval.rows === 0 || object === undefined) continue
        const { firstId, lastId } = interval
        total.rowIds.push({
          firstId,
          lastId,
          run: manifest.run,
          key: keyOf(object.key),
          told: manifest.overlaps,
        })
      }
    }
  }

  #stream(name: string): StreamTotal {
    let total = this.#streams.get(name)
    if (total === undefined) {
      const none = { fromUs: Number.POSITIVE_INFINITY, toUs: Number.NEGATIVE_INFINITY }
      total = { proven: [], observed: [], suspect: [], rowIds: [], ...none }
      this.#streams.set(name, total)
    }
    return total
  }

  #checkOverlaps(): void {
    for (const { rowIds } of this.#streams.values()) {
      for (const { key, detail } of overlapsOf(rowIds)) this.#findings.note('overlap', key, detail)
    }
  }

  /** What a run has beyond its newest manifest is in flight; what its manifests do not name is an orphan. */
  async #checkOrphans(): Promise<void> {
    for await (const { key, parsed } of listObjects(this.#source.bucket, this.#market)) {
      if (parsed === undefined) {
        this.#findings.note('object_orphan', key, 'its name is none of an object, and no manifest names it')
        continue
      }
      const { run, window, stream, openedUs } = parsed
      const windows = this.#named.get(run)
      if (windows === undefined) continue
      if (!windows.has(window)) {
        const hole = this.#holes.find(
          (hole) => hole.run === run && hole.window <= window && window < hole.before,
        )
        // the object tells the day of a window whose manifest is missing
        if (hole !== undefined && hole.window === window) hole.openedUs = openedUs
        continue
      }
      const named = windows.get(window)
      if (named === undefined) continue
      const { prefix, exchange, symbol } = this.#market
      const own = objectKey({ prefix, exchange, symbol, stream, openedUs: named.openedUs, run, window })
      if (own === key && named.streams.includes(stream)) continue
      this.#findings.note(
        'object_orphan',
        key,
        `the manifest of window ${window} of its run does not name it`,
      )
    }
  }

  #noteHole({ run, window, before, openedUs }: Hole): void {
    const last = before - 1
    const which = last === window ? `window ${window} is` : `windows ${window} to ${last} are`
    const key = expectedManifestKey(this.#market, run, window, openedUs)
    const detail = `${which} not there, and later windows of run ${run} are`
    this.#findings.note('manifest_missing', key, detail)
  }

  #coverage(): CoverageDay[] {
    const { exchange, symbol } = this.#market
    const days: CoverageDay[] = []
    for (const [stream, total] of [...this.#streams].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const { proven, observed, suspect, fromUs, toUs } = total
      const evidence = { span: { fromUs, toUs }, proven, observed: joinByTime(observed), suspect }
      for (const day of coverageByDay(evidence)) {
        days.push({
          exchange,
          symbol,
          stream,
          date: day.date,
          from: formatTimeUs(day.fromUs),
          to: formatTimeUs(day.toUs),
          seconds: {
            proven: day.provenUs / 1e6,
            observed: day.observedUs / 1e6,
            suspect: day.suspectUs / 1e6,
            missing: day.missingUs / 1e6,
          },
        })
      }
    }
    return days
  }
}

/** A window as its manifest tells it. */
function believed(manifest: Manifest): WindowOutcome {
  return { findings: new Findings(), coverage: coverageOf(manifest), damaged: new Set() }
}

function namesOf(manifest: Manifest | undefined): Named {
  if (manifest === undefined) return undefined
  return { openedUs: parseTimeUs(manifest.opened), streams: manifest.objects.map(({ stream }) => stream) }
}

/** Midnight of the day in a manifest's key. */
function dayOfKey(key: string): number {
  const date = /\/date=([^/]+)\/[^/]+$/.exec(key)?.[1] ?? ''
  return parseTimeUs(`${date}T00:00:00.000000Z`)
}
