import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkBucket, PROBE_KEY } from '../../capture/ship/check.ts'
import { addressOf } from '../../capture/ship/s3/config.ts'
import { environmentCredentials } from '../../capture/ship/s3/mod.ts'
import { sha256 } from './fixture.ts'
import {
  type Answer,
  bucketAt,
  errorXml,
  everything,
  failureIn,
  fakeStore,
  putTo,
  reply,
  SECRETS,
  TAKEN,
} from './s3-fixture.ts'

const KEY = 'parquet/exchange=BinanceUsdm/symbol=%E5%B8%81USDT/stream=books20/date=2026-11-22/a.parquet'
const BODY = Buffer.from('some bytes of a Parquet file')

/** A page of a list, as S3 sends it. */
function page(keys: readonly string[], next = ''): string {
  const contents = keys.map(
    (key) =>
      `<Contents><Key>${key}</Key><LastModified>2026-11-22T12:00:00.000Z</LastModified><Size>7</Size></Contents>`,
  )
  const more = next === '' ? 'false' : 'true'
  const token = next === '' ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`
  return `<?xml version="1.0"?><ListBucketResult><Name>data</Name><KeyCount>${keys.length}</KeyCount><IsTruncated>${more}</IsTruncated>${token}${contents.join('')}</ListBucketResult>`
}

async function keysOf(entries: AsyncIterable<{ readonly key: string }>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of entries) keys.push(key)
  return keys
}

test('put: one plain request with our hash: no chunks, no trailer, no other checksum, no condition, the key as it is', async (context) => {
  const store = await fakeStore(context, TAKEN)
  const large = Buffer.alloc(5 * 1024 * 1024, 3)
  const bucket = bucketAt(context, store.endpoint)
  await putTo(bucket, KEY, BODY)
  await putTo(bucket, 'large.parquet', large)
  const [small, big] = store.seen
  assert.equal(store.seen.length, 2)
  // the percent signs of the key are themselves encoded
  assert.equal(small?.url.split('?')[0], `/data/l2/${KEY.split('/').map(encodeURIComponent).join('/')}`)
  for (const [seen, body] of [
    [small, BODY],
    [big, large],
  ] as const) {
    const { headers } = seen ?? assert.fail()
    assert.deepEqual(seen?.body, body)
    assert.equal(headers['content-length'], String(body.byteLength))
    assert.equal(headers['x-amz-checksum-sha256'], Buffer.from(sha256(body), 'hex').toString('base64'))
    assert.equal(headers['x-amz-content-sha256'], sha256(body))
    assert.equal(headers['content-type'], 'application/vnd.apache.parquet')
    const others = [
      'content-encoding',
      'transfer-encoding',
      'x-amz-trailer',
      'if-none-match',
      'if-match',
      'expect',
      'content-md5',
    ]
    assert.deepEqual(
      Object.keys(headers).filter(
        (name) => others.includes(name) || /checksum-(?!sha256)|checksum-mode/.test(name),
      ),
      [],
    )
  }
})

test('get: the whole object, nothing where there is none, and an error for one that is larger than expected', async (context) => {
  const store = await fakeStore(context, reply(200, BODY.toString(), { etag: '"x"' }))
  const bucket = bucketAt(context, store.endpoint)
  assert.deepEqual(await bucket.get(KEY), BODY)
  assert.deepEqual(await bucket.get(KEY, BODY.byteLength), BODY)
  const tooLarge = await failureIn(bucket.get(KEY, BODY.byteLength - 1))
  assert.deepEqual([tooLarge.code, tooLarge.class], ['ObjectTooLarge', 'integrity'])
  store.answer = reply(404, errorXml('NoSuchKey'))
  assert.equal(await bucket.get(KEY), undefined)
  store.answer = reply(404, errorXml('NoSuchBucket'))
  assert.equal((await failureIn(bucket.get(KEY))).code, 'NoSuchBucket')
  store.answer = reply(404, '<html>not here</html>')
  assert.equal(
    (await failureIn(bucket.get(KEY))).code,
    'NotS3',
    'a page of another server is no absent object',
  )
})

test('get: AccessDenied of what does not exist, as AWS says it where the prefix alone may be listed, is nothing', async (context) => {
  let listed: Answer = reply(200, page([]))
  const store = await fakeStore(context, (seen, response) =>
    seen.url.includes('list-type=2')
      ? listed(seen, response)
      : reply(403, errorXml('AccessDenied'))(seen, response),
  )
  const bucket = bucketAt(context, store.endpoint)
  assert.equal(await bucket.get('a.json'), undefined)
  assert.match(store.seen[1]?.url ?? '', /prefix=l2%2Fa\.json/)
  listed = reply(200, page(['l2/a.json.old']))
  assert.equal(await bucket.get('a.json'), undefined)
  listed = reply(200, page(['l2/a.json']))
  assert.equal(
    (await failureIn(bucket.get('a.json'))).code,
    'AccessDenied',
    'it is there, and may not be read',
  )
  listed = reply(403, errorXml('AccessDenied'))
  const denied = await failureIn(bucket.get('a.json'))
  assert.deepEqual([denied.code, denied.class], ['AccessDenied', 'credential'])
  assert.match(denied.message, /s3:ListBucket/)
})

test('list: pages in order, asked for as they are read, keys without the prefix', async (context) => {
  const store = await fakeStore(context, (seen, response) => {
    const token = new URL(seen.url, store.endpoint).searchParams.get('continuation-token')
    const at = Number(token ?? 0)
    const keys = [`l2/m/${at}/a&amp;b.json`, `l2/m/${at}/c%2F=.json`]
    reply(200, page(keys, at === 2 ? '' : String(at + 1)))(seen, response)
  })
  const bucket = bucketAt(context, store.endpoint)
  for await (const { key, bytes, modifiedMs } of bucket.list('m/')) {
    assert.deepEqual([key, bytes, modifiedMs], ['m/0/a&b.json', 7, Date.parse('2026-11-22T12:00:00Z')])
    break
  }
  assert.equal(store.seen.length, 1, 'who reads one page asks for one')
  assert.deepEqual(
    await keysOf(bucket.list('m/')),
    [0, 1, 2].flatMap((at) => [`m/${at}/a&b.json`, `m/${at}/c%2F=.json`]),
  )
  const asked = new URL(store.seen[0]?.url ?? '', store.endpoint)
  assert.deepEqual(
    [asked.pathname, asked.searchParams.get('prefix'), asked.searchParams.get('max-keys')],
    ['/data/', 'l2/m/', '1000'],
  )
})

test('list: a store that repeats itself, mixes the order, or sends foreign keys ends with an error, not for ever', async (context) => {
  const cases: readonly (readonly [string, string])[] = [
    [page(['l2/a'], 'again'), 'ListUnsorted'],
    [page(['l2/b', 'l2/a']), 'ListUnsorted'],
    [page([], 'more'), 'NotS3'],
    [page(['l2/a'], 'next').replace(/<NextContinuationToken>.*Token>/, ''), 'NotS3'],
    [page(['other/a']), 'NotS3'],
    ['<html><body>sign in</body></html>', 'NotS3'],
    ['', 'NotS3'],
    ['{"keys": []}', 'NotS3'],
    ['<ListBucketResult><Name>data</Name><Conte', 'NotS3'],
    [errorXml('InternalError'), 'InternalError'],
  ]
  const store = await fakeStore(context, TAKEN)
  const bucket = bucketAt(context, store.endpoint)
  for (const [body, code] of cases) {
    store.answer = reply(200, body)
    assert.equal((await failureIn(keysOf(bucket.list('')))).code, code, body)
  }
})

test('put: what says 200 and is no store, and a store that tells another hash, are not believed', async (context) => {
  const store = await fakeStore(context, TAKEN)
  const bucket = bucketAt(context, store.endpoint)
  const cases: readonly (readonly [Answer, string, string])[] = [
    [
      reply(200, '<html><body>sign in</body></html>', { 'content-type': 'text/html' }),
      'NotS3',
      'configuration',
    ],
    [reply(200, ''), 'NotS3', 'configuration'],
    [reply(200, errorXml('InternalError')), 'InternalError', 'transient'],
    [
      reply(200, '', { etag: '"x"', 'x-amz-checksum-sha256': `${'A'.repeat(43)}=` }),
      'ChecksumMismatch',
      'integrity',
    ],
    [reply(302, '', { location: 'http://log-in.invalid/' }), 'NotS3', 'configuration'],
    [reply(503, errorXml('SlowDown'), { 'retry-after': '9' }), 'SlowDown', 'transient'],
  ]
  for (const [answer, code, errorClass] of cases) {
    store.answer = answer
    const failure = await failureIn(putTo(bucket, KEY, BODY))
    assert.deepEqual([failure.code, failure.class], [code, errorClass], failure.message)
    assert.match(failure.message, /^s3:\/\/data\/l2 \(http:\/\/127\.0\.0\.1:\d+\): writing parquet\//)
    assert.equal(failure.retryAfterMs, code === 'SlowDown' ? 9000 : 0)
  }
  assert.equal(store.seen.length, cases.length, 'each was asked once')
})

test('get: a page of whoever is in the way, an error in a 200, and what names no object are not taken for the object', async (context) => {
  const store = await fakeStore(context, TAKEN)
  const bucket = bucketAt(context, store.endpoint)
  const html = { 'content-type': 'text/html; charset=utf-8' }
  const cases: readonly (readonly [Answer, string, string])[] = [
    [reply(200, '<html>sign in</html>', { ...html, etag: '"x"' }), 'NotS3', 'configuration'],
    [reply(200, '<html>sign in</html>', html), 'NotS3', 'configuration'],
    [reply(200, '{"sign": "in"}'), 'NotS3', 'configuration'],
    [reply(200, 'x'.repeat(1024 * 1024)), 'NotS3', 'configuration'],
    [reply(200, errorXml('InternalError')), 'InternalError', 'transient'],
    [reply(200, errorXml('SlowDown')), 'SlowDown', 'transient'],
  ]
  for (const [answer, code, errorClass] of cases) {
    store.answer = answer
    const failure = await failureIn(bucket.get(KEY))
    assert.deepEqual([failure.code, failure.class], [code, errorClass], failure.message)
  }
  store.answer = reply(200, errorXml('NoSuchKey'))
  assert.equal(await bucket.get(KEY), undefined)
})

test('get: a reader takes an object without an ETag, but neither a page nor an error', async (context) => {
  const object = `a file that somebody put there, <Error><Code>SlowDown</Code></Error> ${'x'.repeat(100_000)}`
  const store = await fakeStore(context, reply(200, object))
  const reads = { tries: 1, wait: async () => undefined }
  const bucket = bucketAt(context, store.endpoint, {}, { reads })
  assert.equal(String(await bucket.get(KEY)), object)
  assert.equal(String(await bucket.get(KEY, object.length)), object)
  for (const bytesMax of [object.length - 1, 10])
    assert.match((await failureIn(bucket.get(KEY, bytesMax))).message, new RegExp(`the ${bytesMax} bytes`))
  store.answer = reply(200, 'eleven byte')
  assert.equal((await failureIn(bucket.get(KEY, 10))).code, 'ObjectTooLarge')
  store.answer = reply(200, '<html>sign in</html>', { 'content-type': 'text/html' })
  assert.equal((await failureIn(bucket.get(KEY))).code, 'NotS3')
  store.answer = reply(200, errorXml('SlowDown'))
  assert.equal((await failureIn(bucket.get(KEY, 10))).code, 'SlowDown')
})

test('list: an address that holds the bucket already is told so', async (context) => {
  const store = await fakeStore(context, reply(404, errorXml('NoSuchKey')))
  const failure = await failureIn(keysOf(bucketAt(context, store.endpoint).list('')))
  assert.deepEqual([failure.code, failure.class], ['NoSuchKey', 'configuration'])
  assert.match(failure.message, /does storage\.s3\.endpoint hold the bucket or a path\?/)
})

test('errors: no credential and no signed header is anywhere in them, whatever the store or the network says', async (context) => {
  const echo: Answer = (seen, response) => {
    const { authorization = '' } = seen.headers
    const all = [authorization, ...Object.values(SECRETS)].join(' ')
    response.writeHead(403, { 'x-echo': all, 'x-amz-bucket-region': SECRETS.AWS_ACCESS_KEY_ID })
    response.end(
      `<Error><Code>${SECRETS.AWS_ACCESS_KEY_ID}</Code><Message>${all}</Message><Region>${all}</Region></Error>`,
    )
  }
  const answers: Answer[] = [
    echo,
    reply(
      403,
      errorXml('SignatureDoesNotMatch', `<StringToSign>${SECRETS.AWS_SESSION_TOKEN}</StringToSign>`),
    ),
    reply(200, `<html>${SECRETS.AWS_SECRET_ACCESS_KEY}</html>`),
    reply(500, SECRETS.AWS_SECRET_ACCESS_KEY),
    (seen) => void seen.socket.destroy(),
    (seen) => void seen.socket.end(`${SECRETS.AWS_SECRET_ACCESS_KEY}\r\n\r\n`),
  ]
  const store = await fakeStore(context, TAKEN)
  const bucket = bucketAt(context, store.endpoint)
  for (const [i, answer] of answers.entries()) {
    store.answer = answer
    for (const work of [() => putTo(bucket, KEY, BODY), () => keysOf(bucket.list(''))]) {
      const failure = await failureIn(work())
      const seen = everything(failure)
      for (const secret of [...Object.values(SECRETS), 'AWS4-HMAC', 'Signature=']) {
        assert.ok(!seen.includes(secret), `answer ${i}: ${secret} in ${seen}`)
      }
      assert.equal(failure.cause, undefined)
      assert.deepEqual(Object.keys(failure).sort(), ['class', 'code', 'name', 'retryAfterMs'])
    }
  }
  assert.ok(!everything(bucket).includes('CANARY'), 'nor in the bucket itself, which somebody may log')
  assert.ok(store.seen.every(({ headers }) => headers.authorization?.startsWith('AWS4-HMAC-SHA256')))
})

test('reads: where it is asked for, a passing error is tried again, and one of the settings is not', async (context) => {
  let answers: Answer[] = []
  const store = await fakeStore(context, (seen, response) =>
    (answers.shift() ?? reply(200, page(['l2/a'])))(seen, response),
  )
  const waits: number[] = []
  const wait = async (delayMs: number) => void waits.push(delayMs)
  const bucket = bucketAt(context, store.endpoint, {}, { reads: { tries: 3, wait } })
  answers = [reply(503, errorXml('SlowDown'), { 'retry-after': '2' }), (seen) => void seen.socket.destroy()]
  assert.deepEqual(await keysOf(bucket.list('')), ['a'])
  assert.ok(waits.length === 2 && (waits[0] ?? 0) >= 2000)
  answers = [1, 2, 3].map(() => reply(500, errorXml('InternalError')))
  assert.equal((await failureIn(bucket.get('a'))).code, 'InternalError')
  answers = [reply(404, errorXml('NoSuchBucket'))]
  assert.equal((await failureIn(bucket.get('a'))).code, 'NoSuchBucket')
  assert.equal(store.seen.length, 3 + 3 + 1)
})

test('address: path style with an endpoint, virtual hosts on AWS, and either by choice; AWS only where no endpoint is given', async (context) => {
  const credentials = environmentCredentials(SECRETS)
  // where AWS itself is asked, s3-network.test.ts shows
  const style = (config: object) =>
    addressOf({ bucket: 'data', prefix: '', credentials, ...config }).forcePathStyle
  assert.deepEqual(
    [
      style({}),
      style({ endpoint: 'http://x' }),
      style({ bucket: 'a.b' }),
      style({ endpoint: 'http://x', forcePathStyle: false }),
    ],
    [false, true, true, false],
  )
  assert.match(
    addressOf({ bucket: 'data', prefix: 'l2', region: 'eu-west-1', credentials }).description,
    /^s3:\/\/data\/l2 \(AWS, region eu-west-1\)$/,
  )
  // a name below localhost is this machine by itself, so that a virtual host can be asked here
  const store = await fakeStore(context, TAKEN)
  const endpoint = store.endpoint.replace('127.0.0.1', 'localhost')
  await putTo(
    bucketAt(
      context,
      endpoint,
      { bucket: 'data', forcePathStyle: false },
      { env: { HTTP_PROXY: store.endpoint } },
    ),
    'a',
    BODY,
  )
  assert.equal(store.seen[0]?.headers.host, `data.localhost:${store.port}`)
  // Node sends the whole address to a proxy
  assert.match(store.seen[0]?.url ?? '', /^(?:http:\/\/data\.localhost:\d+)?\/l2\/a/)
})

test('check: writes, reads back and lists one fixed key below the prefix; says which of them fails', async (context) => {
  const objects = new Map<string, Buffer>()
  let deny = ''
  const store = await fakeStore(context, (seen, response) => {
    const isList = seen.url.includes('list-type=2')
    const operation = seen.method === 'PUT' ? 'put' : isList ? 'list' : 'get'
    if (operation === deny) return reply(403, errorXml('AccessDenied'))(seen, response)
    const key = seen.url.split('?')[0] ?? ''
    if (operation === 'put') objects.set(key, seen.body)
    if (operation === 'put') return TAKEN(seen, response)
    if (operation === 'list')
      return reply(200, page([...objects.keys()].map((each) => each.replace('/data/', ''))))(seen, response)
    const body = objects.get(key)
    return (
      body === undefined ? reply(404, errorXml('NoSuchKey')) : reply(200, body.toString(), { etag: '"x"' })
    )(seen, response)
  })
  const bucket = bucketAt(context, store.endpoint)
  await checkBucket(bucket)
  await checkBucket(bucket)
  assert.deepEqual([...objects.keys()], [`/data/l2/${PROBE_KEY}`])
  for (const [operation, doing] of [
    ['put', 'writing'],
    ['get', 'reading'],
    ['list', 'listing'],
  ] as const) {
    deny = operation
    const failure = await failureIn(checkBucket(bucket))
    assert.deepEqual([failure.code, failure.class], ['AccessDenied', 'credential'])
    assert.match(failure.message, new RegExp(`: ${doing} probe/l2cap\\.txt: .*lacks the right`))
  }
})
