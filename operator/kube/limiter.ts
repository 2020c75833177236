/** Our own pace towards the API server, as client-go keeps it: a bucket of tokens. */
import { type System, sleep } from './time.ts'

export interface Pace {
  /** Calls a second in the long run. */
  readonly qps: number
  /** Calls that may go at once after a pause. */
  readonly burst: number
}

export class Limiter {
  readonly #system: System
  readonly #pace: Pace
  #tokens: number
  #atMs: number

  constructor(pace: Pace, system: System) {
    this.#system = system
    this.#pace = pace
    this.#tokens = pace.burst
    this.#atMs = system.clock.monotonicMs()
  }

  /** Takes a token, first come first served; waits for it until `signal` aborts, and then just returns. */
  async take(signal: AbortSignal): Promise<void> {
    const nowMs = this.#system.clock.monotonicMs()
    const earned = ((nowMs - this.#atMs) / 1000) * this.#pace.qps
    this.#tokens = Math.min(this.#pace.burst, this.#tokens + earned) - 1
    this.#atMs = nowMs
    // below zero are the tokens that those before us have taken in advance
    if (this.#tokens < 0) await sleep(this.#system.timers, (-this.#tokens / this.#pace.qps) * 1000, signal)
  }
}
