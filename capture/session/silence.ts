import type { Decoder, Encoder } from '../book/mod.ts'
import type { Effects } from './effects.ts'
import { type RequestNumbers, RequestSlot, type Wish } from './request-slot.ts'

/** An event that was on its way when the answer was given has so long to arrive. */
const VERDICT_WAIT_US = 2_000_000

/**
 * Silence as a question: after a while without evidence the exchange is asked, after twice the time again, up to a
 * longest wait. Any evidence answers it. An answer that speaks against the silence becomes a verdict only if no
 * evidence arrives a little later.
 */
export class Silence {
  readonly slot: RequestSlot
  readonly #firstWaitUs: number
  readonly #longestWaitUs: number
  #waitUs: number
  /** Receive time at which the next question is due, microseconds. */
  #askAt = Number.MAX_SAFE_INTEGER
  /** Receive time at which the silence is judged; 0 for no verdict pending. */
  #verdictAt = 0

  constructor(numbers: RequestNumbers, firstWaitUs: number, longestWaitUs: number) {
    this.slot = new RequestSlot(numbers)
    this.#firstWaitUs = firstWaitUs
    this.#longestWaitUs = Math.max(firstWaitUs, longestWaitUs)
    this.#waitUs = firstWaitUs
  }

  /** Something came, or silence begins to count: nothing is asked any more for now. */
  heard(received: number, effects: Effects): void {
    this.slot.forget(effects)
    this.#waitUs = this.#firstWaitUs
    this.#askAt = received + this.#firstWaitUs
    this.#verdictAt = 0
  }

  /** Nothing is expected to come: silence means nothing. */
  rest(effects: Effects): void {
    this.slot.forget(effects)
    this.#askAt = Number.MAX_SAFE_INTEGER
    this.#verdictAt = 0
  }

  /** Asks if a question is due. Returns whether it did. */
  ask(wish: Wish, received: number, effects: Effects): boolean {
    if (received < this.#askAt || this.#verdictAt !== 0) return false
    return this.slot.ask(wish, received, effects)
  }

  /** The answer was taken, whatever it says: the next question comes after twice the time. */
  answered(received: number): void {
    this.#waitUs = Math.min(this.#longestWaitUs, this.#waitUs * 2)
    this.#askAt = received + this.#waitUs
  }

  /** The answer speaks against the silence. */
  doubt(received: number): void {
    this.#verdictAt = received + VERDICT_WAIT_US
  }

  /** Is it time to judge? True once. */
  judge(received: number): boolean {
    if (this.#verdictAt === 0 || received < this.#verdictAt) return false
    this.#verdictAt = 0
    return true
  }

  /** The receive clock leapt by so much: what it left out is no silence. */
  leap(leapUs: number, received: number): void {
    if (this.#askAt !== Number.MAX_SAFE_INTEGER) {
      this.#askAt = Math.min(this.#askAt + leapUs, received + this.#waitUs)
    }
    if (this.#verdictAt !== 0)
      this.#verdictAt = Math.min(this.#verdictAt + leapUs, received + VERDICT_WAIT_US)
  }

  encode(out: Encoder): void {
    this.slot.encode(out)
    out.integer(this.#waitUs)
    out.integer(this.#askAt)
    out.integer(this.#verdictAt)
  }

  decode(from: Decoder): void {
    this.slot.decode(from)
    this.#waitUs = from.integer()
    this.#askAt = from.integer()
    this.#verdictAt = from.integer()
  }
}
