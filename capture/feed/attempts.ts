import type { Allowance } from './allowance.ts'
import type { Clock } from './clock.ts'

/** Attempts to connect that an address has in five minutes (documented for Binance spot, assumed elsewhere). */
const ATTEMPTS_MAX = 300
/** Five minutes, and a little for clocks and ways of different length. */
const WINDOW_MS = 305_000
/** A loss shows on one route up to one ping earlier than on another: so long the book's route may still come. */
const HOLD_MS = 11_000
/** A route whose turn it is not looks again no sooner than this. */
const YIELD_MS = 10_000

/** What is to be known of a route to share attempts out. */
export interface Caller {
  readonly carriesBook: boolean
  readonly isOpen: boolean
  /** Monotonic time of its last attempt, microseconds. */
  readonly lastTryUs: number
}

/**
 * The attempts to connect that one capture may make: its share of the address's. Since each capture keeps below
 * its own share, all together keep below the limit whatever happens to them, without knowing of each other. The
 * book's route comes first: without it nothing else is worth much.
 */
export class Attempts {
  readonly #clock: Clock
  readonly #share: () => number
  readonly #allowance: Allowance
  readonly #callers: Caller[] = []
  /** This process has made none before: whoever starts captures paces the first ones. */
  readonly areFirst: boolean

  constructor(clock: Clock, share: () => number, allowance: Allowance) {
    this.#clock = clock
    this.#share = share
    this.#allowance = allowance
    this.areFirst = allowance.attemptsAtUs.length === 0
  }

  /** Makes a route known. */
  add(caller: Caller): void {
    this.#callers.push(caller)
  }

  /** An attempt is made, also one of the first ones, which are not barred. */
  made(): void {
    this.#allowance.attempted(this.#windowUs)
  }

  /** For how long the route may not try, milliseconds; 0 where it may now. */
  barredMs(caller: Caller): number {
    const bookRoute = this.#bookRouteBeside(caller)
    const barred = this.#fewerThanMs(this.#max)
    if (bookRoute === undefined || bookRoute.isOpen || this.#leavesOne) return barred
    // the last attempt is the book's, but routes take turns: one that cannot be reached must not bar the other
    return bookRoute.lastTryUs > caller.lastTryUs ? barred : Math.max(barred, YIELD_MS)
  }

  /** How long a route that may try at once holds back, since the book's may be lost by the same cause. */
  holdMs(caller: Caller): number {
    return this.#bookRouteBeside(caller) === undefined || this.#leavesOne ? 0 : HOLD_MS
  }

  get #max(): number {
    return Math.max(1, Math.floor(ATTEMPTS_MAX / this.#share()))
  }

  /** Where even one attempt in five minutes is too much for all, it is one in a longer time. */
  get #windowUs(): number {
    return WINDOW_MS * 1000 * Math.max(1, this.#share() / ATTEMPTS_MAX)
  }

  /** Would one more attempt leave another one? */
  get #leavesOne(): boolean {
    return this.#max > 1 && this.#fewerThanMs(this.#max - 1) === 0
  }

  #bookRouteBeside(caller: Caller): Caller | undefined {
    return caller.carriesBook ? undefined : this.#callers.find((other) => other.carriesBook)
  }

  /** Milliseconds until the window holds fewer than so many attempts. */
  #fewerThanMs(count: number): number {
    const at = this.#allowance.attemptsAtUs.at(-count)
    return at === undefined ? 0 : Math.max(0, (at + this.#windowUs - this.#clock.monotonicUs()) / 1000)
  }
}
