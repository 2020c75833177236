/**
 * Cuts the changes of a market into the batches of one connection. Pure. Each connection has a phase of its
 * own, so two of them cut the same changes at different ids; only `prevId` (the id of the last change before
 * the batch, defined alike on all) ties batches together.
 */
import type { Change } from './market.ts'
import type { TickLevel } from './side.ts'

export interface Batch {
  readonly prevId: bigint
  readonly firstId: bigint
  readonly lastId: bigint
  /** Market time of the last change. */
  readonly changedAtMs: number
  /** Final quantities, prices ascending, as the exchange sends them; 0 is a removal, also of a level never sent. */
  readonly bids: readonly TickLevel[]
  readonly asks: readonly TickLevel[]
}

export class Batcher {
  readonly #everyMs: number
  #cutAtMs: number
  #prevId: bigint
  #firstId = 0n
  #lastId = 0n
  #changedAtMs = 0
  readonly #pending = { bid: new Map<number, number>(), ask: new Map<number, number>() }

  /**
   * `lastId` is the market's last id at the moment when the connection begins; the first batch is cut at
   * `firstCutAtMs`, then each `everyMs`. With an interval of 0 each change is a batch.
   */
  constructor(lastId: bigint, firstCutAtMs: number, everyMs: number) {
    this.#prevId = lastId
    this.#cutAtMs = everyMs === 0 ? Number.POSITIVE_INFINITY : firstCutAtMs
    this.#everyMs = everyMs
  }

  /** When `cut` is due. */
  get cutAtMs(): number {
    return this.#cutAtMs
  }

  add(change: Change): void {
    if (this.#firstId === 0n) this.#firstId = change.id
    this.#lastId = change.id
    this.#changedAtMs = change.atMs
    this.#pending[change.side].set(change.price, change.qty)
    if (this.#everyMs === 0) this.#cutAtMs = change.atMs
  }

  /** Ends the running interval; undefined where nothing changed in it: the exchange sends no empty batch. */
  cut(): Batch | undefined {
    if (this.#everyMs === 0) this.#cutAtMs = Number.POSITIVE_INFINITY
    else this.#cutAtMs += this.#everyMs
    if (this.#firstId === 0n) return undefined
    const batch: Batch = {
      prevId: this.#prevId,
      firstId: this.#firstId,
      lastId: this.#lastId,
      changedAtMs: this.#changedAtMs,
      bids: ascending(this.#pending.bid),
      asks: ascending(this.#pending.ask),
    }
    this.#prevId = this.#lastId
    this.#firstId = 0n
    this.#pending.bid.clear()
    this.#pending.ask.clear()
    return batch
  }
}

function ascending(levels: ReadonlyMap<number, number>): TickLevel[] {
  return [...levels].sort((a, b) => a[0] - b[0])
}
