/** Lets requests wait for a moment of the timeline, each for a bounded time. */
import type { SimTime } from '../core/time.ts'

const WAITING_MAX = 10_000

export class Gate {
  readonly #time: SimTime
  readonly #waiting = new Set<(opened: boolean) => void>()
  /** Undefined while closed, then for good whether it opened or was given up. */
  #settled: boolean | undefined

  constructor(time: SimTime) {
    this.#time = time
  }

  /** Resolves to true once the gate opens, to false after `waitMs`, or when it is given up. */
  pass(waitMs: number): Promise<boolean> {
    if (this.#settled !== undefined) return Promise.resolve(this.#settled)
    if (this.#waiting.size >= WAITING_MAX) return Promise.resolve(false)
    return new Promise((resolve) => {
      const settle = (opened: boolean) => {
        cancel()
        this.#waiting.delete(settle)
        resolve(opened)
      }
      const cancel = this.#time.after(waitMs, () => settle(false))
      this.#waiting.add(settle)
    })
  }

  /** Opens the gate, or gives it up; only the first call counts. */
  settle(opened: boolean): void {
    this.#settled ??= opened
    for (const settle of [...this.#waiting]) settle(this.#settled)
  }
}
