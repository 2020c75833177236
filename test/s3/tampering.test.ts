/** Somebody changes what is in the bucket: a verification names it exactly as it does for a directory. */
import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { S3Bucket } from '../../capture/ship/s3/mod.ts'
import { Decoder, type VerifyReport, verifyBucket } from '../../capture/verify/mod.ts'
import { damagesOf } from '../verify/damages.ts'
import { keyIn, useScenario } from '../verify/scenario.ts'
import { serverKind } from './binary.ts'
import { runL2cap } from './cli.ts'
import { givenStore, OwnStore, serverProblem, storeProblem, TestStore } from './store.ts'

const s = useScenario()
const problem = storeProblem()
const any = problem === '' ? {} : { skip: problem }
const notOurs = serverProblem()
const ours = notOurs === '' ? {} : { skip: notOurs }
/** MinIO keeps objects in files of a form of its own. */
const KEEPS_PLAIN_FILES = serverKind() === 'versitygw'

describe('tampering in the bucket', any, () => {
  const decoder = new Decoder()
  let store: TestStore
  let own: OwnStore | undefined
  let bucket: S3Bucket
  /** What lies in the store. */
  let there = new Map<string, Buffer>()

  before(async () => {
    const given = givenStore()
    own = given === undefined ? await OwnStore.start() : undefined
    store = own ?? new TestStore(given ?? assert.fail())
    bucket = store.bucket()
    await mirror(s.origin.root)
  })
  after(async () => {
    bucket?.close()
    await decoder.close()
    await store?.empty()
    store?.client.destroy()
    own?.server.remove()
  })

  /** Makes the store hold what the directory holds. */
  async function mirror(root: string): Promise<void> {
    const wanted = await filesOf(root)
    for (const key of there.keys()) if (!wanted.has(key)) await store.delete(key)
    for (const [key, body] of wanted) if (!there.get(key)?.equals(body)) await store.put(key, body)
    there = wanted
  }

  const verify = (): Promise<VerifyReport> => verifyBucket(bucket, { decoder })

  test('a bucket as it was written has no problem, and the report is that of a directory', async () => {
    const report = await verify()
    assert.equal(report.ok, true)
    assert.deepEqual(report, await s.verify(s.origin))
  })

  for (const { kind, what, damage } of damagesOf(s)) {
    test(`${kind}: ${what}`, async () => {
      const place = await s.copy()
      const key = await damage(place)
      await mirror(place.root)
      const report = await verify()
      assert.deepEqual(
        report.problems.map((found) => `${found.kind} ${found.key}`),
        [`${kind} ${key}`],
      )
      assert.deepEqual(report, await s.verify(place))
    })
  }

  if (KEEPS_PLAIN_FILES) {
    test('a byte that turned on the disk of the store', ours, async () => {
      const key = keyIn(s.runA, 1, 'books5')
      await mirror(s.origin.root)
      const file = join(own?.server.dataDir ?? '', store.address.bucket, store.prefix, key)
      const bytes = await readFile(file)
      const rotten = Buffer.from(bytes)
      rotten.writeUInt8(bytes.readUInt8(200) ^ 1, 200)
      await writeFile(file, rotten)
      const { problems } = await verify()
      assert.deepEqual(
        problems.map((found) => `${found.kind} ${found.key}`),
        [`object_altered ${key}`],
      )
      await writeFile(file, bytes)
    })
  }

  if (KEEPS_PLAIN_FILES) {
    test('files that were copied onto the disk of the store, without its attributes', ours, async () => {
      const [whole, altered, gone] = [0, 1, 2].map((index) => keyIn(s.runA, index, 'books5'))
      if (whole === undefined || altered === undefined || gone === undefined) assert.fail()
      await mirror(s.origin.root)
      for (const key of [whole, altered]) {
        const file = join(own?.server.dataDir ?? '', store.address.bucket, store.prefix, key)
        const bytes = Buffer.from(await readFile(file))
        if (key === altered) bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200)
        // a new file: the attributes go with the old one
        await rm(file)
        await writeFile(file, bytes)
      }
      await store.delete(gone)
      for (const key of [whole, altered, gone]) there.delete(key)
      const { code, stdout } = await runL2cap(
        ['verify', store.url, '--json', '--s3-endpoint', store.address.endpoint],
        store.env,
      )
      const { problems } = JSON.parse(stdout) as VerifyReport
      assert.deepEqual(
        problems.map((found) => `${found.kind} ${found.key}`).sort(),
        [`object_altered ${altered}`, `object_missing ${gone}`].sort(),
      )
      assert.equal(code, 1)
    })
  }

  test('l2cap verify says of s3://… what it says of the directory, whole and damaged', async () => {
    const { endpoint } = store.address
    const of = async (place: string) => {
      const options = place.startsWith('s3:') ? ['--s3-endpoint', endpoint] : []
      const { code, stdout } = await runL2cap(['verify', place, '--json', ...options], store.env)
      return { code, report: JSON.parse(stdout) as VerifyReport }
    }
    await mirror(s.origin.root)
    assert.deepEqual(await of(store.url), await of(s.origin.root))
    const place = await s.copy()
    const [damage = assert.fail()] = damagesOf(s)
    await damage.damage(place)
    await mirror(place.root)
    const found = await of(store.url)
    assert.deepEqual(found, await of(place.root))
    assert.equal(found.code, 1)
  })
})

async function filesOf(root: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return new Map(
    await Promise.all(files.map(async (file) => [relative(root, file), await readFile(file)] as const)),
  )
}
