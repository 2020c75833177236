/** The last aggregate trades of a symbol, as REST returns them. */
import type { TradeRow } from './source.ts'

const TRADES_KEPT_MAX = 10_000

export class RecentTrades {
  readonly #trades: { readonly id: bigint; readonly payload: string }[] = []

  /** `payload` is the trade's `aggTrade` event. */
  add(id: bigint, payload: string): void {
    this.#trades.push({ id, payload })
    // In blocks: moving ten thousand elements for each trade would cost more than the trade.
    if (this.#trades.length >= 2 * TRADES_KEPT_MAX) this.#trades.splice(0, TRADES_KEPT_MAX)
  }

  /** The first `limit` trades from an id on, or the last `limit`; oldest first. */
  rows(fromId: bigint | undefined, limit: number): TradeRow[] {
    const chosen =
      fromId === undefined
        ? this.#trades.slice(-limit)
        : this.#trades.filter((trade) => trade.id >= fromId).slice(0, limit)
    return chosen.map(({ payload }) => {
      const { a, p, q, f, l, T, m } = JSON.parse(payload) as TradeRow
      return { a, p, q, f, l, T, m }
    })
  }
}
