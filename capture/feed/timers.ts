/** Who calls back later. */
export interface Timers {
  /** Calls `fn` once, no sooner than after `ms` milliseconds. Returns its cancellation, harmless when late. */
  after(ms: number, fn: () => void): () => void
}

/** An even random number in [0, 1). */
export type Random = () => number

/** setTimeout holds 31 bits of milliseconds; beyond that it would fire at once. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1

/** The timers of this process. They keep it alive: a capture that waits to reconnect is at work. */
export const nodeTimers: Timers = {
  after(ms, fn) {
    const handle = setTimeout(fn, Math.min(Math.max(0, Math.ceil(ms)), TIMEOUT_MS_MAX))
    return () => clearTimeout(handle)
  },
}

/** Timers that can be called off all at once; afterwards it starts none any more. */
export class TimerGroup implements Timers {
  readonly #timers: Timers
  readonly #pending = new Set<() => void>()
  #closed = false

  constructor(timers: Timers) {
    this.#timers = timers
  }

  after(ms: number, fn: () => void): () => void {
    if (this.#closed) return () => {}
    const cancelTimer = this.#timers.after(ms, () => {
      this.#pending.delete(cancel)
      fn()
    })
    const cancel = () => {
      this.#pending.delete(cancel)
      cancelTimer()
    }
    this.#pending.add(cancel)
    return cancel
  }

  /** Cancels all that wait. */
  close(): void {
    this.#closed = true
    for (const cancel of [...this.#pending]) cancel()
  }
}
