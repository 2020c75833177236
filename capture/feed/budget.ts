import type { Clock } from './clock.ts'
import type { RestResult } from './rest.ts'

/**
 * How much of the address's weight a request of this rank may find used, itself included. The clock is never
 * starved: it is what renews our knowledge of the weight.
 */
export const RANKS = { clock: 0.95, join: 0.9, proof: 0.75, audit: 0.5 } as const
export type Rank = keyof typeof RANKS

const MINUTE_MS = 60_000
/** The exchange's minute is believed over this long after our reckoning of it, for clocks that differ a little. */
const MINUTE_MARGIN_MS = 1_000
/** Pauses where the exchange names none: a ban (418) lasts at least two minutes. */
const PAUSE_LIMITED_MS = 60_000
const PAUSE_BANNED_MS = 120_000
/** The longest ban that the exchange documents. A wrong header must not stop a capture for ever. */
const PAUSE_MS_MAX = 3 * 24 * 3_600_000

/** Why a request may not be sent now, and for how long not. */
export interface Refusal {
  readonly why: 'weight' | 'rate_limited'
  readonly waitMs: number
}

export interface BudgetOptions {
  readonly clock: Clock
  readonly weightLimit: number
  /** Our best knowledge of the exchange's clock, ms since the epoch. */
  exchangeNowMs(): number
  /** Keeps the end of a pause over a restart: wall time in ms since the epoch. */
  remember(pausedUntilMs: number): void
}

/**
 * The weight of one address in the exchange's current minute: what the latest answer's header said, plus what
 * was sent and not answered since. Everything behind the address shows in the header alone, and late.
 */
export class Budget {
  /** Weight that the address may use a minute. */
  weightLimit: number
  readonly #options: BudgetOptions
  #minute = 0
  #known = 0
  #onItsWay = 0
  #headerAtUs = Number.NEGATIVE_INFINITY
  #pausedUntilUs = Number.NEGATIVE_INFINITY

  constructor(options: BudgetOptions) {
    this.#options = options
    this.weightLimit = options.weightLimit
  }

  /** Weight believed used in the current minute. */
  get usedWeight(): number {
    const now = this.#options.exchangeNowMs()
    const minute = Math.floor((now - MINUTE_MARGIN_MS) / MINUTE_MS)
    if (minute > this.#minute) {
      this.#minute = minute
      this.#known = 0
    }
    // the first probes may tell that our clock is ahead: what was used belongs to the minute that runs
    if (this.#minute > minute + 1) this.#minute = Math.floor(now / MINUTE_MS)
    return this.#known + this.#onItsWay
  }

  /** Milliseconds since a header last told the weight; infinite before the first. */
  get headerAgeMs(): number {
    return (this.#options.clock.monotonicUs() - this.#headerAtUs) / 1000
  }

  /** For how long nothing may be sent; 0 for no pause. */
  get pausedMs(): number {
    return Math.max(0, (this.#pausedUntilUs - this.#options.clock.monotonicUs()) / 1000)
  }

  /** May a request of this weight leave now? Undefined where it may. */
  refuses(weight: number, rank: Rank): Refusal | undefined {
    const paused = this.pausedMs
    if (paused > 0) return { why: 'rate_limited', waitMs: paused }
    if (this.usedWeight + weight <= RANKS[rank] * this.weightLimit) return undefined
    const overAtMs = (this.#minute + 1) * MINUTE_MS + MINUTE_MARGIN_MS
    return { why: 'weight', waitMs: overAtMs - this.#options.exchangeNowMs() }
  }

  /** A request leaves. To be followed by `answered`, whatever comes of it. */
  sent(weight: number): void {
    this.#onItsWay += weight
  }

  /** Takes what the answer tells; without a header the request's own weight is counted as used. */
  answered(weight: number, result: RestResult): void {
    const used = this.usedWeight
    this.#onItsWay -= weight
    if (result.usedWeight >= 0) {
      this.#minute = Math.floor(this.#options.exchangeNowMs() / MINUTE_MS)
      this.#known = result.usedWeight
      this.#headerAtUs = this.#options.clock.monotonicUs()
    } else {
      this.#known = used - this.#onItsWay
    }
    this.limited(result.status, result.retryAfterMs)
  }

  /** Takes a refusal: after 429 or 418 nothing is sent before the time that it names. */
  limited(status: number, retryAfterMs: number): void {
    if (status !== 429 && status !== 418) return
    const unnamed = status === 418 ? PAUSE_BANNED_MS : PAUSE_LIMITED_MS
    this.pause(retryAfterMs > 0 ? retryAfterMs : unnamed)
  }

  /** Sends nothing for so long. A pause never shortens one that holds. */
  pause(ms: number): void {
    const { clock, remember } = this.#options
    const bounded = Math.min(ms, PAUSE_MS_MAX)
    if (bounded <= this.pausedMs) return
    this.#pausedUntilUs = clock.monotonicUs() + bounded * 1000
    remember(Math.ceil(clock.wallUs() / 1000 + bounded))
  }
}
