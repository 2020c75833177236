/** Shipping to a real server through what happens to servers. */
import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as moment } from 'node:timers/promises'
import { type Bucket, BucketError, Requests } from '../../capture/ship/mod.ts'
import type { S3Bucket } from '../../capture/ship/s3/mod.ts'
import { mountMemory, mountProblem } from '../faults/machine.ts'
import { sha256, temporary } from '../ship/fixture.ts'
import { Shipping } from './shipping.ts'
import { type OwnStore, openStore, ownStore, serverProblem, storeProblem } from './store.ts'

const IN_TIME = { timeout: 1_200_000 }
const MIB = 1024 * 1024
const DEADLINES = { connectMs: 300, silenceMs: 500, baseMs: 1000 }
/** A try that is met with silence ends far before a deadline of the product would end it. */
const ENDS_WITHIN_MS = 20_000
const KILLS = 6
/** Each of them may come when the PUT is over, as it may come before its reply: one in the middle there must be. */
const KILLS_MAX = 60
const OBJECT_BYTES = 16 * MIB
const WRITERS = 20
const DISK_BYTES = 32 * MIB

const problem = serverProblem()
const own = problem === '' ? IN_TIME : { ...IN_TIME, skip: problem }
const noStore = storeProblem()
const any = noStore === '' ? IN_TIME : { ...IN_TIME, skip: noStore }
const noDisk = mountProblem((dir) => mountMemory(dir, MIB))
const disk = noDisk === '' ? own : { ...IN_TIME, skip: `no file system can be mounted here: ${noDisk}` }

async function shippingTo(
  context: { after(work: () => Promise<void>): void },
  store: OwnStore,
  bucket: Bucket,
  windows = 3,
): Promise<Shipping> {
  return await Shipping.make(context, { dir: await temporary(context), bucket, windows, truth: store.truth })
}

describe('a real server', () => {
  test('windows are shipped, whole, and found again by whoever only has the bucket', any, async (t) => {
    const store = await openStore(t)
    const bucket = store.bucket()
    t.after(async () => bucket.close())
    const shipping = await Shipping.make(t, {
      dir: await temporary(t),
      bucket,
      windows: 3,
      truth: store.truth,
    })
    await shipping.finish()
    await shipping.assertShipped(store.truth)
    assert.equal(shipping.shipper.counts.failures, 0)
    const listed: string[] = []
    for await (const { key } of bucket.list('manifest/')) listed.push(key)
    assert.deepEqual(listed, [...shipping.manifestKeys].sort())
  })

  test('TLS with an authority that only this test knows', own, async (t) => {
    const store = await ownStore(t, { tls: true })
    const shipping = await shippingTo(t, store, store.bucket())
    await shipping.finish()
    await shipping.assertShipped(store.truth)
    assert.equal(shipping.shipper.counts.failures, 0)
  })

  test(
    `killed ${KILLS} times in the middle of a PUT: the object is not there, or it is the old or the new one`,
    own,
    async (t) => {
      const store = await ownStore(t)
      const bucket = store.bucket()
      t.after(async () => bucket.close())
      const replaced = randomBytes(OBJECT_BYTES)
      const started = performance.now()
      await bucket.put('replaced', replaced, sha256(replaced))
      const putMs = Math.ceil(performance.now() - started)
      const before = new Map<string, Buffer>([['replaced', replaced]])
      const seen = { acked: 0, cut: 0 }
      for (let kill = 0; kill < KILLS || (seen.cut === 0 && kill < KILLS_MAX); kill++) {
        const body = randomBytes(OBJECT_BYTES)
        const key = kill % 2 === 0 ? 'new' : 'replaced'
        const put = outcome(bucket.put(key, body, sha256(body)))
        await moment(randomInt(putMs))
        await store.server.kill()
        const acked = (await put) === undefined
        seen[acked ? 'acked' : 'cut']++
        await store.server.start()
        const found = await store.truth(key)
        const old = before.get(key)
        const isNew = found?.equals(body) ?? false
        const isOld = old === undefined ? found === undefined : (found?.equals(old) ?? false)
        assert.ok(isNew || (isOld && !acked), `after kill ${kill} ${found?.byteLength} bytes of neither`)
        if (found !== undefined) before.set(key, found)
      }
      t.diagnostic(JSON.stringify(seen))
      assert.ok(seen.cut > 0, 'at least one PUT was cut')
    },
  )

  test('killed again and again while windows are shipped: all of them are committed once', own, async (t) => {
    const store = await ownStore(t)
    const killing = new KillingBucket(store.bucket(), store)
    const shipping = await shippingTo(t, store, killing)
    for (let life = 0; life < KILLS && !shipping.isIdle; life++) {
      killing.after(1 + randomInt(6))
      await shipping.tries(1)
      await killing.done()
      if (!store.server.isRunning) await store.server.start()
    }
    killing.after(Number.POSITIVE_INFINITY)
    await shipping.finish()
    await shipping.assertShipped(store.truth)
    t.diagnostic(`${killing.kills} kills, ${shipping.shipper.counts.failures} failures`)
    assert.ok(killing.kills > 0 && shipping.shipper.counts.failures > 0)
    for (const code of shipping.codes)
      assert.match(code, /^(ConnectionFailed|Timeout|HttpStatus5\d\d|Internal)/)
  })

  test('stopped for longer than every deadline: each try ends in time, and nothing goes', own, async (t) => {
    const store = await ownStore(t)
    const shipping = await shippingTo(t, store, store.bucket({ deadlines: DEADLINES }))
    const before = await shipping.spool.usage()
    store.server.pause()
    for (let tries = 0; tries < 3; tries++) {
      const started = performance.now()
      await shipping.tries(1)
      const tookMs = performance.now() - started
      assert.ok(tookMs < ENDS_WITHIN_MS, `${tookMs.toFixed(0)} ms`)
    }
    assert.deepEqual(shipping.codes, ['Timeout'])
    assert.deepEqual(await shipping.spool.usage(), before)
    store.server.resume()
    // its deadlines are as short as before: on a busy machine some honest answers come too late
    await shipping.finish(1000)
    await shipping.assertShipped(store.truth)
  })

  test('stopped for seconds: what is not answered is told while nothing has failed yet', own, async (t) => {
    const store = await ownStore(t)
    const requests = new Requests()
    const shipping = await shippingTo(t, store, store.bucket({ requests }))
    store.server.pause()
    shipping.shipper.start()
    assert.equal(requests.unanswered, null)
    await shipping.until('it is told', () => requests.unanswered !== null)
    assert.match(
      requests.unanswered ?? '',
      /^waiting for an answer to GET manifest\/.*\.json for (?:[5-9]|\d{2,}) s$/,
    )
    assert.deepEqual([shipping.shipper.state.reason, shipping.shipper.counts.failures], [null, 0])
    store.server.resume()
    await shipping.finish()
    await shipping.assertShipped(store.truth)
    assert.deepEqual([requests.unanswered, shipping.shipper.counts.failures], [null, 0])
  })

  test('its disk is full: what waits is safe, and goes when there is room', disk, async (t) => {
    const dir = await temporary(t)
    const place = join(dir, 'disk')
    const mounted = mountMemory(place, DISK_BYTES)
    try {
      const store = await ownStore({ after: async () => undefined }, { dir: place })
      try {
        const ballast = join(place, 'ballast')
        const shipping = await shippingTo(t, store, store.bucket())
        const before = await shipping.spool.usage()
        await fill(ballast)
        await shipping.tries(3)
        assert.equal(shipping.shipper.counts.failures, 3)
        t.diagnostic(`told ${shipping.codes.join(', ')}`)
        for (const code of shipping.codes)
          assert.match(code, /^(InsufficientStorage|XMinioStorageFull|InternalError)$/)
        assert.deepEqual(await shipping.spool.usage(), before)
        await rm(ballast)
        await shipping.finish()
        await shipping.assertShipped(store.truth)
      } finally {
        await store.server.kill()
        store.client.destroy()
      }
    } finally {
      mounted.unmount()
    }
  })

  test(`${WRITERS} writers to one prefix: each finds its own, and all of it`, any, async (t) => {
    const store = await openStore(t)
    const writers = await Promise.all(
      Array.from({ length: WRITERS }, async (_, i) => {
        const bucket = store.bucket()
        t.after(async () => bucket.close())
        const symbol = `W${i}USDT`
        return await Shipping.make(t, {
          dir: await temporary(t),
          bucket,
          windows: 2,
          truth: store.truth,
          symbol,
        })
      }),
    )
    const started = performance.now()
    await Promise.all(writers.map((shipping) => shipping.finish()))
    t.diagnostic(`${((performance.now() - started) / 1000).toFixed(1)} s`)
    for (const shipping of writers) {
      await shipping.assertShipped(store.truth)
      assert.equal(shipping.shipper.counts.failures, 0)
    }
    const manifests = (await store.keys()).filter((key) => key.startsWith('manifest/'))
    assert.deepEqual(manifests.sort(), writers.flatMap(({ manifestKeys }) => manifestKeys).sort())
  })
})

/** Undefined where it succeeded. */
async function outcome(work: Promise<void>): Promise<BucketError | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    if (error instanceof BucketError) return error
    throw error
  }
}

/** Writes until nothing fits any more. */
async function fill(path: string): Promise<void> {
  for (let size = 4 * MIB; size >= 512; size >>= 1) {
    for (;;) {
      try {
        await writeFile(path, Buffer.alloc(size), { flag: 'a' })
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') break
        throw error
      }
    }
  }
}

/** Kills its store in the middle of the nth PUT from when it was told. */
class KillingBucket implements Bucket {
  readonly #bucket: S3Bucket
  readonly #store: OwnStore
  kills = 0
  #left = Number.POSITIVE_INFINITY
  #killing: Promise<void> | undefined

  constructor(bucket: S3Bucket, store: OwnStore) {
    this.#bucket = bucket
    this.#store = store
  }

  get description(): string {
    return this.#bucket.description
  }

  after(puts: number): void {
    this.#left = puts
  }

  async done(): Promise<void> {
    await this.#killing
  }

  async put(key: string, body: Buffer, hash: string): Promise<void> {
    this.#left--
    if (this.#left === 0) this.#killing = this.#kill()
    await this.#bucket.put(key, body, hash)
  }

  get(key: string, bytesMax?: number): Promise<Buffer | undefined> {
    return this.#bucket.get(key, bytesMax)
  }

  list(prefix: string) {
    return this.#bucket.list(prefix)
  }

  async #kill(): Promise<void> {
    // a small object takes about so long
    await moment(randomInt(4))
    await this.#store.server.kill()
    this.kills++
  }
}
