import type { Clock, System, Timers } from '../../../operator/kube/mod.ts'
import { type Due, DueHeap } from '../../support/due-heap.ts'

interface Timer extends Due {
  cancelled: boolean
  readonly fire: () => void
}

/** A system whose time passes only when told to, and whose chance is always the same number. */
export class VirtualSystem implements System {
  /** What `random` answers. */
  chance = 0
  /** Every delay that was asked for, in order. */
  readonly delaysMs: number[] = []
  readonly clock: Clock
  readonly timers: Timers
  readonly random = () => this.chance
  readonly #heap = new DueHeap<Timer>()
  #nowMs = 0
  #order = 0
  #wallOffsetMs = Date.parse('2026-11-22T12:00:00Z')
  #sleptMs = 0

  constructor() {
    this.clock = {
      wallMs: () => this.#nowMs + this.#wallOffsetMs,
      monotonicMs: () => this.#nowMs,
      bootMs: () => this.#nowMs + this.#sleptMs,
    }
    this.timers = { after: (ms, fn) => this.#after(ms, fn) }
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** Somebody sets the wall clock. */
  stepWall(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** The process is stopped: its clock goes on, and no timer fires. */
  stopFor(ms: number): void {
    this.#nowMs += ms
  }

  /** The machine sleeps: only the boot clock goes on. */
  sleepFor(ms: number): void {
    this.#sleptMs += ms
  }

  /** Lets `ms` pass, firing what falls due; what was promised meanwhile is kept in between. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await settle()
    for (let next = this.#heap.next; next !== undefined && next.due <= endMs; next = this.#heap.next) {
      this.#heap.pop()
      if (next.cancelled) continue
      this.#nowMs = Math.max(this.#nowMs, next.due)
      next.fire()
      await settle()
    }
    this.#nowMs = Math.max(this.#nowMs, endMs)
  }

  #after(ms: number, fire: () => void): () => void {
    this.delaysMs.push(ms)
    const timer = { due: this.#nowMs + Math.max(0, ms), order: this.#order++, cancelled: false, fire }
    this.#heap.push(timer)
    return () => {
      timer.cancelled = true
    }
  }
}

/** Everything that waits for promises alone has run. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Such timers are deadlines, of calls and of silent watches; waits between tries are shorter. */
const DEADLINES_FROM_MS = 10_000

/**
 * A clock and timers that run `speed` times as fast as those of this machine, where real sockets are involved. But
 * deadlines, timers of `deadlinesFromMs` and more, are never shorter: a machine that stalls is not to meet them.
 */
export function fastSystem(speed: number, { deadlinesFromMs = DEADLINES_FROM_MS } = {}): System {
  const now = () => performance.now() * speed
  return {
    clock: { wallMs: () => Date.now(), monotonicMs: now, bootMs: now },
    timers: {
      after(ms, fn) {
        const passesMs = Math.ceil(ms / speed)
        const handle = setTimeout(fn, ms >= deadlinesFromMs ? Math.max(ms, passesMs) : passesMs)
        return () => clearTimeout(handle)
      },
    },
    random: Math.random,
  }
}
