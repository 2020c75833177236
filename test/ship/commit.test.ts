import assert from 'node:assert/strict'
import { truncateSync } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { BucketError, OBJECT_TOO_LARGE } from '../../capture/ship/bucket.ts'
import { type CommitStep, commitWindow } from '../../capture/ship/commit.ts'
import { keyOfManifest, serialiseManifest } from '../../capture/ship/manifest.ts'
import { MANIFEST_FILE, type Spool } from '../../capture/ship/spool.ts'
import {
  EvilBucket,
  FAULTS,
  type Fault,
  isWholeIn,
  recordWindow,
  sha256,
  spoolWith,
  temporary,
} from './fixture.ts'

async function oneWindow(context: TestContext) {
  const { spool, windows } = await spoolWith(await temporary(context), 1)
  const [window] = windows
  assert.ok(window !== undefined)
  const [first, second] = window.manifest.objects
  assert.ok(first !== undefined && second !== undefined)
  return { spool, ...window, key: keyOfManifest(window.manifest), first, second, bucket: new EvilBucket() }
}

async function filesOf(spool: Spool): Promise<string[]> {
  const files = await fs.readdir(spool.directory, { recursive: true, withFileTypes: true })
  return files
    .filter((file) => file.isFile())
    .map((file) => path.join(path.relative(spool.directory, file.parentPath), file.name))
    .sort()
}

function isError(code: string) {
  return (error: unknown) => error instanceof BucketError && error.code === code
}

test('commit: objects are put and read back one by one, the manifest last', async (context) => {
  const { spool, name, key, first, second, bucket } = await oneWindow(context)
  const steps: [CommitStep, string][] = []
  const before = await filesOf(spool)
  const outcome = await commitWindow(bucket, spool, name, { onStep: (...step) => steps.push(step) })
  assert.equal(outcome, 'committed')
  assert.deepEqual(bucket.calls, [
    `get ${key}`,
    `put ${first.key}`,
    `get ${first.key}`,
    `put ${second.key}`,
    `get ${second.key}`,
    `put ${key}`,
    `get ${key}`,
  ])
  assert.deepEqual(
    steps.map(([step]) => step),
    [
      'manifest_looked_up',
      'local_checked',
      'object_put',
      'object_proven',
      'object_put',
      'object_proven',
      'manifest_put',
      'manifest_proven',
    ],
  )
  assert.deepEqual(await filesOf(spool), before, 'a commit deletes nothing')
})

test('commit: a committed window is not written again, also without its Parquet', async (context) => {
  const { spool, name, manifest, bucket } = await oneWindow(context)
  await commitWindow(bucket, spool, name)
  bucket.calls.length = 0
  await fs.rm(spool.parquetPath(name, 'books20'))
  assert.equal(await commitWindow(bucket, spool, name), 'already')
  assert.deepEqual(bucket.calls, [`get ${keyOfManifest(manifest)}`])
})

test('commit: of two recordings of a window the committed one wins, and it is told', async (context) => {
  const { spool, name, manifest, key, bucket } = await oneWindow(context)
  await commitWindow(bucket, spool, name)
  const committed = new Map(bucket.stored)
  await spool.dropWindow(name)
  const again = await recordWindow(spool, { window: 0, streams: ['books20', 'coverage'], version: '0.2.0' })
  const told: unknown[] = []
  const outcome = await commitWindow(bucket, spool, name, {
    onCommittedDiffers: (...each) => told.push(each),
  })
  assert.equal(outcome, 'already')
  assert.deepEqual(told, [[key, manifest, again.manifest]])
  assert.deepEqual(bucket.stored, committed)
})

test('commit: half a manifest, or that of another window, commits nothing and is written over', async (context) => {
  const { spool, name, manifest, key, bucket } = await oneWindow(context)
  const other = await recordWindow(spool, { window: 1, streams: ['coverage'] })
  for (const found of [serialiseManifest(manifest).subarray(0, 200), serialiseManifest(other.manifest)]) {
    bucket.stored.clear()
    bucket.stored.set(key, Buffer.from(found))
    const told: string[] = []
    assert.equal(
      await commitWindow(bucket, spool, name, { onNoManifest: (each) => told.push(each) }),
      'committed',
    )
    assert.deepEqual(told, [key])
    assert.ok(await isWholeIn(async (each) => bucket.stored.get(each), key))
  }
})

test('commit: what is too large for a manifest commits nothing and is written over; no more is read than was put', async (context) => {
  const { spool, name, manifest, key, bucket } = await oneWindow(context)
  const limits: [string, number | undefined][] = []
  const get = bucket.get.bind(bucket)
  bucket.get = async (each: string, bytesMax?: number) => {
    limits.push([each, bytesMax])
    if (limits.length === 1) throw new BucketError(OBJECT_TOO_LARGE, 'integrity', 'larger than asked for')
    return await get(each)
  }
  const told: string[] = []
  assert.equal(
    await commitWindow(bucket, spool, name, { onNoManifest: (each) => told.push(each) }),
    'committed',
  )
  assert.deepEqual(told, [key])
  assert.deepEqual(limits.slice(1), [
    ...manifest.objects.map((object) => [object.key, object.bytes]),
    [key, serialiseManifest(manifest).byteLength],
  ])
})

test('commit: of a window damaged on disk nothing is uploaded', async (context) => {
  const { spool, name, bucket, second } = await oneWindow(context)
  const file = spool.parquetPath(name, second.stream)
  const good = await fs.readFile(file)
  const flipped = Buffer.from(good)
  flipped[10] = (flipped[10] ?? 0) ^ 1
  for (const bad of [flipped, good.subarray(1), Buffer.concat([good, good])]) {
    await fs.writeFile(file, bad)
    await assert.rejects(commitWindow(bucket, spool, name), isError('local_altered'))
  }
  await fs.rm(file)
  await assert.rejects(commitWindow(bucket, spool, name), isError('local_missing'))
  const manifest = path.join(spool.sealedPath(name), MANIFEST_FILE)
  await fs.writeFile(manifest, (await fs.readFile(manifest, 'utf8')).replace('"rows":20', '"rows":21'))
  await assert.rejects(commitWindow(bucket, spool, name), isError('local_manifest'))
  assert.equal(bucket.stored.size, 0)
  assert.ok(!bucket.calls.some((call) => call.startsWith('put')))
})

test('commit: a file that changes between its check and its upload is not uploaded', async (context) => {
  const { spool, name, bucket, first } = await oneWindow(context)
  const attempt = commitWindow(bucket, spool, name, {
    onStep: (step) => {
      // Synchronous, so that it surely lies between the two reads.
      if (step === 'local_checked') truncateSync(spool.parquetPath(name, first.stream), 5)
    },
  })
  await assert.rejects(attempt, isError('local_altered'))
  assert.equal(bucket.stored.size, 0)
})

const EXPECTED: Readonly<Record<Exclude<Fault, 'none'>, { put: string; get: string }>> = {
  throw: { put: 'unavailable', get: 'unavailable' },
  lie: { put: 'not_stored', get: '' },
  truncate: { put: 'stored_altered', get: '' },
  alter: { put: 'stored_altered', get: '' },
  lose_reply: { put: 'timeout', get: '' },
  absent: { put: '', get: 'not_stored' },
}

for (const [fault, codes] of Object.entries(EXPECTED) as [Fault, { put: string; get: string }][]) {
  test(`commit: a store that does "${fault}" at any one operation delays the commit, and never fakes it`, async (context) => {
    const { spool, name, key } = await oneWindow(context)
    const before = await filesOf(spool)
    for (let hit = 0; hit < 7; hit++) {
      const bucket = new EvilBucket()
      let operation = ''
      bucket.fault = (kind) => {
        const now = bucket.calls.length - 1 === hit
        if (now) operation = kind
        return now ? fault : 'none'
      }
      const outcome = await commitWindow(bucket, spool, name).catch((error: unknown) => error)
      assert.ok(operation === 'put' || operation === 'get')
      // The look-up at the beginning sees rightly that nothing is there; on a GET some faults mean nothing.
      const code = hit === 0 && fault === 'absent' ? '' : codes[operation]
      if (code === '') assert.equal(outcome, 'committed')
      else assert.ok(isError(code)(outcome), `operation ${hit}: ${outcome}`)
      assert.deepEqual(await filesOf(spool), before)
      const second = await commitWindow(bucket, spool, name)
      assert.match(second, /committed|already/)
      assert.ok(await isWholeIn(async (each) => bucket.stored.get(each), key))
    }
  })
}

test('commit: whatever a store does and in whatever order, what it is said to hold it holds', async (context) => {
  const { spool, name, key, manifest } = await oneWindow(context)
  const before = await filesOf(spool)
  const faults = fc.array(fc.constantFrom(...FAULTS), { maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(faults, async (plan) => {
      const bucket = new EvilBucket()
      bucket.fault = () => plan[bucket.calls.length - 1] ?? 'none'
      const truth = async (each: string) => bucket.stored.get(each)
      let done = false
      for (let attempt = 0; attempt <= 41 && !done; attempt++) {
        try {
          await commitWindow(bucket, spool, name)
          done = true
        } catch (error) {
          assert.ok(error instanceof BucketError, String(error))
        }
        assert.deepEqual(await filesOf(spool), before)
      }
      assert.ok(done, 'every fault ends, and then the window is committed')
      assert.ok(await isWholeIn(truth, key))
      const stored = bucket.stored.get(key)
      assert.equal(stored && sha256(stored), sha256(serialiseManifest(manifest)))
    }),
    { numRuns: 150 },
  )
})
