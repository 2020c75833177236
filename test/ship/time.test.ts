import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { dateOfUs, formatTimeUs, isTimeText, parseTimeUs, TimeError } from '../../capture/ship/time.ts'

test('times: what is written reads back to the same microsecond', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (us) => {
      assert.equal(parseTimeUs(formatTimeUs(us)), us)
    }),
  )
  assert.equal(formatTimeUs(1), '1970-01-01T00:00:00.000001Z')
  assert.equal(dateOfUs(parseTimeUs('2026-11-22T23:59:59.999999Z')), '2026-11-22')
})

test('times: every other spelling is refused, and so are days that do not exist', () => {
  for (const text of [
    '2026-11-22T12:04:57Z',
    '2026-11-22T12:04:57.123Z',
    '2026-11-22T12:04:57.123456+00:00',
    '2026-02-30T12:04:57.123456Z',
    '2026-11-22T24:00:00.000000Z',
    '2026-11-22 12:04:57.123456Z',
    '1969-12-31T23:59:59.999999Z',
    '2026-11-22T12:04:57.123456Z\n',
    '',
  ]) {
    assert.throws(() => parseTimeUs(text), TimeError, text)
    assert.equal(isTimeText(text), false, text)
  }
  for (const us of [-1, 0.5, Number.NaN, 2 ** 53]) assert.throws(() => formatTimeUs(us), TimeError)
})
