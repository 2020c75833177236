import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type CoverageDay,
  coverageTable,
  PROBLEM_KINDS,
  summary,
  type VerifyReport,
} from '../../capture/verify/mod.ts'
import { duration } from '../../capture/verify/table.ts'

const day: CoverageDay = {
  exchange: 'BinanceUsdm',
  symbol: 'BTCUSDT',
  stream: 'depth',
  date: '2026-11-22',
  from: '2026-11-22T12:00:01.500000Z',
  to: '2026-11-23T00:00:00.000000Z',
  seconds: { proven: 43_000, observed: 0, suspect: 0.25, missing: 198.5 },
}
const checked = { manifests: 2, objects: 10, bytes: 3_500_000, rows: 1 }

test('coverage: one aligned line a stream and day, the end of a day is 24:00', () => {
  const lines = coverageTable([day, { ...day, symbol: 'ETHUSDT', to: '2026-11-22T13:00:00.000000Z' }])
  assert.equal(lines.length, 3)
  assert.match(
    lines[1] ?? '',
    /^BinanceUsdm {2}BTCUSDT {2}depth .*12:00:01 {2}24:00:00 +11h56m40s +- +250ms +3m19s$/,
  )
  assert.match(lines[2] ?? '', /12:00:01 {2}13:00:00/)
  assert.equal(new Set(lines.map((line) => line.length)).size, 1)
})

test('coverage: none is said in words', () => {
  assert.match(coverageTable([]).join(), /nothing was recorded/)
})

test('durations: what is not nothing never reads as nothing', () => {
  const cases: [number, string][] = [
    [0, '-'],
    [1e-6, '<1ms'],
    [0.0004, '<1ms'],
    [0.25, '250ms'],
    [0.9999, '1.0s'],
    [59.96, '60.0s'],
    [99.96, '1m40s'],
    [3600, '1h00m00s'],
    [86_400, '24h00m00s'],
  ]
  for (const [seconds, text] of cases) assert.equal(duration(seconds), text)
})

test('summary: a right bucket, and what is missing of it', () => {
  const text = summary({ ok: true, checked, problems: [], coverage: [day] })
  assert.match(text, /^All that is there is right: 2 manifests, 10 objects, 3.3 MiB, 1 row\./)
  assert.match(text, /missing of 1 of 1 stream: the most of BinanceUsdm BTCUSDT depth, 3m19s/)
})

test('summary: every kind of problem comes with its key and with what to do', () => {
  for (const kind of PROBLEM_KINDS) {
    const report: VerifyReport = {
      ok: false,
      checked,
      problems: [{ kind, key: 'a/b', detail: 'why.' }],
      coverage: [],
    }
    assert.match(summary(report), new RegExp(`1 problem in .*:\n  ${kind} a/b\n    why\\.\n    → \\w+`))
  }
})

test('summary: many problems are counted, not all listed', () => {
  const problems = Array.from(
    { length: 35 },
    (_, i) => ({ kind: 'overlap', key: `k${i}`, detail: '' }) as const,
  )
  const text = summary({ ok: false, checked, problems, coverage: [] })
  assert.match(text, /^35 problems/)
  assert.match(text, /and 15 more/)
})

test('summary: a place without data asks whether it is the right one', () => {
  const nothing = { manifests: 0, objects: 0, bytes: 0, rows: 0 }
  assert.match(summary({ ok: true, checked: nothing, problems: [], coverage: [] }), /Nothing was checked/)
})
