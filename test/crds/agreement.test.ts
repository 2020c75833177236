import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { ClusterCaptureSpec } from '../../api/spec.ts'
import { STREAMS } from '../../api/streams.ts'
import { type ApiClient, clusterProblem, openCluster } from '../cluster/mod.ts'
import { capture, LEAST, verdictOf } from './captures.ts'

const skip = clusterProblem() || false
const SEED = Number(process.env['CRD_SEED'] ?? Date.now() % 1_000_000)
/** Each is one call of the server. */
const RUNS = 150

type Change = Readonly<Record<string, unknown>>

/** The characters that patterns, rules and encodings treat differently. */
const text = (maxLength: number) =>
  fc.oneof(
    fc.string({ maxLength, unit: 'binary' }),
    fc.string({ maxLength, unit: fc.constantFrom(..."aZ0.-_/\\ ~!*'()=+%&?#@:[]\n\u0000\u0085\u2028币é😀") }),
  )
const number = fc.oneof(
  fc.integer({ min: -2, max: 4000 }),
  fc.constantFrom(0, 0.5, 10, 3600, 86_400, 2 ** 31, 1e300),
)
const quantity = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('0', '1', '16', '64', '5', '016', '999999999999', '1000'),
      fc.constantFrom('', '.5', '.125'),
      fc.constantFrom('', 'm', 'k', 'M', 'G', 'T', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'e3'),
    )
    .map((parts) => parts.join('')),
  text(4),
)
const amounts = fc.dictionary(
  fc.constantFrom('cpu', 'memory', 'ephemeral-storage', 'memory', 'cpu', 'gpu'),
  fc.oneof(quantity, quantity, number),
  { maxKeys: 4 },
)
const host = fc.oneof(
  fc.ipV4(),
  // addresses of the old kind within the new are refused by one side alone
  fc
    .ipV6()
    .map((address) => `[${address}]`)
    .filter((address) => !address.includes('.')),
  fc.domain().filter((domain) => !domain.includes('xn--')),
  fc.constantFrom(
    'localhost',
    'minio_s3',
    '256.1.1.1',
    '1.2.3',
    '0x7f.1',
    'a..b',
    'store.',
    '-a',
    '[::1',
    '[:::]',
  ),
)
const endpoint = fc
  .tuple(
    fc.constantFrom('http://', 'https://', 'https://', 'HTTP://', 'ftp://', 'https://me@'),
    host,
    fc.constantFrom('', '', ':9000', ':65535', ':65536', ':', ':0', ':080'),
    fc.constantFrom('', '', '/', '/a/b', '/a b', '?x=1', '/#x', '/%41'),
  )
  .map((parts) => parts.join(''))
const prefix = fc
  .array(fc.constantFrom('a', 'b=c', '.', '..', '...', '', 'é', 'x y', "!_.*'()"), { maxLength: 3 })
  .map((parts) => parts.join('/'))
const symbols = fc.array(
  fc.oneof(text(6), text(70), fc.constantFrom('.', '..', 'BTCUSDT', '币'.repeat(26))),
  {
    maxLength: 4,
  },
)

const s3 = (part: fc.Arbitrary<Change>) =>
  part.map((change): Change => ({ storage: { s3: { ...LEAST.storage.s3, ...change } } }))

/** One field, or what belongs together, given some value; most are near a bound, on either side. */
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ symbols }) },
  fc.record({ streams: fc.array(fc.constantFrom(...STREAMS, 'candles'), { maxLength: 5 }) }),
  fc.record({ bookLevels: number }),
  fc.record({ rotationSeconds: number }),
  fc.record({
    guards: fc.record(
      { staleAfterSeconds: number, clockSkewMillis: number, auditSeconds: number },
      { requiredKeys: [] },
    ),
  }),
  fc.record({ spool: fc.record({ sizeLimit: quantity }, { requiredKeys: [] }) }),
  {
    weight: 2,
    arbitrary: fc.record({
      resources: fc.record({ requests: amounts, limits: amounts }, { requiredKeys: [] }),
    }),
  },
  fc.record({ spool: fc.record({ sizeLimit: quantity }), resources: fc.record({ limits: amounts }) }),
  { weight: 2, arbitrary: s3(fc.record({ endpoint })) },
  { weight: 2, arbitrary: s3(fc.record({ prefix })) },
  s3(fc.record({ bucket: fc.oneof(text(5), fc.stringMatching(/^[a-z0-9.-]{1,64}$/)) })),
  s3(fc.record({ region: text(4), forcePathStyle: fc.oneof(fc.boolean(), fc.constant('yes')) })),
  s3(fc.record({ credentialsSecretName: text(3), caSecretName: fc.stringMatching(/^[a-z0-9.-]{0,4}$/) })),
  fc.record({ suspend: fc.oneof(fc.boolean(), fc.constant('true')) }),
)

describe('zod and the API server', { skip }, () => {
  let api: ApiClient
  before(async () => {
    api = (await openCluster()).api
  })

  it(`take the same specs, and fill them in alike (CRD_SEED=${SEED})`, async () => {
    const seen = { taken: 0, refused: 0 }
    await fc.assert(
      fc.asyncProperty(change, async (part) => {
        const spec = { ...LEAST, ...part }
        const { data, error } = ClusterCaptureSpec.safeParse(spec)
        const verdict = await verdictOf(api, 'default', capture(spec))
        if ('refused' in verdict) {
          seen.refused += 1
          assert.notEqual(error, undefined, `the server alone refuses: ${verdict.refused}`)
        } else {
          seen.taken += 1
          assert.equal(error, undefined, `zod alone refuses ${JSON.stringify(spec)}`)
          assert.deepEqual(ClusterCaptureSpec.parse(verdict.stored.spec), data)
        }
      }),
      { seed: SEED, numRuns: RUNS },
    )
    assert.ok(Math.min(seen.taken, seen.refused) > RUNS / 10, JSON.stringify(seen))
  })
})
