/** Damages of one thing: rows rewritten as another writer would have, with hashes that agree again. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { type Table as ArrowTable, tableFromIPC } from 'apache-arrow'
import { Compression, readParquet, Table, WriterPropertiesBuilder, writeParquet } from 'parquet-wasm'
import { type Column, columnsOf } from '../../capture/record/columns.ts'
import { Stage } from '../../capture/record/stage.ts'
import {
  formatTimeUs,
  keyOfManifest,
  type Manifest,
  type ManifestFields,
  type ManifestObject,
  parseManifest,
  sealManifest,
  serialiseManifest,
} from '../../capture/ship/mod.ts'
import { parseStreamName } from '../../capture/verify/mod.ts'
import { type Place, sha256 } from './world.ts'

export type Value = bigint | number | boolean | string | null | number[]
export type Row = Record<string, Value>

/** A value that must be there. */
export function there<T>(value: T | undefined | null, what = 'value'): T {
  if (value === undefined || value === null) throw new Error(`no ${what}`)
  return value
}

export function objectOf(manifest: Manifest, stream: string): ManifestObject {
  return there(
    manifest.objects.find((object) => object.stream === stream),
    `object of ${stream}`,
  )
}

function columns(stream: string): readonly Column[] {
  const parsed = there(parseStreamName(stream), 'stream')
  return columnsOf(parsed.stream, parsed.levels)
}

function metadataOf(bytes: Uint8Array, stream: string): string {
  const table = tableFromIPC(readParquet(bytes).intoIPCStream())
  return table.schema.metadata.get('l2cap') ?? JSON.stringify({ stream })
}

export function rowsOf(bytes: Uint8Array, stream: string): Row[] {
  const table: ArrowTable = tableFromIPC(readParquet(bytes).intoIPCStream())
  const rows: Row[] = []
  for (const batch of table.batches) {
    for (let i = 0; i < batch.numRows; i++) {
      const row: Row = {}
      for (const { name, kind } of columns(stream)) {
        const column = there(batch.getChild(name), name)
        const values: unknown = column.data[0]?.values
        if (kind === 'time_ms' || kind === 'time_us' || kind === 'int64')
          row[name] = (values as BigInt64Array)[i] ?? 0n
        else if (kind === 'floats') row[name] = [...(column.get(i) as Iterable<number>)]
        else row[name] = column.get(i) as Value
      }
      rows.push(row)
    }
  }
  return rows
}

/** Rows as a Parquet file of their stream. */
export function encode(rows: readonly Row[], stream: string, metadata: string): Buffer {
  const list = columns(stream)
  const stage = new Stage(list)
  for (const row of rows) {
    for (const [at, { name, kind }] of list.entries()) set(stage, at, kind, row[name] ?? null)
    stage.endRow()
  }
  const properties = new WriterPropertiesBuilder()
    .setCompression(Compression.ZSTD)
    .setKeyValueMetadata(new Map([['l2cap', metadata]]))
    .build()
  return Buffer.from(writeParquet(Table.fromIPCStream(stage.take()), properties))
}

function set(stage: Stage, at: number, kind: Column['kind'], value: Value): void {
  if (kind === 'int32') stage.int(at, Number(value))
  else if (kind === 'int64' || kind === 'time_ms' || kind === 'time_us') stage.id(at, BigInt(value as bigint))
  else if (kind === 'bool') stage.bool(at, value === true)
  else if (kind === 'text' || kind === 'text?') stage.text(at, value === null ? null : String(value))
  else if (kind === 'floats')
    stage.floats(at, Float64Array.from(value as number[]), 0, 1, (value as number[]).length)
  else stage.float(at, value === null ? Number.NaN : Number(value))
}

/** Changes a committed manifest; its hash is made anew, its objects stay. */
export async function reseal(
  place: Place,
  manifest: Manifest,
  change: (fields: ManifestFields) => ManifestFields,
): Promise<Manifest> {
  const { sha256: _, ...fields } = manifest
  const changed = sealManifest(change(fields))
  await writeFile(place.path(keyOfManifest(manifest)), serialiseManifest(changed))
  return changed
}

/** Puts other bytes in an object's place; the manifest agrees with them. */
export async function replaceObject(
  place: Place,
  manifest: Manifest,
  stream: string,
  bytes: Uint8Array,
  facts: Partial<ManifestObject> = {},
): Promise<Manifest> {
  const object = objectOf(manifest, stream)
  await writeFile(place.path(object.key), bytes)
  const changed = { ...object, bytes: bytes.byteLength, sha256: sha256(bytes), ...facts }
  return await reseal(place, manifest, (fields) => ({
    ...fields,
    objects: fields.objects.map((other) => (other.stream === stream ? changed : other)),
  }))
}

/** Rewrites an object's rows; the manifest's facts follow them, except those given. */
export async function rewrite(
  place: Place,
  manifest: Manifest,
  stream: string,
  change: (rows: Row[]) => Row[],
  facts: Partial<ManifestObject> = {},
): Promise<Manifest> {
  const bytes = await readFile(place.path(objectOf(manifest, stream).key))
  const rows = change(rowsOf(bytes, stream))
  const first = there(rows[0], 'row')
  const last = there(rows.at(-1), 'row')
  const idOf = (row: Row) => String(row.update_id ?? row.trade_id ?? 0n)
  return await replaceObject(place, manifest, stream, encode(rows, stream, metadataOf(bytes, stream)), {
    rows: rows.length,
    first_seq: String(first.seq),
    last_seq: String(last.seq),
    first_id: idOf(first),
    last_id: idOf(last),
    first_time: formatTimeUs(Number(first.received_time)),
    last_time: formatTimeUs(Number(last.received_time)),
    ...facts,
  })
}

/** Changes coverage in the manifest and in the coverage object alike. */
export async function rewriteCoverage(
  place: Place,
  manifest: Manifest,
  pick: (row: Manifest['coverage'][number]) => boolean,
  change: Partial<Record<'to' | 'prev_id' | 'first_id' | 'last_id', string>> & { readonly rows?: number },
): Promise<Manifest> {
  const seqs = new Set(manifest.coverage.filter(pick).map(({ seq }) => seq))
  if (seqs.size === 0) throw new Error('no coverage row is picked')
  const changed = await reseal(place, manifest, (fields) => ({
    ...fields,
    coverage: fields.coverage.map((row) => (seqs.has(row.seq) ? { ...row, ...change } : row)),
  }))
  return await rewrite(place, changed, 'coverage', (rows) =>
    rows.map((row) => {
      if (!seqs.has(String(row.seq))) return row
      const { rows: count, to, prev_id: prevId, first_id: firstId, last_id: lastId } = change
      return {
        ...row,
        ...(count === undefined ? {} : { rows: BigInt(count) }),
        ...(to === undefined ? {} : { to_time: BigInt(Date.parse(to)) * 1000n }),
        ...(prevId === undefined ? {} : { prev_id: BigInt(prevId) }),
        ...(firstId === undefined ? {} : { first_id: BigInt(firstId) }),
        ...(lastId === undefined ? {} : { last_id: BigInt(lastId) }),
      }
    }),
  )
}

export async function remove(place: Place, key: string): Promise<void> {
  await rm(place.path(key))
}

export async function readManifestAt(place: Place, key: string): Promise<Manifest> {
  return parseManifest(await readFile(place.path(key)))
}
