import type { Decoder, Encoder } from '../book/mod.ts'

/** Counts how often something happened within a time: what is rare may pass, what is frequent is no accident. */
export class Recent {
  readonly #withinUs: number
  #at: number[] = []

  constructor(withinUs: number) {
    this.#withinUs = withinUs
  }

  /** Notes one; returns how many there were within the time, this one included. */
  add(received: number): number {
    this.#at = this.#at.filter((at) => received - at < this.#withinUs)
    this.#at.push(received)
    return this.#at.length
  }

  encode(out: Encoder): void {
    out.count(this.#at.length)
    for (const at of this.#at) out.integer(at)
  }

  decode(from: Decoder): void {
    this.#at = Array.from({ length: from.count() }, () => from.integer())
  }
}
