import type { Decoder, Encoder } from '../book/mod.ts'
import type { ListingInput } from './input.ts'

/** Two testimonies that there is no such symbol must lie so far apart: one answer may be wrong, or old. */
const UNLISTED_APART_US = 5_000_000

/**
 * What the exchange says of the symbol: that it trades, that it does not, or, where no listing of this run ever had
 * it, that there is none. The last is final, and so one answer is not enough.
 */
export class ListingGuard {
  /** The exchange's word for the symbol's listing; empty before it is known. */
  word = ''
  /** The listing has no such symbol, and never had it in this run. */
  unlisted = false
  #wasListed = false
  /** When a listing first did not have it, receive time; 0 for none. */
  #unlistedSince = 0

  /** Takes a listing. `unlisted`: it has no such symbol, which the answers before may bear out (`testify`). */
  take({ status, word, received }: ListingInput): 'trading' | 'not_trading' | 'unlisted' {
    this.word = status === 'absent' ? 'absent' : word
    this.unlisted = status === 'absent' && !this.#wasListed
    if (this.unlisted) {
      if (this.#unlistedSince === 0) this.#unlistedSince = received
      return 'unlisted'
    }
    // one that was listed when this run began comes back, or is stopped by a person
    this.#wasListed = true
    return status === 'trading' ? 'trading' : 'not_trading'
  }

  /** Once more the exchange says that there is no such symbol; returns whether that is enough. */
  testify(received: number): boolean {
    return this.unlisted && received - this.#unlistedSince >= UNLISTED_APART_US
  }

  encode(out: Encoder): void {
    out.string(this.word)
    out.boolean(this.unlisted)
    out.boolean(this.#wasListed)
    out.integer(this.#unlistedSince)
  }

  decode(from: Decoder): void {
    this.word = from.string()
    this.unlisted = from.boolean()
    this.#wasListed = from.boolean()
    this.#unlistedSince = from.integer()
  }
}
