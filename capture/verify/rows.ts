/**
 * Reads the rows of one Parquet object of a capture, a row group at a time, as typed columns. The columns must be
 * exactly those of the stream: a reader that is promised types gets an error, never a surprise.
 */
import {
  type Data,
  DataType,
  type Field,
  type RecordBatch,
  type Table,
  TimeUnit,
  tableFromIPC,
} from 'apache-arrow'
import { z } from 'zod'
import { STREAMS } from '../../api/streams.ts'
import { type Column, columnsOf, type FileStream, SCHEMA_VERSION } from '../record/mod.ts'
import { type DecodedFile, type Decoder, UnreadableError } from './decoder.ts'

/** The one metadata key of an object. */
const METADATA_KEY = 'l2cap'
const BATCH_ROWS = 8192

const Metadata = z.object({
  schema: z.int(),
  exchange: z.string(),
  symbol: z.string(),
  stream: z.string(),
  writer: z.string(),
})
/** What an object says of itself. */
export type ObjectMetadata = Readonly<z.infer<typeof Metadata>>

/** A stream as its name in paths tells it: `books20` is books with 20 levels. Undefined for a name that is none. */
export function parseStreamName(
  name: string,
): { readonly stream: FileStream; readonly levels: number } | undefined {
  const books = /^books([1-9]|[1-4]\d|50)$/.exec(name)
  if (books !== null) return { stream: 'books', levels: Number(books[1]) }
  if (name === 'coverage') return { stream: 'coverage', levels: 0 }
  const stream = STREAMS.find((known) => known === name && known !== 'books')
  return stream === undefined ? undefined : { stream, levels: 0 }
}

/** Lists of a row group: those of row `i` are `values[offsets[i]]` to `values[offsets[i + 1]]`. */
export interface Lists {
  readonly offsets: Int32Array
  readonly values: Float64Array
}

/** Rows that were read at once, by column. */
export class Batch {
  readonly rows: number
  readonly #batch: RecordBatch

  constructor(batch: RecordBatch) {
    this.#batch = batch
    this.rows = batch.numRows
  }

  #data(name: string): Data {
    const data = this.#batch.getChild(name)?.data[0]
    if (data === undefined) throw new UnreadableError(`it has no column ${name}`)
    return data
  }

  /** Ids and times, as stored. */
  int64(name: string): BigInt64Array {
    return (this.#data(name).values as BigInt64Array).subarray(0, this.rows)
  }

  int32(name: string): Int32Array {
    return (this.#data(name).values as Int32Array).subarray(0, this.rows)
  }

  /** Null is NaN here; a NaN that is not null is refused. */
  float(name: string): Float64Array {
    const data = this.#data(name)
    const values = (data.values as Float64Array).subarray(0, this.rows)
    const nulls = data.nullCount === 0 ? undefined : data.nullBitmap
    const result = nulls === undefined ? values : values.slice()
    for (let i = 0; i < this.rows; i++) {
      if (nulls !== undefined && ((nulls[i >> 3] ?? 0) & (1 << (i & 7))) === 0) result[i] = Number.NaN
      else if (Number.isNaN(values[i])) throw new UnreadableError(`column ${name} holds a NaN`)
    }
    return result
  }

  bool(name: string): (row: number) => boolean {
    const bits = this.#data(name).values as Uint8Array
    return (row) => ((bits[row >> 3] ?? 0) & (1 << (row & 7))) !== 0
  }

  text(name: string): (row: number) => string | null {
    const column = this.#batch.getChild(name)
    return (row) => {
      const value: unknown = column?.get(row)
      return typeof value === 'string' ? value : null
    }
  }

  lists(name: string): Lists {
    const data = this.#data(name)
    const child = data.children[0]
    return { offsets: data.valueOffsets, values: child?.values as Float64Array }
  }

  /** Is the text column this one value in every row? Compares bytes: most text columns repeat one value. */
  isAll(name: string, value: string): boolean {
    const { values, valueOffsets, nullCount } = this.#data(name)
    const used = Buffer.from(values.buffer, values.byteOffset, valueOffsets[this.rows] ?? 0)
    const one = Buffer.from(value)
    return nullCount === 0 && used.equals(Buffer.alloc(one.length * this.rows, one))
  }
}

/** One open object. Close it: it holds a decoder. */
export class ObjectReader {
  readonly rows: number
  readonly metadata: ObjectMetadata
  readonly #file: DecodedFile

  private constructor(file: DecodedFile, metadata: ObjectMetadata) {
    this.#file = file
    this.rows = file.summary.rows
    this.metadata = metadata
  }

  /** Opens an object of a stream by its name in paths, taking its bytes away. Throws UnreadableError. */
  static async open(
    bytes: Uint8Array<ArrayBuffer>,
    streamName: string,
    decoder: Decoder,
  ): Promise<ObjectReader> {
    const parsed = parseStreamName(streamName)
    if (parsed === undefined)
      throw new UnreadableError(`"${streamName}" is no stream that this version knows`)
    const file = await decoder.open(bytes)
    try {
      const { metadata, schemaIpc } = file.summary
      const own = parseMetadata(new Map(metadata).get(METADATA_KEY))
      checkColumns(tableOf(schemaIpc).schema.fields, columnsOf(parsed.stream, parsed.levels))
      return new ObjectReader(file, own)
    } catch (error) {
      file.close()
      throw error
    }
  }

  /** All rows in order. Throws UnreadableError. */
  async *batches(): AsyncGenerator<Batch> {
    for (let group = 0; group < this.#file.summary.rowGroups.length; group++) {
      for (const batch of tableOf(await this.#file.read(group, BATCH_ROWS)).batches) {
        if (batch.numRows > 0) yield new Batch(batch)
      }
    }
  }

  close(): void {
    this.#file.close()
  }
}

/** Reads what the decoder gave. Throws UnreadableError. */
function tableOf(ipc: Uint8Array): Table {
  try {
    return tableFromIPC(ipc)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UnreadableError(`its decoded rows cannot be read: ${reason}`, { cause })
  }
}

function parseMetadata(entry: string | undefined): ObjectMetadata {
  let value: unknown
  try {
    value = entry === undefined ? undefined : JSON.parse(entry)
  } catch (cause) {
    throw new UnreadableError(`its metadata entry "${METADATA_KEY}" is no JSON`, { cause })
  }
  const parsed = Metadata.safeParse(value)
  if (!parsed.success)
    throw new UnreadableError(`it has no metadata entry "${METADATA_KEY}" as a capture writes it`)
  if (parsed.data.schema !== SCHEMA_VERSION) {
    const { schema } = parsed.data
    throw new UnreadableError(
      `its schema is version ${schema}, this program reads ${SCHEMA_VERSION}: use the version that wrote it`,
    )
  }
  return parsed.data
}

function checkColumns(fields: readonly Field[], columns: readonly Column[]): void {
  const expected = columns.map(({ name, kind }) => `${name} ${kind}`)
  const found = fields.map((field) => `${field.name} ${kindOf(field)}`)
  for (let i = 0; i < Math.max(expected.length, found.length); i++) {
    if (expected[i] === found[i]) continue
    throw new UnreadableError(
      `column ${i} is "${found[i] ?? 'missing'}", expected "${expected[i] ?? 'none'}"`,
    )
  }
}

function kindOf({ type, nullable }: Field): string {
  const mark = nullable ? '?' : ''
  if (DataType.isInt(type) && type.isSigned) return `int${type.bitWidth}${mark}`
  if (DataType.isTimestamp(type) && type.timezone === 'UTC') {
    if (type.unit === TimeUnit.MILLISECOND) return `time_ms${mark}`
    if (type.unit === TimeUnit.MICROSECOND) return `time_us${mark}`
  }
  if (DataType.isFloat(type) && type.ArrayType === Float64Array) return `float${mark}`
  if (DataType.isBool(type)) return `bool${mark}`
  if (DataType.isUtf8(type)) return `text${mark}`
  if (DataType.isList(type)) {
    const element = type.children[0]
    if (element !== undefined && kindOf(element) === 'float') return `floats${mark}`
  }
  return String(type)
}
