import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compareWindows, NameError, parseWindowName, windowName } from '../../api/names.ts'
import {
  manifestKey,
  type ObjectKey,
  objectKey,
  parseManifestKey,
  parseObjectKey,
} from '../../capture/ship/keys.ts'
import { OPENED_US, RUN } from './fixture.ts'

const PLACE: ObjectKey = {
  prefix: 'l2',
  exchange: 'BinanceUsdm',
  symbol: 'BTCUSDT',
  stream: 'books20',
  openedUs: OPENED_US,
  run: RUN,
  window: 42,
}

const places: fc.Arbitrary<ObjectKey> = fc.record({
  prefix: fc.constantFrom('', 'l2', 'a/b c/ü', 'x/parquet/y', 'manifest'),
  exchange: fc.constantFrom('BinanceUsdm', 'OkxSwap'),
  symbol: fc.oneof(
    fc.constantFrom('BTCUSDT', '币安人生USDT', 'BTC-28NOV26', '..', 'a/b', '100%', "it's*", 'BTC USDT'),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }).filter((text) => text.isWellFormed()),
  ),
  stream: fc.constantFrom('books20', 'depth', 'mark_price', 'coverage'),
  openedUs: fc.integer({ min: 0, max: 4_102_444_800_000_000 }),
  run: fc.constant(RUN),
  window: fc.integer({ min: 0, max: 999_999_999 }),
})

test('keys: the layout is the documented one', () => {
  assert.equal(
    objectKey(PLACE),
    `l2/parquet/exchange=BinanceUsdm/symbol=BTCUSDT/stream=books20/date=2026-11-22/120457Z-${RUN}-000042.parquet`,
  )
  assert.equal(
    manifestKey({ ...PLACE, prefix: '' }),
    `manifest/exchange=BinanceUsdm/symbol=BTCUSDT/date=2026-11-22/${RUN}-000042.json`,
  )
  assert.ok(
    objectKey({ ...PLACE, symbol: '币安人生USDT' }).includes(
      '/symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT/',
    ),
  )
})

test('keys: any place reads back from its keys, in plain relative ASCII parts below the prefix', () => {
  fc.assert(
    fc.property(places, (place) => {
      const key = objectKey(place)
      const second = Math.floor(place.openedUs / 1e6) * 1e6
      assert.deepEqual(parseObjectKey(key), { ...place, openedUs: second })
      const day = Math.floor(place.openedUs / 86_400e6) * 86_400e6
      const { stream: _, ...rest } = place
      assert.deepEqual(parseManifestKey(manifestKey(place)), { ...rest, openedUs: day })
      for (const part of key.slice(place.prefix.length).split('/').slice(1)) {
        assert.match(part, /^[!-~]+$/)
        assert.ok(part !== '..' && part !== '.')
      }
    }),
  )
})

test('keys: a key that is not spelt as the layout spells it is not taken for one', () => {
  const key = objectKey(PLACE)
  for (const other of [
    key.replace('000042', '42'),
    key.replace('000042', '0000042'),
    key.replace('BTCUSDT', '%42TCUSDT'),
    key.replace('BTCUSDT', '%E5'),
    key.replace('BTCUSDT', ''),
    key.replace('2026-11-22/', '2026-11-31/'),
    key.replace('120457Z', '126057Z'),
    key.replace('l2/', '/l2/'),
    key.replace('l2/', '../'),
    `${key}.tmp`,
    manifestKey(PLACE),
  ]) {
    assert.equal(parseObjectKey(other), undefined, other)
  }
  assert.equal(parseManifestKey(key), undefined)
  assert.equal(parseManifestKey(manifestKey(PLACE).replace('.json', '.cut.json')), undefined)
})

test('keys: parts that cannot stand in a key are refused by name', () => {
  for (const wrong of [
    { prefix: '/l2' },
    { prefix: 'l2/' },
    { prefix: 'a//b' },
    { prefix: '../up' },
    { prefix: 'a/./b' },
    { prefix: 'a\u0000b' },
    { prefix: 'a\\b' },
    { prefix: 'p'.repeat(513) },
    { exchange: 'a/b' },
    { exchange: '' },
    { symbol: '' },
    { symbol: '\ud800' },
    { symbol: '币'.repeat(27) },
    { stream: '../x' },
    { run: 'x' },
    { window: -1 },
    { window: 1.5 },
    { window: 1_000_000_000 },
  ]) {
    assert.throws(() => objectKey({ ...PLACE, ...wrong }), NameError, JSON.stringify(wrong))
  }
})

test('windows: names order by run, then by number, also beyond six digits', () => {
  const later = '20261122T120457124Z-00000000'
  const names = [
    windowName(later, 0),
    windowName(RUN, 1_000_000),
    windowName(RUN, 999_999),
    windowName(RUN, 2),
  ]
  const ids = names.map((name) => parseWindowName(name) ?? assert.fail(name))
  const sorted = ids.sort(compareWindows).map((id) => windowName(id.run, id.window))
  assert.deepEqual(sorted, names.reverse())
  assert.equal(parseWindowName(`${RUN}-1`), undefined)
  assert.equal(parseWindowName(`${RUN}-000001.journal`), undefined)
})
