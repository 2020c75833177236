/** A corrected Secret is used within seconds, however long the next try was put off. */
import assert from 'node:assert/strict'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { BucketError } from '../../capture/ship/bucket.ts'
import { checkBucket } from '../../capture/ship/check.ts'
import { mountedCredentials } from '../../capture/ship/s3/mod.ts'
import { Shipper, type ShipperOptions } from '../../capture/ship/shipper.ts'
import { HandTimers } from '../support/hand-timers.ts'
import { EvilBucket, spoolWith, temporary } from './fixture.ts'
import { bucketAt, errorXml, failureIn, fakeStore, reply, type Seen } from './s3-fixture.ts'
import { IN_TIME, shipperOf, until } from './shipper-fixture.ts'

const LOOK_MS = 5_000
const RIGHT = { AWS_ACCESS_KEY_ID: 'AKIDRIGHT', AWS_SECRET_ACCESS_KEY: 'secretRIGHTsecretRIGHT' }
const WRONG = { ...RIGHT, AWS_ACCESS_KEY_ID: 'AKIDWRONG' }

/** A mounted Secret as the kubelet lays it down: files are links through `..data`, which is swapped by a rename. */
class MountedSecret {
  readonly directory: string
  #versions = 0

  constructor(directory: string) {
    this.directory = directory
  }

  async write(files: Readonly<Record<string, string>>): Promise<void> {
    const version = `..version_${this.#versions++}`
    await mkdir(path.join(this.directory, version))
    for (const [name, text] of Object.entries(files)) {
      await writeFile(path.join(this.directory, version, name), text)
    }
    await symlink(version, path.join(this.directory, '..data_tmp'))
    await rename(path.join(this.directory, '..data_tmp'), path.join(this.directory, '..data'))
    if (this.#versions > 1) return
    for (const name of Object.keys(files)) {
      await symlink(path.join('..data', name), path.join(this.directory, name))
    }
  }
}

function signedBy(seen: Seen, id: string): boolean {
  return seen.headers.authorization?.includes(`Credential=${id}/`) === true
}

/** A shipper to a store that knows the right key alone, and keeps what it is given. */
async function sceneOf(
  context: TestContext,
  windows: number,
  more: Pick<ShipperOptions, 'check'> | object = {},
) {
  const objects = new Map<string, Buffer>()
  const store = await fakeStore(context, (seen, response) => {
    if (!signedBy(seen, RIGHT.AWS_ACCESS_KEY_ID)) {
      return reply(403, errorXml('InvalidAccessKeyId'))(seen, response)
    }
    const key = seen.url.split('?')[0] ?? ''
    if (seen.method === 'PUT') objects.set(key, seen.body)
    const body = objects.get(key)
    if (body === undefined) return reply(404, errorXml('NoSuchKey'))(seen, response)
    response.writeHead(200, { etag: '"x"' }).end(seen.method === 'PUT' ? '' : body)
  })
  const secret = new MountedSecret(await temporary(context))
  await secret.write(WRONG)
  const { spool } = await spoolWith(await temporary(context), windows)
  const timers = new HandTimers()
  const logged: string[] = []
  const log = (fields: object, message: string) => void logged.push(JSON.stringify({ ...fields, message }))
  const bucket = bucketAt(context, store.endpoint, { credentials: mountedCredentials(secret.directory) })
  const shipper = new Shipper({
    ...{ bucket, spool, timers, random: () => 1 - 2 ** -53, log: { info: log, warn: log } },
    ...('check' in more ? { check: () => checkBucket(bucket) } : {}),
  })
  context.after(() => shipper.stop())
  return { store, secret, timers, shipper, logged }
}

/** Passes the next timer, and waits until there are as many timers again, or what is waited for. */
async function pass(timers: HandTimers, pending: number, done: () => boolean = () => false): Promise<void> {
  timers.next()
  await until('it waits again', () => timers.pending === pending || done())
}

test(
  'credentials: a corrected Secret is tried within five seconds, in the middle of a wait of minutes',
  IN_TIME,
  async (context) => {
    const { store, secret, timers, shipper, logged } = await sceneOf(context, 1)
    shipper.start()
    await until('the first refusal', () => timers.pending === 2)
    while (timers.delays.at(-1) !== 299_999) await pass(timers, 2, () => timers.delays.at(-1) === 299_999)
    await until('it waits for minutes', () => timers.pending === 2)
    const { failures } = shipper.counts
    const asked = store.seen.length
    for (let look = 0; look < 5; look++) await pass(timers, 2)
    assert.deepEqual([shipper.counts.failures, store.seen.length], [failures, asked], 'a look asks nobody')
    await secret.write(RIGHT)
    const correctedMs = timers.nowMs()
    timers.next()
    await until('it is shipped', () => shipper.state.state === 'idle' && shipper.counts.committed === 1)
    assert.equal(timers.nowMs() - correctedMs, LOOK_MS)
    assert.deepEqual([shipper.counts.failures, timers.pending], [failures, 0], 'it looks no more')
    assert.ok(logged.some((line) => line.includes('they are tried at once')))
    assert.ok(!logged.some((line) => /secretRIGHT|AKID/.test(line)), 'neither a key nor what it was told by')
  },
)

test('credentials: a check that was refused is tried again at once too', IN_TIME, async (context) => {
  const { secret, timers, shipper } = await sceneOf(context, 0, { check: true })
  shipper.start()
  await until('the check is refused', () => shipper.state.check !== null && timers.pending === 2)
  for (let tries = 0; tries < 8; tries++) await pass(timers, 2)
  assert.match(shipper.state.check ?? '', /^InvalidAccessKeyId: /)
  await secret.write(RIGHT)
  const correctedMs = timers.nowMs()
  // the list of the fake is none: what matters is that it came so far
  for (let looks = 0; looks < 2 && /InvalidAccessKeyId/.test(shipper.state.check ?? ''); looks++) {
    timers.next()
    await until('a look', () => timers.pending > 0)
    await until(
      'it found out',
      () => timers.pending === 2 || !/InvalidAccess/.test(shipper.state.check ?? ''),
    )
  }
  assert.doesNotMatch(shipper.state.check ?? '', /InvalidAccessKeyId/)
  assert.ok(timers.nowMs() - correctedMs <= LOOK_MS)
})

test('credentials: other failures are waited out, and nothing is looked at', IN_TIME, async (context) => {
  const { spool } = await spoolWith(await temporary(context), 1)
  const bucket = Object.assign(new EvilBucket(), {
    credentialsChanged: () => Promise.reject(new Error('it looked')),
  })
  bucket.get = () => Promise.reject(new BucketError('NoSuchBucket', 'configuration', 'made by the test'))
  const { shipper, timers } = shipperOf(context, spool, bucket)
  shipper.start()
  for (let tries = 0; tries < 4; tries++) {
    await until('it waits', () => timers.pending === 1)
    timers.next()
  }
  await until('it waits', () => timers.pending === 1)
  assert.equal(shipper.counts.failuresByClass.configuration, 5)
})

test(
  'credentials: a change is seen by what files hold, also of one that cannot be read; sameness is none',
  IN_TIME,
  async (context) => {
    const secret = new MountedSecret(await temporary(context))
    const source = mountedCredentials(secret.directory)
    const changed = async () => await (source.changed ?? assert.fail())()
    // each bucket reads them once; that nothing listens is no matter of theirs
    const read = () => failureIn(bucketAt(context, 'http://127.0.0.1:1', { credentials: source }).get('a'))
    await read()
    assert.equal(await changed(), false, 'nothing was there, and nothing is')
    await secret.write(WRONG)
    assert.equal(await changed(), true, 'it came')
    await read()
    assert.equal(await changed(), false)
    await secret.write({ ...WRONG })
    assert.equal(await changed(), false, 'other files, the same key')
    await secret.write(RIGHT)
    assert.equal(await changed(), true)
    await read()
    await mkdir(path.join(secret.directory, 'AWS_SESSION_TOKEN'))
    assert.equal(await changed(), true, 'what cannot be read is told then')
    await read()
    assert.equal(await changed(), false)
  },
)

test(
  'credentials: the end of shipping ends the looks, in a wait and in the middle of a try',
  IN_TIME,
  async (context) => {
    for (const inTry of [false, true]) {
      const { store, timers, shipper } = await sceneOf(context, 1)
      let stopped = inTry ? undefined : Promise.resolve()
      const { answer } = store
      store.answer = (seen, response) => {
        stopped ??= shipper.stop()
        answer(seen, response)
      }
      shipper.start()
      await until('a refusal', () => shipper.counts.failures === 1)
      await (inTry ? stopped : shipper.stop())
      assert.equal(timers.pending, 0)
    }
  },
)
