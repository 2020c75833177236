/** The exchange's book, rebuilt from a recorded snapshot and the events that followed. Never pruned. Pure. */
import type { TrueBook, WireLevel } from '../source.ts'
import { depthIds, snapshotId, times } from './fields.ts'

export class RecordedBook {
  #lastId: bigint
  #times: { readonly event: string; readonly change: string }
  /** By price as a number, so that two spellings of one price are one level; values keep their spelling. */
  readonly #bids = new Map<number, WireLevel>()
  readonly #asks = new Map<number, WireLevel>()

  /** `body` is the recorded answer of `/fapi/v1/depth`. */
  constructor(body: Buffer) {
    const { bids, asks } = JSON.parse(body.toString('utf8')) as { bids: WireLevel[]; asks: WireLevel[] }
    this.#lastId = snapshotId(body)
    this.#times = times(body)
    set(this.#bids, bids)
    set(this.#asks, asks)
  }

  get lastId(): bigint {
    return this.#lastId
  }

  /** `E` and `T` of the last event applied, or of the snapshot. */
  get times(): { readonly event: string; readonly change: string } {
    return this.#times
  }

  /**
   * Applies a depthUpdate. One that ends below the book is dropped (it is in the book already); quantities
   * are absolute, so one that overlaps brings the book exactly to its own end.
   */
  apply(bare: Buffer): void {
    const ids = depthIds(bare)
    if (ids === undefined || ids.lastId < this.#lastId) return
    const { b, a } = JSON.parse(bare.toString('utf8')) as { b: WireLevel[]; a: WireLevel[] }
    set(this.#bids, b)
    set(this.#asks, a)
    this.#lastId = ids.lastId
    this.#times = times(bare)
  }

  /** The best `limit` levels a side. */
  book(limit = Number.POSITIVE_INFINITY): TrueBook {
    const bids = [...this.#bids].sort((one, other) => other[0] - one[0])
    const asks = [...this.#asks].sort((one, other) => one[0] - other[0])
    return {
      lastUpdateId: this.#lastId,
      bids: bids.slice(0, limit).map(([, level]) => level),
      asks: asks.slice(0, limit).map(([, level]) => level),
    }
  }
}

function set(side: Map<number, WireLevel>, levels: readonly WireLevel[]): void {
  for (const level of levels) {
    const price = Number(level[0])
    if (Number(level[1]) === 0) side.delete(price)
    else side.set(price, level)
  }
}
