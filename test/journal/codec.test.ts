import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeFrame } from '../../capture/journal/frame.ts'
import { decodeInput, encodeInput, FRAME_BODY_BYTES_MAX } from '../../capture/journal/mod.ts'
import { inputArbitrary, SEED } from './arbitraries.ts'
import { EACH_KIND, message, NOW_US, owned } from './helpers.ts'

test('codec: every input of every kind comes back exactly', () => {
  for (const input of EACH_KIND) assert.deepEqual(owned(decodeInput(encodeInput(input))), owned(input))
  fc.assert(
    fc.property(inputArbitrary, (input) => {
      assert.deepStrictEqual(owned(decodeInput(encodeInput(input))), owned(input))
    }),
    { seed: SEED, numRuns: 3000 },
  )
})

test('codec: numbers without a usual spelling come back too', () => {
  for (const offset of [-0, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60, 5e-324]) {
    const back = decodeInput(encodeInput({ kind: 'clock', received: 0, offset, rtt: 1 }))
    assert.ok(back.kind === 'clock' && Object.is(back.offset, offset), `offset ${offset}`)
  }
})

test('codec: decoded payloads are views, not copies', () => {
  const body = encodeInput(message(1))
  const input = decodeInput(body)
  assert.ok(input.kind === 'message' && input.payload.buffer === body.buffer)
})

test('codec: a body that is cut anywhere is refused or holds a shorter payload, never other fields', () => {
  for (const input of EACH_KIND) {
    const body = encodeInput(input)
    for (let length = 0; length < body.length; length++) {
      try {
        const cut = owned(decodeInput(body.subarray(0, length)))
        // The frame's checksum guards the payload's length; the codec guards all else.
        if (cut.kind === 'message' && input.kind === 'message') {
          assert.deepEqual({ ...cut, payload: 0 }, { ...input, payload: 0 })
        } else if (cut.kind === 'response' && input.kind === 'response') {
          assert.deepEqual({ ...cut, body: 0 }, { ...input, body: 0 })
        } else assert.fail(`${input.kind} cut at ${length} was accepted as ${cut.kind}`)
      } catch (error) {
        assertUnreadable(error)
      }
    }
  }
})

test('codec: bytes that no encoder wrote are refused with JournalUnreadable, or are an input', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 16, max: 27 }), (bytes, kind) => {
      if (bytes.length > 0) bytes[0] = kind
      try {
        decodeInput(bytes)
      } catch (error) {
        assertUnreadable(error)
      }
    }),
    { seed: SEED, numRuns: 3000 },
  )
})

test('codec: too many bytes, unknown kinds, unknown words and foreign text are refused', () => {
  const tick = encodeInput({ kind: 'tick', received: 1, wallDistance: 0, share: 1 })
  assert.throws(() => decodeInput(Buffer.concat([tick, Buffer.alloc(1)])), { code: 'JournalUnreadable' })
  const unknown = Buffer.from(tick)
  unknown[0] = 200
  assert.throws(() => decodeInput(unknown), /Kind 200 is no input known to this version/)
  const stop = Buffer.from(encodeInput({ kind: 'stop', received: 1, reason: 'crash' }))
  stop.write('cresh', stop.indexOf('crash'))
  assert.throws(() => decodeInput(stop), /unknown word "cresh"/)
  stop[stop.length - 1] = 0
  assert.throws(() => decodeInput(stop), { code: 'JournalUnreadable' })
})

test('codec: what does not fit is refused when it is written', () => {
  for (const received of [-1, 1.5, Number.NaN, 2 ** 53]) {
    assert.throws(() => encodeInput({ kind: 'tick', received, wallDistance: 0, share: 1 }), {
      code: 'JournalMisuse',
    })
  }
  const payload = new Uint8Array(1)
  assert.throws(() => encodeInput({ kind: 'message', received: NOW_US, connection: 2 ** 31, payload }), {
    code: 'JournalMisuse',
  })
  assert.throws(() => encodeInput(message(1, FRAME_BODY_BYTES_MAX)), /limit of 33554432/)
  assert.throws(() => encodeFrame(new Uint8Array(FRAME_BODY_BYTES_MAX + 1)), { code: 'JournalMisuse' })
})

function assertUnreadable(error: unknown): void {
  assert.ok(error instanceof Error && 'code' in error && error.code === 'JournalUnreadable', String(error))
}
