import {
  Bool,
  type Data,
  Float64,
  Int32,
  Int64,
  List,
  makeData,
  RecordBatch,
  type Schema,
  Struct,
  Table,
  TimestampMicrosecond,
  TimestampMillisecond,
  tableToIPC,
  Utf8,
} from 'apache-arrow'
import { arrowSchema, listItem } from './arrow.ts'
import type { Column } from './columns.ts'

/** Rows of a row group: what is in memory before it is written. */
export const ROW_GROUP_ROWS = 8192

/** One column's values of the row group that fills up. Every column has bytes of its own. */
type Store =
  | { readonly kind: 'int32'; readonly values: Int32Array }
  | { readonly kind: 'int64' | 'time_ms' | 'time_us'; readonly values: BigInt64Array }
  | { readonly kind: 'float' | 'float?'; readonly values: Float64Array }
  | { readonly kind: 'bool'; readonly values: Uint8Array }
  | { readonly kind: 'text' | 'text?'; readonly values: (string | null)[] }
  | { readonly kind: 'floats'; readonly offsets: Int32Array; values: Float64Array; used: number }

function storeOf({ kind }: Column): Store {
  switch (kind) {
    case 'int32':
      return { kind, values: new Int32Array(ROW_GROUP_ROWS) }
    case 'int64':
    case 'time_ms':
    case 'time_us':
      return { kind, values: new BigInt64Array(ROW_GROUP_ROWS) }
    case 'float':
    case 'float?':
      return { kind, values: new Float64Array(ROW_GROUP_ROWS) }
    case 'bool':
      return { kind, values: new Uint8Array(ROW_GROUP_ROWS) }
    case 'text':
    case 'text?':
      return { kind, values: new Array<string | null>(ROW_GROUP_ROWS).fill(null) }
    case 'floats':
      return {
        kind,
        offsets: new Int32Array(ROW_GROUP_ROWS + 1),
        values: new Float64Array(64 * 1024),
        used: 0,
      }
  }
}

/**
 * Stages rows of one stream in typed columns. The caller sets every column of a row by its position, in order,
 * and ends the row; `take` gives a full or partial row group as an Arrow IPC stream and starts the next one.
 */
export class Stage {
  readonly schema: Schema
  rows = 0
  readonly #stores: Store[]

  constructor(columns: readonly Column[]) {
    this.schema = arrowSchema(columns)
    this.#stores = columns.map(storeOf)
  }

  get full(): boolean {
    return this.rows === ROW_GROUP_ROWS
  }

  int(column: number, value: number): void {
    const store = this.#stores[column]
    if (store.kind !== 'int32') throw new TypeError(`column ${column} is ${store.kind}`)
    store.values[this.rows] = value
  }

  id(column: number, value: bigint): void {
    const store = this.#stores[column]
    if (!(store.kind === 'int64' || store.kind === 'time_ms' || store.kind === 'time_us')) {
      throw new TypeError(`column ${column} is ${store.kind}`)
    }
    store.values[this.rows] = value
  }

  /** A time in the column's unit, or an integer column's value, as a safe integer. */
  integer(column: number, value: number): void {
    this.id(column, BigInt(value))
  }

  float(column: number, value: number): void {
    const store = this.#stores[column]
    if (!(store.kind === 'float' || store.kind === 'float?'))
      throw new TypeError(`column ${column} is ${store.kind}`)
    store.values[this.rows] = value
  }

  bool(column: number, value: boolean): void {
    const store = this.#stores[column]
    if (store.kind !== 'bool') throw new TypeError(`column ${column} is ${store.kind}`)
    store.values[this.rows] = value ? 1 : 0
  }

  text(column: number, value: string | null): void {
    const store = this.#stores[column]
    if (!(store.kind === 'text' || store.kind === 'text?'))
      throw new TypeError(`column ${column} is ${store.kind}`)
    store.values[this.rows] = value
  }

  /** Every `stride`-th value from `start`: prices and quantities come interleaved. */
  floats(column: number, data: Float64Array, start: number, stride: number, count: number): void {
    const store = this.#stores[column]
    if (store.kind !== 'floats') throw new TypeError(`column ${column} is ${store.kind}`)
    if (store.used + count > store.values.length) {
      const wider = new Float64Array(Math.max(store.values.length * 2, store.used + count))
      wider.set(store.values.subarray(0, store.used))
      store.values = wider
    }
    const values = store.values
    let at = store.used
    for (let i = 0, from = start; i < count; i++, from += stride) values[at++] = data[from]
    store.used = at
    store.offsets[this.rows + 1] = at
  }

  endRow(): void {
    if (this.full) throw new RangeError('the row group is full: take it first')
    this.rows++
  }

  /** The staged rows as an Arrow IPC stream (copied); the stage is empty after it. */
  take(): Uint8Array {
    const rows = this.rows
    const children = this.#stores.map((store) => dataOf(store, rows))
    const struct = makeData({ type: new Struct(this.schema.fields), length: rows, nullCount: 0, children })
    const ipc = tableToIPC(new Table(this.schema, [new RecordBatch(this.schema, struct)]), 'stream')
    for (const store of this.#stores) if (store.kind === 'floats') store.used = 0
    this.rows = 0
    return ipc
  }
}

function dataOf(store: Store, length: number): Data {
  switch (store.kind) {
    case 'int32':
      return makeData({ type: new Int32(), length, nullCount: 0, data: store.values.subarray(0, length) })
    case 'int64':
      return makeData({ type: new Int64(), length, nullCount: 0, data: store.values.subarray(0, length) })
    case 'time_ms':
      return makeData({
        type: new TimestampMillisecond('UTC'),
        length,
        nullCount: 0,
        data: store.values.subarray(0, length),
      })
    case 'time_us':
      return makeData({
        type: new TimestampMicrosecond('UTC'),
        length,
        nullCount: 0,
        data: store.values.subarray(0, length),
      })
    case 'float':
      return makeData({ type: new Float64(), length, nullCount: 0, data: store.values.subarray(0, length) })
    case 'float?': {
      const data = store.values.subarray(0, length)
      return makeData({
        type: new Float64(),
        length,
        data,
        ...validity(length, (i) => !Number.isNaN(data[i])),
      })
    }
    case 'bool': {
      const { nullBitmap } = validity(length, (i) => store.values[i] === 1)
      return makeData({ type: new Bool(), length, nullCount: 0, data: nullBitmap })
    }
    case 'text':
    case 'text?':
      return textData(store.values, length)
    case 'floats':
      return makeData({
        type: new List(listItem),
        length,
        nullCount: 0,
        valueOffsets: store.offsets.subarray(0, length + 1),
        child: makeData({
          type: new Float64(),
          length: store.used,
          nullCount: 0,
          data: store.values.subarray(0, store.used),
        }),
      })
  }
}

/** A bitmap of the positions for which the test holds, and how many do not. */
function validity(
  length: number,
  test: (i: number) => boolean,
): { nullBitmap: Uint8Array; nullCount: number } {
  const nullBitmap = new Uint8Array((length + 7) >> 3)
  let nullCount = 0
  for (let i = 0; i < length; i++) {
    if (test(i)) nullBitmap[i >> 3] |= 1 << (i & 7)
    else nullCount++
  }
  return { nullBitmap, nullCount }
}

function textData(values: readonly (string | null)[], length: number): Data {
  const parts: Buffer[] = []
  const valueOffsets = new Int32Array(length + 1)
  let last: string | null = null
  let bytes: Buffer = Buffer.alloc(0)
  for (let i = 0; i < length; i++) {
    const value = values[i]
    // most text columns repeat one value: encode it once
    if (value !== null && value !== last) {
      last = value
      bytes = Buffer.from(value, 'utf8')
    }
    if (value !== null) parts.push(bytes)
    valueOffsets[i + 1] = valueOffsets[i] + (value === null ? 0 : bytes.length)
  }
  const data = new Uint8Array(Buffer.concat(parts))
  return makeData({
    type: new Utf8(),
    length,
    valueOffsets,
    data,
    ...validity(length, (i) => values[i] !== null),
  })
}
