import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  attemptOf,
  nextAttempt,
  POD_NAME_LENGTH_MAX,
  podName,
  podNameBase,
  symbolSlug,
} from '../../../operator/plan/names.ts'
import { SEED } from '../../exchange/seed.ts'

const DNS_NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

describe('names of pods', () => {
  it('name the capture, the symbol and the attempt', () => {
    assert.match(
      podName(podNameBase('majors', 'BinanceUsdm', 'ETHUSDT'), 2),
      /^majors-ethusdt-[0-9a-f]{8}-2$/,
    )
    assert.match(podNameBase('majors', 'BinanceUsdm', 'BTCUSDT_261225'), /^majors-btcusdt-261225-/)
  })

  it('tell symbols apart that look alike, or of which nothing can be spelt', () => {
    assert.equal(symbolSlug('币安人生USDT'), 'usdt')
    assert.equal(symbolSlug('币安'), 'x')
    const names = ['币安', '人生', 'A_B', 'A-B', 'AB', 'ab'].map((symbol) =>
      podNameBase('c', 'BinanceUsdm', symbol),
    )
    assert.equal(new Set(names).size, names.length)
  })

  it('are host names for any capture and symbol', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/),
        fc.string({ minLength: 1, maxLength: 64, unit: 'grapheme' }),
        fc.integer({ min: 1, max: 999_999 }),
        (capture, symbol, attempt) => {
          const name = podName(podNameBase(capture, 'BinanceUsdm', symbol), attempt)
          assert.ok(name.length <= POD_NAME_LENGTH_MAX, name)
          assert.match(name, DNS_NAME)
          assert.match(symbolSlug(symbol), DNS_NAME)
          assert.equal(attemptOf(name, podNameBase(capture, 'BinanceUsdm', symbol)), attempt)
        },
      ),
      { seed: SEED },
    )
  })

  it('the next attempt is one more than the highest that is seen', () => {
    assert.equal(nextAttempt([], 'a-b-1'), 1)
    assert.equal(
      nextAttempt(['a-b-1-2', 'a-b-1-10', 'a-b-1-9', 'a-b-10-70', 'a-b-1-07', 'other-1-99'], 'a-b-1'),
      11,
    )
    assert.equal(nextAttempt(['a-999999'], 'a'), 1)
  })
})
