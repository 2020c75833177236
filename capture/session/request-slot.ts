import type { Decoder, Encoder } from '../book/mod.ts'
import type { Effects, FetchRequest } from './effects.ts'

/** After a request that was refused without a time, ask again after this long. */
const REFUSED_WAIT_US = 1_000_000

/** Numbers the requests of a run, whatever they are for. */
export class RequestNumbers {
  #last = 0

  next(): number {
    return ++this.#last
  }

  encode(out: Encoder): void {
    out.integer(this.#last)
  }

  decode(from: Decoder): void {
    this.#last = from.integer()
  }
}

/** What a request asks for besides its number and its failures. */
export type Wish = Omit<FetchRequest, 'id' | 'attempt'>

/**
 * The one request for one purpose that may be on its way, and what decides the next: failures in a row, and the
 * time before which the exchange wants none. An answer to a request that was forgotten belongs to nobody.
 */
export class RequestSlot {
  readonly #numbers: RequestNumbers
  /** Levels asked for by the request on its way, or by the last one. */
  limit = 0
  /** When the request on its way left, receive time; 0 where it has not. */
  sentAt = 0
  /** 0 for none on its way. */
  #request = 0
  #attempt = 0
  /** Receive time before which nothing is asked, microseconds. */
  #retryAt = 0

  constructor(numbers: RequestNumbers) {
    this.#numbers = numbers
  }

  get busy(): boolean {
    return this.#request !== 0
  }

  /** Receive time before which nothing is asked, microseconds; 0 for no such time. */
  get retryAt(): number {
    return this.#retryAt
  }

  /** Asks, unless a request is on its way or the time has not come. Returns whether it did. */
  ask(wish: Wish, received: number, effects: Effects): boolean {
    if (this.busy || received < this.#retryAt) return false
    this.#request = this.#numbers.next()
    this.limit = wish.limit
    this.sentAt = 0
    effects.fetch({ ...wish, id: this.#request, attempt: this.#attempt })
    return true
  }

  /** A request left; returns whether it is this one. */
  sent(request: number, limit: number, received: number): boolean {
    if (request !== this.#request) return false
    this.limit = limit
    this.sentAt = received
    return true
  }

  /** An answer came: is it the one that is waited for? If so nothing is on its way any more. */
  answered(request: number, retryAt: number): boolean {
    if (request !== this.#request) return false
    this.#request = 0
    this.#retryAt = retryAt
    return true
  }

  /** A refusal came; as `answered`. */
  refused(request: number, until: number, received: number): boolean {
    return this.answered(request, Math.max(until, received + REFUSED_WAIT_US))
  }

  /** The answer was of no use: the wait before the next one grows. */
  failed(): void {
    this.#attempt++
  }

  succeeded(): void {
    this.#attempt = 0
  }

  /** Whatever is on its way is not wanted any more. */
  forget(effects: Effects): void {
    if (!this.busy) return
    effects.forget(this.#request)
    this.#request = 0
  }

  encode(out: Encoder): void {
    out.integer(this.limit)
    out.integer(this.sentAt)
    out.integer(this.#request)
    out.integer(this.#attempt)
    out.integer(this.#retryAt)
  }

  decode(from: Decoder): void {
    this.limit = from.integer()
    this.sentAt = from.integer()
    this.#request = from.integer()
    this.#attempt = from.integer()
    this.#retryAt = from.integer()
  }
}
