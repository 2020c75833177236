import type { EndReason } from '../../api/reasons.ts'
import type { Decoder, Encoder } from '../book/mod.ts'

/** So many falls from live in so long are no accident: the chain is not what we take it for. */
export const FALLS_MAX = 20
const WITHIN_US = 600_000_000
/** Falls that say nothing about the exchange's chain. */
const NOT_COUNTED: readonly EndReason[] = ['horizon', 'overload', 'disk_full']

/** Counts how often a live book was lost lately. Each loss costs a snapshot of the weight that all captures share. */
export class ResyncBudget {
  #falls: number[] = []

  /** Notes a fall; returns whether the budget is exceeded. */
  fall(reason: EndReason, received: number): boolean {
    if (NOT_COUNTED.includes(reason)) return false
    this.#falls = this.#falls.filter((at) => received - at < WITHIN_US)
    this.#falls.push(received)
    return this.#falls.length > FALLS_MAX
  }

  encode(out: Encoder): void {
    out.count(this.#falls.length)
    for (const at of this.#falls) out.integer(at)
  }

  decode(from: Decoder): void {
    this.#falls = Array.from({ length: from.count() }, () => from.integer())
  }
}
