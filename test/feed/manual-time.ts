import type { Clock, Timers } from '../../capture/feed/mod.ts'

/** Clock and timers that stand still until a test moves them. */
export class ManualTime implements Clock, Timers {
  #elapsedUs = 0
  #wallAheadUs: number
  #timers: { readonly dueUs: number; readonly fn: () => void }[] = []

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
    const timer = { dueUs: this.#elapsedUs + Math.ceil(ms * 1000), fn }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.#timers.length
  }

  /** Milliseconds until the next timer is due; infinite where none waits. */
  get nextMs(): number {
    return (Math.min(...this.#timers.map((timer) => timer.dueUs)) - this.#elapsedUs) / 1000
  }

  /** Moves on, firing timers in the order of their times. */
  advance(ms: number): void {
    const targetUs = this.#elapsedUs + Math.round(ms * 1000)
    for (;;) {
      const next = this.#timers
        .filter((timer) => timer.dueUs <= targetUs)
        .sort((a, b) => a.dueUs - b.dueUs)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((other) => other !== next)
      this.#elapsedUs = Math.max(this.#elapsedUs, next.dueUs)
      next.fn()
    }
    this.#elapsedUs = targetUs
  }

  /** The process stands still: time goes by and no timer fires until the next `advance`. */
  stall(ms: number): void {
    this.#elapsedUs += Math.round(ms * 1000)
  }

  stepWall(ms: number): void {
    this.#wallAheadUs += Math.round(ms * 1000)
  }
}
