import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HALT_EXIT_CODES, type HaltReason, TERMINAL_HALTS } from '../../api/reasons.ts'
import { CallError, durationMs, readCall, suggestion, wholeNumber, wordList } from '../../capture/cli/call.ts'
import { eventsBetween } from '../../capture/cli/events.ts'
import { startDelayMs } from '../../capture/cli/fleet.ts'
import { reportOf, restartDelayMs, shareOf, verdictOf } from '../../capture/cli/restart.ts'
import { liveLines } from '../../capture/cli/text.ts'
import { TerminalView } from '../../capture/cli/view.ts'
import type { Report } from '../../capture/process/report.ts'
import type { CaptureStatus } from '../../capture/process/status.ts'

const HALTS = Object.keys(HALT_EXIT_CODES) as HaltReason[]

test('durations have a unit: 500ms, 60s, 10m, 2h, 1d, and nothing else', () => {
  const read = (text: string) => durationMs('--duration', text)
  assert.deepEqual(
    ['500ms', '60s', '1.5m', '2h', '1d'].map(read),
    [500, 60_000, 90_000, 7_200_000, 86_400_000],
  )
  for (const bad of ['60', '0s', '-5s', 's', '1 h', '1e3s', '25d', 'soon']) {
    assert.throws(() => read(bad), CallError, bad)
  }
})

test('numbers and lists: every mistake is a CallError that names the option', () => {
  assert.equal(wholeNumber('--levels', '50', 1, 50), 50)
  for (const bad of ['0', '51', '1.5', 'x', '-1', ''])
    assert.throws(() => wholeNumber('--levels', bad, 1, 50), /--levels/, bad)
  assert.deepEqual(wordList('--symbols', 'A, B,A', 'A,B'), ['A', 'B'])
  for (const bad of ['', ',', 'A,,B', 'A,'])
    assert.throws(() => wordList('--symbols', bad, 'A,B'), /--symbols/, bad)
})

test('options: unknown, doubled, without value, with a value too many', () => {
  const options = { out: { type: 'string' }, json: { type: 'boolean' } } as const
  const read = (...args: string[]) => readCall('l2cap run', args, options)
  assert.deepEqual({ ...read('--out', 'x', 'y', '--json').values }, { out: 'x', json: true })
  assert.throws(() => read('--ouf', 'x'), /no option --ouf; did you mean --out\?; see l2cap run --help/)
  assert.throws(() => read('--out'), /--out needs a value/)
  assert.throws(() => read('--out='), /--out needs a value/)
  assert.throws(() => read('--out', '--json'), /--out needs a value/)
  assert.throws(() => read('--json=x'), /--json takes no value/)
  assert.throws(() => read('--out', 'a', '--out', 'b'), /--out is given twice/)
})

test('a suggestion is near, or there is none', () => {
  assert.equal(suggestion('verfy', ['run', 'verify']), '; did you mean verify?')
  assert.equal(suggestion('xyzzy', ['run', 'verify']), '')
})

test('restarts: at once, then 1 s doubling to 60 s, for any number of failures', () => {
  assert.deepEqual([0, 1, 2, 3, 6, 7, 8].map(restartDelayMs), [0, 1000, 2000, 4000, 32_000, 60_000, 60_000])
  fc.assert(
    fc.property(fc.nat(10_000), (failures) => {
      const delayMs = restartDelayMs(failures)
      assert.ok(delayMs >= 0 && delayMs <= 60_000 && restartDelayMs(failures + 1) >= delayMs)
    }),
  )
})

test('the end of a process: terminal reasons and wrong calls are final, every other halt and death restarts', () => {
  const verdict = (code: number | null, signal: string | null = null, stopping = false) =>
    verdictOf({ code, signal, lastWords: '', report: undefined }, { failures: 0, stopping }).next
  for (const halt of HALTS) {
    assert.equal(verdict(HALT_EXIT_CODES[halt]), TERMINAL_HALTS.includes(halt) ? 'terminal' : 'restart', halt)
  }
  assert.equal(verdict(1), 'restart')
  assert.equal(verdict(null, 'SIGKILL'), 'restart')
  assert.equal(verdict(0), 'restart', 'an end that nobody here asked for')
  assert.equal(verdict(0, null, true), 'ended')
  assert.equal(verdict(2), 'wrong_call')
  assert.equal(
    verdict(HALT_EXIT_CODES.CrossedBook, null, true),
    'terminal',
    'nothing is restarted while stopping',
  )
  assert.equal(verdict(null, 'SIGTERM', true), 'ended', 'told to end before it listened')
})

test('a report speaks for the process that wrote it, not for the one after it', () => {
  const report: Report = {
    ...{ reason: 'CrossedBook', message: 'bid 2 is above ask 1', symbol: 'BTCUSDT', run: 'r', exitCode: 11 },
    ...{
      at: '2026-11-22T12:00:00.500000Z',
      haltsInARow: 1,
      previous: null,
      unshippedBytes: 0,
      quarantinedBytes: 0,
    },
  }
  assert.equal(reportOf(report, Date.parse('2026-11-22T12:00:00.000Z')), report)
  assert.equal(reportOf(report, Date.parse('2026-11-22T12:00:01.000Z')), undefined)
  const end = { code: 11, signal: null, lastWords: '', report }
  const { reason, message } = verdictOf(end, { failures: 0, stopping: false })
  assert.deepEqual([reason, message], ['CrossedBook', 'bid 2 is above ask 1'])
})

test('share is the number of symbols, rounded up to a power of two', () => {
  assert.deepEqual([1, 2, 3, 4, 5, 120, 500].map(shareOf), [1, 2, 4, 4, 8, 128, 512])
})

function status(change: Partial<CaptureStatus>): CaptureStatus {
  return {
    ...{ version: '0', run: 'r', exchange: 'BinanceUsdm', symbol: 'BTCUSDT', state: 'live', reason: '' },
    ...{ since: '2026-11-22T12:00:00.000000Z', streams: {}, gaps: 0, connections: [], halts: [] },
    spool: { bytes: 0, unshippedBytes: 0, quarantinedBytes: 0, windowsWaiting: 0, oldest: null },
    ship: { state: 'idle', reason: null, lastCommit: null },
    clock: { offsetMs: null },
    ...change,
  }
}

test('events: a gap that healed between two looks is told, and that the book is live again', () => {
  const names = (before: CaptureStatus | undefined, now: CaptureStatus) =>
    eventsBetween(before, now).map(({ event }) => event)
  const live = status({})
  assert.deepEqual(names(undefined, live), ['live'])
  assert.deepEqual(names(live, live), [])
  const healed = status({ gaps: 1, reason: 'sequence', since: '2026-11-22T12:00:05.000000Z' })
  assert.deepEqual(names(live, healed), ['gap', 'live'])
  assert.deepEqual(names(live, status({ gaps: 1, state: 'buffering' })), ['gap'])
  const waiting = status({ ship: { state: 'waiting', reason: 'no_space: full', lastCommit: null } })
  assert.deepEqual(
    [names(live, waiting), names(waiting, waiting), names(waiting, live)],
    [['shipping'], [], ['shipping']],
  )
})

test('live lines fit the terminal, and what does not fit is live', () => {
  const symbols = Array.from({ length: 40 }, (_, i) => ({
    ...{ symbol: `S${i}USDT`, state: i === 39 ? 'restarting' : 'live', rows: { depth: i }, lastId: '1' },
    ...{
      lastIdAgeMs: 10,
      gaps: 0,
      restarts: 0,
      windows: 0,
      windowsWaiting: 0,
      unshippedBytes: 0,
      ship: 'idle',
    },
  }))
  const lines = liveLines(symbols, 60, 12)
  assert.ok(lines.length <= 12 && lines.every((line) => line.length <= 60))
  assert.match(lines[1] ?? '', /^S39USDT +restarting/)
  assert.equal(lines.at(-1), 'and 30 more, all live')
})

test('a terminal: what happened stays above, the live lines below are drawn in place', () => {
  const screen: string[] = []
  const view = new TerminalView(
    { columns: 80, rows: 24, write: (text) => drawOn(screen, text) },
    {
      verbose: false,
      statuses: () => [],
    },
  )
  for (const reason of ['sequence', 'reconnect'] as const) {
    view.event({ event: 'gap', symbol: 'BTCUSDT', reason, gaps: 1 })
    assert.match(screen.at(-1) ?? '', /^symbol +state/)
  }
  view.event({ event: 'log', symbol: 'BTCUSDT', level: 'info', message: 'nothing to see', line: '{}' })
  view.close()
  assert.deepEqual(
    screen.map((line) => line.slice(10).split(';')[0]),
    ['BTCUSDT  gap: sequence', 'BTCUSDT  gap: reconnect'],
  )
})

test('starts of many symbols never make more than 300 connection attempts in five minutes', () => {
  const starts = Array.from({ length: 500 }, (_, index) => startDelayMs(index))
  for (const from of starts) {
    const within = starts.filter((at) => at >= from && at < from + 300_000)
    assert.ok(within.length * 2 <= 300, `${within.length} starts within five minutes of ${from} ms`)
  }
  assert.ok((starts[39] ?? 0) <= 2_000, 'a few dozen symbols start at once')
})

const ESCAPE = '\x1b['

/** A terminal that knows lines, "up n lines" and "clear to the end". */
function drawOn(screen: string[], text: string): void {
  const lines = text.split('\n').slice(0, -1)
  if (text.startsWith(ESCAPE)) {
    const [up = '', rest = ''] = text.slice(ESCAPE.length).split(`F${ESCAPE}J`)
    screen.splice(screen.length - Number(up))
    lines.splice(0, lines.length, ...rest.split('\n').slice(0, -1))
  }
  screen.push(...lines)
}
