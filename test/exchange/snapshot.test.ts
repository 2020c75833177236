/** Snapshots of the book: complete, sorted best first, no longer than asked for, or refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BinanceUsdm } from '../../capture/exchange/binance-usdm/mod.ts'
import { PrecisionError, ProtocolError, Snapshot } from '../../capture/exchange/mod.ts'
import { spaces } from './arbitraries.ts'
import { numbers } from './oracle.ts'
import { recordedFrames } from './recorded.ts'
import { SEED } from './seed.ts'

const BODY = {
  lastUpdateId: 2710246765483,
  E: 1680652700590,
  T: 1680652700580,
  bids: [
    ['100.20', '3.818'],
    ['100.10', '0.001'],
    ['99.9', '5'],
  ],
  asks: [
    ['100.30', '1'],
    ['100.4', '2'],
  ],
}

function decode(body: unknown, limit = 5, into = new Snapshot()): Snapshot {
  const { snapshot } = BinanceUsdm
  assert.ok(snapshot.kind === 'rest')
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  snapshot.decode(Buffer.from(text), limit, into)
  return into
}

function refused(body: unknown, limit = 5): string {
  try {
    decode(body, limit)
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error))
    return error.message
  }
  return assert.fail(`not refused: ${JSON.stringify(body)}`)
}

test('snapshots: the recorded ones are read as JSON.parse reads them, those with spaces too', async (t) => {
  const { snapshots } = await recordedFrames()
  const into = new Snapshot()
  let spacious = 0
  let short = 0
  for (const { payload } of snapshots) {
    const text = payload.toString('utf8')
    decode(text, 1000, into)
    const plain = JSON.parse(text) as typeof BODY
    assert.equal(into.id, BigInt(plain.lastUpdateId))
    assert.equal(into.eventTime, plain.E)
    assert.equal(into.transactionTime, plain.T)
    assert.equal(into.limit, 1000)
    assert.deepEqual(numbers(into.bids), plain.bids.flat().map(Number))
    assert.deepEqual(numbers(into.asks), plain.asks.flat().map(Number))
    if (text.includes('", "')) spacious++
    if (plain.bids.length < 1000 || plain.asks.length < 1000) short++
  }
  t.diagnostic(`${snapshots.length} snapshots, ${spacious} with spaces, ${short} shorter than their limit`)
  assert.equal(snapshots.length, 14)
  assert.equal(spacious, 1)
  assert.ok(short > 0)
})

test('snapshots: fields in any order, unknown ones between them, white space anywhere', () => {
  const entries = fc.shuffledSubarray(Object.entries({ ...BODY, symbol: 'BTCUSDT', x: { y: [null] } }), {
    minLength: 7,
  })
  const expected = decode(BODY)
  fc.assert(
    fc.property(entries, spaces, (fields, blanks) => {
      let at = 0
      const text = JSON.stringify(Object.fromEntries(fields)).replace(/[[\]{}:,]/g, (token) => {
        return `${blanks[at++ % blanks.length]}${token}${blanks[at++ % blanks.length]}`
      })
      assert.deepEqual(decode(text), expected)
    }),
    { seed: SEED, numRuns: 300 },
  )
})

test('snapshots: a missing or repeated field is refused', () => {
  for (const key of Object.keys(BODY)) {
    refused({ ...BODY, [key]: undefined })
    const twice = JSON.stringify({ [key]: BODY[key as keyof typeof BODY] }).slice(0, -1)
    refused(`${twice},${JSON.stringify(BODY).slice(1)}`)
    for (const wrong of [null, 'x', {}, [1], [['1']], [['1', '2', '3']], -1, 1.5])
      refused({ ...BODY, [key]: wrong })
  }
})

test('snapshots: levels that are not sorted best first, or repeat a price, are refused', () => {
  for (const side of ['bids', 'asks'] as const) {
    assert.match(refused({ ...BODY, [side]: BODY[side].toReversed() }), /sorted/)
    const [first, ...others] = BODY[side]
    refused({ ...BODY, [side]: [first, first, ...others] })
    refused({ ...BODY, [side]: [...others, first] })
    refused({ ...BODY, [side]: [[`${first[0]}0`, '7'], first, ...others] }) // the same price, spelt otherwise
  }
})

test('snapshots: any two neighbours exchanged in a recorded one are refused', async () => {
  const { snapshots } = await recordedFrames()
  const plain = JSON.parse(snapshots[0].payload.toString('utf8')) as typeof BODY
  for (const side of ['bids', 'asks'] as const) {
    for (let i = 1; i < plain[side].length; i += 97) {
      const levels = plain[side].with(i - 1, plain[side][i]).with(i, plain[side][i - 1])
      refused({ ...plain, [side]: levels }, 1000)
    }
  }
})

test('snapshots: more levels than were asked for are refused, fewer are not', () => {
  assert.match(refused(BODY, 2), /more than the 2 levels/)
  refused({ ...BODY, bids: [], asks: [...BODY.asks, ['101', '1']] }, 2)
  assert.equal(decode(BODY, 3).limit, 3)
  const none = decode({ ...BODY, bids: [], asks: [] })
  assert.equal(none.bids.length + none.asks.length, 0)
})

test('snapshots: empty levels and prices of zero are refused', () => {
  for (const side of ['bids', 'asks'] as const) {
    assert.match(refused({ ...BODY, [side]: [['100.25', '0.000']] }), /empty level/)
    refused({ ...BODY, [side]: [['0.00', '1']] })
  }
})

test('snapshots: too many digits are PrecisionError', () => {
  assert.throws(() => decode({ ...BODY, bids: [['100.2', '1.234567890123456']] }), PrecisionError)
  assert.throws(() => decode({ ...BODY, asks: [['1000000.000000001', '1']] }), PrecisionError)
})

test('snapshots: refusals, other JSON and bytes after the end are refused', () => {
  for (const body of [
    '',
    'null',
    '[]',
    '{}',
    '{"code":-1121,"msg":"Invalid symbol."}',
    `${JSON.stringify(BODY)}x`,
    '<html>',
  ]) {
    refused(body)
  }
})

test('snapshots: a scratch object is filled anew each time', () => {
  const into = decode(BODY)
  decode({ ...BODY, lastUpdateId: 5, bids: [], asks: [['7', '8']] }, 10, into)
  assert.equal(into.id, 5n)
  assert.equal(into.limit, 10)
  assert.deepEqual([numbers(into.bids), numbers(into.asks)], [[], [7, 8]])
})

test('snapshots: asked for by the exchange’s own limits and weights, and by no others', () => {
  const { snapshot } = BinanceUsdm
  assert.ok(snapshot.kind === 'rest')
  assert.deepEqual(snapshot.request('BTCUSDT', 1000), {
    path: '/fapi/v1/depth?symbol=BTCUSDT&limit=1000',
    weight: 20,
  })
  assert.equal(
    snapshot.request('币安人生USDT', 50).path,
    '/fapi/v1/depth?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&limit=50',
  )
  assert.deepEqual(
    snapshot.limits.map(({ limit }) => snapshot.request('X', limit).weight),
    [2, 2, 2, 2, 5, 10, 20],
  )
  for (const limit of [0, 1, 999, 1001, 5000])
    assert.throws(() => snapshot.request('BTCUSDT', limit), RangeError)
})
