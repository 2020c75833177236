import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HALT_EXIT_CODES, type HaltReason, TERMINAL_HALTS } from '../../api/reasons.ts'
import type { Report } from '../../api/report.ts'
import { CallError, durationMs, readCall, suggestion, wholeNumber, wordList } from '../../capture/cli/call.ts'
import { eventsBetween } from '../../capture/cli/events.ts'
import { startDelayMs } from '../../capture/cli/fleet.ts'
import { Gaps } from '../../capture/cli/gaps.ts'
import { reportOf, restartDelayMs, shareOf, verdictOf } from '../../capture/cli/restart.ts'
import { liveLines, withdrawnNote } from '../../capture/cli/text.ts'
import { TerminalView } from '../../capture/cli/view.ts'
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
    ...{ why: '', writer: { pod: '', podUid: '' } },
    ...{ since: '2026-11-22T12:00:00.000000Z', streams: {}, gaps: 0, connections: [], halts: [] },
    spool: { bytes: 0, unshippedBytes: 0, quarantinedBytes: 0, windowsWaiting: 0, oldest: null },
    ship: { state: 'idle', since: '', reason: null, check: null, unanswered: null, lastCommit: null },
    clock: { offsetMs: null },
    handover: null,
    ...change,
  }
}

test('events: a book that fell and rose between two looks is told to be live again', () => {
  const names = (before: CaptureStatus | undefined, now: CaptureStatus) =>
    eventsBetween(before, now).map(({ event }) => event)
  const live = status({})
  assert.deepEqual(names(undefined, live), ['live'])
  assert.deepEqual(names(live, live), [])
  const healed = status({ gaps: 1, reason: 'sequence', since: '2026-11-22T12:00:05.000000Z' })
  assert.deepEqual(names(live, healed), ['live'])
  assert.deepEqual(names(live, status({ gaps: 1, state: 'buffering' })), [])
  const waiting = status({
    ship: { ...live.ship, state: 'waiting', reason: 'no_space: full' },
  })
  assert.deepEqual(
    [names(live, waiting), names(waiting, waiting), names(waiting, live)],
    [['shipping'], [], ['shipping']],
  )
  const { ship } = live
  const unlisted = status({ ship: { ...ship, check: 'AccessDenied: listing' } })
  assert.deepEqual(
    [eventsBetween(live, unlisted), names(unlisted, unlisted), eventsBetween(unlisted, live)],
    [
      [{ event: 'check', symbol: 'BTCUSDT', reason: 'AccessDenied: listing' }],
      [],
      [{ event: 'check', symbol: 'BTCUSDT', reason: null }],
    ],
    'a right that is missing is not said to keep windows from being shipped',
  )
})

test('events: a pause and its end are told once each, with why; a process that ends does not go on', () => {
  const live = status({})
  const [reason, why, since] = ['disk_full', 'the spool has 15 of 16 MiB', '2026-11-22T12:00:05.000000Z']
  const paused = status({ state: 'paused', reason, why, since })
  assert.deepEqual(eventsBetween(live, paused), [{ event: 'paused', symbol: 'BTCUSDT', reason, why, since }])
  assert.deepEqual(eventsBetween(paused, paused), [])
  const on = status({ state: 'connecting', since: '', reason: '', run: 'r2' })
  assert.deepEqual(eventsBetween(paused, on), [{ event: 'resumed', symbol: 'BTCUSDT', reason, since }])
  assert.deepEqual(eventsBetween(paused, status({ state: 'ending', since, reason })), [])
  const again = status({ state: 'paused', reason, why, since: '2026-11-22T12:00:09.000000Z' })
  assert.deepEqual(
    eventsBetween(paused, again).map(({ event }) => event),
    ['resumed', 'paused'],
  )
  assert.deepEqual(
    eventsBetween(undefined, paused).map(({ event }) => event),
    ['paused'],
  )
})

const at = (second: number) => `2026-11-22T12:00:0${second}.000000Z`

test('gaps: one event a gap and stream, with its own reason, from and to', () => {
  const gaps = new Gaps('BTCUSDT')
  const covered = (stream: string, second: number) =>
    gaps.news({ news: 'covered', stream, from: at(second) }, false)
  const fell = (stream: string, reason: string, second: number) =>
    gaps.news({ news: 'gap', stream, reason, detail: 'd', from: at(second) }, false)
  assert.deepEqual(covered('trades', 0), [], 'a beginning is no end of a gap')
  const gap = { symbol: 'BTCUSDT', stream: 'trades', reason: 'sequence', detail: 'd', from: at(1) }
  assert.deepEqual(fell('trades', 'sequence', 1), [{ event: 'gap', ...gap, to: null }])
  assert.deepEqual(fell('mark_price', 'no_data', 2)[0]?.event, 'gap')
  assert.deepEqual(covered('trades', 3), [{ event: 'gap_closed', ...gap, to: at(3), seconds: 2 }])
  assert.deepEqual(covered('trades', 4), [])
  assert.equal(gaps.count, 2)
})

test('gaps: a killed process told no end, so its streams get a crash, which its successor closes', () => {
  const gaps = new Gaps('BTCUSDT')
  for (const stream of ['depth', 'trades', 'mark_price'])
    gaps.news({ news: 'covered', stream, from: at(1) }, false)
  gaps.news({ news: 'gap', stream: 'trades', reason: 'reconnect', detail: '', from: at(2) }, false)
  const row = { state: 'live', since: '', lastId: '7', lastReceived: at(4), rows: 1 }
  const events = gaps.processEnded(status({ streams: { depth: row } }))
  assert.deepEqual(
    events.map((event) => event.event === 'gap' && [event.stream, event.reason, event.from]),
    [
      ['depth', 'crash', at(4)],
      ['mark_price', 'crash', at(1)],
    ],
    'trades lay in a gap already',
  )
  assert.deepEqual(gaps.processEnded(undefined), [])
  const closed = gaps.news({ news: 'covered', stream: 'depth', from: at(6) }, false)
  assert.deepEqual(
    closed.map((event) => event.event === 'gap_closed' && event.seconds),
    [2],
  )
})

test('gaps: an end that was asked for is none; one that somebody else asked for is', () => {
  const stop = { news: 'gap', stream: 'trades', reason: 'stopped', detail: '', from: at(1) } as const
  assert.deepEqual(new Gaps('BTCUSDT').news(stop, true), [])
  assert.equal(new Gaps('BTCUSDT').news(stop, false).length, 1)
})

test('coverage: what was withdrawn is said to be missing too, and only where something was', () => {
  const day = (suspect: number) => ({ seconds: { suspect } })
  assert.match(withdrawnNote([day(0), day(1)]), /counts as missing too/)
  assert.equal(withdrawnNote([day(0)]), '')
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
    const gap = { stream: 'depth', reason, detail: 'why', from: at(1), to: null }
    view.event({ event: 'gap', symbol: 'BTCUSDT', ...gap })
    assert.match(screen.at(-1) ?? '', /^symbol +state/)
  }
  view.event({ event: 'log', symbol: 'BTCUSDT', level: 'info', message: 'nothing to see', line: '{}' })
  view.close()
  assert.deepEqual(
    screen.map((line) => line.slice(10).split(';')[0]),
    ['sequence', 'reconnect'].map((reason) => `BTCUSDT  depth: gap since 12:00:01.000: ${reason}, why`),
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
