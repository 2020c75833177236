import assert from 'node:assert/strict'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { openBucket } from '../../capture/ship/open-bucket.ts'
import {
  hasWebIdentity,
  mountedCredentials,
  type S3Deadlines,
  webIdentityCredentials,
} from '../../capture/ship/s3/mod.ts'
import { temporary } from './fixture.ts'
import {
  bucketAt,
  errorXml,
  everything,
  failureIn,
  fakeStore,
  putTo,
  reply,
  SECRETS,
  type Seen,
  TAKEN,
} from './s3-fixture.ts'

const BODY = Buffer.from('bytes')
const MINUTES_MS = 60_000

/** The access key that a request was signed with. */
function signerOf(seen: Seen | undefined): string | undefined {
  return /Credential=([^/]+)\//.exec(seen?.headers.authorization ?? '')?.[1]
}

async function mount(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(directory, { recursive: true })
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(directory, name), text)
}

test('credentials: a Secret that is not there, half there or empty is CredentialsMissing; it heals when the files come', async (context) => {
  const directory = path.join(await temporary(context), 'secret')
  const store = await fakeStore(context, TAKEN)
  const bucket = bucketAt(context, store.endpoint, { credentials: mountedCredentials(directory) })
  const missing = async () => {
    const failure = await failureIn(putTo(bucket, 'a.txt', BODY))
    assert.deepEqual([failure.code, failure.class], ['CredentialsMissing', 'credential'])
    assert.match(
      failure.message,
      /create the Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/,
    )
    assert.ok(failure.message.includes(directory))
  }
  await missing()
  await mount(directory, { AWS_ACCESS_KEY_ID: 'AKID1' })
  await missing()
  await mount(directory, { AWS_SECRET_ACCESS_KEY: '\n' })
  await missing()
  assert.equal(store.seen.length, 0, 'nothing is asked without credentials')
  await mount(directory, { AWS_SECRET_ACCESS_KEY: 'secret1\n' })
  await putTo(bucket, 'a.txt', BODY)
  assert.deepEqual(
    [signerOf(store.seen[0]), store.seen[0]?.headers['x-amz-security-token']],
    ['AKID1', undefined],
  )
})

test('credentials: newlines at the end are cut, an optional token is used, and spaces within are told', async (context) => {
  const directory = await temporary(context)
  const store = await fakeStore(context, TAKEN)
  await mount(directory, {
    AWS_ACCESS_KEY_ID: 'AKID1\r\n',
    AWS_SECRET_ACCESS_KEY: 'secret1\n',
    AWS_SESSION_TOKEN: 'token1\n',
  })
  await putTo(
    bucketAt(context, store.endpoint, { credentials: mountedCredentials(directory) }),
    'a.txt',
    BODY,
  )
  assert.deepEqual(
    [signerOf(store.seen[0]), store.seen[0]?.headers['x-amz-security-token']],
    ['AKID1', 'token1'],
  )
  await mount(directory, { AWS_ACCESS_KEY_ID: 'aws_access_key_id = AKIDCANARY\nmore' })
  const odd = await failureIn(
    putTo(bucketAt(context, store.endpoint, { credentials: mountedCredentials(directory) }), 'a.txt', BODY),
  )
  assert.equal(odd.code, 'CredentialsMalformed')
  assert.ok(!everything(odd).includes('CANARY'))
})

test('credentials: a file that cannot be read is told by its name', async (context) => {
  const directory = await temporary(context)
  await mkdir(path.join(directory, 'AWS_ACCESS_KEY_ID'))
  const failure = await failureIn(
    bucketAt(context, 'http://127.0.0.1:1', { credentials: mountedCredentials(directory) }).get('a'),
  )
  assert.match(failure.message, /AWS_ACCESS_KEY_ID cannot be read \(EISDIR\)/)
})

test('credentials: after an authentication error they are read again; without one, each five minutes', async (context) => {
  const directory = await temporary(context)
  let nowMs = 0
  const store = await fakeStore(context, (seen, response) =>
    signerOf(seen) === 'AKID2' ? reply(403, errorXml('ExpiredToken'))(seen, response) : TAKEN(seen, response),
  )
  const bucket = bucketAt(
    context,
    store.endpoint,
    { credentials: mountedCredentials(directory) },
    { nowMs: () => nowMs },
  )
  const signer = async () => {
    await putTo(bucket, 'a.txt', BODY)
    return signerOf(store.seen.at(-1))
  }
  /** As the kubelet does: a new directory takes the place of the old one by a rename. */
  const swap = async (id: string) => {
    const next = path.join(await temporary(context), 'next')
    await mount(next, {
      AWS_ACCESS_KEY_ID: id,
      AWS_SECRET_ACCESS_KEY: `secret of ${id}`.replaceAll(' ', '-'),
    })
    await rm(directory, { recursive: true, force: true })
    await rename(next, directory)
  }
  await swap('AKID1')
  assert.equal(await signer(), 'AKID1')
  await swap('AKID2')
  nowMs = 4 * MINUTES_MS
  assert.equal(await signer(), 'AKID1', 'kept for now')
  nowMs = 6 * MINUTES_MS
  assert.equal((await failureIn(putTo(bucket, 'a.txt', BODY))).code, 'ExpiredToken')
  await swap('AKID3')
  assert.equal(await signer(), 'AKID3', 'at once after an authentication error')
})

test('credentials: the client, its connection and its clock stay while they are the same', async (context) => {
  const directory = await temporary(context)
  await mount(directory, { AWS_ACCESS_KEY_ID: 'AKID1', AWS_SECRET_ACCESS_KEY: 'secret1' })
  let nowMs = 0
  const store = await fakeStore(context, TAKEN)
  const bucket = bucketAt(
    context,
    store.endpoint,
    { credentials: mountedCredentials(directory) },
    { nowMs: () => nowMs },
  )
  await putTo(bucket, 'a.txt', BODY)
  nowMs = 6 * MINUTES_MS
  await putTo(bucket, 'a.txt', BODY)
  assert.equal(store.seen[0]?.socket, store.seen[1]?.socket)
})

test('clock: a store whose clock is an hour ahead refuses once; then its clock is used, also with new credentials', async (context) => {
  const HOUR_MS = 3_600_000
  const directory = await temporary(context)
  await mount(directory, { AWS_ACCESS_KEY_ID: 'AKID1', AWS_SECRET_ACCESS_KEY: 'secret1' })
  let expired = false
  const store = await fakeStore(context, (seen, response) => {
    const text = String(seen.headers['x-amz-date']).replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5')
    const isSkewed = Math.abs(Date.parse(text) - (Date.now() + HOUR_MS)) > 15 * MINUTES_MS
    const headers = { date: new Date(Date.now() + HOUR_MS).toUTCString(), etag: '"x"' }
    if (isSkewed) return void reply(403, errorXml('RequestTimeTooSkewed'), headers)(seen, response)
    if (!expired) return void reply(200, '', headers)(seen, response)
    expired = false
    reply(400, errorXml('ExpiredToken'), headers)(seen, response)
  })
  const bucket = bucketAt(context, store.endpoint, { credentials: mountedCredentials(directory) })
  const failure = await failureIn(putTo(bucket, 'a.txt', BODY))
  assert.deepEqual([failure.code, failure.class], ['RequestTimeTooSkewed', 'clock'])
  await putTo(bucket, 'a.txt', BODY)
  expired = true
  await mount(directory, { AWS_ACCESS_KEY_ID: 'AKID2' })
  assert.equal((await failureIn(putTo(bucket, 'a.txt', BODY))).code, 'ExpiredToken')
  await putTo(bucket, 'a.txt', BODY)
  assert.equal(signerOf(store.seen.at(-1)), 'AKID2')
  assert.equal(store.seen.length, 4)
})

const ASSUMED = (
  id: string,
  endsInMs: number,
) => `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>${id}</AccessKeyId><SecretAccessKey>secretCANARY</SecretAccessKey>
<SessionToken>tokenCANARY</SessionToken><Expiration>${new Date(Date.now() + endsInMs).toISOString()}</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`

const STS_ERROR = (code: string) =>
  `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>text</Message></Error></ErrorResponse>`

test('web identity: the role is assumed with the token of the file, which is read anew each time', async (context) => {
  const directory = await temporary(context)
  const file = path.join(directory, 'token')
  let assumed = 0
  const sts = await fakeStore(context, (seen, response) =>
    reply(200, ASSUMED(`ASIA${++assumed}`, 3_600_000))(seen, response),
  )
  const store = await fakeStore(context, TAKEN)
  const env = {
    ...{ AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/l2cap', AWS_WEB_IDENTITY_TOKEN_FILE: file },
    AWS_ENDPOINT_URL_STS: sts.endpoint,
  }
  assert.ok(hasWebIdentity(env) && !hasWebIdentity({ AWS_ROLE_ARN: 'x' }))
  let nowMs = Date.now()
  const bucket = bucketAt(
    context,
    store.endpoint,
    { credentials: webIdentityCredentials(env) },
    { nowMs: () => nowMs },
  )
  const before = await failureIn(putTo(bucket, 'a.txt', BODY))
  assert.deepEqual([before.code, sts.seen.length], ['CredentialsMissing', 0])
  await writeFile(file, 'web.token.1\n')
  await putTo(bucket, 'a.txt', BODY)
  await putTo(bucket, 'b.txt', BODY)
  assert.deepEqual([signerOf(store.seen[1]), sts.seen.length], ['ASIA1', 1])
  const asked = new URLSearchParams(sts.seen[0]?.body.toString())
  assert.deepEqual(
    ['Action', 'RoleArn', 'WebIdentityToken', 'RoleSessionName'].map((name) => asked.get(name)),
    ['AssumeRoleWithWebIdentity', env.AWS_ROLE_ARN, 'web.token.1', 'l2cap'],
  )
  await writeFile(file, 'web.token.2')
  nowMs += 50 * MINUTES_MS
  await putTo(bucket, 'c.txt', BODY)
  assert.equal(sts.seen.length, 1, 'they are good for an hour')
  nowMs += 6 * MINUTES_MS
  await putTo(bucket, 'c.txt', BODY)
  assert.equal(new URLSearchParams(sts.seen[1]?.body.toString()).get('WebIdentityToken'), 'web.token.2')
})

test('web identity: what STS refuses is told as a matter of credentials; a hang ends by a deadline', async (context) => {
  const file = path.join(await temporary(context), 'token')
  await writeFile(file, 'tokenCANARY')
  const sts = await fakeStore(context, reply(403, STS_ERROR('AccessDenied')))
  const env = {
    ...{ AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/l2cap', AWS_WEB_IDENTITY_TOKEN_FILE: file },
    AWS_ENDPOINT_URL_STS: sts.endpoint,
  }
  const bucketWith = (deadlines: Partial<S3Deadlines>) =>
    bucketAt(context, 'http://127.0.0.1:1', { credentials: webIdentityCredentials(env) }, { deadlines })
  const patient = bucketWith({})
  const hasty = bucketWith({ silenceMs: 400 })
  const cases: readonly (readonly [typeof sts.answer, string, string])[] = [
    [reply(403, STS_ERROR('AccessDenied')), 'AccessDenied', 'credential'],
    [reply(400, STS_ERROR('ExpiredTokenException')), 'ExpiredTokenException', 'credential'],
    [reply(400, STS_ERROR('InvalidIdentityToken')), 'InvalidIdentityToken', 'credential'],
    [reply(404, '<html>'), 'NotS3', 'credential'],
    [reply(500, STS_ERROR('InternalFailure')), 'InternalFailure', 'transient'],
    [() => undefined, 'Timeout', 'transient'],
  ]
  for (const [answer, code, errorClass] of cases) {
    sts.answer = answer
    const failure = await failureIn((code === 'Timeout' ? hasty : patient).get('a'))
    assert.deepEqual([failure.code, failure.class], [code, errorClass], failure.message)
    assert.match(
      failure.message,
      /no credentials from the web identity of arn:aws:iam::123456789012:role\/l2cap/,
    )
    assert.ok(!everything(failure).includes('CANARY'))
  }
})

test('credentials: one source and no other: a missing Secret never falls back to a web identity or the environment', async (context) => {
  const store = await fakeStore(context, TAKEN)
  const place = { bucket: 'data', prefix: '', endpoint: store.endpoint }
  const env = {
    ...SECRETS,
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/x',
    AWS_WEB_IDENTITY_TOKEN_FILE: '/no/token',
  }
  const code = async (s3: object, environment: Readonly<Record<string, string>>) =>
    (await failureIn(openBucket({ s3: { ...place, ...s3 } }, environment).get('a'))).message
  assert.match(await code({ credentialsDir: '/no/secret' }, env), /\/no\/secret does not hold them/)
  assert.match(await code({}, env), /no token in \/no\/token/)
  assert.match(await code({}, {}), /set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment/)
  assert.equal(store.seen.length, 0, 'nobody was asked')
})
