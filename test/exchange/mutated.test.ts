/**
 * Real frames, unharmed and damaged: the decoder either refuses by one of its two errors or says exactly what
 * JSON.parse and the obvious conversion say, and refuses whatever JSON.parse refuses.
 */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import fc from 'fast-check'
import { BinanceUsdm } from '../../capture/exchange/binance-usdm/mod.ts'
import { Message, PrecisionError, ProtocolError, Snapshot } from '../../capture/exchange/mod.ts'
import { compare, decoded, numbers, parseWithSource } from './oracle.ts'
import { type Recorded, type RecordedFrames, recordedFrames } from './recorded.ts'
import { SEED } from './seed.ts'

const message = new Message()
let frames: RecordedFrames

before(async () => {
  frames = await recordedFrames()
})

test('recorded frames: every event says what JSON.parse says, and has no unknown field', (t) => {
  for (const kind of ['depth', 'trade', 'markPrice'] as const) {
    assert.ok(frames[kind].length > 0, kind)
    for (const { symbol, payload } of frames[kind]) {
      assert.equal(compare(payload, symbol, message, true), 'accepted')
      assert.equal(message.unknownFields, 0)
    }
    t.diagnostic(`${kind}: ${frames[kind].length} equal`)
  }
})

test('recorded frames: streams that are not subscribed, and other symbols, are refused', () => {
  assert.ok(frames.other.length > 0)
  for (const { symbol, payload } of frames.other) {
    assert.ok(decoded(payload, symbol, message) instanceof ProtocolError)
  }
  for (const { symbol, payload } of [...frames.depth.slice(0, 50), ...frames.trade.slice(0, 50)]) {
    assert.ok(decoded(payload, `${symbol}X`, message) instanceof ProtocolError)
  }
})

/** Bytes that mean something in JSON, in a number or as a key: damage takes them more often than any others. */
const MEANINGFUL = [...Buffer.from('{}[]:,"\\ \n0123456789.-+eEtfnulabUpsTm')]

type Mutation = (bytes: Buffer) => Buffer
const byte = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...MEANINGFUL) },
  { weight: 1, arbitrary: fc.nat(255) },
)
const at = fc.nat(1_000_000)
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(at, byte).map(
    ([place, value]) =>
      (bytes: Buffer) =>
        bytes.fill(value, place % bytes.length, (place % bytes.length) + 1),
  ),
  fc.tuple(at, fc.nat(7)).map(([place, bit]) => (bytes: Buffer) => {
    bytes[place % bytes.length] ^= 1 << bit
    return bytes
  }),
  fc.tuple(at, byte).map(
    ([place, value]) =>
      (bytes: Buffer) =>
        splice(bytes, place, 0, Buffer.of(value)),
  ),
  fc.tuple(at, fc.integer({ min: 1, max: 12 })).map(
    ([place, length]) =>
      (bytes: Buffer) =>
        splice(bytes, place, length),
  ),
  fc.tuple(at, at, fc.integer({ min: 1, max: 40 })).map(([from, to, length]) => (bytes: Buffer) => {
    const start = from % bytes.length
    return splice(bytes, to, 0, Buffer.from(bytes.subarray(start, start + length)))
  }),
  at.map((place) => (bytes: Buffer) => bytes.subarray(0, 1 + (place % bytes.length))),
)

function splice(bytes: Buffer, place: number, remove: number, insert: Uint8Array = Buffer.alloc(0)): Buffer {
  const start = place % bytes.length
  const result = Buffer.concat([bytes.subarray(0, start), insert, bytes.subarray(start + remove)])
  return result.length === 0 ? Buffer.from(' ') : result
}

function mutate(payload: Buffer, mutations: readonly Mutation[]): Buffer {
  return mutations.reduce<Buffer>((bytes, each) => each(bytes), Buffer.from(payload))
}

test('damaged frames: refused, or read as JSON.parse reads them; never another exception', (t) => {
  for (const kind of ['depth', 'trade', 'markPrice'] as const) {
    const count = { accepted: 0, rejected: 0 }
    const short = frames[kind].filter(({ payload }) => payload.length < 2000)
    fc.assert(
      fc.property(
        fc.nat(short.length - 1),
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        (which, mutations) => {
          const { symbol, payload } = short[which]
          count[compare(mutate(payload, mutations), symbol, message, false)]++
        },
      ),
      { seed: SEED, numRuns: 8000 },
    )
    t.diagnostic(`${kind}: ${count.rejected} refused, ${count.accepted} equal`)
    assert.ok(count.rejected > 100 && count.accepted > 100, 'both outcomes happen')
  }
})

test('damaged frames: each byte of one frame of each kind replaced by every other, deleted, or one inserted', (t) => {
  for (const kind of ['depth', 'trade', 'markPrice'] as const) {
    const { symbol, payload } = shortest(frames[kind])
    const count = { accepted: 0, rejected: 0 }
    for (let place = 0; place < payload.length; place++) {
      count[compare(splice(payload, place, 1), symbol, message, false)]++
      for (let value = 0; value < 256; value++) {
        count[compare(splice(payload, place, 1, Buffer.of(value)), symbol, message, false)]++
      }
      for (const value of MEANINGFUL) {
        count[compare(splice(payload, place, 0, Buffer.of(value)), symbol, message, false)]++
      }
    }
    t.diagnostic(`${kind}, ${payload.length} bytes: ${count.rejected} refused, ${count.accepted} equal`)
    assert.ok(count.rejected > 1000 && count.accepted > 1000)
  }
})

/** The shortest that holds at least one level where it is of a book. */
function shortest(of: readonly Recorded[]): Recorded {
  const full = of.filter(({ payload }) => !payload.includes('":[]'))
  return full.reduce((best, each) => (each.payload.length < best.payload.length ? each : best))
}

test('damaged snapshots: refused, or read as JSON.parse reads them', (t) => {
  const method = BinanceUsdm.snapshot
  assert.ok(method.kind === 'rest')
  const bodies = frames.snapshots.map(({ payload }) => shortened(payload, 6))
  const count = { accepted: 0, rejected: 0 }
  const snapshot = new Snapshot()
  fc.assert(
    fc.property(
      fc.nat(bodies.length - 1),
      fc.array(mutation, { minLength: 1, maxLength: 2 }),
      (which, mutations) => {
        const body = mutate(bodies[which], mutations)
        try {
          method.decode(body, 10, snapshot)
        } catch (error) {
          assert.ok(error instanceof ProtocolError || error instanceof PrecisionError, String(error))
          count.rejected++
          return
        }
        count.accepted++
        const plain = JSON.parse(body.toString('utf8')) as Record<string, string[][]>
        const ids = parseWithSource(body.toString('utf8')) as { lastUpdateId: { text: string } }
        assert.equal(snapshot.id, BigInt(ids.lastUpdateId.text))
        assert.equal(snapshot.eventTime, plain.E)
        assert.equal(snapshot.transactionTime, plain.T)
        assert.ok([...plain.bids, ...plain.asks].flat().every((each) => typeof each === 'string'))
        assert.deepEqual(numbers(snapshot.bids), plain.bids.flat().map(Number))
        assert.deepEqual(numbers(snapshot.asks), plain.asks.flat().map(Number))
      },
    ),
    { seed: SEED, numRuns: 4000 },
  )
  t.diagnostic(`${count.rejected} refused, ${count.accepted} equal`)
  assert.ok(count.rejected > 100 && count.accepted > 40)
})

/** A recorded snapshot with its best levels only, so that damage often falls between them. */
function shortened(body: Buffer, levels: number): Buffer {
  const text = body.toString('latin1')
  const short = text.replace(/(\[\[.*?\])(?:,\s*\[[^\]]*\])*\]/g, (side) => {
    const each = side.match(/\["[^\]]*\]/g) ?? []
    return `[${each.slice(0, levels).join(', ')}]`
  })
  assert.ok(short.length < 1000)
  return Buffer.from(short)
}
