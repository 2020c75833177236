/** What one symbol emitted, kept for oracles, up to a limit that is reported and never passed in silence. */
import { SimError } from './errors.ts'
import type { Emitted, EmittedBatch } from './source.ts'

/** About 100 MB of batches; three days of one connection at ten batches a second. */
const BATCHES_MAX = 2_500_000
const TRADES_MAX = 10_000_000

export class Ledger {
  readonly #symbol: string
  readonly #batches: EmittedBatch[] = []
  readonly #tradeIds: bigint[] = []
  #overflowed = false
  #lastDepthId = 0n

  constructor(symbol: string) {
    this.#symbol = symbol
  }

  get lastDepthId(): bigint {
    return this.#lastDepthId
  }

  batch(batch: EmittedBatch): void {
    this.#lastDepthId = batch.lastId
    if (this.#batches.length < BATCHES_MAX) this.#batches.push(batch)
    else this.#overflowed = true
  }

  trade(id: bigint): void {
    if (this.#tradeIds.length < TRADES_MAX) this.#tradeIds.push(id)
    else this.#overflowed = true
  }

  /** A copy of what was emitted. Throws SimError `ledger_full` once anything is missing from it. */
  emitted(): Emitted {
    if (this.#overflowed) {
      throw new SimError(
        'ledger_full',
        `${this.#symbol} emitted more than the ${BATCHES_MAX} batches or ${TRADES_MAX} trades kept for comparison; run the simulator for a shorter time.`,
      )
    }
    return {
      batches: [...this.#batches],
      depthIds: this.#batches.map((batch) => [batch.prevId, batch.lastId] as const),
      tradeIds: [...this.#tradeIds],
    }
  }
}
