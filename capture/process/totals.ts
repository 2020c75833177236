import { COUNTER_NAMES, type CounterName } from '../session/mod.ts'
import type { Run } from './run.ts'

/** What the runs of a process that have ended leave behind, so that figures never fall back. */
export class Totals {
  /** The longest time that a book was live without a break, microseconds. */
  liveForUs = 0
  readonly #counters = new Map<CounterName, number>()
  readonly #bytes = { written: 0, synced: 0 }
  /** Runs whose last segment is still on its way to the disk. */
  readonly #closing = new Set<Run>()

  get writtenBytes(): number {
    let bytes = this.#bytes.written
    for (const run of this.#closing) bytes += run.writtenBytes
    return bytes
  }

  get syncedBytes(): number {
    let bytes = this.#bytes.synced
    for (const run of this.#closing) bytes += run.syncedBytes
    return bytes
  }

  /** Takes a run that is replaced; `now` by its own receive clock. */
  take(run: Run, now: number): void {
    this.#closing.add(run)
    void run.closed.then(() => {
      this.#closing.delete(run)
      this.#bytes.written += run.writtenBytes
      this.#bytes.synced += run.syncedBytes
    })
    this.liveForUs = Math.max(this.liveForUs, run.session.book.liveForUs(now))
    for (const name of COUNTER_NAMES) this.#counters.set(name, this.#with(run, name))
  }

  /** What all sessions counted, that of the given run included. */
  countersWith(run: Run | undefined): Readonly<Record<CounterName, number>> {
    return Object.fromEntries(COUNTER_NAMES.map((name) => [name, this.#with(run, name)])) as Record<
      CounterName,
      number
    >
  }

  #with(run: Run | undefined, name: CounterName): number {
    return (this.#counters.get(name) ?? 0) + (run?.session.counters.values[name] ?? 0)
  }
}
