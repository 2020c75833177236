import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  compareWindows,
  isRunId,
  makeRunId,
  parseRunId,
  parseSegmentName,
  segmentName,
} from '../../api/names.ts'

const SEED = Number(process.env['NAMES_SEED'] ?? Date.now() % 1_000_000)
const RUN = '20261122T120457123Z-1a2b3c4d'

test('run id: is made of the start and four random bytes', () => {
  const nowUs = Date.UTC(2026, 10, 22, 12, 4, 57, 123) * 1000 + 999
  assert.equal(
    makeRunId(nowUs, () => Uint8Array.of(0x1a, 0x2b, 0x3c, 0x4d)),
    RUN,
  )
  assert.deepEqual(parseRunId(RUN), { startedMs: Math.floor(nowUs / 1000), random: '1a2b3c4d' })
})

test(`run id: any start comes back, and ids sort by their start (NAMES_SEED=${SEED})`, () => {
  const ms = fc.integer({ min: 0, max: Date.UTC(2200, 0, 1) })
  fc.assert(
    fc.property(ms, ms, (a, b) => {
      const [idA, idB] = [makeRunId(a * 1000, randomBytes), makeRunId(b * 1000, randomBytes)]
      assert.equal(parseRunId(idA)?.startedMs, a)
      if (a !== b) assert.equal(idA < idB, a < b)
    }),
    { seed: SEED },
  )
})

test('run id: what no process makes is none', () => {
  const wrong = [
    '',
    '20261122T120457123Z',
    '20261122T120457123Z-1A2B3C4D',
    '20260231T120457123Z-1a2b3c4d',
    '20261122T250457123Z-1a2b3c4d',
    ' 20261122T120457123Z-1a2b3c4d',
    '20261122T120457123Z-1a2b3c4d\n',
    '../61122T120457123Z-1a2b3c4d',
  ]
  for (const text of wrong) assert.equal(isRunId(text), false, JSON.stringify(text))
  assert.throws(() => makeRunId(Number.NaN, randomBytes), { code: 'name_invalid' })
  assert.throws(() => makeRunId(-1, randomBytes), { code: 'name_invalid' })
  assert.throws(() => makeRunId(0, () => new Uint8Array(3)), { code: 'name_invalid' })
})

test('segment name: run and window come back, in one spelling only', () => {
  assert.equal(segmentName(RUN, 42), `${RUN}-000042.journal`)
  assert.deepEqual(parseSegmentName(segmentName(RUN, 42)), { run: RUN, window: 42 })
  assert.deepEqual(parseSegmentName(segmentName(RUN, 1_234_567)), { run: RUN, window: 1_234_567 })
  for (const name of [
    '-42.journal',
    '-0000042.journal',
    '-000042.journal.tmp',
    '-000042.parquet',
    '-00004x.journal',
  ]) {
    assert.equal(parseSegmentName(RUN + name), undefined, name)
  }
  assert.throws(() => segmentName('../../etc', 0), { code: 'name_invalid' })
  assert.throws(() => segmentName(RUN, -1), { code: 'name_invalid' })
})

test('segment order: by run, then by window as a number', () => {
  const later = '20261122T120457124Z-00000000'
  const sorted = [
    { run: RUN, window: 999_999 },
    { run: RUN, window: 1_000_000 },
    { run: later, window: 0 },
  ]
  assert.deepEqual(sorted.toReversed().sort(compareWindows), sorted)
})
