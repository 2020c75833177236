import type { EndReason } from '../../api/reasons.ts'
import type { Decoder, Encoder } from '../book/mod.ts'
import { Recent } from './recent.ts'

/** So many falls from live in so long are no accident: the chain is not what we take it for. */
export const FALLS_MAX = 20
const WITHIN_US = 600_000_000
/** Falls that say nothing about the exchange's chain. */
const NOT_COUNTED: readonly EndReason[] = ['horizon', 'overload', 'disk_full']

/** Counts how often a live book was lost lately. Each loss costs a snapshot of the weight that all captures share. */
export class ResyncBudget {
  readonly #falls = new Recent(WITHIN_US)

  /** Notes a fall; returns whether the budget is exceeded. */
  fall(reason: EndReason, received: number): boolean {
    return !NOT_COUNTED.includes(reason) && this.#falls.add(received) > FALLS_MAX
  }

  encode(out: Encoder): void {
    this.#falls.encode(out)
  }

  decode(from: Decoder): void {
    this.#falls.decode(from)
  }
}
