import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  BYTES_PATTERN,
  bytesOfQuantity,
  isAtMost,
  QUANTITY_LENGTH_MAX,
  QUANTITY_PATTERN,
} from '../../api/quantity.ts'

const SEED = Number(process.env['QUANTITY_SEED'] ?? Date.now() % 1_000_000)

describe('quantities', () => {
  it('are bytes, rounded down', () => {
    for (const [text, bytes] of [
      ['5Gi', 5 * 2 ** 30],
      ['1.5k', 1500],
      ['1.001', 1],
      ['0.5Ki', 512],
      ['64Ti', 2 ** 46],
      ['1000m', 1],
    ] as const) {
      assert.equal(bytesOfQuantity(text), bytes, text)
    }
    for (const text of ['', '5 GB', '5GB', '-1', '1.', '.5', '1.2345', '1e3', '5gi', '٣']) {
      assert.throws(() => bytesOfQuantity(text), /is no quantity of bytes such as 5Gi/, text)
    }
  })

  it('are compared exactly, in whatever unit they are spelt', () => {
    const order = [
      '0',
      '1m',
      '0.5',
      '1',
      '999',
      '1k',
      '1Ki',
      '1M',
      '1Mi',
      '999999999999',
      '1T',
      '1Ti',
      '64Ti',
    ]
    for (const [i, a] of order.entries()) {
      for (const [j, b] of order.entries()) assert.equal(isAtMost(a, b), i <= j, `${a} ${b}`)
    }
    for (const [a, b] of [
      ['1', '1000m'],
      ['1.000Gi', '1024Mi'],
      ['0.001k', '1'],
    ] as const) {
      assert.ok(isAtMost(a, b) && isAtMost(b, a), `${a} ${b}`)
    }
  })

  it(`a pattern takes nothing longer than it says, and nothing that is no number (QUANTITY_SEED=${SEED})`, () => {
    fc.assert(
      fc.property(fc.oneof(fc.stringMatching(QUANTITY_PATTERN), fc.stringMatching(BYTES_PATTERN)), (text) => {
        assert.ok(text.length <= QUANTITY_LENGTH_MAX, text)
        assert.ok(Number.isSafeInteger(bytesOfQuantity(text)) || !isAtMost(text, '64Ti'), text)
      }),
      { seed: SEED },
    )
  })
})
