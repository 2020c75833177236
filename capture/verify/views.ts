/** Columns of a batch as the checks take them, looked up once a batch. */
import { DERIVED_COLUMNS, type TopColumns } from './rebuild.ts'
import type { Batch, Lists } from './rows.ts'

/** Columns of rows that chain. */
export interface ChainColumns {
  readonly connections: Int32Array
  readonly ids: BigInt64Array
  /** Absent where the previous id is the id − 1. */
  readonly previousIds: BigInt64Array | undefined
  readonly gapBefore: (row: number) => boolean
}

export interface DepthColumns extends ChainColumns {
  readonly kinds: (row: number) => string | null
  readonly bidPrices: Lists
  readonly bidQtys: Lists
  readonly askPrices: Lists
  readonly askQtys: Lists
  readonly bidReach: Float64Array
  readonly askReach: Float64Array
}

export interface BooksColumns extends ChainColumns, TopColumns {}

function chainColumns(batch: Batch, id: string, previousId: string | undefined): ChainColumns {
  return {
    connections: batch.int32('connection'),
    ids: batch.int64(id),
    previousIds: previousId === undefined ? undefined : batch.int64(previousId),
    gapBefore: batch.bool('gap_before'),
  }
}

export function tradesView(batch: Batch): ChainColumns {
  return chainColumns(batch, 'trade_id', undefined)
}

export function depthView(batch: Batch): DepthColumns {
  return {
    ...chainColumns(batch, 'update_id', 'prev_update_id'),
    kinds: batch.text('kind'),
    bidPrices: batch.lists('bid_prices'),
    bidQtys: batch.lists('bid_qtys'),
    askPrices: batch.lists('ask_prices'),
    askQtys: batch.lists('ask_qtys'),
    bidReach: batch.float('bid_reach'),
    askReach: batch.float('ask_reach'),
  }
}

/** The view of `books<levels>`. */
export function booksView(levels: number): (batch: Batch) => BooksColumns {
  return (batch) => {
    const column = (side: string) => Array.from({ length: levels }, (_, i) => batch.float(`${side}_${i}`))
    const derived = Object.fromEntries(DERIVED_COLUMNS.map((name) => [name, batch.float(name)]))
    return {
      ...chainColumns(batch, 'update_id', 'prev_update_id'),
      bidLevelsProven: batch.int32('bid_levels_proven'),
      askLevelsProven: batch.int32('ask_levels_proven'),
      bidPrices: column('bid_price'),
      bidQtys: column('bid_qty'),
      askPrices: column('ask_price'),
      askQtys: column('ask_qty'),
      derived: derived as BooksColumns['derived'],
    }
  }
}
