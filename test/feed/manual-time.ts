import type { Clock, Timers } from '../../capture/feed/mod.ts'
import { type Due, DueHeap } from '../support/due-heap.ts'

/** Due at an elapsed time, microseconds. */
interface Timer extends Due {
  readonly fn: () => void
  cancelled: boolean
}

/** Fine enough for ways of a tenth of a second. */
const RUN_STEP_MS = 20

/** Clock and timers that stand still until a test moves them. Cheap enough for hundreds of feeds. */
export class ManualTime implements Clock, Timers {
  #elapsedUs = 0
  #wallAheadUs: number
  readonly #timers = new DueHeap<Timer>()
  #made = 0
  #waiting = 0

  constructor(wallStartMs = Date.UTC(2026, 10, 22, 12, 0, 10)) {
    this.#wallAheadUs = wallStartMs * 1000
  }

  wallUs(): number {
    return this.#wallAheadUs + this.#elapsedUs
  }

  monotonicUs(): number {
    return this.#elapsedUs
  }

  after(ms: number, fn: () => void): () => void {
    const due = this.#elapsedUs + Math.ceil(ms * 1000)
    const timer: Timer = { due, order: this.#made++, fn, cancelled: false }
    this.#timers.push(timer)
    this.#waiting++
    return () => {
      if (!timer.cancelled) this.#waiting--
      timer.cancelled = true
    }
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.#waiting
  }

  /** Milliseconds until the next timer is due; infinite where none waits. */
  get nextMs(): number {
    const next = this.#next()
    return next === undefined ? Number.POSITIVE_INFINITY : (next.due - this.#elapsedUs) / 1000
  }

  /** Moves on, firing timers in the order of their times. */
  advance(ms: number): void {
    const targetUs = this.#elapsedUs + Math.round(ms * 1000)
    for (let next = this.#next(); next !== undefined && next.due <= targetUs; next = this.#next()) {
      this.#timers.pop()
      this.#waiting--
      next.cancelled = true // its cancellation is late from here on
      this.#elapsedUs = Math.max(this.#elapsedUs, next.due)
      next.fn()
    }
    this.#elapsedUs = targetUs
  }

  /** Moves on in small steps; between them whatever was promised comes about. */
  async run(ms: number, stepMs = RUN_STEP_MS): Promise<void> {
    const endUs = this.#elapsedUs + ms * 1000
    while (this.#elapsedUs < endUs) {
      this.advance(Math.min(stepMs, (endUs - this.#elapsedUs) / 1000))
      await this.settled()
    }
  }

  /** Resolves when what was promised has come about; of those who wait for more than promises, when that came too. */
  protected async settled(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** The process stands still: time goes by and no timer fires until the next `advance`. */
  stall(ms: number): void {
    this.#elapsedUs += Math.round(ms * 1000)
  }

  stepWall(ms: number): void {
    this.#wallAheadUs += Math.round(ms * 1000)
  }

  #next(): Timer | undefined {
    while (this.#timers.next?.cancelled) this.#timers.pop()
    return this.#timers.next
  }
}
