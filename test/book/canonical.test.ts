import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Decoder, Encoder, hashBytes } from '../../capture/book/mod.ts'
import { SEED } from '../exchange/seed.ts'

const value = fc.oneof(
  fc.record({ kind: fc.constant('float' as const), value: fc.double({ noNaN: true }) }),
  fc.record({ kind: fc.constant('integer' as const), value: fc.maxSafeInteger() }),
  fc.record({ kind: fc.constant('count' as const), value: fc.nat(2 ** 32 - 1) }),
  fc.record({
    kind: fc.constant('id' as const),
    value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  }),
  fc.record({ kind: fc.constant('boolean' as const), value: fc.boolean() }),
  fc.record({ kind: fc.constant('string' as const), value: fc.string({ unit: 'grapheme' }) }),
)
type Value = typeof value extends fc.Arbitrary<infer T> ? T : never

function write(values: readonly Value[], bytesInitial?: number): Uint8Array {
  const out = new Encoder(bytesInitial)
  for (const each of values) {
    if (each.kind === 'float') out.float(each.value)
    else if (each.kind === 'integer') out.integer(each.value)
    else if (each.kind === 'count') out.count(each.value)
    else if (each.kind === 'id') out.id(each.value)
    else if (each.kind === 'boolean') out.boolean(each.value)
    else out.string(each.value)
  }
  return out.bytes()
}

test('canonical bytes: all values read back in order, whatever room the encoder began with', () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 60 }), fc.nat(64), (values, bytesInitial) => {
      const bytes = write(values, bytesInitial)
      assert.deepEqual(bytes, write(values))
      // at an odd offset of a larger buffer, as checkpoints lie in their frames
      const shifted = new Uint8Array(bytes.length + 3)
      shifted.set(bytes, 3)
      const from = new Decoder(shifted.subarray(3))
      for (const each of values) {
        const expected = Object.is(each.value, -0) ? 0 : each.value
        assert.ok(Object.is(from[each.kind](), expected))
      }
      from.finish()
    }),
    { seed: SEED, numRuns: 500 },
  )
})

test('canonical bytes: negative zero is zero, so that equal states give equal bytes', () => {
  const [one, other] = [new Encoder(), new Encoder()]
  one.float(-0)
  other.float(0)
  assert.equal(hashBytes(one.bytes()), hashBytes(other.bytes()))
})

test('canonical bytes: bytes that end early or go on are refused, and so are values that do not fit', () => {
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 10 }), (values) => {
      const bytes = write(values)
      const from = new Decoder(bytes.subarray(0, bytes.length - 1))
      assert.throws(() => {
        for (const each of values) from[each.kind]()
      }, RangeError)
      assert.throws(() => new Decoder(bytes).finish(), RangeError)
    }),
    { seed: SEED, numRuns: 200 },
  )
  const out = new Encoder()
  assert.throws(() => out.integer(0.5), RangeError)
  assert.throws(() => out.integer(2 ** 53), RangeError)
  assert.throws(() => out.count(2 ** 32), RangeError)
  assert.throws(() => out.count(-1), RangeError)
  assert.throws(() => out.id(2n ** 63n), RangeError)
})
