/** What processes tell the operator: an operator reads processes of its own version and of the one before. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { CONDITION_REASONS, CONDITION_TYPES, EVENT_REASONS, SYMBOL_STATES } from '../../api/conditions.ts'
import { parseProcessStatus } from '../../api/process-status.ts'
import { HALT_EXIT_CODES } from '../../api/reasons.ts'
import { EXAMPLE } from '../../api/reference.ts'
import { parseReport } from '../../api/report.ts'
import { AttentionEntry, Condition } from '../../api/resource.ts'
import { ClusterCaptureSpec, L2Capture } from '../../api/spec.ts'
import type { CaptureStatus } from '../../capture/process/status.ts'

/** As version 0.1 writes it: it must be read for as long as pods of that version may run. */
const REPORT_0_1 = {
  reason: 'CrossedBook',
  message: 'best bid 2 is not below best ask 1',
  symbol: 'BTCUSDT',
  run: '20261122T120457123Z-1a2b3c4d',
  at: '2026-11-22T12:05:00.000000Z',
  exitCode: 11,
  haltsInARow: 1,
  previous: { reason: 'Killed', at: '2026-11-22T11:00:00.000000Z' },
  unshippedBytes: 0,
  quarantinedBytes: 0,
}

const SINCE = '2026-11-22T12:05:00.000000Z'
const ANSWER: CaptureStatus = {
  version: '0.1.0',
  run: REPORT_0_1.run,
  exchange: 'BinanceUsdm',
  symbol: 'BTCUSDT',
  writer: { pod: 'majors-btcusdt-1f3a-2', podUid: 'u' },
  state: 'live',
  since: SINCE,
  reason: '',
  why: '',
  streams: {
    books20: { state: 'live', since: SINCE, lastId: '9007199254740993', lastReceived: SINCE, rows: 7 },
  },
  gaps: 0,
  connections: [{ route: 'public', state: 'open', since: SINCE, why: '' }],
  spool: { bytes: 9, unshippedBytes: 9, quarantinedBytes: 0, windowsWaiting: 1, oldest: SINCE },
  ship: { state: 'idle', since: SINCE, reason: null, check: null, unanswered: null, lastCommit: SINCE },
  clock: { offsetMs: 0.5 },
  halts: [],
  handover: null,
}

describe('the report of an end', () => {
  it('is read as version 0.1 writes it, and with more fields, which are dropped', () => {
    assert.deepEqual(parseReport(JSON.stringify(REPORT_0_1)), REPORT_0_1)
    assert.deepEqual(parseReport(JSON.stringify({ ...REPORT_0_1, later: [1] })), REPORT_0_1)
    assert.equal(parseReport(JSON.stringify({ ...REPORT_0_1, previous: null }))?.previous, null)
  })

  it('nothing else is one: a drain is believed only where it is told whole', () => {
    const text = JSON.stringify({ ...REPORT_0_1, reason: 'Drained' })
    for (const cut of [0, 1, 40, text.length - 1]) assert.equal(parseReport(text.slice(0, cut)), undefined)
    for (const wrong of ['null', '[]', '"Drained"', '{"reason":"Drained"}', 'panic: out of memory']) {
      assert.equal(parseReport(wrong), undefined, wrong)
    }
    const negated = { ...REPORT_0_1, unshippedBytes: '0' }
    assert.equal(parseReport(JSON.stringify(negated)), undefined)
  })
})

describe('the answer of /status', () => {
  it('is read with whatever is missing, and what is unknown is let through', () => {
    const least = parseProcessStatus('{}')
    assert.equal(least.ship.reason, null)
    assert.deepEqual(least.writer, { pod: '', podUid: '' }, 'as version 0.1 answers')
    assert.equal(least.spool.unshippedBytes, 0)
    const some = parseProcessStatus('{"ship":{"state":"waiting","reason":"auth","later":1},"later":{}}')
    assert.equal(some.ship.reason, 'auth')
    assert.equal(some['later'] !== undefined, true)
  })

  it('what a process answers today has all that is asked for', () => {
    const parsed = parseProcessStatus(JSON.stringify(ANSWER))
    // a field that only the reader knows would stand here with its default
    assert.deepEqual(parsed, ANSWER)
  })

  it('anything else is an error that says where', () => {
    for (const wrong of ['', '<html>', 'null', '[]', '{"spool":{"unshippedBytes":"many"}}']) {
      assert.throws(() => parseProcessStatus(wrong), Error, wrong)
    }
  })
})

describe('conditions', () => {
  it('every type has its reasons, of which each is a word with a sentence, and fits', () => {
    assert.deepEqual(Object.keys(CONDITION_REASONS), [...CONDITION_TYPES])
    const told = [...Object.values(CONDITION_REASONS), EVENT_REASONS].flatMap((reasons) =>
      Object.entries(reasons),
    )
    for (const [reason, sentence] of told) {
      assert.match(reason, /^[A-Z][A-Za-z]+$/)
      assert.ok(Condition.shape.reason.safeParse(reason).success, reason)
      assert.match(sentence, /^[A-Z].*\.$/, reason)
    }
    for (const state of SYMBOL_STATES) assert.ok(AttentionEntry.shape.state.safeParse(state).success, state)
  })

  it('a halt stands in Halted by its own name', () => {
    for (const reason of Object.keys(HALT_EXIT_CODES)) assert.ok(reason in CONDITION_REASONS.Halted, reason)
  })
})

describe('the example of the reference', () => {
  it('is an L2Capture, to the command line and to a cluster, with every field and its default', () => {
    const example = L2Capture.parse(parse(EXAMPLE))
    const spec = ClusterCaptureSpec.parse(example.spec)
    assert.deepEqual(
      Object.keys(parse(EXAMPLE).spec).sort(),
      Object.keys(ClusterCaptureSpec.shape).sort(),
      'a field is missing',
    )
    const { exchange, symbols, resources } = spec
    const defaults = ClusterCaptureSpec.parse({ exchange, symbols, storage: spec.storage })
    assert.deepEqual({ ...defaults, resources }, spec)
  })
})
