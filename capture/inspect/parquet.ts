import { DataType, type RecordBatch, TimeUnit, tableFromIPC } from 'apache-arrow'
import { formatTimeUs } from '../ship/mod.ts'
import { type DecodedFile, Decoder } from '../verify/mod.ts'
import type { Cell, ParquetInspection } from './kinds.ts'

/** Rows shown of each end. */
const ROWS_SHOWN = 3
const BATCH_ROWS = 8192
const COLUMNS_SHOWN_MAX = 12
/** Columns that tell a row apart, of all streams; the first ones of a file that has none of them. */
const MAIN_COLUMNS = new Set([
  'seq',
  'connection',
  'received_time',
  'event_time',
  'update_id',
  'prev_update_id',
  'kind',
  'gap_before',
  'best_bid_price',
  'best_bid_qty',
  'best_ask_price',
  'best_ask_qty',
  'bid_reach',
  'ask_reach',
  'trade_id',
  'price',
  'qty',
  'side',
  'mark_price',
  'index_price',
  'funding_rate',
  'of_stream',
  'from_time',
  'to_time',
  'prev_id',
  'first_id',
  'last_id',
  'rows',
  'state',
  'ended_by',
])

/** Looks at a Parquet file, ours or not, taking its bytes away. Throws UnreadableError. */
export async function inspectParquet(
  path: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<ParquetInspection> {
  const { byteLength } = bytes
  const decoder = new Decoder()
  try {
    const file = await decoder.open(bytes)
    try {
      return await describe(path, byteLength, file)
    } finally {
      file.close()
    }
  } finally {
    await decoder.close()
  }
}

async function describe(path: string, bytes: number, file: DecodedFile): Promise<ParquetInspection> {
  const { rows, rowGroups, metadata, createdBy, schemaIpc } = file.summary
  const columns = tableFromIPC(schemaIpc).schema.fields.map(({ name, type, nullable }) => ({
    name,
    type: String(type),
    nullable,
  }))
  const flat = columns.filter(({ type }) => !type.startsWith('List'))
  const main = flat.filter(({ name }) => MAIN_COLUMNS.has(name))
  const shown = (main.length > 0 ? main : flat).slice(0, COLUMNS_SHOWN_MAX).map(({ name }) => name)
  const ends = await endsOf(file, shown)
  return {
    kind: 'parquet',
    path,
    bytes,
    createdBy,
    metadata: Object.fromEntries(metadata),
    rows,
    rowGroups,
    columns,
    shown,
    ...ends,
  }
}

async function endsOf(
  file: DecodedFile,
  shown: readonly string[],
): Promise<Pick<ParquetInspection, 'first' | 'last'>> {
  const { rowGroups } = file.summary
  if (rowGroups.length === 0) return { first: [], last: [] }
  const first = cellsOf(tableFromIPC(await file.read(0, BATCH_ROWS)).batches, shown)
  const head = first.slice(0, ROWS_SHOWN)
  if (rowGroups.length === 1)
    return { first: head, last: first.slice(Math.max(ROWS_SHOWN, first.length - ROWS_SHOWN)) }
  const last = cellsOf(tableFromIPC(await file.read(rowGroups.length - 1, BATCH_ROWS)).batches, shown)
  return { first: head, last: last.slice(-ROWS_SHOWN) }
}

/** The shown columns of a row group's first and last rows (all, where there are few). */
function cellsOf(batches: readonly RecordBatch[], shown: readonly string[]): Cell[][] {
  const rows: Cell[][] = []
  for (const batch of batches) {
    for (let i = 0; i < batch.numRows; i++) {
      const near = i < ROWS_SHOWN || i >= batch.numRows - ROWS_SHOWN
      if (near) rows.push(shown.map((name) => cellOf(batch, name, i)))
    }
  }
  return rows
}

function cellOf(batch: RecordBatch, name: string, row: number): Cell {
  const column = batch.getChild(name)
  const data = column?.data[0]
  if (column === null || data === undefined) return null
  const raw: unknown =
    DataType.isTimestamp(data.type) && column.isValid(row) ? data.values[row] : column.get(row)
  if (typeof raw === 'bigint' && DataType.isTimestamp(data.type)) return timeText(raw, data.type.unit)
  if (typeof raw === 'bigint') return String(raw)
  if (typeof raw === 'string' || typeof raw === 'number' || typeof raw === 'boolean') return raw
  return raw === null || raw === undefined ? null : String(raw)
}

/** Times of other units, or out of range, stay numbers. */
function timeText(value: bigint, unit: TimeUnit): string {
  const us = unit === TimeUnit.MILLISECOND ? Number(value) * 1000 : Number(value)
  const known = unit === TimeUnit.MILLISECOND || unit === TimeUnit.MICROSECOND
  return known && us >= 0 && Number.isSafeInteger(us) && us < 253_402_300_800_000_000
    ? formatTimeUs(us)
    : String(value)
}
