import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BucketError } from '../../capture/ship/bucket.ts'
import { EvilBucket, recordWindow, spoolWith, temporary } from './fixture.ts'
import { IN_TIME, STREAMS, shipperOf, until } from './shipper-fixture.ts'

test(
  'check: tried until it has passed once; what it finds is told beside the state, and keeps no window from shipping',
  IN_TIME,
  async (context) => {
    const { spool } = await spoolWith(await temporary(context), 1)
    const bucket = new EvilBucket()
    let checks = 0
    let isRight = false
    const check = async () => {
      checks++
      if (!isRight) throw new BucketError('AccessDenied', 'credential', 'listing is not allowed')
    }
    const { shipper, timers, states } = shipperOf(context, spool, bucket, { check })
    const fault = 'AccessDenied: listing is not allowed'
    shipper.start()
    await until('the window is shipped, then the check fails', () => shipper.state.check !== null)
    await until('the next try has its time', () => timers.pending === 1)
    assert.deepEqual([shipper.counts.committed, shipper.counts.failures, checks], [1, 0, 1])
    await recordWindow(spool, { window: 1, streams: STREAMS })
    shipper.notify()
    await until('the next window goes meanwhile', () => shipper.counts.committed === 2)
    await until('what is left of the wait', () => timers.pending === 1)
    assert.deepEqual([checks, shipper.state.state, shipper.state.check], [1, 'idle', fault])
    assert.ok(states.every(({ state, reason }) => state !== 'waiting' && reason === null))
    isRight = true
    timers.next()
    await until('it is right', () => shipper.state.check === null)
    await recordWindow(spool, { window: 2, streams: STREAMS })
    shipper.notify()
    await until('another window', () => shipper.counts.committed === 3 && shipper.state.state === 'idle')
    assert.deepEqual([checks, timers.pending], [2, 0], 'never again')
  },
)

test(
  'check: one that hangs keeps neither a window, nor a drain, nor the end waiting; nothing is made of what it finds then',
  IN_TIME,
  async (context) => {
    const { spool } = await spoolWith(await temporary(context), 0)
    const { promise, reject } = Promise.withResolvers<void>()
    let checks = 0
    const check = () => {
      checks++
      return promise
    }
    const { shipper, timers, states, logged } = shipperOf(context, spool, new EvilBucket(), { check })
    shipper.start()
    await until('the check is on its way', () => checks === 1)
    await recordWindow(spool, { window: 0, streams: STREAMS })
    shipper.notify()
    await until('the window is committed', () => shipper.counts.committed === 1)
    await recordWindow(spool, { window: 1, streams: STREAMS })
    assert.deepEqual(await shipper.drain(), { drained: true, unshippedBytes: 0 })
    await shipper.stop()
    const [told, said] = [states.length, logged.length]
    reject(new BucketError('Timeout', 'transient', 'no answer in time'))
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([checks, states.length, logged.length, timers.pending], [1, told, said, 0])
  },
)
