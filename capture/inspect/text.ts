/** Inspections as lines of text. Pure. */
import type { Cell, Inspection, ManifestInspection, ParquetInspection, SegmentInspection } from './kinds.ts'

const VALUE_LENGTH_MAX = 160

/** Lines for a person. */
export function linesOf(inspection: Inspection): string[] {
  switch (inspection.kind) {
    case 'parquet':
      return parquetLines(inspection)
    case 'manifest':
      return manifestLines(inspection)
    case 'segment':
      return segmentLines(inspection)
    case 'unknown':
      return [`${inspection.path}: ${inspection.message}.`]
  }
}

function parquetLines(file: ParquetInspection): string[] {
  const groups = file.rowGroups.map(({ rows, compressedBytes }, i) => [
    String(i),
    String(rows),
    `${compressedBytes} bytes`,
  ])
  const lines = [
    `${file.path}: Parquet, ${file.bytes} bytes, ${file.rows} rows, ${file.rowGroups.length} row groups, by ${file.createdBy || 'unknown'}`,
    ...section(
      'metadata',
      table(Object.entries(file.metadata).map(([key, value]) => [key, shortened(value)])),
    ),
    ...section(
      'columns',
      table(file.columns.map(({ name, type, nullable }) => [name, type, nullable ? 'nullable' : ''])),
    ),
    ...section('row groups', groups.length === 0 ? [] : table([['group', 'rows', 'size'], ...groups])),
  ]
  const rows = (found: readonly (readonly Cell[])[]) => found.map((row) => row.map(cellText))
  if (file.first.length > 0) {
    const between = file.rows - file.first.length - file.last.length
    const gap = between > 0 ? [[`… ${between} more`]] : []
    lines.push(...section('rows', table([[...file.shown], ...rows(file.first), ...gap, ...rows(file.last)])))
  }
  return lines
}

function manifestLines({ path, bytes, fault, manifest }: ManifestInspection): string[] {
  if (manifest === null) return [`${path}: a manifest, ${bytes} bytes, NOT intact: ${fault}`]
  const { writer, predecessor } = manifest
  const fields: [string, string][] = [
    ['exchange', manifest.exchange],
    ['symbol', manifest.symbol],
    ['run', manifest.run],
    ['window', String(manifest.window)],
    ['opened', manifest.opened],
    ['closed', manifest.closed],
    ['witness', manifest.witness],
    ['written by', manifest.written_by],
    ['recorded by', manifest.recorded_by],
    [
      'writer',
      Object.values(writer)
        .filter((part) => part !== '')
        .join(' ') || 'not named',
    ],
    ['predecessor', predecessor === null ? 'none' : `${predecessor.pod} ${predecessor.uid}`],
    ['final', manifest.final ? 'yes: this pod publishes no more' : 'no'],
    ['overlaps', manifest.overlaps ? 'yes: rows may be doubled by a predecessor that returned' : 'no'],
    ['sha256', manifest.sha256],
  ]
  const objects = manifest.objects.map((object) => [
    object.stream,
    String(object.rows),
    String(object.bytes),
    `${object.first_seq}..${object.last_seq}`,
    `${object.first_id}..${object.last_id}`,
    object.first_time ?? '-',
    object.last_time ?? '-',
    object.key,
  ])
  const coverage = manifest.coverage.map((row) => [
    row.of_stream,
    row.state,
    row.from,
    row.to,
    String(row.rows),
    row.prev_id,
    `${row.first_id}..${row.last_id}`,
    row.ended_by ?? 'goes on',
    row.detail,
  ])
  const counts = Object.entries(manifest.counts).filter(([, number]) => number > 0)
  return [
    `${path}: a manifest, ${bytes} bytes, intact`,
    ...section('window', table(fields)),
    ...section(
      'objects',
      table([['stream', 'rows', 'bytes', 'seq', 'id', 'first', 'last', 'key'], ...objects]),
    ),
    ...section(
      'coverage',
      table([['stream', 'state', 'from', 'to', 'rows', 'after', 'ids', 'ended by', ''], ...coverage]),
    ),
    ...section('counts', table(counts.map(([name, number]) => [name, String(number)]))),
  ]
}

function segmentLines(segment: SegmentInspection): string[] {
  const { header, end } = segment
  const lines = [`${segment.path}: a journal segment, ${segment.bytes} bytes, ${endText(end)}`]
  if (header === null)
    return [...lines, '  it ends, or is damaged, before its header is whole: nothing can be said of it']
  const writer = Object.values(header.writer)
    .filter((part) => part !== '')
    .join(' ')
  const fields: [string, string][] = [
    ['exchange', header.exchange],
    ['symbol', header.symbol],
    ['run', header.run],
    ['window', String(header.window)],
    ['opened', header.opened],
    ['first input', segment.first ?? 'none'],
    ['last input', segment.last ?? 'none'],
    ['written by', header.writtenBy],
    ['writer', writer || 'not named'],
    ['session', JSON.stringify(header.session)],
    ['checkpoint', `${segment.checkpointBytes} bytes`],
  ]
  if (end.end === 'sealed')
    fields.push(['closed', `${end.closed}, ${end.reason}`], ['state hash', end.stateHash])
  const connections = segment.connections.map((connection) => [
    String(connection.connection),
    connection.route ?? 'opened before',
    connection.opened ?? '-',
    connection.closed ?? '-',
    connection.why ?? '',
    String(connection.messages),
    String(connection.payloadBytes),
  ])
  return [
    ...lines,
    ...section('segment', table(fields)),
    ...section(
      'inputs',
      table(Object.entries(segment.inputs).map(([kind, number]) => [kind, String(number)])),
    ),
    ...section(
      'connections',
      connections.length === 0
        ? []
        : table([['connection', 'route', 'opened', 'closed', 'why', 'messages', 'bytes'], ...connections]),
    ),
  ]
}

function endText(end: SegmentInspection['end']): string {
  switch (end.end) {
    case 'sealed':
      return 'closed in order'
    case 'torn':
      return `without a trailer: a crash, or still being written (${end.goodBytes} sound bytes, ${end.tailBytes} of an unfinished frame)`
    case 'corrupt':
      return `DAMAGED after ${end.goodBytes} sound bytes: ${end.detail}`
  }
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)]
}

/** Columns under each other. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    // a row with one cell is a remark: it makes no column wider
    if (row.length > 1)
      for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** Metadata of other writers may be long and binary. */
function shortened(value: string): string {
  return value.length <= VALUE_LENGTH_MAX
    ? value
    : `${value.slice(0, VALUE_LENGTH_MAX)}… (${value.length} characters)`
}

function cellText(cell: Cell): string {
  return cell === null ? 'null' : String(cell)
}
