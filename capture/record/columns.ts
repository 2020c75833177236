import type { Stream } from '../../api/streams.ts'

/** Version of the columns below; it stands in every file's metadata. */
export const SCHEMA_VERSION = 1

/** Kinds of columns. `float?` and `text?` are null where the stage was given NaN or null; integers never are. */
export type ColumnKind =
  | 'int32'
  | 'int64'
  | 'time_ms'
  | 'time_us'
  | 'float'
  | 'float?'
  | 'bool'
  | 'text'
  | 'text?'
  | 'floats'

export interface Column {
  readonly name: string
  readonly kind: ColumnKind
}

const COMMON: readonly Column[] = [
  { name: 'run', kind: 'text' },
  { name: 'seq', kind: 'int64' },
  { name: 'connection', kind: 'int32' },
  { name: 'received_time', kind: 'time_us' },
]

const columns = (kind: ColumnKind, ...names: string[]): Column[] => names.map((name) => ({ name, kind }))

const BOOKS: readonly Column[] = [
  ...columns('time_ms', 'event_time', 'transaction_time'),
  ...columns('int64', 'update_id', 'first_update_id', 'prev_update_id'),
  ...columns('bool', 'gap_before'),
  ...columns('int32', 'bid_levels_proven', 'ask_levels_proven'),
  ...columns('float', 'mid', 'spread', 'microprice', 'imbalance'),
  ...columns('float', 'best_bid_price', 'best_bid_qty', 'best_ask_price', 'best_ask_qty'),
]

const DEPTH: readonly Column[] = [
  ...columns('time_ms', 'event_time', 'transaction_time'),
  ...columns('int64', 'update_id', 'first_update_id', 'prev_update_id'),
  ...columns('text', 'kind'),
  ...columns('bool', 'gap_before'),
  ...columns('floats', 'bid_prices', 'bid_qtys', 'ask_prices', 'ask_qtys'),
  ...columns('float', 'bid_reach', 'ask_reach'),
]

const TRADES: readonly Column[] = [
  ...columns('time_ms', 'event_time', 'trade_time'),
  ...columns('int64', 'trade_id', 'first_trade_id', 'last_trade_id'),
  ...columns('float', 'price', 'qty'),
  ...columns('text', 'side'),
  ...columns('bool', 'gap_before'),
]

const MARK_PRICE: readonly Column[] = [
  ...columns('time_ms', 'event_time'),
  ...columns('float?', 'mark_price', 'index_price', 'funding_rate'),
  ...columns('time_ms', 'next_funding_time'),
]

const COVERAGE: readonly Column[] = [
  ...columns('text', 'of_stream'),
  ...columns('int64', 'window'),
  ...columns('time_us', 'from_time', 'to_time'),
  ...columns('int64', 'prev_id', 'first_id', 'last_id', 'rows'),
  ...columns('text', 'state'),
  ...columns('text?', 'ended_by'),
  ...columns('text', 'detail'),
]

/** The level columns of `books<N>`, four a level, best first. */
function levelColumns(bookLevels: number): Column[] {
  const result: Column[] = []
  for (let i = 0; i < bookLevels; i++) {
    result.push(...columns('float?', `bid_price_${i}`, `bid_qty_${i}`, `ask_price_${i}`, `ask_qty_${i}`))
  }
  return result
}

/** What a file holds: the captured streams, and their coverage. */
export type FileStream = Stream | 'coverage'

/** The columns of a stream's files, in order. */
export function columnsOf(stream: FileStream, bookLevels: number): readonly Column[] {
  switch (stream) {
    case 'books':
      return [...COMMON, ...BOOKS, ...levelColumns(bookLevels)]
    case 'depth':
      return [...COMMON, ...DEPTH]
    case 'trades':
      return [...COMMON, ...TRADES]
    case 'mark_price':
      return [...COMMON, ...MARK_PRICE]
    case 'coverage':
      return [...COMMON, ...COVERAGE]
  }
}
