/**
 * How fast a backlog is shipped after failures. Two wishes: a store that has just come back must not be hurt by all
 * captures at once, and the windows that are closed meanwhile must not wait for ever behind the old ones.
 *
 * Windows stay in order, oldest first, one at a time. Between two of them is a rest, as long as the last commit took:
 * a store that is slow is asked less. The first rests are longer, so that the load rises in steps. But commit and rest
 * together never take more than half of the time in which the next window is closed: the backlog shrinks at twice the
 * speed at which it grows, and a fresh window's wait is bounded. A store too slow for that gets no rest at all.
 */

/** Of the time that the commit took. */
const FIRST_FACTOR = 8
const REST_MS_MIN = 250
/** Of the time between two windows. */
const SHARE_MAX = 0.5

export class Pace {
  readonly #windowEveryMs: number
  readonly #random: () => number
  /** 0 while there is nothing to recover from. */
  #factor = 0
  #hurries = false

  /** `random` is uniform in [0, 1): captures that lost one store do not step together. */
  constructor(windowEveryMs: number, random: () => number) {
    this.#windowEveryMs = windowEveryMs
    this.#random = random
  }

  /** The store failed: what follows is a recovery. */
  failed(): void {
    this.#factor = FIRST_FACTOR
  }

  /** Nothing waits any more. */
  caughtUp(): void {
    this.#factor = 0
  }

  /** The process ends soon: from here on no rests. */
  hurry(): void {
    this.#hurries = true
  }

  /** The rest after a commit that took so long, in milliseconds; 0 where none is due. */
  restMs(tookMs: number): number {
    if (this.#factor === 0 || this.#hurries) return 0
    const wantedMs = Math.max(tookMs, REST_MS_MIN) * this.#factor * (0.5 + this.#random())
    this.#factor = Math.max(1, this.#factor / 2)
    return Math.max(0, Math.min(wantedMs, this.#windowEveryMs * SHARE_MAX - tookMs))
  }
}
