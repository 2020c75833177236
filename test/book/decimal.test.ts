import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SEED } from '../exchange/seed.ts'
import { canonicalDecimal } from './decimal.ts'

test('canonical decimals: no exponent and no trailing zeros, also where JavaScript writes an exponent', () => {
  assert.equal(canonicalDecimal(0), '0')
  assert.equal(canonicalDecimal(63943.9), '63943.9')
  assert.equal(canonicalDecimal(0.000001), '0.000001')
  assert.equal(canonicalDecimal(1.67e-6), '0.00000167')
  assert.equal(canonicalDecimal(1e-7), '0.0000001')
  assert.equal(canonicalDecimal(1.5e21), '1500000000000000000000')
  assert.equal(canonicalDecimal(1e22), '10000000000000000000000')
  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
    assert.throws(() => canonicalDecimal(wrong), RangeError)
  }
})

test('canonical decimals: every double reads back as itself', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }), (value) => {
      const text = canonicalDecimal(value)
      assert.match(text, /^(0|[1-9]\d*)(\.\d*[1-9])?$/)
      assert.equal(Number(text), value)
    }),
    { seed: SEED, numRuns: 2000 },
  )
})
