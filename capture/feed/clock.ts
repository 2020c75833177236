/** Where time comes from. Both readings are whole microseconds. */
export interface Clock {
  /** The machine's wall clock since the Unix epoch. It may be stepped, forwards and back. */
  wallUs(): number
  /** Time since some fixed moment. It never runs backwards. */
  monotonicUs(): number
}

/**
 * The clocks of this process. The wall clock has a resolution of a millisecond: `performance.timeOrigin` would
 * give microseconds, but it is read once at start and does not follow a step, which is what must be noticed.
 */
export const nodeClock: Clock = {
  wallUs: () => Date.now() * 1000,
  monotonicUs: () => {
    const [seconds, nanoseconds] = process.hrtime()
    return seconds * 1_000_000 + Math.floor(nanoseconds / 1000)
  },
}

/**
 * The clock that stamps inputs: a wall-clock anchor plus monotonic elapsed, in whole microseconds since the
 * epoch. It never runs backwards: when a fresh anchor lies behind, it stands still until that has caught up.
 */
export class ReceiveClock {
  readonly #clock: Clock
  #wallAnchor = 0
  #monotonicAnchor = 0
  #last = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.anchor()
  }

  /** Receive time, microseconds since the epoch. */
  now(): number {
    const time = this.#wallAnchor + (this.#clock.monotonicUs() - this.#monotonicAnchor)
    if (time > this.#last) this.#last = time
    return this.#last
  }

  /** Takes a fresh anchor of the wall clock: at the start of each segment. */
  anchor(): void {
    this.#monotonicAnchor = Math.floor(this.#clock.monotonicUs())
    this.#wallAnchor = Math.floor(this.#clock.wallUs())
  }

  /** Wall clock − receive time, microseconds: positive after a step forward. */
  wallDistance(): number {
    return Math.floor(this.#clock.wallUs()) - this.now()
  }
}
