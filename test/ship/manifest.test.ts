import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  keyOfManifest,
  ManifestError,
  type ManifestErrorCode,
  type ManifestFields,
  parseManifest,
  sealManifest,
  serialiseManifest,
} from '../../capture/ship/manifest.ts'
import { formatTimeUs } from '../../capture/ship/time.ts'
import { OPENED_US, RUN, sha256, windowManifest } from './fixture.ts'

const STREAMS = ['books20', 'coverage']
const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const integer64 = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String)
const time = count.map(formatTimeUs)
const text = fc.string({ unit: 'binary', maxLength: 20 }).filter((value) => value.isWellFormed())

const coverage = fc.record({
  of_stream: fc.constantFrom('books20', 'trades'),
  from: time,
  to: time,
  prev_id: integer64,
  first_id: integer64,
  last_id: integer64,
  rows: count,
  state: fc.constantFrom('proven', 'observed', 'suspect'),
  ended_by: fc.constantFrom(null, 'sequence', 'CrossedBook'),
  detail: text,
  seq: integer64,
  connection: count,
})

const manifests = fc
  .record({
    window: fc.nat({ max: 999_999_999 }),
    symbol: fc.constantFrom('BTCUSDT', '币安人生USDT'),
    prefix: fc.constantFrom('', 'l2/a'),
    rows: fc.array(coverage, { maxLength: 3 }),
    counts: fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/), count, { noNullPrototype: true }),
    node: text,
    predecessor: fc.option(fc.record({ pod: text, uid: text }), { nil: null }),
    final: fc.boolean(),
  })
  .map(({ window, symbol, prefix, rows, counts, node, predecessor, final }) => {
    const { sha256: _, ...base } = windowManifest({ window, symbol, prefix, streams: STREAMS })
    const writer = { ...base.writer, node }
    return sealManifest({ ...base, coverage: rows, counts, writer, predecessor, final })
  })

function codeOf(bytes: Uint8Array): ManifestErrorCode | 'read' {
  try {
    parseManifest(bytes)
    return 'read'
  } catch (error) {
    assert.ok(error instanceof ManifestError, String(error))
    return error.code
  }
}

/** A copy in which every object holds its keys in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, each]) => [name, reversed(each)]),
  )
}

test('manifest: what is sealed reads back equal, and bytes do not depend on the order of keys', () => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      const bytes = serialiseManifest(manifest)
      assert.deepEqual(parseManifest(bytes), manifest)
      assert.ok(serialiseManifest(reversed(manifest) as typeof manifest).equals(bytes))
      const { sha256: _, ...fields } = manifest
      assert.deepEqual(sealManifest(reversed(fields) as ManifestFields), manifest)
    }),
  )
})

test('manifest: its hash is that of its own text without the last field', () => {
  const manifest = windowManifest({ window: 3, streams: STREAMS, symbol: '币安人生USDT' })
  const json = serialiseManifest(manifest).toString('utf8')
  const fields = json.replace(/,"sha256":"[0-9a-f]{64}"\}$/, '}')
  assert.notEqual(fields, json)
  assert.equal(sha256(Buffer.from(fields)), manifest.sha256)
  assert.match(json, /^\{"format":1,"exchange":"BinanceUsdm","symbol":"币安人生USDT","run":/)
  assert.doesNotMatch(json, /"[a-z_]*[A-Z][A-Za-z]*":/, 'no camelCase in the JSON')
})

test('manifest: any flipped byte is found', () => {
  const bytes = serialiseManifest(windowManifest({ window: 3, streams: STREAMS, symbol: '币安人生USDT' }))
  const codes = new Set<string>()
  for (let at = 0; at < bytes.byteLength; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const altered = Buffer.from(bytes)
      altered[at] = (altered[at] ?? 0) ^ (1 << bit)
      const code = codeOf(altered)
      assert.notEqual(code, 'read', `bit ${bit} of byte ${at}`)
      codes.add(code)
    }
  }
  assert.deepEqual([...codes].sort(), ['manifest_altered', 'manifest_unreadable'])
})

test('manifest: any cut, added byte, or other spelling of the same JSON is found', () => {
  const manifest = windowManifest({ window: 3, streams: STREAMS })
  const bytes = serialiseManifest(manifest)
  for (let length = 0; length < bytes.byteLength; length += 7) {
    assert.equal(codeOf(bytes.subarray(0, length)), 'manifest_unreadable')
  }
  assert.equal(codeOf(Buffer.concat([bytes, Buffer.from('\n')])), 'manifest_altered')
  assert.equal(codeOf(Buffer.from(JSON.stringify(manifest, null, 1))), 'manifest_altered')
  assert.equal(codeOf(Buffer.from(JSON.stringify(reversed(manifest)))), 'manifest_altered')
  assert.equal(codeOf(Buffer.concat([Buffer.from('\ufeff'), bytes])), 'manifest_unreadable')
  assert.equal(codeOf(Buffer.from(JSON.stringify({ ...manifest, more: 1 }))), 'manifest_unreadable')
  assert.equal(codeOf(Buffer.from(JSON.stringify({ ...manifest, window: 4 }))), 'manifest_altered')
})

test('manifest: what contradicts itself is not sealed', () => {
  const { sha256: _, ...fields } = windowManifest({ window: 3, streams: STREAMS })
  const [first, second] = fields.objects
  assert.ok(first !== undefined && second !== undefined)
  const wrong: Partial<ManifestFields>[] = [
    { objects: [] },
    { objects: [first, first] },
    { objects: [{ ...first, stream: 'depth' }] },
    { objects: [{ ...first, key: first.key.replace('-000003', '-000004') }] },
    { objects: [first, { ...second, key: `l2/${second.key}` }] },
    { objects: [{ ...first, first_time: null }] },
    { objects: [{ ...first, last_id: '9223372036854775807000' }] },
    { symbol: 'ETHUSDT' },
    { run: RUN.replace('1a', '2b') },
    { window: 2 },
    { opened: formatTimeUs(OPENED_US + 1_000_000) },
    { closed: formatTimeUs(OPENED_US - 1) },
    { counts: { Inputs: 1 } },
    { counts: { inputs: 0.5 } },
    { recorded_by: '\ud800' },
  ]
  for (const change of wrong) {
    assert.throws(
      () => sealManifest({ ...fields, ...change }),
      (error) => error instanceof ManifestError && error.code === 'manifest_invalid',
      JSON.stringify(change),
    )
  }
  const empty = { ...second, rows: 0, first_time: null, last_time: null }
  assert.ok(sealManifest({ ...fields, objects: [empty] }), 'an object without rows has no times')
})

test('manifest: its key lies beside its objects, on the day when the window opened', () => {
  const manifest = windowManifest({ window: 42, streams: STREAMS, prefix: 'l2' })
  assert.equal(
    keyOfManifest(manifest),
    `l2/manifest/exchange=BinanceUsdm/symbol=BTCUSDT/date=2026-11-22/${RUN}-000042.json`,
  )
})
