/** What a capture may do in its bucket, and what it says where it may not. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { checkBucket, PROBE_KEY } from '../../capture/ship/mod.ts'
import { environmentCredentials, S3Bucket, type S3Config } from '../../capture/ship/s3/mod.ts'
import { temporary } from '../ship/fixture.ts'
import { serverKind } from './binary.ts'
import { Shipping } from './shipping.ts'
import { type OwnStore, ownStore, serverProblem } from './store.ts'
import { hasUsers, RIGHTS, User } from './users.ts'

const IN_TIME = { timeout: 1_200_000 }
const problem = serverProblem()
const own = problem === '' ? IN_TIME : { ...IN_TIME, skip: problem }

interface Context {
  after(work: () => Promise<void>): void
}

function bucketOf(context: Context, config: S3Config): S3Bucket {
  const bucket = new S3Bucket(config, { env: {} })
  context.after(async () => bucket.close())
  return bucket
}

async function shippingOf(context: Context, store: OwnStore, bucket: S3Bucket): Promise<Shipping> {
  return await Shipping.make(context, {
    dir: await temporary(context),
    bucket,
    windows: 2,
    truth: store.truth,
  })
}

// elsewhere there is nothing to try it on: that is no test that was skipped
if (hasUsers(serverKind())) {
  describe('the rights of a user', () => {
    test('the documented policy is enough: put, get and list below the prefix', own, async (t) => {
      const store = await ownStore(t)
      const user = User.make(store)
      await user.allow(RIGHTS)
      const bucket = bucketOf(t, user.config)
      await checkBucket(bucket)
      const shipping = await shippingOf(t, store, bucket)
      await shipping.finish()
      assert.equal(shipping.shipper.counts.failures, 0)
      await shipping.assertShipped(store.truth)
    })

    test('the documented policy is not more: no other prefix, and nothing is deleted', own, async (t) => {
      const store = await ownStore(t)
      const user = User.make(store)
      await user.allow(RIGHTS)
      await checkBucket(bucketOf(t, user.config))
      const denied = { code: 'AccessDenied' }
      await assert.rejects(checkBucket(bucketOf(t, { ...user.config, prefix: 'other' })), denied)
      const above = bucketOf(t, { ...user.config, prefix: '' })
      await assert.rejects(above.list('')[Symbol.asyncIterator]().next(), denied)
      const client = user.client()
      t.after(() => client.destroy())
      const probe = { Bucket: store.address.bucket, Key: `${store.prefix}/${PROBE_KEY}` }
      await assert.rejects(client.send(new DeleteObjectCommand(probe)), { name: 'AccessDenied' })
      assert.ok((await store.truth(PROBE_KEY)) !== undefined)
    })

    test(
      'without the right to list windows are shipped all the same, on a store that tells what is missing',
      own,
      async (t) => {
        const store = await ownStore(t)
        const user = User.make(store)
        await user.allow(['put', 'get'])
        const shipping = await shippingOf(t, store, bucketOf(t, user.config))
        await shipping.finish()
        assert.equal(shipping.shipper.counts.failures, 0)
        await shipping.assertShipped(store.truth)
      },
    )

    for (const missing of RIGHTS) {
      test(`without the right to ${missing} the check says so`, own, async (t) => {
        const store = await ownStore(t)
        const user = User.make(store)
        await user.allow(RIGHTS.filter((right) => right !== missing))
        await assert.rejects(checkBucket(bucketOf(t, user.config)), {
          code: 'AccessDenied',
          class: 'credential',
        })
      })
    }

    test(
      'rights that are taken away and given back: nothing goes meanwhile, everything after',
      own,
      async (t) => {
        const store = await ownStore(t)
        const user = User.make(store)
        await user.allow(['get', 'list'])
        const shipping = await shippingOf(t, store, bucketOf(t, user.config))
        const before = await shipping.spool.usage()
        await shipping.tries(2)
        assert.deepEqual(shipping.codes, ['AccessDenied'])
        assert.deepEqual(await shipping.spool.usage(), before)
        await user.allow(RIGHTS)
        // delays pass at once here, and the server keeps what it knows of users for a second: that is many tries
        await shipping.finish(100_000)
        await shipping.assertShipped(store.truth)
      },
    )
  })
}

describe('what is wrong', () => {
  test(
    'a wrong secret, an unknown key, a missing bucket and a wrong region are told apart',
    own,
    async (t) => {
      const store = await ownStore(t)
      const { config } = store
      const { accessKey, secretKey } = store.address
      const withKeys = (id: string, secret: string) => ({
        ...config,
        credentials: environmentCredentials({ AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret }),
      })
      const cases: readonly (readonly [string, S3Config, RegExp])[] = [
        ['a wrong secret', withKeys(accessKey, `${secretKey}x`), /^SignatureDoesNotMatch$/],
        ['an unknown key', withKeys('nobody', secretKey), /^InvalidAccessKeyId$/],
        ['no credentials', withKeys('', ''), /^CredentialsMissing$/],
        ['a missing bucket', { ...config, bucket: 'no-such-bucket' }, /^NoSuchBucket$/],
        ...wrongRegion(config),
        ['a wrong port', { ...config, endpoint: 'http://127.0.0.1:9' }, /^ConnectionFailed$/],
        [
          'https instead of http',
          { ...config, endpoint: config.endpoint?.replace('http:', 'https:') },
          /^TlsFailed$/,
        ],
      ]
      for (const [what, wrong, code] of cases) {
        await assert.rejects(checkBucket(bucketOf(t, wrong)), (error: unknown) => {
          assert.ok(error instanceof Error && 'code' in error)
          assert.match(String(error.code), code, what)
          assert.ok(!error.message.includes(secretKey), what)
          return true
        })
      }
    },
  )
})

/** MinIO takes every region. */
function wrongRegion(config: S3Config): [string, S3Config, RegExp][] {
  if (serverKind() === 'minio') return []
  return [['a wrong region', { ...config, region: 'eu-west-9' }, /^WrongRegion$/]]
}
