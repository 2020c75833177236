import assert from 'node:assert/strict'
import fs from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { BucketError, type BucketErrorClass } from '../../capture/ship/bucket.ts'
import { keyOfManifest } from '../../capture/ship/manifest.ts'
import { failureOf, retryDelayMs } from '../../capture/ship/retry.ts'
import { openSpool } from '../../capture/ship/spool.ts'
import { EvilBucket, recordWindow, spoolWith, temporary } from './fixture.ts'
import { IN_TIME, STREAMS, shipperOf, until } from './shipper-fixture.ts'

test(
  'shipper: windows go oldest first, each whole before the next, and leave nothing behind',
  IN_TIME,
  async (context) => {
    const { spool, windows } = await spoolWith(await temporary(context), 3)
    const bucket = new EvilBucket()
    const { shipper, states } = shipperOf(context, spool, bucket)
    shipper.start()
    assert.deepEqual(await shipper.drain(), { drained: true, unshippedBytes: 0 })
    const expected = windows.flatMap(({ manifest }) => [
      ...manifest.objects.map((object) => `put ${object.key}`),
      `put ${keyOfManifest(manifest)}`,
    ])
    assert.deepEqual(
      bucket.calls.filter((call) => call.startsWith('put')),
      expected,
    )
    assert.deepEqual(await spool.listWindows(), [])
    assert.deepEqual(shipper.counts, {
      ...{ attempts: 3, committed: 3, already: 0, failures: 0, quarantined: 0 },
      failuresByClass: { transient: 0, clock: 0, credential: 0, configuration: 0, integrity: 0 },
    })
    assert.deepEqual(shipper.state, {
      state: 'idle',
      reason: null,
      check: null,
      since: '2026-11-22T12:00:00.000000Z',
      lastCommit: '2026-11-22T12:00:00.000000Z',
      waitingWindows: 0,
    })
    assert.equal(Math.max(...states.map((state) => state.waitingWindows)), 3)
  },
)

test(
  'shipper: a window sealed later goes after notify; one that is not sealed is left to the recorder',
  IN_TIME,
  async (context) => {
    const { spool } = await spoolWith(await temporary(context), 0)
    const bucket = new EvilBucket()
    const { shipper, states } = shipperOf(context, spool, bucket)
    shipper.start()
    await until('it is idle', () => states.at(-1)?.state === 'idle')
    await recordWindow(spool, { window: 0, streams: STREAMS })
    await fs.writeFile(spool.segmentPath('20261122T000000000Z-00000000-000000'), 'still being written')
    shipper.notify()
    await until('it is committed', () => shipper.counts.committed === 1)
    assert.deepEqual(await shipper.drain(), { drained: true, unshippedBytes: 'still being written'.length })
    assert.deepEqual(
      (await spool.listWindows()).map((each) => each.hasSealed),
      [false],
    )
  },
)

test(
  'shipper: an outage holds the oldest window, keeps the order and says why and since when',
  IN_TIME,
  async (context) => {
    const { spool, windows } = await spoolWith(await temporary(context), 2)
    const bucket = new EvilBucket()
    bucket.fault = () => 'throw'
    const { shipper, timers, states } = shipperOf(context, spool, bucket)
    shipper.start()
    for (let tries = 1; tries <= 3; tries++) {
      await until('it waits', () => timers.pending === 1)
      assert.deepEqual(
        { ...shipper.state, reason: shipper.state.reason?.slice(0, 20) },
        {
          state: 'waiting',
          reason: 'unavailable: get man',
          check: null,
          since: '2026-11-22T12:00:00.000000Z',
          lastCommit: null,
          waitingWindows: 2,
        },
      )
      assert.equal(shipper.counts.failures, tries)
      timers.next()
    }
    await until('it waits', () => timers.pending === 1)
    assert.ok(
      bucket.calls.every((call) => call === `get ${keyOfManifest(windows[0]?.manifest ?? assert.fail())}`),
    )
    bucket.fault = () => 'none'
    timers.next()
    await until('it rests after the first', () => shipper.counts.committed === 1 && timers.pending === 1)
    assert.equal(shipper.state.reason, null, 'a rest is no failure')
    timers.next()
    await until('both are committed', () => shipper.counts.committed === 2)
    await until('it is idle', () => states.at(-1)?.state === 'idle')
    assert.equal(states.at(-1)?.reason, null)
    assert.deepEqual(
      [shipper.counts.attempts, shipper.counts.failures, shipper.counts.failuresByClass.transient],
      [6, 4, 4],
    )
  },
)

test(
  'shipper: nothing local goes while the store keeps nothing, whatever it says',
  IN_TIME,
  async (context) => {
    const { spool } = await spoolWith(await temporary(context), 1)
    const before = await spool.usage()
    for (const fault of ['lie', 'truncate', 'alter', 'lose_reply'] as const) {
      const bucket = new EvilBucket()
      bucket.fault = (operation) => (operation === 'put' ? fault : 'none')
      const { shipper, timers } = shipperOf(context, spool, bucket)
      shipper.start()
      for (let tries = 0; tries < 3; tries++) {
        await until('it waits', () => timers.pending === 1)
        assert.deepEqual(await spool.usage(), before)
        timers.next()
      }
      await shipper.stop()
      assert.deepEqual(await spool.usage(), before)
    }
  },
)

const CLASSES: readonly [BucketErrorClass, readonly number[]][] = [
  ['transient', [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]],
  ['configuration', [5000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]],
  ['credential', [5000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]],
  ['clock', [5000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]],
  ['integrity', [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000]],
]

for (const [errorClass, bounds] of CLASSES) {
  test(
    `shipper: ${errorClass} errors are retried for ever, up to ${bounds.join(', ')} ms apart`,
    IN_TIME,
    async (context) => {
      const { spool } = await spoolWith(await temporary(context), 1)
      const bucket = new EvilBucket()
      bucket.get = () => Promise.reject(new BucketError('made_up', errorClass, 'made by the test'))
      const { shipper, timers } = shipperOf(context, spool, bucket, { random: () => 0.5 })
      shipper.start()
      for (let tries = 0; tries < bounds.length; tries++) {
        await until('it waits', () => timers.pending === 1)
        timers.next()
      }
      await until('it waits', () => timers.pending === 1)
      assert.deepEqual(
        timers.delays.slice(0, -1),
        bounds.map((bound) => bound / 2),
        'half of the bound, as the random number is 0.5',
      )
    },
  )
}

test('retry: the delay lies within the bound, honours Retry-After up to an hour, and never overflows', () => {
  const failures = fc.record({
    errorClass: fc.constantFrom(...CLASSES.map(([each]) => each)),
    retryAfterMs: fc.nat({ max: 10_000_000 }),
    attempt: fc.integer({ min: 1, max: 1_000_000 }),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  })
  fc.assert(
    fc.property(failures, ({ errorClass, retryAfterMs, attempt, random }) => {
      const failure = failureOf(new BucketError('x', errorClass, 'x', { retryAfterMs }))
      const delayMs = retryDelayMs(failure, attempt, random)
      assert.ok(Number.isInteger(delayMs) && delayMs >= Math.min(retryAfterMs, 3_600_000))
      assert.ok(delayMs <= Math.max(300_000, Math.min(retryAfterMs, 3_600_000)))
    }),
  )
  const known = failureOf(Object.assign(new Error('no room'), { code: 'ENOSPC' }))
  assert.deepEqual(known, { code: 'ENOSPC', class: 'transient', message: 'no room', retryAfterMs: 0 })
  assert.equal(failureOf('thrown text').code, 'unforeseen')
})

test(
  'shipper: another class of error begins its own delays; a success ends them',
  IN_TIME,
  async (context) => {
    const { spool } = await spoolWith(await temporary(context), 2)
    const bucket = new EvilBucket()
    const plan = ['throw', 'throw', 'none', 'lie', 'none', 'throw'] as const
    bucket.fault = () => plan[bucket.calls.length - 1] ?? 'none'
    const { shipper, timers } = shipperOf(context, spool, bucket)
    shipper.start()
    for (let tries = 0; tries < 5; tries++) {
      await until('it waits', () => timers.pending === 1)
      timers.next()
    }
    await until('both are committed', () => shipper.counts.committed === 2)
    // after the last failure the two windows have a rest between them
    assert.deepEqual(
      timers.delays.map((delayMs) => Math.round(delayMs)),
      [499, 999, 999, 499, 3000],
    )
  },
)

test(
  'shipper: a Secret that was missing for long does not make the first refusal of a key wait for long',
  IN_TIME,
  async (context) => {
    const { spool } = await spoolWith(await temporary(context), 1)
    const bucket = new EvilBucket()
    let code = 'CredentialsMissing'
    bucket.get = async () => {
      throw new BucketError(code, 'credential', 'made by the test')
    }
    const { shipper, timers } = shipperOf(context, spool, bucket)
    shipper.start()
    for (let tries = 0; tries < 10; tries++) {
      await until('it waits', () => timers.pending === 1)
      if (tries === 9) code = 'InvalidAccessKeyId'
      timers.next()
    }
    await until('it waits', () => timers.pending === 1)
    assert.deepEqual(timers.delays.slice(-2), [4999, 4999], 'the longest of a look, the first of a refusal')
    timers.next()
    await until('it waits', () => timers.pending === 1)
    assert.equal(timers.delays.at(-1), 9999)
  },
)

test(
  'drain: cuts a long delay short, and after its deadline tells the bytes that are left',
  IN_TIME,
  async (context) => {
    const { spool } = await spoolWith(await temporary(context), 2)
    const bucket = new EvilBucket()
    bucket.fault = () => 'throw'
    const { shipper, timers } = shipperOf(context, spool, bucket)
    shipper.start()
    for (let tries = 0; tries < 7; tries++) {
      await until('it waits', () => timers.pending === 1)
      timers.next()
    }
    await until('it waits a minute', () => timers.delays.at(-1) === 59_999)
    const { unshippedBytes } = await spool.usage()
    const drained = shipper.drain(800)
    await until(
      'a fresh delay beside the deadline',
      () => timers.delays.at(-1) === 499 && timers.pending === 2,
    )
    timers.next()
    await until('the next delay', () => timers.delays.at(-1) === 999 && timers.pending === 2)
    timers.next()
    assert.deepEqual(await drained, { drained: false, unshippedBytes })
    assert.ok(unshippedBytes > 0)

    bucket.fault = () => 'none'
    assert.deepEqual(await shipper.drain(), { drained: true, unshippedBytes: 0 })
  },
)

test('stop: ends between two steps; the next start goes on and commits once', IN_TIME, async (context) => {
  const directory = await temporary(context)
  const { spool, windows } = await spoolWith(directory, 1)
  const bucket = new EvilBucket()
  const first = shipperOf(context, spool, bucket)
  let stopped: Promise<void> | undefined
  bucket.fault = (operation) => {
    if (operation === 'put') stopped ??= first.shipper.stop()
    return 'none'
  }
  first.shipper.start()
  await until('it is asked to stop', () => stopped !== undefined)
  await stopped
  assert.equal(bucket.stored.size, 1, 'one object, no manifest')
  assert.deepEqual(await first.shipper.drain(), {
    drained: false,
    unshippedBytes: (await spool.usage()).unshippedBytes,
  })
  const second = shipperOf(context, await openSpool(path.join(directory, 'spool')), bucket)
  assert.equal((await second.shipper.drain()).drained, true)
  const key = keyOfManifest(windows[0]?.manifest ?? assert.fail())
  assert.equal(bucket.calls.filter((call) => call === `put ${key}`).length, 1)
})

test('retry: a Secret that is missing is looked for again within five seconds, for ever', () => {
  const failure = failureOf(new BucketError('CredentialsMissing', 'credential', 'made by the test'))
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempt, random) => {
        assert.ok(retryDelayMs(failure, attempt, random) <= 5000)
      },
    ),
  )
})
