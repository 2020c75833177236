import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { BucketError } from '../../capture/ship/bucket.ts'
import { checkBucket } from '../../capture/ship/check.ts'
import { LocalBucket } from '../../capture/ship/local.ts'
import { type RequestCounts, Requests } from '../../capture/ship/requests.ts'
import { mountedCredentials } from '../../capture/ship/s3/mod.ts'
import { sha256, temporary } from './fixture.ts'
import { bucketAt, errorXml, failureIn, fakeStore, putTo, reply, TAKEN } from './s3-fixture.ts'

const BODY = Buffer.from('12345')
const NONE = { ok: 0, absent: 0, error: 0, unanswered: 0 }

/** Outcomes that are not 0, by operation. */
function ended({ ended: all }: RequestCounts): object {
  const operations = Object.entries(all).map(([operation, outcomes]) => [
    operation,
    Object.fromEntries(Object.entries(outcomes).filter(([, count]) => count > 0)),
  ])
  return Object.fromEntries(operations.filter(([, outcomes]) => Object.keys(outcomes ?? {}).length > 0))
}

function pageXml(keys: readonly string[], next = ''): string {
  const contents = keys.map((key) => `<Contents><Key>${key}</Key><Size>7</Size></Contents>`).join('')
  const token = next === '' ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`
  const more = `<KeyCount>${keys.length}</KeyCount><IsTruncated>${next !== ''}</IsTruncated>`
  return `<?xml version="1.0"?><ListBucketResult><Name>data</Name>${more}${token}${contents}</ListBucketResult>`
}

test('requests: each page of a list, and the list that a get needs, is one', async (context) => {
  const requests = new Requests()
  const store = await fakeStore(context, (seen, response) => {
    const token = new URL(seen.url, 'http://x').searchParams.get('continuation-token')
    const isList = seen.url.includes('list-type=2')
    const answer = !isList
      ? reply(403, errorXml('AccessDenied'))
      : seen.url.includes('none')
        ? reply(200, pageXml([]))
        : reply(200, token === null ? pageXml(['l2/a'], 'more') : pageXml(['l2/b']))
    answer(seen, response)
  })
  const bucket = bucketAt(context, store.endpoint, {}, { requests })
  const keys: string[] = []
  for await (const { key } of bucket.list('')) keys.push(key)
  assert.deepEqual(keys, ['a', 'b'])
  assert.deepEqual(ended(requests.counts), { list: { ok: 2 } })
  assert.equal(await bucket.get('none'), undefined)
  assert.deepEqual(ended(requests.counts), { get: { error: 1 }, list: { ok: 3 } })
  assert.equal(store.seen.length, 4)
})

test('requests: told by outcome, with the bytes that were stored and that came', async (context) => {
  const requests = new Requests()
  const store = await fakeStore(context, TAKEN)
  const bucket = bucketAt(context, store.endpoint, {}, { requests })
  await putTo(bucket, 'a', BODY)
  store.answer = reply(200, 'seven b', { etag: '"x"' })
  assert.equal((await bucket.get('a'))?.byteLength, 7)
  store.answer = reply(404, errorXml('NoSuchKey'))
  assert.equal(await bucket.get('b'), undefined)
  store.answer = reply(503, errorXml('SlowDown'))
  await failureIn(putTo(bucket, 'a', BODY))
  store.answer = reply(200, '<html>', { 'content-type': 'text/html', etag: '"x"' })
  await failureIn(bucket.get('a'))
  store.answer = (seen) => void seen.socket.resetAndDestroy()
  await failureIn(putTo(bucket, 'a', BODY))
  // half of a reply is none
  store.answer = (seen, response) => {
    response.writeHead(200, { etag: '"x"', 'content-length': 10 })
    response.write('half', () => seen.socket.destroy())
  }
  await failureIn(bucket.get('a'))
  const { putBytes, gotBytes } = requests.counts
  assert.deepEqual(ended(requests.counts), {
    put: { ok: 1, error: 1, unanswered: 1 },
    get: { ok: 1, absent: 1, error: 1, unanswered: 1 },
  })
  assert.deepEqual([putBytes, gotBytes, store.seen.length], [5, 7, 7])
})

test('requests: what is not sent for want of credentials is none; a check that fails is as many as it sent', async (context) => {
  const requests = new Requests()
  const store = await fakeStore(context, reply(403, errorXml('AccessDenied')))
  const credentials = mountedCredentials(path.join(await temporary(context), 'secret'))
  const without = bucketAt(context, store.endpoint, { credentials }, { requests })
  assert.equal((await failureIn(checkBucket(without))).code, 'CredentialsMissing')
  assert.deepEqual(ended(requests.counts), {})
  const refused = bucketAt(context, store.endpoint, {}, { requests })
  await failureIn(checkBucket(refused))
  await failureIn(checkBucket(refused))
  assert.deepEqual(ended(requests.counts), { put: { error: 2 } })
})

test('requests: operations on a directory count alike', async (context) => {
  const requests = new Requests()
  const directory = await temporary(context)
  const bucket = new LocalBucket(directory, { requests })
  await bucket.put('a/b', BODY, sha256(BODY))
  await bucket.get('a/b')
  await bucket.get('a/c')
  for await (const { key } of bucket.list('')) assert.equal(key, 'a/b')
  await assert.rejects(bucket.put('a/b/c', BODY, sha256(BODY)), BucketError)
  assert.deepEqual(ended(requests.counts), {
    put: { ok: 1, error: 1 },
    get: { ok: 1, absent: 1 },
    list: { ok: 1 },
  })
  assert.deepEqual([requests.counts.putBytes, requests.counts.gotBytes], [5, 5])
})

test('requests: one that has no answer for five seconds is told, with its age; the oldest of several', async () => {
  let nowMs = 1_000_000
  const requests = new Requests(() => nowMs)
  const answers = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const
  assert.equal(requests.unanswered, null)
  const first = requests.run(
    { operation: 'put', key: 'a.json', bytes: 7 },
    () => answers[0].promise,
    () => 'error',
  )
  nowMs += 4_999
  assert.equal(requests.unanswered, null, 'a usual time')
  const second = requests.run(
    { operation: 'get', key: 'b.json' },
    () => answers[1].promise,
    () => 'unanswered',
  )
  nowMs += 7_001
  assert.equal(requests.unanswered, 'waiting for an answer to PUT a.json for 12 s')
  assert.deepEqual(requests.counts.ended.put, NONE, 'counted once it is over')
  answers[0].resolve()
  await first
  assert.equal(requests.unanswered, 'waiting for an answer to GET b.json for 7 s')
  answers[1].reject(new Error('the deadline'))
  await assert.rejects(second)
  assert.equal(requests.unanswered, null)
  assert.deepEqual(ended(requests.counts), { put: { ok: 1 }, get: { unanswered: 1 } })
})
