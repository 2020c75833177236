/** What OPERATIONS.md says about the bucket is what the code says: codes and their classes, delays, files. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { L2Capture } from '../../api/spec.ts'
import {
  BUCKET_ERROR_CLASSES,
  BucketError,
  type BucketErrorClass,
  failureOf,
  PROBE_KEY,
  retryDelayMs,
} from '../../capture/ship/mod.ts'
import { S3_DEADLINES } from '../../capture/ship/s3/config.ts'
import { BY_STORE_CODE, BY_SYSTEM_CODE, type Meaning } from '../../capture/ship/s3/meanings.ts'
import { pageAt, ROOT, section } from './pages.ts'

const operations = pageAt('docs/OPERATIONS.md')
const SHIP = join(ROOT, 'capture/ship')
const refused = section(operations, 'What a bucket refuses').text

/** Rows of the section's tables: what is named in the first cell, and the rest of the row. */
const rows = [...refused.matchAll(/^\| (`.+?) \| (.+) \|$/gm)].map(([, first = '', rest = '']) => ({
  names: [...first.matchAll(/`(\w[\w.]*)`/g)].map(([, name = '']) => name),
  rest,
}))

/** A row names the code, and the class stands in it. */
function assertTold(code: string, errorClass: BucketErrorClass): void {
  const found = rows.filter(({ names }) => names.includes(code))
  assert.equal(found.length, 1, `${code} has a row of its own or with others`)
  assert.ok(found[0]?.rest.split(' | ')[0]?.includes(`\`${errorClass}\``), `${code} is ${errorClass}`)
}

describe('docs: the bucket', () => {
  it('every code of a store and of the system has its row, with its class', () => {
    const told = (table: Readonly<Record<string, Meaning>>) =>
      Object.entries(table).map(([key, { code = key, class: errorClass }]) => [code, errorClass] as const)
    const codes = [...told(BY_STORE_CODE), ...told(BY_SYSTEM_CODE)]
    assert.ok(codes.length > 80, `${codes.length} codes`)
    for (const [code, errorClass] of codes) assertTold(code, errorClass)
  })

  it('every code that the code itself makes up is named', () => {
    // those that only a wrong call of our own could meet, and those that a directory has
    const internal = ['storage_missing', 'key_invalid', 'key_escapes', 'bad_digest']
    const files = readdirSync(SHIP, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    )
    const text = files.map((name) => readFileSync(join(SHIP, name), 'utf8')).join('\n')
    const made = [...text.matchAll(/'(\w+)',\s*'(\w+)'/g)].filter(([, , errorClass]) =>
      BUCKET_ERROR_CLASSES.some((each) => each === errorClass),
    )
    assert.ok(made.length > 8, `${made.length} codes`)
    for (const [, code = ''] of made)
      assert.ok(internal.includes(code) || refused.includes(`\`${code}\``), `${code} is not named`)
  })

  it('delays of each class are those of the code', () => {
    const waitsForPeople = [5_000, '5 s', 300_000, '5 minutes'] as const
    const bounds: Readonly<Record<BucketErrorClass, readonly [number, string, number, string]>> = {
      transient: [500, '0.5 s', 60_000, '60 s'],
      clock: waitsForPeople,
      credential: waitsForPeople,
      configuration: waitsForPeople,
      integrity: [1_000, '1 s', 300_000, '5 minutes'],
    }
    for (const errorClass of BUCKET_ERROR_CLASSES) {
      const [firstMs, first, longestMs, longest] = bounds[errorClass]
      const row = rows.find(({ names }) => names.includes(errorClass))?.rest
      assert.ok(row?.startsWith(`${first}, doubling to ${longest}`), `${errorClass}: ${row}`)
      const failure = failureOf(new BucketError('x', errorClass, 'x'))
      const delays = [1, 1_000_000].map((attempt) => retryDelayMs(failure, attempt, 1 - 2 ** -53))
      assert.deepEqual(delays, [firstMs - 1, longestMs - 1], errorClass)
    }
  })

  it('deadlines are those that ARCHITECTURE.md tells', () => {
    const { text } = section(pageAt('docs/ARCHITECTURE.md'), 'The bucket')
    const { connectMs, silenceMs, baseMs, bytesPerSecondMin } = S3_DEADLINES
    const [connect, silence, base] = [connectMs, silenceMs, baseMs].map((ms) => `${ms / 1000} s`)
    const told = `${connect} to connect, ${silence} without a byte moving, and as a whole ${base} and the time that its bytes take at ${bytesPerSecondMin / 1024} KiB a second`
    assert.ok(text.replaceAll(/\s+/g, ' ').includes(told), told)
  })

  it('the object of the check is the one that is named', () => {
    for (const title of ['The bucket', 'Lifecycle'])
      assert.ok(section(operations, title).text.includes(`\`${PROBE_KEY.split('/')[0]}/`), title)
  })

  it('resources in README.md are valid ones', () => {
    const { text } = pageAt('README.md')
    const resources = [...text.matchAll(/^```yaml\n(apiVersion[\s\S]*?)^```$/gm)].map(([, yaml = '']) => yaml)
    assert.ok(resources.length >= 1)
    for (const yaml of resources) {
      const { error } = L2Capture.safeParse(parse(yaml))
      assert.equal(error, undefined, yaml)
    }
    const parts = [...text.matchAll(/^```yaml\n(storage:[\s\S]*?)^```$/gm)].map(([, yaml = '']) =>
      parse(yaml),
    )
    assert.ok(parts.length >= 1, 'a bucket is shown')
    for (const part of parts) {
      const resource = parse(resources[0] ?? '')
      const { error } = L2Capture.safeParse({ ...resource, spec: { ...resource.spec, ...part } })
      assert.equal(error, undefined, JSON.stringify(part))
    }
  })
})
