import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checkBucket, PROBE_KEY } from '../../capture/ship/check.ts'
import { openStore, storeProblem } from '../s3/store.ts'
import { failureIn, putTo } from './s3-fixture.ts'

const problem = storeProblem()
const needsStore = problem === '' ? { timeout: 1_200_000 } : { skip: problem }
/** More than one page of a list. */
const OBJECTS = 1100
const AT_ONCE = 20

describe('a bucket in a real store', needsStore, () => {
  test('objects of any size come back as they were, under keys as they are, and are replaced whole', async (t) => {
    const store = await openStore(t)
    const bucket = store.bucket()
    t.after(() => bucket.close())
    const keys = [
      'parquet/symbol=%E5%B8%81USDT/date=2026-11-22/a+b.parquet',
      'manifest/a=b/x.json',
      'c d/%25.txt',
    ]
    for (const key of keys) {
      for (const bytes of [0, 1, 5_000_000, 3]) {
        const body = Buffer.alloc(bytes, bytes % 251)
        await putTo(bucket, key, body)
        assert.ok((await bucket.get(key))?.equals(body), `${key}, ${bytes} bytes`)
      }
      assert.deepEqual(await store.truth(key), Buffer.alloc(3, 3))
    }
    const listed: string[] = []
    for await (const { key, bytes } of bucket.list('')) {
      listed.push(key)
      assert.equal(bytes, 3)
    }
    assert.deepEqual(listed, [...keys].sort())
    assert.equal(await bucket.get('manifest/a=b/none.json'), undefined)
    assert.equal(await bucket.get('manifest/a=b'), undefined, 'a folder is no object')
  })

  test('a list of more than a page is whole and in order, and takes a part of a name', async (t) => {
    const store = await openStore(t)
    const bucket = store.bucket()
    t.after(() => bucket.close())
    const names = Array.from({ length: OBJECTS }, (_, i) => `m/${String(i).padStart(6, '0')}.json`)
    for (let at = 0; at < OBJECTS; at += AT_ONCE) {
      await Promise.all(names.slice(at, at + AT_ONCE).map((name) => putTo(bucket, name, Buffer.from('{}'))))
    }
    const found: string[] = []
    for await (const { key } of bucket.list('m/')) found.push(key)
    assert.deepEqual(found, names)
    const some: string[] = []
    for await (const { key } of bucket.list('m/0000')) some.push(key)
    assert.deepEqual(some, names.slice(0, 100))
    for await (const { key } of bucket.list('none/')) assert.fail(key)
  })

  test('the check passes, writes one key, and bytes that do not hash as told are refused', async (t) => {
    const store = await openStore(t)
    const bucket = store.bucket()
    t.after(() => bucket.close())
    await checkBucket(bucket)
    assert.deepEqual(await store.keys(), [PROBE_KEY])
    const refused = await failureIn(bucket.put('a.txt', Buffer.from('a'), '00'.repeat(32)))
    assert.equal(refused.class, 'integrity', refused.message)
    assert.equal(await store.truth('a.txt'), undefined)
  })
})
