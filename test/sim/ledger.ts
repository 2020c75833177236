/** What one symbol emitted, kept for oracles, up to a limit that is reported and never passed in silence. */
import { SimError } from './errors.ts'
import type { Emitted, EmittedBatch, EmittedMark, EmittedTrade, Lie } from './source.ts'

/** About 100 MB of batches; three days of one connection at ten batches a second. */
const BATCHES_MAX = 2_500_000
const TRADES_MAX = 5_000_000
/** A year of one a second. */
const MARKS_MAX = 32_000_000
const LIES_MAX = 100_000

export class Ledger {
  readonly #symbol: string
  readonly #batches: EmittedBatch[] = []
  readonly #trades: EmittedTrade[] = []
  readonly #marks: EmittedMark[] = []
  readonly #lies: Lie[] = []
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
    this.#keep(this.#batches, batch, BATCHES_MAX)
  }

  trade(trade: EmittedTrade): void {
    this.#keep(this.#trades, trade, TRADES_MAX)
  }

  mark(mark: EmittedMark): void {
    this.#keep(this.#marks, mark, MARKS_MAX)
  }

  lie(lie: Lie): void {
    this.#keep(this.#lies, lie, LIES_MAX)
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
      tradeIds: this.#trades.map((trade) => trade.id),
      trades: [...this.#trades],
      marks: [...this.#marks],
      lies: [...this.#lies],
    }
  }

  #keep<Kept>(list: Kept[], one: Kept, max: number): void {
    if (list.length < max) list.push(one)
    else this.#overflowed = true
  }
}
