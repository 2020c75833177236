import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { keyOfManifest } from '../../capture/ship/manifest.ts'
import { Pace } from '../../capture/ship/pace.ts'
import { EvilBucket, recordWindow, spoolWith, temporary } from './fixture.ts'
import { IN_TIME, STREAMS, shipperOf, until } from './shipper-fixture.ts'

test(
  'shipper: the backlog of an outage goes oldest first with rests that shrink; fresh windows cut none short',
  IN_TIME,
  async (context) => {
    const { spool, windows } = await spoolWith(await temporary(context), 6)
    const bucket = new EvilBucket()
    bucket.fault = () => 'throw'
    const { shipper, timers } = shipperOf(context, spool, bucket)
    shipper.start()
    await until('it waits', () => timers.pending === 1)
    bucket.fault = () => 'none'
    timers.next()
    for (let committed = 1; committed < 7; committed++) {
      await until(
        `a rest after ${committed}`,
        () => shipper.counts.committed === committed && timers.pending === 1,
      )
      if (committed === 2) {
        windows.push(await recordWindow(spool, { window: 6, streams: STREAMS }))
        shipper.notify()
        assert.equal(timers.pending, 1, 'it rests on')
      }
      timers.next()
    }
    await until('all are committed', () => shipper.state.state === 'idle')
    // 250 ms × 8, 4, 2, 1, 1, 1 × 1.5
    assert.deepEqual(
      timers.delays.map((delayMs) => Math.round(delayMs)),
      [499, 3000, 1500, 750, 375, 375, 375],
    )
    assert.deepEqual(
      bucket.calls.filter((call) => call.startsWith('put manifest')),
      windows.map(({ manifest }) => `put ${keyOfManifest(manifest)}`),
    )

    windows.push(await recordWindow(spool, { window: 7, streams: STREAMS }))
    windows.push(await recordWindow(spool, { window: 8, streams: STREAMS }))
    shipper.notify()
    await until('no rest once it had caught up', () => shipper.counts.committed === 9)
  },
)

const SPREAD = { spreadBy: 'BinanceUsdm/BTCUSDT', windowEveryMs: 300_000 }
const OFFSET_MS = new Pace({ ...SPREAD, random: () => 0 }).offsetMs

test(
  'spread: a window that is sealed while nothing waits begins after the offset of its capture; nothing seems wrong',
  IN_TIME,
  async (context) => {
    const { spool } = await spoolWith(await temporary(context), 0)
    const bucket = new EvilBucket()
    const { shipper, timers, states } = shipperOf(context, spool, bucket, SPREAD)
    shipper.start()
    await until('it is idle', () => states.length > 0)
    for (const [round, window] of [0, 2].entries()) {
      await recordWindow(spool, { window, streams: STREAMS })
      shipper.notify()
      await until('it waits', () => timers.pending === 1)
      await recordWindow(spool, { window: window + 1, streams: STREAMS })
      shipper.notify()
      assert.deepEqual([shipper.counts.committed, shipper.state.state], [2 * round, 'idle'])
      timers.next()
      await until('both are committed', () => shipper.counts.committed === 2 * round + 2)
      await until('it is idle again', () => shipper.state.state === 'idle')
    }
    assert.deepEqual(timers.delays, [OFFSET_MS, OFFSET_MS], 'the second of each pair has no wait of its own')
    assert.ok(states.every(({ state, reason }) => state !== 'waiting' && reason === null))
  },
)

test('spread: what a start finds goes at once, and so does all in a drain', IN_TIME, async (context) => {
  const { spool } = await spoolWith(await temporary(context), 2)
  const { shipper, timers } = shipperOf(context, spool, new EvilBucket(), SPREAD)
  shipper.start()
  await until('the backlog is committed', () => shipper.counts.committed === 2)
  await until('it is idle', () => shipper.state.state === 'idle')
  assert.deepEqual(timers.delays, [])
  for (const [window, withinMs] of [
    [2, undefined],
    [3, 30_000],
  ] as const) {
    await recordWindow(spool, { window, streams: STREAMS })
    shipper.notify()
    await until('it waits', () => timers.pending === 1)
    assert.deepEqual(await shipper.drain(withinMs), { drained: true, unshippedBytes: 0 })
  }
  assert.deepEqual([timers.delays, timers.pending], [[OFFSET_MS, OFFSET_MS, 30_000], 0])
})

test(
  'spread: the end cuts the offset short, and the window stays for the next start',
  IN_TIME,
  async (context) => {
    const { spool } = await spoolWith(await temporary(context), 0)
    const { shipper, timers, states } = shipperOf(context, spool, new EvilBucket(), SPREAD)
    shipper.start()
    await until('it is idle', () => states.length > 0)
    await recordWindow(spool, { window: 0, streams: STREAMS })
    shipper.notify()
    await until('it waits', () => timers.pending === 1)
    await shipper.stop()
    assert.deepEqual([shipper.counts.attempts, timers.pending, (await spool.listWindows()).length], [0, 0, 1])
  },
)

test('pace: commit and rest together leave half of the time to catch up, for any times and any luck', () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  const took = fc.double({ min: 0, max: 600_000, noNaN: true })
  fc.assert(
    fc.property(
      fc.integer({ min: 1000, max: 3_600_000 }),
      random,
      fc.array(took, { maxLength: 20 }),
      (everyMs, luck, times) => {
        const pace = new Pace({ windowEveryMs: everyMs, random: () => luck })
        assert.equal(pace.restMs(1000), 0, 'nothing failed')
        pace.failed()
        for (const tookMs of times) {
          const restMs = pace.restMs(tookMs)
          assert.ok(
            restMs >= 0 && (restMs === 0 || tookMs + restMs <= everyMs / 2 + 1e-6),
            `${tookMs} + ${restMs}`,
          )
        }
        pace.hurry()
        assert.equal(pace.restMs(1000), 0)
      },
    ),
  )
})

test('pace: offsets are stable, evenly spread over a fifth of the rotation, and never beyond a minute', () => {
  const random = () => assert.fail('an offset is no matter of luck')
  const symbols = Array.from({ length: 1000 }, (_, i) => `BinanceUsdm/S${i}USDT`)
  for (const [windowEveryMs, spreadMs] of [
    [60_000, 12_000],
    [300_000, 60_000],
    [3_600_000, 60_000],
  ] as const) {
    const offsets = symbols.map((spreadBy) => new Pace({ windowEveryMs, random, spreadBy }).offsetMs)
    assert.deepEqual(
      offsets,
      symbols.map((spreadBy) => new Pace({ windowEveryMs, random, spreadBy }).offsetMs),
    )
    assert.ok(offsets.every((offsetMs) => offsetMs >= 0 && offsetMs < spreadMs))
    const tenths = Map.groupBy(offsets, (offsetMs) => Math.floor((10 * offsetMs) / spreadMs))
    // 100 of 1000 are expected in each tenth, give or take 10
    for (let tenth = 0; tenth < 10; tenth++)
      assert.ok(Math.abs((tenths.get(tenth)?.length ?? 0) - 100) < 40, `tenth ${tenth}`)
  }
  const pace = new Pace({ ...SPREAD, random })
  assert.ok(pace.offsetMs > 0)
  pace.hurry()
  assert.equal(pace.offsetMs, 0, 'a process that ends soon')
  assert.equal(new Pace({ windowEveryMs: 300_000, random }).offsetMs, 0, 'a directory')
})
