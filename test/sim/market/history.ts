/** The truth about a market's past: its book at every id, within a bounded memory. Pure. */
import { SimError } from '../errors.ts'
import type { Change, Market, TickBook } from './market.ts'
import type { Side, SideName } from './side.ts'

const SEGMENT_CHANGES = 4096
/** About half a million changes: 20 minutes at 400 a second, some 60 MB. */
const SEGMENTS_MAX = 128

interface Segment {
  /** Id and book before the first of its changes. */
  readonly fromId: bigint
  readonly sides: Readonly<Record<SideName, Side>>
  readonly changes: Change[]
}

export class History {
  readonly #symbol: string
  readonly #segments: Segment[] = []

  constructor(market: Market) {
    this.#symbol = market.options.symbol
    this.#segments.push({ fromId: market.lastId, sides: market.sides(), changes: [] })
  }

  /** Notes a change that the market has just made. */
  record(change: Change, market: Market): void {
    const segment = this.#segments.at(-1)
    segment?.changes.push(change)
    if (segment === undefined || segment.changes.length < SEGMENT_CHANGES) return
    this.#segments.push({ fromId: change.id, sides: market.sides(), changes: [] })
    if (this.#segments.length > SEGMENTS_MAX) this.#segments.shift()
  }

  /**
   * The book after the last change whose id is not above `id`. Throws SimError `book_unknown` for an id
   * before the first one kept or after the last one made.
   */
  bookAt(id: bigint): TickBook {
    const segment = this.#segments.findLast((candidate) => candidate.fromId <= id)
    const last = this.#segments.at(-1)
    const lastId = last?.changes.at(-1)?.id ?? last?.fromId ?? 0n
    if (segment === undefined || id > lastId) {
      const first = this.#segments[0]?.fromId ?? 0n
      throw new SimError(
        'book_unknown',
        `${this.#symbol}: the book at id ${id} is not known; known are ids ${first} to ${lastId}.`,
      )
    }
    const bid = segment.sides.bid.clone('bid')
    const ask = segment.sides.ask.clone('ask')
    let at = segment.fromId
    for (const change of segment.changes) {
      if (change.id > id) break
      if (change.side === 'bid') bid.set(change.price, change.qty)
      else ask.set(change.price, change.qty)
      at = change.id
    }
    return { id: at, bids: bid.levels(), asks: ask.levels() }
  }
}
