/**
 * One symbol: its windows day by day and run by run, then what only shows between runs. Keys are read in the order in
 * which they lie, with a state for each run: memory grows with runs, gaps and problems, not with windows.
 */
import { MANIFEST_BYTES_MAX, type Manifest, ManifestError, parseManifest, parseTimeUs } from '../ship/mod.ts'
import { getWithin, type Source } from './fetch.ts'
import { coverageOf } from './intervals.ts'
import { expectedManifestKey, type ListedWindow, listManifests, listObjects, type Market } from './listing.ts'
import { keysBeside, readManifest } from './manifests.ts'
import { type Named, namesOf, Orphans, windowKey } from './orphans.ts'
import { clashesOf, overlapsOf, type RowIds, type RowRange } from './overlap.ts'
import { type CoverageDay, Findings } from './report.ts'
import { RunState } from './run-state.ts'
import { type Hole, RunWindows } from './run-windows.ts'
import { CoverageTotals } from './totals.ts'
import { WindowCheck, type WindowOutcome } from './window.ts'

export class MarketCheck {
  readonly #source: Source
  readonly #market: Market
  readonly #findings: Findings
  readonly #totals = new CoverageTotals()
  readonly #windows = new Map<string, RunWindows>()
  /** Of runs that had a window on the day at hand or the day before. */
  readonly #states = new Map<string, RunState>()
  /** Streams of windows that are not right, as `run window stream`. */
  readonly #damaged = new Set<string>()
  readonly #orphans: Orphans
  readonly #onWindow: (done: number) => void
  /** Are objects read, or are manifests believed? */
  readonly #reads: boolean
  #done = 0

  constructor(
    source: Source,
    market: Market,
    findings: Findings,
    onWindow: (done: number) => void,
    reads = true,
  ) {
    this.#source = source
    this.#market = market
    this.#findings = findings
    this.#onWindow = onWindow
    this.#reads = reads
    this.#orphans = new Orphans(market, this.#windows, findings)
  }

  /** Checks the market; its coverage comes back. Throws the bucket's errors, and the reason of an abort. */
  async check(): Promise<CoverageDay[]> {
    for (const day of this.#market.days) await this.#checkDay(day)
    if (this.#reads) {
      for (const day of this.#orphans.waiting) await this.#checkWaiting(day)
      for (const { stream, ranges } of this.#totals.ranges()) await this.#checkOverlaps(stream, ranges)
    }
    for (const [run, { holes }] of this.#windows) for (const hole of holes) this.#noteHole(run, hole)
    return this.#totals.days(this.#market.exchange, this.#market.symbol)
  }

  async #checkDay(day: string): Promise<void> {
    const named = new Map<string, Named | undefined>()
    const today = new Set<string>()
    for (const listed of await listManifests(this.#source.bucket, this.#market, day)) {
      this.#source.signal?.throwIfAborted()
      today.add(listed.run)
      const manifest = await this.#checkManifest(listed, parseTimeUs(`${day}T00:00:00.000000Z`))
      named.set(windowKey(listed.run, listed.window), manifest && namesOf(manifest))
      this.#onWindow(++this.#done)
    }
    // a run has a window every day: one that had none today has ended, or begins anew behind a hole
    for (const run of this.#states.keys()) if (!today.has(run)) this.#states.delete(run)
    if (!this.#reads) return
    for await (const found of listObjects(this.#source.bucket, this.#market, day)) {
      this.#orphans.check(day, found, named)
    }
  }

  /** Lists a day again whose objects had windows without a manifest. */
  async #checkWaiting(day: string): Promise<void> {
    this.#source.signal?.throwIfAborted()
    const names = new Set<string>()
    for (const { run, window } of await listManifests(this.#source.bucket, this.#market, day))
      names.add(windowKey(run, window))
    for await (const found of listObjects(this.#source.bucket, this.#market, day)) {
      this.#orphans.checkAgain(found, names)
    }
  }

  /** Undefined where the manifest is not right. */
  async #checkManifest({ run, window, key }: ListedWindow, dayUs: number): Promise<Manifest | undefined> {
    const windows = this.#windows.get(run) ?? new RunWindows()
    const known = this.#states.get(run)
    const state = known ?? new RunState()
    // begun days ago, and its windows since then are not there
    if (known === undefined && this.#windows.has(run)) state.forget()
    this.#windows.set(run, windows)
    this.#states.set(run, state)
    if (!windows.take(window, dayUs)) state.forget()
    const manifest = await readManifest(this.#source.bucket, this.#market, key, this.#findings)
    if (manifest === undefined) {
      state.forget()
      return undefined
    }
    this.#source.tally.manifests++
    // what a pod publishes last goes on from nothing: the window before may have been cut by a disk that failed
    if (manifest.final) state.forget()
    await this.#checkWindow(manifest, state)
    // its journal was damaged and coverage says so: the next window begins from a checkpoint of its own
    if (manifest.coverage.some((row) => row.ended_by === 'journal_corrupt')) state.forget()
    return manifest
  }

  async #checkWindow(manifest: Manifest, state: RunState): Promise<void> {
    const keyOf = keysBeside(this.#market, manifest)
    const outcome = this.#reads
      ? await new WindowCheck(this.#source, manifest, keyOf, state).check()
      : believed(manifest)
    const { run, window, overlaps } = manifest
    this.#findings.addAll(outcome.findings)
    for (const stream of outcome.damaged) this.#damaged.add(`${windowKey(run, window)} ${stream}`)
    this.#totals.add(run, outcome, overlaps)
  }

  /** Where runs hold the same ids, their manifests are read once more to tell the objects. */
  async #checkOverlaps(stream: string, ranges: readonly RowRange[]): Promise<void> {
    const clashes = clashesOf(ranges)
    if (clashes.size === 0) return
    const rowIds: RowIds[] = []
    for (const day of this.#market.days) {
      for (const { run, window, key } of await listManifests(this.#source.bucket, this.#market, day)) {
        const own = clashes.get(run)
        if (own === undefined || this.#damaged.has(`${windowKey(run, window)} ${stream}`)) continue
        rowIds.push(...(await this.#rowIdsOf(key, stream, own)))
      }
    }
    for (const { key, detail } of overlapsOf(rowIds)) this.#findings.note('overlap', key, detail)
  }

  /** Ids of a window's rows of a stream, where they may be those of another run. */
  async #rowIdsOf(key: string, stream: string, clashes: readonly RowRange[]): Promise<RowIds[]> {
    this.#source.signal?.throwIfAborted()
    const manifest = await parsed(this.#source, key)
    const object = manifest?.objects.find((one) => one.stream === stream)
    if (manifest === undefined || object === undefined) return []
    const intervals = coverageOf(manifest).get(stream)?.intervals ?? []
    const { run, overlaps: told } = manifest
    return intervals
      .filter(({ rows }) => rows > 0)
      .map(({ firstId, lastId }) => ({
        firstId,
        lastId,
        run,
        told,
        key: keysBeside(this.#market, manifest)(object.key),
      }))
      .filter((ids) => clashes.some(({ firstId, lastId }) => ids.firstId <= lastId && firstId <= ids.lastId))
  }

  #noteHole(run: string, { window, before, openedUs }: Hole): void {
    const last = before - 1
    const which = last === window ? `window ${window} is` : `windows ${window} to ${last} are`
    const key = expectedManifestKey(this.#market, run, window, openedUs)
    const detail = `${which} not there, and later windows of run ${run} are`
    this.#findings.note('manifest_missing', key, detail)
  }
}

/** A window as its manifest tells it. */
function believed(manifest: Manifest): WindowOutcome {
  return { findings: new Findings(), coverage: coverageOf(manifest), damaged: new Set() }
}

/** Reads a manifest again; undefined where it is not right, which was told at the first time. */
async function parsed({ bucket }: Source, key: string): Promise<Manifest | undefined> {
  const bytes = await getWithin(bucket, key, MANIFEST_BYTES_MAX)
  if (bytes === undefined || bytes === 'too_large') return undefined
  try {
    return parseManifest(bytes)
  } catch (error) {
    if (error instanceof ManifestError) return undefined
    throw error
  }
}
