import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as meanings from '../../capture/ship/s3/meanings.ts'
import { CALL_WORDS, inWords, SPEC_WORDS } from '../../capture/ship/s3/mod.ts'
import { bucketAt, errorXml, failureIn, fakeStore, reply } from './s3-fixture.ts'

/** Everything that a person may be told. */
const ALL = [
  ...Object.values(meanings.BY_STORE_CODE),
  ...Object.values(meanings.BY_SYSTEM_CODE),
  ...meanings.BY_SYSTEM_PREFIX.map(([, meaning]) => meaning),
  ...[meanings.NOT_S3, meanings.WRONG_REGION, meanings.MALFORMED_KEY, meanings.TIMEOUT, meanings.UNFORESEEN],
  ...[401, 404, 407, 500].map(meanings.byStatus),
].map(({ words }) => words)

test('words: each setting has its name both in a specification and on a command line, and neither has the other’s', () => {
  assert.ok(ALL.some((text) => text.includes('{endpoint}')) && ALL.some((text) => text.includes('{rights}')))
  for (const text of ALL) {
    for (const [words, strange] of [
      [SPEC_WORDS, /[{}]|--s3-/],
      [CALL_WORDS, /[{}]|storage\.s3|forcePathStyle|caSecretName|PutObject/],
    ] as const) {
      assert.doesNotMatch(inWords(text, words), strange)
    }
    assert.doesNotMatch(text, /storage\.s3|--s3-/, 'a setting by a name that fits one place alone')
  }
  assert.equal(
    inWords('{endpoint} {other} {toString}', CALL_WORDS),
    `${CALL_WORDS.endpoint} {other} {toString}`,
  )
})

test('words: a bucket tells its errors in those of its caller', async (context) => {
  const store = await fakeStore(context, reply(301, errorXml('PermanentRedirect')))
  const told = async (options: object) =>
    (await failureIn(bucketAt(context, store.endpoint, {}, options).get('a'))).message
  assert.match(await told({}), /in another region; set storage\.s3\.region to it$/)
  assert.match(
    await told({ words: CALL_WORDS }),
    /in another region; set --s3-region \(or AWS_REGION\) to it$/,
  )
  store.answer = reply(200, '<html>', { 'content-type': 'text/html; charset=utf-8', etag: '"x"' })
  assert.match(await told({ words: CALL_WORDS }), /gives a web page: .*; check --s3-endpoint /)
  store.answer = reply(403, errorXml('AccessDenied'))
  assert.match(await told({ words: CALL_WORDS }), /allow s3:GetObject and, on the bucket, s3:ListBucket/)
})
