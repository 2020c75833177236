/** Events and numbers as a person reads them. Pure. */
import type { RunEvent, SymbolStatus } from './events.ts'

/** One line for an event; undefined for what only the live lines show. `verbose` shows log lines of level info. */
export function lineOf(event: RunEvent, verbose: boolean): string | undefined {
  switch (event.event) {
    case 'status':
      return undefined
    case 'started':
      return event.attempt === 1 ? undefined : `${event.symbol}  restarted (process ${event.pid})`
    case 'live':
      return `${event.symbol}  live: the book is proven since ${timeOfDay(event.since)}`
    case 'gap':
      return `${event.symbol}  ${event.stream}: gap since ${timeOfDay(event.from)}: ${because(event)}`
    case 'gap_closed':
      return `${event.symbol}  ${event.stream}: covered again from ${timeOfDay(event.to)}, after ${event.seconds.toFixed(3)} s (${event.reason})`
    case 'paused':
      return `${event.symbol}  paused, nothing is captured: ${event.reason}${event.why === '' ? '' : `, ${event.why}`}`
    case 'resumed':
      return `${event.symbol}  goes on, it was paused since ${timeOfDay(event.since)}: ${event.reason}`
    case 'committed':
      return `${event.symbol}  window ${event.window.slice(-6)} committed: ${rowsText(event.rows)}`
    case 'shipping':
      return event.reason === null
        ? `${event.symbol}  ships again`
        : `${event.symbol}  cannot ship, everything waits in the spool and is tried again: ${event.reason}`
    case 'check':
      return event.reason === null
        ? `${event.symbol}  the bucket may be written, read and listed`
        : `${event.symbol}  the check of the bucket failed, the capture goes on: ${event.reason}`
    case 'ended':
      return endedText(event)
    case 'stopping':
      return event.again
        ? `stopping: ${event.why}`
        : `stopping (${event.why}): closes the last window and waits for the store until all is shipped; ` +
            'a second Ctrl-C leaves at once; the next run ships the rest'
    case 'log':
      return event.level === 'info' && !verbose
        ? undefined
        : `${event.symbol}  ${event.level}: ${event.message}`
    case 'done':
      return undefined
  }
}

function because({ reason, detail }: { readonly reason: string; readonly detail: string }): string {
  return detail === '' ? reason : `${reason}, ${detail}`
}

function endedText(event: RunEvent & { readonly event: 'ended' }): string {
  const { symbol, reason, message, delayMs = 0, unshippedBytes = 0 } = event
  switch (event.next) {
    case 'ended': {
      const left =
        unshippedBytes > 0 ? `; ${bytesText(unshippedBytes)} wait in the spool for the next start` : ''
      return `${symbol}  ${message}${left}`
    }
    case 'restart':
      return `${symbol}  ${reason}: ${message}; starts again ${delayMs === 0 ? 'at once' : `in ${delayMs / 1000} s`}`
    case 'terminal':
      return `${symbol}  ended for good, ${reason}: ${message}`
    case 'wrong_call':
      return message
  }
}

/** What a run was, once it is over. */
export function closingLines(symbols: readonly SymbolStatus[], out: string): string[] {
  const lines = symbols.map(({ symbol, rows, gaps, restarts, windows, state }) => {
    const counts = `${count(windows, 'window')}, ${rowsText(rows)}, ${count(gaps, 'gap')}, ${count(restarts, 'restart')}`
    return `${symbol}  ${state}: ${counts}`
  })
  return symbols.some(({ windows }) => windows > 0) ? [...lines, `Prove it:  l2cap verify ${out}`] : lines
}

/** To be read below a table of coverage; empty where nothing was withdrawn. */
export function withdrawnNote(
  coverage: readonly { readonly seconds: { readonly suspect: number } }[],
): string {
  if (coverage.every(({ seconds }) => seconds.suspect === 0)) return ''
  return (
    'suspect was published and is withdrawn. It counts as missing too, unless another run proves the same ids: ' +
    'do not add the two.'
  )
}

/** The live lines: a header and one line a symbol, none longer than `columns`, at most `rows` in all. */
export function liveLines(symbols: readonly SymbolStatus[], columns: number, rows: number): string[] {
  const room = Math.max(1, rows - 2)
  // what does not fit is what needs no look
  const shown = symbols.length <= room ? symbols : [...symbols].sort(worstFirst).slice(0, room)
  const cells = [HEADER, ...shown.map(cellsOf)]
  const widths = HEADER.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)))
  const lines = cells.map((row) =>
    row
      .map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .slice(0, columns),
  )
  const hidden = symbols.length - shown.length
  return hidden > 0 ? [...lines, `and ${hidden} more, all live`.slice(0, columns)] : lines
}

const HEADER = ['symbol', 'state', 'rows', 'last id', 'gaps', 'restarts', 'windows', 'waiting', 'ship']

function cellsOf(status: SymbolStatus): string[] {
  const { symbol, state, gaps, restarts, windows, windowsWaiting, ship, lastIdAgeMs } = status
  const rows = Object.values(status.rows).reduce((sum, rows) => sum + rows, 0)
  const age = lastIdAgeMs === null ? '-' : `${(lastIdAgeMs / 1000).toFixed(1)} s ago`
  return [symbol, state, grouped(rows), age, ...[gaps, restarts, windows, windowsWaiting].map(grouped), ship]
}

function worstFirst(a: SymbolStatus, b: SymbolStatus): number {
  return Number(a.state === 'live') - Number(b.state === 'live') || (a.symbol < b.symbol ? -1 : 1)
}

export function rowsText(rows: Readonly<Record<string, number>>): string {
  const parts = Object.entries(rows)
    .filter(([stream]) => stream !== 'coverage')
    .map(([stream, rows]) => `${grouped(rows)} ${stream}`)
  return parts.length === 0 ? 'no rows' : parts.join(', ')
}

/** `12:00:05.123`, in UTC, of a time in RFC 3339. */
export function timeOfDay(time: string): string {
  return time.slice(11, 23)
}

export function count(number: number, noun: string): string {
  return `${grouped(number)} ${noun}${number === 1 ? '' : 's'}`
}

export function grouped(number: number): string {
  return number.toLocaleString('en-US')
}

export function bytesText(bytes: number): string {
  if (bytes < 1024) return count(bytes, 'byte')
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  const at = Math.min(units.length, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** at).toFixed(1)} ${units[at - 1]}`
}
