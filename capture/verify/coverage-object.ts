/** The coverage object of a window against the coverage in its manifest: the same rows in the same order. */
import { formatTimeUs, type Manifest } from '../ship/mod.ts'
import type { Batch } from './rows.ts'

/** What differs, in words; undefined where nothing does. */
export function coverageFault(manifest: Manifest, batches: readonly Batch[]): string | undefined {
  const expected = manifest.coverage.map((row) => ({ ...row, window: String(manifest.window) }))
  const found = batches.flatMap(rowsOf)
  if (found.length !== expected.length) {
    return `it holds ${found.length} rows, the manifest has ${expected.length} of coverage`
  }
  for (const [i, row] of found.entries()) {
    for (const [name, value] of Object.entries(row)) {
      const other = expected[i]?.[name as keyof (typeof expected)[number]]
      if (value !== other) return `row ${i} has ${name} ${text(value)}, the manifest ${text(other)}`
    }
  }
  return undefined
}

/** Rows of a batch by the names and spellings of the manifest. */
function rowsOf(batch: Batch): Record<string, string | number | null>[] {
  const ids = ['seq', 'window', 'prev_id', 'first_id', 'last_id'] as const
  const integers = ids.map((name) => [name, batch.int64(name)] as const)
  const times = (
    [
      ['from', 'from_time'],
      ['to', 'to_time'],
    ] as const
  ).map(([name, column]) => [name, batch.int64(column)] as const)
  const words = (['of_stream', 'state', 'ended_by', 'detail'] as const).map(
    (name) => [name, batch.text(name)] as const,
  )
  const connections = batch.int32('connection')
  const rows = batch.int64('rows')
  return Array.from({ length: batch.rows }, (_, i) => ({
    ...Object.fromEntries(integers.map(([name, values]) => [name, String(values[i])])),
    ...Object.fromEntries(times.map(([name, values]) => [name, timeText(Number(values[i]))])),
    ...Object.fromEntries(words.map(([name, value]) => [name, value(i)])),
    connection: connections[i] ?? -1,
    rows: Number(rows[i]),
  }))
}

function timeText(us: number): string {
  return us >= 0 && Number.isSafeInteger(us) ? formatTimeUs(us) : `${us} us`
}

function text(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value)
}
