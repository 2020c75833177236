/**
 * A day of virtual time without the store, on the whole path: a simulated exchange, feed, session, journal, recorder,
 * spool and shipper, and a store behind real sockets.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openSpool, type Spool } from '../../capture/ship/mod.ts'
import type { S3Bucket } from '../../capture/ship/s3/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'
import { judgeBuckets } from '../support/judge.ts'
import { runReader } from '../support/python.ts'
import { SYMBOL } from '../virtual/plan.ts'
import { countersOf, gapsOf } from '../virtual/scene.ts'
import { BACK_MS, type Day, liveThroughDay, OUTAGE_HOURS, WINDOW_MS } from '../virtual/shipped-day.ts'
import type { FaultKind } from './evil/faults.ts'
import { evilBucket } from './evil/scene.ts'
import { EvilStore } from './evil/store.ts'

const DATA_MD = resolve(import.meta.dirname, '../../docs/DATA.md')
const WINDOWS_PER_HOUR = 4
/** What is wrong with the store changes every six hours; it is transient all day. */
const TROUBLES: readonly FaultKind[] = ['reset_accept', 'unavailable', 'slow_down', 'internal_error']
/** No wait after a failure is longer than this: so soon shipping begins again. */
const WAIT_MS_MAX = 60_000
/** One a minute at least, and not many more: two hundred captures share a store. */
const TRIES_PER_HOUR_MAX = 200
/** Between the second hour and the 22nd. What comes into the spool meanwhile is three times as much at least. */
const GROWTH_BYTES_MAX = 4 * 1024 * 1024
/** A commit and the offset of a fresh window, which is at most a minute. */
const FRESH_WAIT_MS_MAX = 180_000
/** Between the end of a wait and the commit that follows it. */
const SLACK_MS = 1_000

describe('a day without the store, in virtual time', { timeout: 600_000 }, () => {
  let dir: string
  let store: EvilStore
  let bucket: S3Bucket
  let spool: Spool
  let day: Day
  /** What the store held at the beginning and at the end of the outage. */
  const held: string[][] = []

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'l2cap-day-'))
    store = await EvilStore.start()
    bucket = evilBucket(store, {})
    spool = await openSpool(join(dir, 'spool'))
    const refuse = (hour: number) => {
      if (hour === 0) held.push([...store.objects.keys])
      store.heal()
      store.inject(TROUBLES[Math.floor((hour * TROUBLES.length) / OUTAGE_HOURS)] ?? 'unavailable')
    }
    const heal = () => {
      held.push([...store.objects.keys])
      store.heal()
    }
    day = await liveThroughDay({ spool, bucket, refuse, heal })
  })

  after(async () => {
    bucket?.close()
    await store?.stop()
    await rm(dir, { recursive: true, force: true })
  })

  it('the feed never stops: events in every hour, live throughout, no gap, one run', (t) => {
    const { world, hours } = day
    assert.equal(hours.length, OUTAGE_HOURS)
    for (const [i, { ready, paused, books }] of hours.entries()) {
      assert.deepEqual({ ready, paused }, { ready: true, paused: false }, `hour ${i + 1}`)
      const since = books - (hours[i - 1]?.books ?? 0)
      assert.ok(since > 100, `${since} rows of books in hour ${i + 1}`)
    }
    assert.deepEqual(gapsOf(world), { 'books/stopped': 1, 'depth/stopped': 1, 'trades/stopped': 1 })
    assert.deepEqual(world.capture.halts, [])
    assert.equal(world.capture.runs.length, 1)
    const { audits_mismatch: mismatches, take_overs: takeOvers } = countersOf(world)
    assert.deepEqual([mismatches, takeOvers], [0, 2], 'clean audits, and both routes replaced in their day')
    t.diagnostic(`${hours.at(-1)?.books} rows of books in the day`)
  })

  it('nothing is published meanwhile, all waits in the spool, and the store is asked rarely', (t) => {
    const [atStart, atEnd] = held
    assert.deepEqual(atEnd, atStart)
    assert.deepEqual([...store.fired.keys()].sort(), [...TROUBLES].sort())
    const { failures, shipping, hours } = day
    assert.ok(
      failures > OUTAGE_HOURS * 60 && failures < OUTAGE_HOURS * TRIES_PER_HOUR_MAX,
      `${failures} tries`,
    )
    assert.equal(shipping.shipper.counts.failuresByClass.transient, shipping.shipper.counts.failures)
    assert.ok(Math.max(...shipping.delays) <= WAIT_MS_MAX, `${Math.max(...shipping.delays)} ms`)
    for (const [i, { waiting, secondsUntilFull }] of hours.entries()) {
      assert.equal(waiting, (i + 1) * WINDOWS_PER_HOUR)
      assert.ok(Number.isFinite(secondsUntilFull), `hour ${i + 1}: it is told when the spool will be full`)
    }
    t.diagnostic(`${failures} tries in a day; ${hours.at(-1)?.waiting} windows waited in the end`)
  })

  it('memory is flat: of what comes into the spool in twenty hours it holds less than a third', (t) => {
    const [second, late] = [day.hours[1], day.hours[21]]
    assert.ok(second !== undefined && late !== undefined)
    const [grown, spooled] = [late.heldBytes - second.heldBytes, late.spoolBytes - second.spoolBytes]
    t.diagnostic(`heap grew by ${mib(grown)} MiB, the spool by ${mib(spooled)} MiB`)
    assert.ok(spooled > 3 * GROWTH_BYTES_MAX, `the spool grew by ${spooled} bytes only`)
    assert.ok(grown < GROWTH_BYTES_MAX, `the heap grew by ${grown} bytes`)
  })

  it('the backlog drains oldest first: each manifest is put once, in order of windows', () => {
    const { closed, shipped, unproven } = day.shipping
    const put = store.requests.filter((each) => each.startsWith('put cap/manifest/'))
    assert.deepEqual(
      put.map((each) => basename(each, '.json')),
      closed,
    )
    assert.deepEqual(
      shipped.map(({ name }) => name),
      closed,
    )
    assert.deepEqual(unproven, [])
    assert.deepEqual(store.complaints, [])
  })

  it('fresh windows are not starved by it: each waits half a rotation less than the one before', (t) => {
    const { shipped } = day.shipping
    const backlog = shipped.filter(({ closedMs, droppedMs }) => closedMs < BACK_MS && droppedMs >= BACK_MS)
    assert.equal(backlog.length, OUTAGE_HOURS * WINDOWS_PER_HOUR)
    const waits = shipped
      .filter(({ closedMs }) => closedMs >= BACK_MS)
      .map(({ closedMs, droppedMs }) => droppedMs - closedMs)
    const behind = waits.filter((ms) => ms > FRESH_WAIT_MS_MAX).length
    assert.ok(behind >= 8, `${behind} windows came while the backlog was shipped`)
    for (const [i, ms] of waits.entries()) {
      const beforeMs = waits[i - 1]
      if (beforeMs === undefined) continue
      const boundMs = Math.max(FRESH_WAIT_MS_MAX, beforeMs - WINDOW_MS / 2 + SLACK_MS)
      assert.ok(ms <= boundMs, `fresh window ${i} waited ${ms} ms, the one before it ${beforeMs} ms`)
    }
    const hoursTaken = ((backlog.at(-1)?.droppedMs ?? Number.NaN) - BACK_MS) / 3_600_000
    t.diagnostic(
      `the backlog was gone after ${hoursTaken.toFixed(1)} h; ${behind} fresh windows waited behind it, the first ` +
        `${minutes(waits[0])} min, the last of all ${minutes(waits.at(-1))} min`,
    )
  })

  it('in the end nothing local is left', async () => {
    const { journal, sealed, tmp, torn, quarantine } = spool.paths
    for (const folder of [journal, sealed, tmp, torn, quarantine]) {
      assert.deepEqual(await readdir(folder), [], folder)
    }
    assert.deepEqual((await spool.usage()).unshippedBytes, 0)
  })

  it('verify finds the bucket clean and its coverage whole', async () => {
    const { ok, problems, coverage, checked } = await verifyBucket(bucket)
    assert.ok(ok, JSON.stringify(problems, null, 1))
    assert.equal(checked.manifests, day.shipping.closed.length)
    for (const stream of ['books20', 'depth', 'trades']) {
      const found = coverage.filter((each) => each.stream === stream)
      assert.deepEqual(
        found.map(({ date }) => date),
        ['2026-11-22', '2026-11-23'],
      )
      for (const { seconds } of found) assert.deepEqual([seconds.missing, seconds.suspect], [0, 0], stream)
      const proven = found.reduce((sum, { seconds }) => sum + seconds.proven, 0)
      assert.ok(proven > OUTAGE_HOURS * 3600, `${stream}: ${proven} s are proven`)
    }
  })

  it('the oracle agrees, and the documented SQL finds nothing missing', async (t) => {
    const data = join(dir, 'data')
    for (const key of store.objects.keys) {
      const file = join(data, key.slice('cap/'.length))
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, store.objects.get(key) ?? assert.fail(key))
    }
    const { sim } = day.world
    const [summary] = await judgeBuckets(sim, SYMBOL, join(dir, 'truth.json'), [{ path: data }])
    assert.ok(summary !== undefined && summary.compared > 300, 'books compared with the truth')
    assert.equal(summary.windows, day.shipping.closed.length)
    assert.equal(summary.ended['stopped'], 3)
    assert.deepEqual(summary.witness, { replayed: summary.windows })
    assert.deepEqual(await runReader('../virtual/missing.py', [DATA_MD, dir]), [])
    t.diagnostic(JSON.stringify(summary))
  })
})

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1)
}

function minutes(ms = Number.NaN): string {
  return (ms / 60_000).toFixed(1)
}
