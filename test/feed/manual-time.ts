import type { Clock, Timers } from '../../capture/feed/mod.ts'

interface Timer {
  readonly dueUs: number
  readonly order: number
  readonly fn: () => void
  cancelled: boolean
}

/** Fine enough for ways of a tenth of a second. */
const RUN_STEP_MS = 20

/** Clock and timers that stand still until a test moves them. Cheap enough for hundreds of feeds. */
export class ManualTime implements Clock, Timers {
  #elapsedUs = 0
  #wallAheadUs: number
  /** A binary heap: no timer is due before its parent. */
  readonly #heap: Timer[] = []
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
    const dueUs = this.#elapsedUs + Math.ceil(ms * 1000)
    const timer: Timer = { dueUs, order: this.#made++, fn, cancelled: false }
    this.#push(timer)
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
    return next === undefined ? Number.POSITIVE_INFINITY : (next.dueUs - this.#elapsedUs) / 1000
  }

  /** Moves on, firing timers in the order of their times. */
  advance(ms: number): void {
    const targetUs = this.#elapsedUs + Math.round(ms * 1000)
    for (let next = this.#next(); next !== undefined && next.dueUs <= targetUs; next = this.#next()) {
      this.#pop()
      this.#waiting--
      next.cancelled = true // its cancellation is late from here on
      this.#elapsedUs = Math.max(this.#elapsedUs, next.dueUs)
      next.fn()
    }
    this.#elapsedUs = targetUs
  }

  /** Moves on in small steps; between them whatever was promised comes about. */
  async run(ms: number, stepMs = RUN_STEP_MS): Promise<void> {
    const endUs = this.#elapsedUs + ms * 1000
    while (this.#elapsedUs < endUs) {
      this.advance(Math.min(stepMs, (endUs - this.#elapsedUs) / 1000))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** The process stands still: time goes by and no timer fires until the next `advance`. */
  stall(ms: number): void {
    this.#elapsedUs += Math.round(ms * 1000)
  }

  stepWall(ms: number): void {
    this.#wallAheadUs += Math.round(ms * 1000)
  }

  #next(): Timer | undefined {
    while (this.#heap[0]?.cancelled) this.#pop()
    return this.#heap[0]
  }

  #push(timer: Timer): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(timer)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent], timer)) break
      heap[at] = heap[parent]
      at = parent
    }
    heap[at] = timer
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++
      if (isBefore(last, heap[child])) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.dueUs === b.dueUs ? a.order < b.order : a.dueUs < b.dueUs
}
