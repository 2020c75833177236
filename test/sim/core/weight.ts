/** The used weight of one address, counted by minutes of the exchange's clock. */

/** Request weight a minute (`REQUEST_WEIGHT` of exchangeInfo). */
export const WEIGHT_A_MINUTE_MAX = 2400
const MINUTE_MS = 60_000

export interface WeightVerdict {
  /** What `X-MBX-USED-WEIGHT-1M` says, this request included. */
  readonly used: number
  /** Seconds until a request may succeed; 0 where this one may. */
  readonly retryAfterSeconds: number
}

export class WeightCounter {
  readonly #now: () => number
  #minute = 0
  #used = 0

  /** `now` gives the exchange's time in milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Counts a request. Refused ones count too: a client that goes on asking does not get out of it. */
  take(weight: number): WeightVerdict {
    const now = this.#now()
    this.#turn(now)
    this.#used += weight
    const refused = this.#used > WEIGHT_A_MINUTE_MAX
    const left = (this.#minute + 1) * MINUTE_MS - now
    return { used: this.#used, retryAfterSeconds: refused ? Math.max(1, Math.ceil(left / 1000)) : 0 }
  }

  /** Weight used in the running minute. */
  used(): number {
    this.#turn(this.#now())
    return this.#used
  }

  #turn(now: number): void {
    const minute = Math.floor(now / MINUTE_MS)
    if (minute === this.#minute) return
    this.#minute = minute
    this.#used = 0
  }
}
