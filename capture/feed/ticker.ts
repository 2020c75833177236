import type { Clock } from './clock.ts'
import type { Timers } from './timers.ts'

const TICK_EVERY_US = 1_000_000
/** A tick later than this means that the loop stood still, and frames may have been lost unseen. */
const LATE_US_MAX = 2_000_000

/** Beats once a second, and notices when it could not. */
export class Ticker {
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #onTick: () => void
  readonly #onStall: (stalledMs: number) => void
  #dueUs = 0

  /** `onStall` is called before the late tick, with the lateness in whole milliseconds. */
  constructor(clock: Clock, timers: Timers, onTick: () => void, onStall: (stalledMs: number) => void) {
    this.#clock = clock
    this.#timers = timers
    this.#onTick = onTick
    this.#onStall = onStall
  }

  start(): void {
    this.#dueUs = this.#clock.monotonicUs() + TICK_EVERY_US
    this.#wait()
  }

  #wait(): void {
    const leftUs = this.#dueUs - this.#clock.monotonicUs()
    this.#timers.after(Math.max(0, leftUs / 1000), () => this.#tick())
  }

  #tick(): void {
    const nowUs = this.#clock.monotonicUs()
    const lateUs = nowUs - this.#dueUs
    // ticks keep their beat while they are a little late; after a stall the beat starts anew, none is made up for
    this.#dueUs = lateUs < TICK_EVERY_US ? this.#dueUs + TICK_EVERY_US : nowUs + TICK_EVERY_US
    this.#wait()
    if (lateUs > LATE_US_MAX) this.#onStall(Math.floor(lateUs / 1000))
    this.#onTick()
  }
}
