import type { Input } from '../session/mod.ts'

/**
 * The one way out: hands inputs on one at a time. An input that arises while another is being handled waits
 * until that is done, so the receiver is never re-entered and order is the order of arising. What waits is
 * bounded by what the receiver asks for during one call.
 */
export class Outlet {
  readonly #onInput: (input: Input) => void
  readonly #waiting: Input[] = []
  #busy = false
  #closing = false

  constructor(onInput: (input: Input) => void) {
    this.#onInput = onInput
  }

  /** Hands on an input, now or after the one in hand. What the receiver throws goes to the first caller. */
  put(input: Input): void {
    if (this.#closing && input.kind !== 'closed') return
    this.#waiting.push(input)
    if (this.#busy) return
    this.#busy = true
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift())
        this.#onInput(next)
    } finally {
      this.#busy = false
    }
  }

  /** From here on only the ends of connections pass; what else waits is dropped: nobody asks for it any more. */
  close(): void {
    this.#closing = true
    const ends = this.#waiting.filter((input) => input.kind === 'closed')
    this.#waiting.splice(0, this.#waiting.length, ...ends)
  }
}
