import type { FetchRank } from '../session/mod.ts'
import type { Allowance } from './allowance.ts'
import type { Clock } from './clock.ts'
import type { RestResult } from './rest.ts'

/**
 * How much of the address's weight a request of this rank may find used, itself included. The clock is never
 * starved: it is what renews our knowledge of the weight.
 */
export const RANKS: Readonly<Record<Rank, number>> = { clock: 0.95, join: 0.9, proof: 0.75, audit: 0.5 }
export type Rank = FetchRank | 'clock'
/** From this share on a request for much makes do with less. */
const BUSY = 0.25

const MINUTE_MS = 60_000
/** The exchange's minute is believed over this long after our reckoning of it, for clocks that differ a little. */
const MINUTE_MARGIN_MS = 1_000
/** Pauses where the exchange names none: a ban (418) lasts at least two minutes. */
const PAUSE_LIMITED_MS = 60_000
const PAUSE_BANNED_MS = 120_000
/** Why a request may not be sent now, and for how long not. */
export interface Refusal {
  readonly why: 'weight' | 'rate_limited'
  readonly waitMs: number
}

export interface BudgetOptions {
  readonly clock: Clock
  readonly weightLimit: number
  /** Captures behind the address. */
  share(): number
  /** Our best knowledge of the exchange's clock, ms since the epoch. */
  exchangeNowMs(): number
  /** Pauses are taken and given here: they outlive this budget. */
  readonly allowance: Allowance
  /** A pause begins, or lasts longer than was known: until this wall time, ms since the epoch. */
  onPause(pausedUntilMs: number): void
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
    return this.#options.allowance.pausedMs
  }

  /** May a request of this weight leave now? Undefined where it may. */
  refuses(weight: number, rank: Rank): Refusal | undefined {
    const paused = this.pausedMs
    if (paused > 0) return { why: 'rate_limited', waitMs: paused }
    if (this.usedWeight + weight <= RANKS[rank] * this.weightLimit) return undefined
    return { why: 'weight', waitMs: this.minuteLeftMs }
  }

  /** Milliseconds until the exchange's minute is surely over. */
  get minuteLeftMs(): number {
    return (this.#minute + 1) * MINUTE_MS + MINUTE_MARGIN_MS - this.#options.exchangeNowMs()
  }

  /** Is so much of the weight used that a request for much makes do with less? */
  get busy(): boolean {
    return this.usedWeight >= BUSY * this.weightLimit
  }

  /**
   * Could all captures send such a request at one moment, and a look at the clock before it, none of them knowing
   * of the others? Always true during a pause, which is refused for its own sake.
   */
  affords(weight: number, rank: Rank): boolean {
    const captures = this.#options.share()
    if (captures === 1 || this.pausedMs > 0) return true
    return this.usedWeight + (weight + 1) * captures <= RANKS[rank] * this.weightLimit
  }

  /** A request leaves. To be followed by `answered`, whatever comes of it. */
  sent(weight: number): void {
    this.#onItsWay += weight
  }

  /**
   * Takes what the answer tells. An answer without the header tells nothing of the others, who may fare alike: its
   * weight is counted for each of them. No answer at all is counted for this capture alone: it may have been lost.
   */
  answered(weight: number, result: RestResult): void {
    const used = this.usedWeight
    this.#onItsWay -= weight
    if (result.usedWeight >= 0) {
      this.#minute = Math.floor(this.#options.exchangeNowMs() / MINUTE_MS)
      this.#known = result.usedWeight
      this.#headerAtUs = this.#options.clock.monotonicUs()
    } else {
      const unseen = result.status === 0 ? 0 : (this.#options.share() - 1) * weight
      this.#known = used - this.#onItsWay + unseen
    }
  }

  /** Takes a refusal: after 429 or 418 nothing is sent before the time that it names. */
  limited(status: number, retryAfterMs: number): void {
    if (status !== 429 && status !== 418) return
    const { allowance, onPause } = this.#options
    const unnamed = status === 418 ? PAUSE_BANNED_MS : PAUSE_LIMITED_MS
    if (allowance.pause(retryAfterMs > 0 ? retryAfterMs : unnamed)) onPause(allowance.pausedUntilMs)
  }
}
