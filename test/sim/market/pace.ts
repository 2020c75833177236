/** When a market acts: at random with a mean rate, faster in bursts, not at all in quiet stretches. Pure. */
import type { Profile, Stretch } from './profile.ts'
import type { Random } from './random.ts'

export class Pace {
  readonly #random: Random
  readonly #ratePerMs: number
  readonly #times: number
  readonly #bursts: Stretches | undefined
  readonly #quiet: Stretches | undefined

  constructor(profile: Profile, random: Random) {
    this.#random = random
    this.#ratePerMs = profile.rate / 1000
    this.#times = profile.bursts?.times ?? 1
    this.#bursts = profile.bursts && new Stretches(profile.bursts, random)
    this.#quiet = profile.quiet && new Stretches(profile.quiet, random)
  }

  /** The moment of the next action after this one, market milliseconds. Moments must not go back. */
  next(fromMs: number): number {
    let atMs = fromMs
    // A rate that changes with time: what is drawn is how many mean gaps must pass.
    let left = this.#random.exponential(1)
    for (;;) {
      const quiet = this.#quiet?.around(atMs)
      const burst = this.#bursts?.around(atMs)
      const rate = quiet?.inside === true ? 0 : this.#ratePerMs * (burst?.inside === true ? this.#times : 1)
      const untilMs = Math.min(quiet?.untilMs ?? Infinity, burst?.untilMs ?? Infinity)
      if (rate > 0 && atMs + left / rate <= untilMs) return atMs + left / rate
      left -= (untilMs - atMs) * rate
      atMs = untilMs
    }
  }
}

/** Stretches at random moments: gaps are exponential, lengths within half of their mean. */
class Stretches {
  readonly #stretch: Stretch
  readonly #random: Random
  #fromMs = 0
  #toMs = 0

  constructor(stretch: Stretch, random: Random) {
    this.#stretch = stretch
    this.#random = random
    this.#draw()
  }

  /** Whether this moment lies inside a stretch, and until when that stays so. */
  around(atMs: number): { readonly inside: boolean; readonly untilMs: number } {
    while (atMs >= this.#toMs) this.#draw()
    const inside = atMs >= this.#fromMs
    return { inside, untilMs: inside ? this.#toMs : this.#fromMs }
  }

  #draw(): void {
    this.#fromMs = this.#toMs + this.#random.exponential(this.#stretch.everyMs)
    this.#toMs = this.#fromMs + this.#stretch.lastsMs * (0.5 + this.#random.next())
  }
}
