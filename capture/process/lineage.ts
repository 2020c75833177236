/**
 * What was published before, and where this pod's own data ends. Each run has a cut: what was published when its first
 * window was recorded, by the predecessor of the pod or by earlier runs of this spool. It is noted, durably, before
 * that window is recorded, so that recording it again gives the same rows. One note holds all of it: `lineage.json`.
 */
import { z } from 'zod'
import type { Lineage as RunLineage } from '../record/mod.ts'
import { formatTimeUs, type Manifest, Positions, parseTimeUs } from '../ship/mod.ts'

const Closing = z.object({
  run: z.string(),
  window: z.int().nonnegative(),
  at: z.string(),
  overlaps: z.boolean(),
  committed: z.boolean(),
})

const Notes = z.object({
  format: z.literal(1),
  /** The last rows that were published, or are sealed to be. */
  reached: Positions,
  /** The last window that was sealed. */
  last: z.object({ run: z.string(), window: z.int().nonnegative(), closed: z.string() }).nullable(),
  /** How the hand-over from the predecessor ended; null before. */
  handover: z
    .object({ pod: z.string(), uid: z.string(), how: z.enum(['final', 'deadline']), seconds: z.number() })
    .nullable(),
  /** The cuts of runs that still have windows here. */
  cuts: z.record(z.string(), z.object({ cut: Positions.nullable(), overlaps: z.boolean() })),
  /** The window that said that this pod publishes no more. */
  closing: Closing.nullable(),
})
type Notes = z.infer<typeof Notes>

const NOTHING: Notes = { format: 1, reached: {}, last: null, handover: null, cuts: {}, closing: null }

/** How a predecessor's part ended, and the last rows of it. */
export interface Settled {
  /** `final`: it said so. `deadline`: it did not, and may yet publish more. */
  readonly how: 'final' | 'deadline'
  readonly reached: Positions
  /** How long it was waited for. */
  readonly seconds: number
}

/** A window that says that its pod publishes no more. */
export interface Closing {
  readonly run: string
  readonly window: number
  /** Microseconds since the epoch. */
  readonly atUs: number
  readonly lineage: RunLineage
  readonly reached: Positions
}

export interface LineageOptions {
  /** The text of the note, or undefined where there is none yet. */
  readonly read: () => Promise<string | undefined>
  /** Replaces it whole, durably. */
  readonly write: (text: string) => Promise<void>
  /** Runs that have windows in the spool: their cuts are kept. */
  readonly runs: () => Promise<ReadonlySet<string>>
  readonly predecessor: { readonly pod: string; readonly uid: string } | undefined
  /** Waits until the predecessor publishes no more, or for so long that nobody waits any longer. */
  readonly settle: () => Promise<Settled>
  readonly log: { error(fields: object, message: string): void }
}

export class Lineage {
  readonly #options: LineageOptions
  #notes: Notes

  private constructor(options: LineageOptions, notes: Notes) {
    this.#options = options
    this.#notes = notes
  }

  /** Takes up what was noted. A damaged note is told, and nothing is known then. Throws the system's errors. */
  static async open(options: LineageOptions): Promise<Lineage> {
    const text = await options.read()
    if (text === undefined) return new Lineage(options, NOTHING)
    try {
      return new Lineage(options, Notes.parse(JSON.parse(text)))
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      options.log.error({ why }, 'the note of what was published is damaged: rows may be published twice')
      return new Lineage(options, NOTHING)
    }
  }

  /** The last run that was published; new ones sort behind it. */
  get lastRun(): string | undefined {
    return this.#notes.last?.run
  }

  /** Was it said, and committed, that this pod publishes no more, and nothing was sealed since? */
  get isClosed(): boolean {
    const { closing, last } = this.#notes
    return closing?.committed === true && last?.run === closing.run && last.window === closing.window
  }

  /** How long the predecessor was waited for, seconds; undefined before that is over, or where there is none. */
  get handoverSeconds(): number | undefined {
    return this.#notes.handover?.seconds
  }

  /** Is the predecessor still to be waited for? */
  get isWaiting(): boolean {
    return this.#options.predecessor !== undefined && this.#notes.handover === null
  }

  /** How a run stands to what was published before it. May wait for the predecessor. Throws the system's errors. */
  async of(run: string): Promise<RunLineage> {
    const predecessor = this.#options.predecessor ?? null
    const known = this.#notes.cuts[run]
    if (known !== undefined) return { predecessor, ...known }
    await this.#handOver()
    const made = this.#made()
    const runs = await this.#options.runs()
    const kept = Object.entries(this.#notes.cuts).filter(([other]) => runs.has(other))
    await this.#note({ ...this.#notes, cuts: { ...Object.fromEntries(kept), [run]: made } })
    return { predecessor, ...made }
  }

  /** A window is about to be sealed: from here on its rows count as published. Throws the system's errors. */
  async sealing({ run, window, closed, reached = {} }: Manifest): Promise<void> {
    const { last } = this.#notes
    // one that is recorded again
    if (last !== null && (run < last.run || (run === last.run && window <= last.window))) return
    await this.#note({ ...this.#notes, reached, last: { run, window, closed } })
  }

  /**
   * The window that says that this pod publishes no more: the next one of its latest run, or of `newRun` where none
   * was published. The same one again until something else is sealed. Throws the system's errors.
   */
  async closing(newRun: () => string, nowUs: number): Promise<Closing> {
    await this.#handOver()
    const { last, closing } = this.#notes
    const again = closing !== null && closing.run === last?.run && closing.window === last.window
    const lineage = { predecessor: this.#options.predecessor ?? null, ...this.#made() }
    if (again) {
      const { run, window, at, overlaps } = closing
      const same = { ...lineage, overlaps }
      return { run, window, atUs: parseTimeUs(at), lineage: same, reached: this.#notes.reached }
    }
    const run = last?.run ?? newRun()
    const window = last === null ? 0 : last.window + 1
    const atUs = last === null ? nowUs : Math.max(nowUs, parseTimeUs(last.closed))
    const at = formatTimeUs(atUs)
    const next = { run, window, at, overlaps: lineage.overlaps, committed: false }
    await this.#note({ ...this.#notes, last: { run, window, closed: at }, closing: next })
    return { run, window, atUs, lineage, reached: this.#notes.reached }
  }

  /** The closing window is committed. Throws the system's errors. */
  async closed(): Promise<void> {
    const { closing } = this.#notes
    if (closing !== null) await this.#note({ ...this.#notes, closing: { ...closing, committed: true } })
  }

  async #handOver(): Promise<void> {
    const { predecessor, settle } = this.#options
    if (predecessor === undefined || this.#notes.handover !== null) return
    const { how, reached, seconds } = await settle()
    const handover = { ...predecessor, how, seconds }
    await this.#note({ ...this.#notes, handover, reached })
  }

  /** A pod that goes on after it said to be done may have been succeeded meanwhile. */
  #made(): { cut: Positions | null; overlaps: boolean } {
    const { reached, handover, closing } = this.#notes
    const cut = Object.keys(reached).length === 0 ? null : reached
    return { cut, overlaps: handover?.how === 'deadline' || closing !== null }
  }

  async #note(notes: Notes): Promise<void> {
    await this.#options.write(JSON.stringify(notes))
    this.#notes = notes
  }
}
