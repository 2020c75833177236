import { type FileHandle, open, readFile } from 'node:fs/promises'
import { tableFromIPC } from 'apache-arrow'
import {
  Compression,
  ParquetFile,
  readParquet,
  Table,
  transformParquetStream,
  type WriterProperties,
  WriterPropertiesBuilder,
  writeParquet,
} from 'parquet-wasm'
import { ROW_GROUP_ROWS } from './stage.ts'

/** The one key of our metadata: with a single entry equal rows give equal bytes. */
const METADATA_KEY = 'l2cap'

/** Row groups that may wait for the encoder before a producer has to. */
const WAITING_GROUPS_MAX = 4

function writerProperties(metadata: string): WriterProperties {
  return new WriterPropertiesBuilder()
    .setCompression(Compression.ZSTD)
    .setKeyValueMetadata(new Map([[METADATA_KEY, metadata]]))
    .setCreatedBy('l2cap')
    .setMaxRowGroupSize(ROW_GROUP_ROWS)
    .build()
}

/**
 * Writes one Parquet file, a row group at a time, so that memory does not grow with the file. Row groups come as
 * Arrow IPC streams. The encoder is WebAssembly: after a trap its instance is dead, so this runs in a worker that
 * can be replaced.
 */
export class ParquetWriter {
  readonly #path: string
  readonly #metadata: string
  readonly #groups: Uint8Array[] = []
  #wake: (() => void) | undefined
  #drained: (() => void) | undefined
  #ended = false
  #started = false
  #written: Promise<void> | undefined
  #failure: unknown

  constructor(path: string, metadata: string) {
    this.#path = path
    this.#metadata = metadata
  }

  push(ipc: Uint8Array): void {
    this.#groups.push(ipc)
    this.#started = true
    this.#written ??= this.#write().catch((error: unknown) => {
      this.#failure = error
      this.#drained?.()
    })
    this.#wake?.()
  }

  /** Waits until few enough row groups are in memory. Throws what went wrong with the file. */
  async room(): Promise<void> {
    while (this.#groups.length > WAITING_GROUPS_MAX && this.#failure === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#drained = resolve
      await promise
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Ends the file; `emptyGroup` gives the schema where no row came. Throws what went wrong. */
  async end(emptyGroup: () => Uint8Array): Promise<void> {
    this.#ended = true
    this.#wake?.()
    if (!this.#started) {
      const bytes = writeParquet(Table.fromIPCStream(emptyGroup()), writerProperties(this.#metadata))
      await this.#toFile(async (file) => writeAll(file, bytes))
      return
    }
    await this.#written
    if (this.#failure !== undefined) throw this.#failure
  }

  async #write(): Promise<void> {
    const source = new ReadableStream(
      {
        pull: async (controller) => {
          while (this.#groups.length === 0 && !this.#ended) {
            const { promise, resolve } = Promise.withResolvers<void>()
            this.#wake = resolve
            await promise
          }
          const ipc = this.#groups.shift()
          this.#drained?.()
          if (ipc === undefined) return controller.close()
          for (const batch of Table.fromIPCStream(ipc).recordBatches()) controller.enqueue(batch)
        },
      },
      { highWaterMark: 0 },
    )
    const encoded: ReadableStream<Uint8Array> = await transformParquetStream(
      source,
      writerProperties(this.#metadata),
    )
    await this.#toFile(async (file) => {
      const reader = encoded.getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        await writeAll(file, value)
      }
    })
  }

  async #toFile(write: (file: FileHandle) => Promise<void>): Promise<void> {
    const file = await open(this.#path, 'wx')
    try {
      await write(file)
      await file.sync()
    } finally {
      await file.close()
    }
  }
}

/** A short write is a full disk: the system reports it only for what is left. */
async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  const { bytesWritten } = await file.write(bytes)
  if (bytesWritten !== bytes.length) {
    throw Object.assign(new Error(`no space left: ${bytesWritten} of ${bytes.length} bytes written`), {
      code: 'ENOSPC',
    })
  }
}

/** What a file says when it is read back. */
export interface ParquetSummary {
  readonly rows: number
  readonly firstSeq: bigint | undefined
  readonly lastSeq: bigint | undefined
  /** Our metadata entry; undefined in a file that is not ours. */
  readonly metadata: string | undefined
}

/** Reads a file's footer and its first and last `seq`. Throws where the file cannot be read. */
export async function readSummary(bytes: Uint8Array): Promise<ParquetSummary> {
  const file = await ParquetFile.fromFile(new Blob([new Uint8Array(bytes)]))
  try {
    const metadata = file.metadata()
    const fileMetadata = metadata.fileMetadata()
    const groups = metadata.numRowGroups()
    const entry: unknown = fileMetadata.keyValueMetadata().get(METADATA_KEY)
    const seqs = (group: number) => columnOf(bytes, 'seq', group)
    const first = groups > 0 ? seqs(0) : []
    const last = groups > 1 ? seqs(groups - 1) : first
    return {
      rows: fileMetadata.numRows(),
      firstSeq: first[0],
      lastSeq: last.at(-1),
      metadata: typeof entry === 'string' ? entry : undefined,
    }
  } finally {
    file.free()
  }
}

function columnOf(bytes: Uint8Array, column: string, rowGroup: number): bigint[] {
  const table = tableFromIPC(readParquet(bytes, { columns: [column], rowGroups: [rowGroup] }).intoIPCStream())
  const values: unknown = table.getChild(column)?.toArray()
  return values instanceof BigInt64Array ? [...values] : []
}

/** A file's bytes. */
export function readBytes(path: string): Promise<Buffer> {
  return readFile(path)
}
