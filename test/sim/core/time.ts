/** Where the simulated exchange takes its time from: the machine, or a clock that is moved by hand. */
import { type Due, DueHeap } from '../../support/due-heap.ts'

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

/** Due at a moment of the clock, milliseconds. */
interface Call extends Due {
  readonly fn: () => void
  cancelled: boolean
}

/** Virtual time: stands still until it is moved, and then goes from one due call to the next. */
export class ManualTime implements SimTime {
  #nowMs: number
  #order = 0
  readonly #calls = new DueHeap<Call>()

  constructor(nowMs: number) {
    this.#nowMs = nowMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  after(ms: number, fn: () => void): () => void {
    const due = this.#nowMs + Math.max(0, ms)
    const call: Call = { due, order: this.#order++, fn, cancelled: false }
    this.#calls.push(call)
    return () => {
      call.cancelled = true
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
    for (let call = this.#calls.next; call !== undefined && call.due <= untilMs; call = this.#calls.next) {
      this.#calls.pop()
      if (call.cancelled) continue
      this.#nowMs = Math.max(this.#nowMs, call.due)
      call.fn()
      return true
    }
    return false
  }
}
