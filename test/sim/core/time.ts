/** Where the simulated exchange takes its time from: the machine, or a clock that is moved by hand. */

export interface SimTime {
  /** Milliseconds since the epoch. The exchange's own time is this plus its skew. */
  nowMs(): number
  /** Calls back once after so many milliseconds; equal moments in the order asked for. Returns how to cancel. */
  after(ms: number, fn: () => void): () => void
}

/** `setTimeout` takes no longer wait; a longer one is waited for in portions. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** The machine's own clock and timers. */
export const MACHINE_TIME: SimTime = {
  nowMs: () => Date.now(),
  after(ms, fn) {
    let left = Math.max(0, ms)
    let timer: NodeJS.Timeout
    const wait = () => {
      const portion = Math.min(left, TIMER_MS_MAX)
      left -= portion
      timer = setTimeout(() => (left > 0 ? wait() : fn()), portion)
    }
    wait()
    return () => clearTimeout(timer)
  },
}

interface Due {
  readonly atMs: number
  readonly order: number
  readonly fn: () => void
  cancelled: boolean
}

/** Virtual time: stands still until it is moved, and then goes from one due call to the next. */
export class ManualTime implements SimTime {
  #nowMs: number
  #order = 0
  /** A heap by moment, then by the order of asking. */
  readonly #heap: Due[] = []

  constructor(nowMs: number) {
    this.#nowMs = nowMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  after(ms: number, fn: () => void): () => void {
    const due: Due = { atMs: this.#nowMs + Math.max(0, ms), order: this.#order++, fn, cancelled: false }
    this.#push(due)
    return () => {
      due.cancelled = true
    }
  }

  /** Moves on by so many milliseconds; all that falls due meanwhile is called at its own moment. */
  advance(ms: number): void {
    const target = this.#nowMs + ms
    while (this.next(target));
    this.#nowMs = Math.max(this.#nowMs, target)
  }

  /** Moves on to the next call that is due by this moment, and makes it. False where there is none. */
  next(untilMs: number): boolean {
    for (let due = this.#heap[0]; due !== undefined && due.atMs <= untilMs; due = this.#heap[0]) {
      this.#pop()
      if (due.cancelled) continue
      this.#nowMs = Math.max(this.#nowMs, due.atMs)
      due.fn()
      return true
    }
    return false
  }

  #push(due: Due): void {
    const heap = this.#heap
    let at = heap.push(due) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above === undefined || !before(due, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = due
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      const [left, right] = [heap[child], heap[child + 1]]
      if (left === undefined) break
      if (right !== undefined && before(right, left)) child++
      const least = child === 2 * at + 1 ? left : (right ?? left)
      if (!before(least, last)) break
      heap[at] = least
      at = child
    }
    heap[at] = last
  }
}

function before(one: Due, other: Due): boolean {
  return one.atMs !== other.atMs ? one.atMs < other.atMs : one.order < other.order
}
