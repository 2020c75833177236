/** What Python is told of a made bucket: columns and types as DATA.md states them, and every row, as JSON. */
import { writeFile } from 'node:fs/promises'
import { formatTimeUs } from '../../../capture/ship/mod.ts'
import type { Cell } from './book.ts'
import type { MadeBucket } from './bucket.ts'
import type { MadeCapture, MadeFile } from './capture.ts'
import type { DocColumn } from './data-doc.ts'

/** Known to the code alone: `seq` (its order is checked instead) and texts for people. */
const NOT_EXPECTED = ['seq', 'detail']

interface ExpectedFile {
  readonly key: string
  readonly run: string
  readonly window: number
  readonly date: string
  readonly rows: number
  readonly columns: Readonly<Record<string, readonly Cell[]>>
}

interface ExpectedSeries {
  readonly exchange: string
  readonly symbol: string
  readonly stream: string
  readonly schema: readonly DocColumn[]
  readonly files: ExpectedFile[]
}

/** The documented columns of a stream's files: the common ones and its own, levels spelt out. */
export function schemaOf(
  doc: ReadonlyMap<string, readonly DocColumn[]>,
  stream: string,
  levels: number,
): DocColumn[] {
  const own = doc.get(stream.startsWith('books') ? 'books<N>' : stream)
  const common = doc.get('common')
  if (own === undefined || common === undefined) throw new Error(`DATA.md has no columns of ${stream}`)
  const flat = own.filter(({ name }) => !name.endsWith('_<i>'))
  const levelled = own.filter(({ name }) => name.endsWith('_<i>'))
  const all = [...common, ...flat]
  for (let i = 0; levelled.length > 0 && i < levels; i++) {
    for (const column of levelled) all.push({ ...column, name: column.name.replace('<i>', String(i)) })
  }
  return all
}

function expectedFile(capture: MadeCapture, file: MadeFile, schema: readonly DocColumn[]): ExpectedFile {
  const { run, symbol } = capture.options
  const opened = formatTimeUs(file.openedUs)
  const date = opened.slice(0, 10)
  const clock = opened.slice(11, 19).replaceAll(':', '')
  const folder = `parquet/exchange=BinanceUsdm/symbol=${encodeURIComponent(symbol)}/stream=${file.stream}`
  const name = `${clock}Z-${run}-${String(file.window).padStart(6, '0')}.parquet`
  const columns: Record<string, Cell[]> = {}
  for (const column of schema) {
    if (NOT_EXPECTED.includes(column.name)) continue
    columns[column.name] = file.rows.map((row) => {
      const cell = row[column.name]
      if (cell === undefined) throw new Error(`no ${column.name} is expected of ${file.stream}`)
      return cell
    })
  }
  const key = `${folder}/date=${date}/${name}`
  return { key, run, window: file.window, date, rows: file.rows.length, columns }
}

/** Writes the expectations and returns how many rows they hold. */
export async function writeExpected(
  made: MadeBucket,
  doc: ReadonlyMap<string, readonly DocColumn[]>,
  path: string,
): Promise<number> {
  const series = new Map<string, ExpectedSeries>()
  let rows = 0
  for (const capture of made.captures) {
    const { symbol, levels } = capture.options
    for (const file of capture.files) {
      const { stream } = file
      const id = `${symbol} ${stream}`
      const one = series.get(id) ?? {
        exchange: 'BinanceUsdm',
        symbol,
        stream,
        schema: schemaOf(doc, stream, levels),
        files: [],
      }
      series.set(id, one)
      one.files.push(expectedFile(capture, file, one.schema))
      rows += file.rows.length
    }
  }
  const order = made.captures.map(({ options, order }) => ({
    run: options.run,
    symbol: options.symbol,
    order,
  }))
  await writeFile(path, JSON.stringify({ root: made.root, series: [...series.values()], order }))
  return rows
}
