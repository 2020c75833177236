/**
 * Cuts the changes of a market into the batches of one connection. Pure. Each connection has a phase of its
 * own, so two of them cut the same changes at different ids; only `prevId` (the id of the last change before
 * the batch, defined alike on all) ties batches together.
 */
import type { Change } from './market.ts'
import type { SideName, TickLevel } from './side.ts'

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

/** Whether a changed level is told of, as the book stands at the cut. */
export type Reported = (side: SideName, price: number) => boolean

export class Batcher {
  readonly #everyMs: number
  readonly #firstCutAtMs: number
  #cutAtMs = Number.POSITIVE_INFINITY
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
    this.#firstCutAtMs = firstCutAtMs
    this.#everyMs = everyMs
  }

  /** When `cut` is due; infinite while nothing has changed: the exchange sends no empty batch. */
  get cutAtMs(): number {
    return this.#cutAtMs
  }

  add(change: Change): void {
    if (this.#firstId === 0n) this.#firstId = change.id
    if (this.#cutAtMs === Number.POSITIVE_INFINITY) this.#cutAtMs = this.#nextCut(change.atMs)
    this.#lastId = change.id
    this.#changedAtMs = change.atMs
    this.#pending[change.side].set(change.price, change.qty)
  }

  /**
   * Ends the running interval. Undefined where nothing changed in it, or nothing that is reported: then the
   * ids go over to the next batch, and the levels are forgotten.
   */
  cut(reported?: Reported): Batch | undefined {
    this.#cutAtMs = Number.POSITIVE_INFINITY
    if (this.#firstId === 0n) return undefined
    const bids = ascending(this.#pending.bid, 'bid', reported)
    const asks = ascending(this.#pending.ask, 'ask', reported)
    this.#pending.bid.clear()
    this.#pending.ask.clear()
    if (bids.length + asks.length === 0) return undefined
    const batch: Batch = {
      prevId: this.#prevId,
      firstId: this.#firstId,
      lastId: this.#lastId,
      changedAtMs: this.#changedAtMs,
      bids,
      asks,
    }
    this.#prevId = this.#lastId
    this.#firstId = 0n
    return batch
  }

  /** Begins anew at this id, as after a maintenance in which the exchange lost count. */
  restart(lastId: bigint): void {
    this.#prevId = lastId
    this.#firstId = 0n
    this.#cutAtMs = Number.POSITIVE_INFINITY
    this.#pending.bid.clear()
    this.#pending.ask.clear()
  }

  /** The first moment of the connection's grid at which a change of this moment may go out. */
  #nextCut(changedAtMs: number): number {
    if (this.#everyMs === 0) return changedAtMs
    const intervals = Math.max(0, Math.ceil((changedAtMs - this.#firstCutAtMs) / this.#everyMs))
    return this.#firstCutAtMs + intervals * this.#everyMs
  }
}

function ascending(levels: ReadonlyMap<number, number>, side: SideName, reported?: Reported): TickLevel[] {
  const told = reported === undefined ? [...levels] : [...levels].filter(([price]) => reported(side, price))
  return told.sort((a, b) => a[0] - b[0])
}
