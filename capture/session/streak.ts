import type { Decoder, Encoder } from '../book/mod.ts'

/** A book that was live this long had recovered: what happened before it does not count any more. */
const RECOVERED_US = 600_000_000

/** Counts how often the same thing ended a book in a row. */
export class Streak {
  readonly #max: number
  #count = 0

  constructor(max: number) {
    this.#max = max
  }

  /** It happened again, after `liveForUs` of a live book if that matters; returns whether it was once too often. */
  add(liveForUs = 0): boolean {
    if (liveForUs >= RECOVERED_US) this.#count = 0
    this.#count++
    return this.#count >= this.#max
  }

  /** Something else happened. */
  reset(): void {
    this.#count = 0
  }

  encode(out: Encoder): void {
    out.count(this.#count)
  }

  decode(from: Decoder): void {
    this.#count = from.count()
  }
}
