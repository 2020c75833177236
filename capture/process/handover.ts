/**
 * Waits for the pod that this one succeeds: until its last manifest says that it publishes no more, or for so long
 * that nobody waits any longer. It is found in the bucket alone, by the writer that its manifests name.
 */
import { type Cut, cutOf, latest, positionsOf } from '../record/mod.ts'
import {
  type Bucket,
  dateOfUs,
  MANIFEST_BYTES_MAX,
  type Manifest,
  ManifestError,
  type MarketKey,
  manifestFolder,
  type Positions,
  parseManifest,
  parseManifestKey,
} from '../ship/mod.ts'
import type { Settled } from './lineage.ts'

const LOOK_EVERY_MS = 5_000
/** A process that stood still between two looks saw nothing meanwhile: no more than this counts as silence. */
const QUIET_A_LOOK_MS_MAX = LOOK_EVERY_MS * 2
/** Of so many runs of one day it is asked who wrote them, the latest first. */
const RUNS_MAX = 64
const DAY_US = 86_400_000_000
/** Days are listed one by one, the last so many: a pod that published nothing for a year counts as silent. */
const DAYS_MAX = 366
/** Days of a usual look. All are listed by the first look, and again so seldom that it is no more than twice this. */
const LISTINGS_MAX = 8
/** The predecessor's clock may be ahead of ours by a little. */
const AHEAD_US = 60_000_000

export interface HandoverOptions {
  readonly bucket: Bucket
  readonly market: MarketKey
  /** `since`: when the pod was made, RFC 3339; without it, it may have published at any time. */
  readonly predecessor: {
    readonly pod: string
    readonly uid: string
    readonly since?: string | undefined
  }
  /** How long it may publish nothing, while the store answers. */
  readonly quietMsMax: number
  readonly nowMs: () => number
  readonly monotonicMs: () => number
  readonly wait: (ms: number) => Promise<unknown>
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void }
}

/** A window as a key names it. */
interface Named {
  readonly run: string
  readonly window: number
  readonly key: string
  /** Days since the epoch: under which day the window is filed, that is when it was opened. */
  readonly day: number
}

export class Handover {
  readonly #options: HandoverOptions
  /** Since when it is waited for, monotonic ms. */
  #sinceMs: number | undefined
  /** The same by the wall clock, ms since the epoch. */
  sinceWallMs: number | undefined
  /** How long nothing came of the predecessor while the store answered. */
  #quietMs = 0
  #answeredMs: number | undefined
  /** Whose runs are known: does the predecessor write it? */
  readonly #writes = new Map<string, boolean>()
  #newest: (Named & { readonly manifest: Manifest }) | undefined
  /** How many looks the store has answered. */
  #looks = 0
  #told = ''

  constructor(options: HandoverOptions) {
    this.#options = options
  }

  /** How long it was waited so far, seconds. */
  get seconds(): number {
    return this.#sinceMs === undefined ? 0 : (this.#options.monotonicMs() - this.#sinceMs) / 1000
  }

  /** What it waits for, as a sentence for a person. */
  get waitingFor(): string {
    const { pod } = this.#options.predecessor
    const found = this.#newest
    if (this.#told !== '') return `the store, to see what ${pod} published: ${this.#told}`
    if (found === undefined) return `a first manifest of ${pod}`
    return `the last manifest of ${pod}, which has published ${found.run} window ${found.window}`
  }

  /** Resolves when the predecessor's part is known. Never rejects: a store that does not answer is asked again. */
  async settle(): Promise<Settled> {
    const { monotonicMs, nowMs, wait, log, quietMsMax, predecessor } = this.#options
    this.#sinceMs ??= monotonicMs()
    this.sinceWallMs ??= nowMs()
    for (;;) {
      try {
        const newest = await this.#look()
        this.#looks++
        this.#answered()
        if (newest?.final === true) {
          log.info({ predecessor, seconds: this.seconds }, 'the predecessor has published its last')
          return { how: 'final', reached: newest.reached ?? {}, seconds: this.seconds }
        }
        if (this.#quietMs >= quietMsMax) {
          log.warn(
            { predecessor, seconds: this.seconds },
            'the predecessor published nothing for too long: it is succeeded at what is published, and rows may be doubled if it returns',
          )
          return { how: 'deadline', reached: await this.#reachedByAll(), seconds: this.seconds }
        }
      } catch (error) {
        this.#failed(error)
      }
      await wait(LOOK_EVERY_MS)
    }
  }

  #answered(): void {
    const now = this.#options.monotonicMs()
    if (this.#answeredMs !== undefined) {
      this.#quietMs += Math.min(now - this.#answeredMs, QUIET_A_LOOK_MS_MAX)
    }
    this.#answeredMs = now
    this.#told = ''
  }

  #failed(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    this.#answeredMs = undefined
    if (why !== this.#told) {
      this.#options.log.warn({ why }, 'the predecessor cannot be looked for: tried again in a few seconds')
    }
    this.#told = why
  }

  /** The latest manifest of the predecessor, if there is any. Throws the bucket's errors. */
  async #look(): Promise<Manifest | undefined> {
    const found = await this.#latest()
    if (found === undefined || (this.#newest !== undefined && !isLater(found, this.#newest))) {
      return this.#newest?.manifest
    }
    const manifest = await this.#read(found.key)
    if (manifest === undefined) return this.#newest?.manifest
    this.#newest = { ...found, manifest }
    this.#quietMs = 0
    return manifest
  }

  /** The last rows that anybody published: the predecessor may have been waiting for its own. */
  async #reachedByAll(): Promise<Positions> {
    const runs = new Map<string, Named>()
    for (const day of this.#days()) await this.#list(day, runs)
    let reached: Cut = {}
    for (const { key } of latestRuns(runs)) {
      reached = latest(reached, cutOf((await this.#read(key))?.reached ?? {}))
    }
    return positionsOf(reached)
  }

  /** The predecessor's latest window: it ships in order, so the last day that has any has that one. */
  async #latest(): Promise<Named | undefined> {
    const days = this.#days()
    const looksAtAll = this.#looks % Math.ceil(days.length / LISTINGS_MAX) === 0 || this.#isLastLook
    let found: Named | undefined
    for (const day of looksAtAll ? days : days.slice(0, LISTINGS_MAX)) {
      // one day more: its clock may have been set back across midnight
      const isEnough = found !== undefined
      const one = await this.#latestOf(await this.#list(day))
      if (one !== undefined && (found === undefined || isLater(one, found))) found = one
      if (isEnough) break
    }
    return found
  }

  /** Might it be given up after this look? */
  get #isLastLook(): boolean {
    return this.#quietMs >= this.#options.quietMsMax - QUIET_A_LOOK_MS_MAX
  }

  /**
   * The days whose manifests may be news, the last one first. A window is filed under the day when it was opened, and
   * shipped whenever the store takes it: so all days since the pod was made, or since the last window that is known.
   */
  #days(): number[] {
    const { nowMs, predecessor } = this.#options
    const last = dayOf(nowMs() * 1000 + AHEAD_US)
    const since = predecessor.since === undefined ? 0 : dayOf(Date.parse(predecessor.since) * 1000)
    // one day earlier: clocks differ, and are set back
    const first = Math.max((this.#newest?.day ?? since) - 1, last - DAYS_MAX + 1)
    return Array.from({ length: Math.max(1, last - first + 1) }, (_, i) => last - i)
  }

  /** The highest window of each run that has one on this day; `into` keeps those of other days too. */
  async #list(day: number, into = new Map<string, Named>()): Promise<ReadonlyMap<string, Named>> {
    const { bucket, market } = this.#options
    for await (const { key } of bucket.list(manifestFolder(market, dateOfUs(day * DAY_US)))) {
      const parsed = parseManifestKey(key)
      if (parsed === undefined) continue
      const { run, window } = parsed
      if (window >= (into.get(run)?.window ?? 0)) into.set(run, { run, window, key, day })
    }
    return into
  }

  /** The highest window of the predecessor's latest run. A run has one writer, which each of its manifests names. */
  async #latestOf(runs: ReadonlyMap<string, Named>): Promise<Named | undefined> {
    const { predecessor } = this.#options
    for (const named of latestRuns(runs)) {
      const { run, key } = named
      if (!this.#writes.has(run)) {
        const writer = (await this.#read(key))?.writer
        // one that cannot be read is asked again
        if (writer === undefined) continue
        this.#writes.set(run, writer.pod === predecessor.pod && writer.pod_uid === predecessor.uid)
      }
      if (this.#writes.get(run) === true) return named
    }
    return undefined
  }

  /** Undefined where it is not there, or cannot be believed: verification tells of that. */
  async #read(key: string): Promise<Manifest | undefined> {
    const bytes = await this.#options.bucket.get(key, MANIFEST_BYTES_MAX)
    if (bytes === undefined) return undefined
    try {
      return parseManifest(bytes)
    } catch (error) {
      if (error instanceof ManifestError) return undefined
      throw error
    }
  }
}

/** The latest first. */
function latestRuns(runs: ReadonlyMap<string, Named>): Named[] {
  return [...runs.values()].sort((a, b) => (a.run < b.run ? 1 : -1)).slice(0, RUNS_MAX)
}

/** Runs of one pod sort by when they began. */
function isLater(a: Named, b: Named): boolean {
  return a.run > b.run || (a.run === b.run && a.window > b.window)
}

function dayOf(us: number): number {
  return Math.floor(us / DAY_US)
}
