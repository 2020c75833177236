/** Inputs of any kind and content, for the journal's properties. */
import fc from 'fast-check'
import type { Input } from '../../capture/session/input.ts'

/** Seed of this run's properties: printed, and taken back from the environment. */
export const SEED = Number(process.env.FAST_CHECK_SEED ?? Date.now() % 2 ** 31)
console.log(`FAST_CHECK_SEED=${SEED}`)

const received = fc.maxSafeNat()
const number = fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true }))
// Any string that JavaScript can hold, unpaired surrogates too.
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 12 })
    .map((units) => String.fromCharCode(...units)),
)
const bytes = fc.uint8Array({ maxLength: 300 })
const connection = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })

export const messageArbitrary = fc.record({
  kind: fc.constant('message' as const),
  received,
  connection,
  payload: bytes,
})

/** Any input of any kind. */
export const inputArbitrary: fc.Arbitrary<Input> = fc.oneof(
  messageArbitrary,
  fc.record({ kind: fc.constant('opened' as const), received, connection, route: text }),
  fc.record({
    kind: fc.constant('closed' as const),
    received,
    connection,
    code: number,
    reason: text,
    silent: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('sent' as const), received, request: number, limit: number }),
  fc.record({
    kind: fc.constant('refused' as const),
    received,
    request: number,
    why: fc.constantFrom('weight' as const, 'rate_limited' as const, 'stopping' as const),
    until: number,
  }),
  fc.record({
    kind: fc.constant('response' as const),
    received,
    request: number,
    status: number,
    usedWeight: number,
    retryAt: number,
    error: text,
    body: bytes,
  }),
  fc.record({ kind: fc.constant('clock' as const), received, offset: number, rtt: number }),
  fc.record({
    kind: fc.constant('listing' as const),
    received,
    status: fc.constantFrom('trading' as const, 'not_trading' as const, 'absent' as const),
    word: text,
  }),
  fc.record({ kind: fc.constant('tick' as const), received, wallDistance: number, share: number }),
  fc.record({
    kind: fc.constant('overload' as const),
    received,
    stalledMs: number,
    what: fc.constantFrom('loop' as const, 'journal' as const),
  }),
  fc.record({
    kind: fc.constant('stop' as const),
    received,
    reason: fc.constantFrom(...(['stopped', 'crash', 'journal_corrupt', 'disk_full', 'clock_step'] as const)),
  }),
)
