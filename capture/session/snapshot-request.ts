import type { Decoder, Encoder } from '../book/mod.ts'
import type { SnapshotMethod } from '../exchange/mod.ts'
import type { Effects } from './effects.ts'

/** After a request that was refused without a time, ask again after this long. */
const REFUSED_WAIT_US = 1_000_000

/**
 * The one request for a snapshot that may be on its way, and what decides the next: failures in a row, times
 * before which the exchange wants none, and whether the cause of the join is likely shared by other captures.
 */
export class SnapshotRequests {
  /** The limit of the request on its way, or of the last one. */
  limit = 0
  /** Joins after a start or a reconnect are spread over time. */
  spread = true
  /** 0 for none on its way. */
  #request = 0
  #made = 0
  #attempt = 0
  /** Receive time before which nothing is asked, microseconds. */
  #retryAt = 0

  /** Asks for the widest snapshot, unless a request is on its way or the time has not come. Returns whether it did. */
  ask(method: SnapshotMethod, received: number, effects: Effects): boolean {
    if (method.kind !== 'rest' || this.#request !== 0 || received < this.#retryAt) return false
    this.#request = ++this.#made
    this.limit = method.limits[method.limits.length - 1].limit
    effects.fetch({ id: this.#request, limit: this.limit, attempt: this.#attempt, spread: this.spread })
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
  forget(): void {
    this.#request = 0
  }

  encode(out: Encoder): void {
    out.integer(this.limit)
    out.boolean(this.spread)
    out.integer(this.#request)
    out.integer(this.#made)
    out.integer(this.#attempt)
    out.integer(this.#retryAt)
  }

  decode(from: Decoder): void {
    this.limit = from.integer()
    this.spread = from.boolean()
    this.#request = from.integer()
    this.#made = from.integer()
    this.#attempt = from.integer()
    this.#retryAt = from.integer()
  }
}
