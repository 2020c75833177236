/** The table of `l2cap status`: pure. */
import type { L2CaptureResource } from '../../api/resource.ts'
import type { CaptureReport, PodReport } from './cluster.ts'
import { bytesText } from './text.ts'

/** One line of the table, and one object of --json. Times are RFC 3339; what is not known is empty or null. */
export interface SymbolLine {
  readonly namespace: string
  readonly capture: string
  readonly symbol: string
  /** Live, or what the operator calls it, such as Halted. */
  readonly state: string
  readonly reason: string
  readonly since: string
  /** Seconds since the last event of its book (or of any stream where it captures no book). */
  readonly lagSeconds: number | null
  /** Recorded and not proven in the bucket yet. */
  readonly backlogBytes: number | null
  readonly lastCommit: string | null
  readonly restarts: number
  readonly pod: string
}

export interface CaptureLine {
  readonly namespace: string
  readonly capture: string
  readonly exchange: string
  readonly ready: string
  readonly reason: string
  readonly message: string
  readonly symbols: { readonly desired: number; readonly live: number; readonly halted: number }
}

/** A line for each capture: its own summary. */
export function captureLine({ metadata, spec, status }: L2CaptureResource): CaptureLine {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  return {
    namespace: metadata.namespace ?? '',
    capture: metadata.name ?? '',
    exchange: spec.exchange,
    ready: ready?.status ?? 'Unknown',
    reason: ready?.reason ?? 'NoOperator',
    message: ready?.message ?? 'no operator has looked at it yet',
    symbols: status?.symbols ?? { desired: spec.symbols.length, live: 0, halted: 0 },
  }
}

/** A line for each symbol that the spec names, and for each further one that still has a pod. */
export function symbolLines({ capture, pods }: CaptureReport, nowMs: number): SymbolLine[] {
  const named = capture.spec.symbols
  const others = pods.map(({ symbol }) => symbol).filter((symbol) => !named.includes(symbol))
  return [...named, ...new Set(others)].flatMap((symbol) => {
    const own = pods.filter((pod) => pod.symbol === symbol)
    const lines = own.map((pod) => lineOf(capture, symbol, pod, nowMs))
    return lines.length > 0 ? lines : [lineOf(capture, symbol, undefined, nowMs)]
  })
}

function lineOf(
  { metadata, spec, status }: L2CaptureResource,
  symbol: string,
  report: PodReport | undefined,
  nowMs: number,
): SymbolLine {
  const attention = status?.attention?.find((entry) => entry.symbol === symbol)
  const told = typeof report?.status === 'object' ? report.status : undefined
  const name = report?.pod.metadata?.name ?? ''
  const isTold = attention !== undefined && (attention.pod === name || attention.pod === '')
  const received = told === undefined ? undefined : lastReceived(told.streams)
  const state = stateOf(report, isTold ? attention.state : undefined, spec.symbols.includes(symbol))
  // a live book tells why its last gap was, long over; why a pod cannot be asked is of now
  const isOver = state === 'Live' || told?.state === 'live'
  const toldReason = isOver ? '' : (told?.reason ?? '')
  return {
    namespace: metadata.namespace ?? '',
    capture: metadata.name ?? '',
    symbol,
    state,
    reason: isTold ? attention.reason : typeof report?.status === 'string' ? report.status : toldReason,
    since: isTold ? attention.since : (told?.since ?? ''),
    lagSeconds: received === undefined ? null : Math.max(0, (nowMs - received) / 1000),
    backlogBytes: told?.spool.unshippedBytes ?? null,
    lastCommit: told?.ship.lastCommit ?? null,
    restarts: report?.pod.status?.containerStatuses?.[0]?.restartCount ?? 0,
    pod: name,
  }
}

function stateOf(report: PodReport | undefined, told: string | undefined, wanted: boolean): string {
  if (report === undefined) return told ?? 'Pending'
  if (report.pod.metadata?.deletionTimestamp !== undefined || !wanted) return 'Leaving'
  if (told !== undefined) return told
  const ready = report.pod.status?.conditions?.find(({ type }) => type === 'Ready')
  return ready?.status === 'True' ? 'Live' : 'Starting'
}

/** Of the book where one is captured: the other streams go on without it. */
function lastReceived(
  streams: Readonly<Record<string, { readonly lastReceived: string | null }>>,
): number | undefined {
  const entries = Object.entries(streams)
  const books = entries.filter(([name]) => name.startsWith('books') || name === 'depth')
  const times = (books.length > 0 ? books : entries).map(([, stream]) =>
    Date.parse(stream.lastReceived ?? ''),
  )
  const known = times.filter((time) => !Number.isNaN(time))
  return known.length === 0 ? undefined : Math.max(...known)
}

const HEAD = ['SYMBOL', 'STATE', 'REASON', 'SINCE', 'LAG', 'BACKLOG', 'LAST COMMIT', 'RESTARTS', 'POD']

/** Captures, each with its symbols below it. */
export function statusText(reports: readonly CaptureReport[], nowMs: number): string[] {
  return reports.flatMap((report, index) => {
    const { namespace, capture, exchange, ready, reason, message, symbols } = captureLine(report.capture)
    const { desired, live, halted } = symbols
    const title = `${namespace}/${capture}  ${exchange}  Ready=${ready} (${reason})  ${live} of ${desired} live${halted === 0 ? '' : `, ${halted} halted`}`
    const rows = symbolLines(report, nowMs).map((line) => cells(line, nowMs))
    return [
      ...(index === 0 ? [] : ['']),
      title,
      ...(ready === 'True' ? [] : [`  ${message}`]),
      ...table([HEAD, ...rows]),
    ]
  })
}

function cells(line: SymbolLine, nowMs: number): string[] {
  const { symbol, state, reason, since, lagSeconds, backlogBytes, lastCommit, restarts, pod } = line
  return [
    symbol,
    state,
    reason,
    agoText(since, nowMs),
    lagSeconds === null ? '' : `${lagSeconds.toFixed(1)} s`,
    backlogBytes === null ? '' : bytesText(backlogBytes),
    agoText(lastCommit ?? '', nowMs),
    String(restarts),
    pod,
  ].map((text) => (text === '' ? '-' : text))
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  )
}

/** `90 s`, `12 min`, `3 h`, `2 d` ago; empty for what is no time. */
function agoText(time: string, nowMs: number): string {
  const at = Date.parse(time)
  if (Number.isNaN(at)) return ''
  const seconds = Math.max(0, Math.round((nowMs - at) / 1000))
  if (seconds < 100) return `${seconds} s`
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`
  return seconds < 360_000 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}
