/** Pages that readers are tested by, and what docs/DATA.md says: the tables of columns, by stream. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

export const README_MD = resolve(import.meta.dirname, '../../../README.md')
export const DATA_MD = resolve(import.meta.dirname, '../../../docs/DATA.md')

export interface DocColumn {
  readonly name: string
  /** As the tables spell it: `int64`, `timestamp[us, UTC]`, `list<double>`, … */
  readonly type: string
  readonly nullable: boolean
}

const HEADING = /^### (?:`([a-z_<>N]+)`|(Columns of every stream))/
const ROW = /^\| `([a-z_<>]+)`(.*?) \| `?([^|`]+)`? \| (yes|no) \|/
/** Several columns in one line of a table: `a`, `b`. */
const NAME = /`([a-z_<>]+)`/g

/** Columns in the order of the tables: `common`, `books<N>`, `depth`, … Throws where a table is not as expected. */
export function documentedColumns(): Map<string, DocColumn[]> {
  const streams = new Map<string, DocColumn[]>()
  let columns: DocColumn[] | undefined
  for (const line of readFileSync(DATA_MD, 'utf8').split('\n')) {
    if (line.startsWith('#')) {
      const heading = HEADING.exec(line)
      columns = heading === null ? undefined : []
      if (columns !== undefined) streams.set(heading?.[1] ?? 'common', columns)
      continue
    }
    const row = ROW.exec(line)
    if (row === null || columns === undefined) continue
    const names = [...(line.split(' | ')[0] ?? '').matchAll(NAME)].map((match) => match[1] ?? '')
    for (const name of names) columns.push({ name, type: (row[3] ?? '').trim(), nullable: row[4] === 'yes' })
  }
  return streams
}
