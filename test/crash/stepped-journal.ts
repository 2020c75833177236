/** The journal's file system, which tells what was done and what is on the disk, and timers that inputs drive. */
import { basename } from 'node:path'
import {
  type JournalFile,
  type JournalFs,
  type JournalTimer,
  nodeJournalFs,
} from '../../capture/journal/mod.ts'
import { acknowledge } from './acks.ts'

/** Timers fire at multiples of this time of the inputs: few writes, and in each life the same ones. */
const PACE_US = 250_000

export class SteppedJournal implements JournalFs {
  readonly #onStep: (step: string) => void
  /** Calls under way. */
  readonly #busy = new Set<Promise<unknown>>()
  readonly #timers = new Set<{ readonly atUs: number; readonly run: () => void }>()
  #nowUs = 0

  constructor(onStep: (step: string) => void) {
    this.#onStep = onStep
  }

  /** Timers by the time of the inputs. */
  readonly timer: JournalTimer = (delayMs, run) => {
    const timer = { atUs: this.#nowUs + delayMs * 1000, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Time passes to that of an input: timers that are due fire, and what they began is waited for. */
  async passTo(us: number): Promise<void> {
    const passed = this.#nowUs
    this.#nowUs = us
    if (Math.floor(us / PACE_US) === Math.floor(passed / PACE_US)) return
    for (const timer of this.#timers) {
      if (timer.atUs > us) continue
      this.#timers.delete(timer)
      timer.run()
    }
    while (this.#busy.size > 0) await Promise.allSettled(this.#busy)
  }

  async create(path: string): Promise<JournalFile> {
    const file = await this.#then(nodeJournalFs.create(path), 'journal_created')
    let written = 0
    return {
      write: async (bytes) => {
        const accepted = await this.#then(file.write(bytes), 'journal_written')
        written += accepted
        return accepted
      },
      datasync: async () => {
        const synced = written
        await this.#then(file.datasync(), 'journal_synced')
        acknowledge({ segment: basename(path), synced })
      },
      truncate: (bytes) => file.truncate(bytes),
      close: () => this.#then(file.close(), 'journal_closed'),
    }
  }

  syncDir(path: string): Promise<void> {
    return this.#then(nodeJournalFs.syncDir(path), 'journal_named')
  }

  async #then<T>(done: Promise<T>, step: string): Promise<T> {
    this.#busy.add(done)
    try {
      const result = await done
      this.#onStep(step)
      return result
    } finally {
      this.#busy.delete(done)
    }
  }
}
