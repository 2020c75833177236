import type { RestRequest } from '../exchange/mod.ts'
import type { Budget, Rank, Refusal } from './budget.ts'
import type { Rest, RestResult } from './rest.ts'

export type Outcome =
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'answered'; readonly result: RestResult }
  /** The feed was stopped meanwhile: nobody waits for the outcome. */
  | { readonly kind: 'stopped' }

/** Where every request passes: none leaves that the budget does not know of. */
export class Gate {
  readonly budget: Budget
  readonly #rest: Rest
  readonly #stop: AbortSignal

  constructor(budget: Budget, rest: Rest, stop: AbortSignal) {
    this.budget = budget
    this.#rest = rest
    this.#stop = stop
  }

  /** Sends the request if the budget allows; `onLeave` is called as it leaves. */
  async ask(request: RestRequest, rank: Rank, onLeave: () => void): Promise<Outcome> {
    if (this.#stop.aborted) return { kind: 'stopped' }
    const refusal = this.budget.refuses(request.weight, rank)
    if (refusal !== undefined) return { kind: 'refused', refusal }
    this.budget.sent(request.weight)
    onLeave()
    // a pause holds from the head of its answer on, however slow the body is
    const result = await this.#rest.get(request.path, this.#stop, (status, retryAfterMs) =>
      this.budget.limited(status, retryAfterMs),
    )
    this.budget.answered(request.weight, result)
    return this.#stop.aborted ? { kind: 'stopped' } : { kind: 'answered', result }
  }
}
