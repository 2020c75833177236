/** Reports for people: coverage as a table of text, problems with what to do about them. Pure. */
import type { Checked, CoverageDay, Problem, ProblemKind, VerifyProgress, VerifyReport } from './report.ts'

/** Problems that a summary lists; the rest is counted, and in the JSON. */
const PROBLEMS_SHOWN_MAX = 20

const COLUMNS = [
  'exchange',
  'symbol',
  'stream',
  'date',
  'from',
  'to',
  'proven',
  'observed',
  'suspect',
  'missing',
] as const
/** Numbers end at the same place. */
const FIRST_NUMBER = COLUMNS.indexOf('proven')

/** Coverage as lines of text, a header first; one line a symbol, stream and day. */
export function coverageTable(coverage: readonly CoverageDay[]): string[] {
  if (coverage.length === 0) return ['no coverage: nothing was recorded here']
  const rows = [COLUMNS, ...coverage.map(cells)]
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)))
  return rows.map((row) =>
    row
      .map((cell, i) => (i < FIRST_NUMBER ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

function cells({ exchange, symbol, stream, date, from, to, seconds }: CoverageDay): string[] {
  const end = to.slice(0, 10) === date ? clock(to) : '24:00:00'
  const { proven, observed, suspect, missing } = seconds
  return [
    exchange,
    symbol,
    stream,
    date,
    clock(from),
    end,
    duration(proven),
    duration(observed),
    duration(suspect),
    duration(missing),
  ]
}

function clock(time: string): string {
  return time.slice(11, 19)
}

/** Seconds as a person reads them: `-` for none, never rounded down to none. */
export function duration(seconds: number): string {
  if (seconds === 0) return '-'
  if (seconds < 0.0005) return '<1ms'
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)}ms`
  if (seconds < 99.95) return `${seconds.toFixed(1)}s`
  const whole = Math.round(seconds)
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const two = (part: number | undefined) => String(part ?? 0).padStart(2, '0')
  return parts[0] === 0 ? `${parts[1]}m${two(parts[2])}s` : `${parts[0]}h${two(parts[1])}m${two(parts[2])}s`
}

/** What to do about each kind. */
const ADVICE: Readonly<Record<ProblemKind, string>> = {
  manifest_unreadable: 'do not trust the window; restore the manifest from a copy or remove what is not ours',
  manifest_altered: 'do not trust the window; restore the manifest from a copy',
  manifest_missing:
    'do not use the window; restore the manifest from a copy, its data is not vouched for without it',
  object_missing: 'restore the object from a copy; until then its time is missing',
  object_size: 'restore the object from a copy; until then its time is missing',
  object_altered: 'restore the object from a copy; until then its time is missing',
  object_unreadable: 'report it: the object is as it was written, and cannot be read',
  rows_mismatch:
    'do not use the object and report it: it was written wrong, or forged together with its hash',
  chain_broken: 'do not use the object and report it: rows are missing that nothing tells of',
  book_crossed: 'do not use the object and report it: its book cannot be right',
  book_mismatch: 'do not use the object and report it: books and depth of this window disagree',
  coverage_mismatch: 'do not rely on this window’s coverage and report it',
  overlap: 'order by id and take the first of each, or leave one of the two runs out',
  object_orphan: 'leave it out: take file lists from manifests, or remove it',
}

/** How far it is, in one line: `BTCUSDT 12 of 288: 12 manifests, 60 objects, 1.5 MiB, 9,000 rows, no problem so far`. */
export function progressText({ symbol, windows, windowsDone, checked, problems }: VerifyProgress): string {
  const so = `${problems === 0 ? 'no problem' : count(problems, 'problem')} so far`
  return `${symbol} ${windowsDone} of ${windows}: ${read(checked)}, ${so}`
}

function read({ manifests, objects, bytes, rows }: Checked): string {
  return `${count(manifests, 'manifest')}, ${count(objects, 'object')}, ${size(bytes)}, ${count(rows, 'row')}`
}

/** One paragraph for a person: what was checked, what is wrong and what to do about it, what is missing. */
export function summary(report: VerifyReport): string {
  const { manifests } = report.checked
  const all = read(report.checked)
  const lines: string[] = []
  if (manifests === 0 && report.problems.length === 0) {
    lines.push(
      'Nothing was checked: there is no manifest here. Is this the root of the data (it holds manifest/ and parquet/)?',
    )
  } else if (report.ok) lines.push(`All that is there is right: ${all}.`)
  else lines.push(`${count(report.problems.length, 'problem')} in ${all}:`)
  for (const problem of report.problems.slice(0, PROBLEMS_SHOWN_MAX)) lines.push(...problemLines(problem))
  const hidden = report.problems.length - PROBLEMS_SHOWN_MAX
  if (hidden > 0) lines.push(`  and ${hidden} more: --json lists all`)
  const missing = missingLine(report.coverage)
  if (missing !== undefined) lines.push(missing)
  return lines.join('\n')
}

function problemLines({ kind, key, detail }: Problem): string[] {
  return [`  ${kind} ${key}`, `    ${detail}`, `    → ${ADVICE[kind]}`]
}

function missingLine(coverage: readonly CoverageDay[]): string | undefined {
  if (coverage.length === 0) return undefined
  const streams = new Map<string, number>()
  for (const { exchange, symbol, stream, seconds } of coverage) {
    const name = `${exchange} ${symbol} ${stream}`
    streams.set(name, (streams.get(name) ?? 0) + seconds.missing)
  }
  const lacking = [...streams].filter(([, seconds]) => seconds > 0).sort(([, a], [, b]) => b - a)
  const [worst] = lacking
  if (worst === undefined) return 'Nothing is missing between the first and the last evidence of each stream.'
  const most = `the most of ${worst[0]}, ${duration(worst[1])}`
  return `Something is missing of ${lacking.length} of ${count(streams.size, 'stream')}: ${most}. Coverage says when.`
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`
}

function size(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  let at = 0
  let value = bytes
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024
    at++
  }
  return at === 0 ? `${value} bytes` : `${value.toFixed(1)} ${units[at]}`
}
