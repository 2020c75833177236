/**
 * How fast windows are shipped. Two wishes: a store must not be hurt by all captures at once, neither when they rotate
 * nor when it has just come back; and the windows that are closed meanwhile must not wait for ever behind the old ones.
 *
 * Captures rotate at the same instant. So a window that is sealed while nothing waits begins its way after an offset,
 * which a capture always keeps: it depends on its exchange and symbol alone.
 *
 * After failures there is a backlog. Windows stay in order, oldest first, one at a time. Between two of them is a rest,
 * as long as the last commit took: a store that is slow is asked less. The first rests are longer, so that the load
 * rises in steps. But commit and rest together never take more than half of the time in which the next window is
 * closed: the backlog shrinks at twice the speed at which it grows, and a fresh window's wait is bounded. A store too
 * slow for that gets no rest at all.
 */
import { createHash } from 'node:crypto'

/** Of the time that the commit took. */
const FIRST_FACTOR = 8
const REST_MS_MIN = 250
/** Of the time between two windows. */
const SHARE_MAX = 0.5
/** How far captures are spread: this part of the time between two windows, and not further than this. */
const SPREAD_SHARE = 0.2
const SPREAD_MS_MAX = 60_000

export interface PaceOptions {
  /** A window comes this often. */
  readonly windowEveryMs: number
  /** Uniform in [0, 1): captures that lost one store do not step together. */
  readonly random: () => number
  /** What tells this capture from all that share its store; without it fresh windows are not spread. */
  readonly spreadBy?: string | undefined
}

export class Pace {
  readonly #windowEveryMs: number
  readonly #random: () => number
  readonly #offsetMs: number
  /** 0 while there is nothing to recover from. */
  #factor = 0
  #hurries = false

  constructor({ windowEveryMs, random, spreadBy }: PaceOptions) {
    this.#windowEveryMs = windowEveryMs
    this.#random = random
    const spreadMs = Math.min(windowEveryMs * SPREAD_SHARE, SPREAD_MS_MAX)
    this.#offsetMs = spreadBy === undefined ? 0 : Math.floor(fractionOf(spreadBy) * spreadMs)
  }

  /** How long a window waits that was sealed while nothing else did, in milliseconds. */
  get offsetMs(): number {
    return this.#hurries ? 0 : this.#offsetMs
  }

  /** The store failed: what follows is a recovery. */
  failed(): void {
    this.#factor = FIRST_FACTOR
  }

  /** Nothing waits any more. */
  caughtUp(): void {
    this.#factor = 0
  }

  /** The process ends soon: from here on no rests and no offset. */
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

/** A number in [0, 1) that depends on the text alone, and spreads texts evenly. */
function fractionOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32
}
