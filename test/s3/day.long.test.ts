/** The store is away for a day of virtual time, while a window comes every quarter of an hour. */
import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { setTimeout as moment } from 'node:timers/promises'
import { keyOfManifest, type Manifest, openSpool, Shipper } from '../../capture/ship/mod.ts'
import { isWholeIn, recordWindow, temporary } from '../ship/fixture.ts'
import { Random } from '../sim/market/mod.ts'
import { HandTimers } from '../support/hand-timers.ts'
import type { FaultKind } from './evil/faults.ts'
import { evilBucket } from './evil/scene.ts'
import { EvilStore } from './evil/store.ts'

const WINDOW_MS = 900_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Before the outage, and how long a backlog of a day may take while new windows come. */
const BEFORE_MS = HOUR_MS
const DRAINS_WITHIN_MS = DAY_MS
/** No wait after a failure is longer than this: so soon shipping begins again. */
const WAIT_MS_MAX = 60_000
/** One a minute at least, and not many more: two hundred captures share a store. */
const TRIES_PER_HOUR_MAX = 200
/** What is wrong changes during the day. */
const TROUBLES: readonly FaultKind[] = ['reset_accept', 'unavailable', 'slow_down', 'internal_error']

test('a day without the store: nothing is lost, it asks rarely, and the backlog goes oldest first', {
  timeout: 240_000,
}, async (t) => {
  const store = await EvilStore.start()
  const bucket = evilBucket(store, {})
  const spool = await openSpool(path.join(await temporary(t), 'spool'))
  const timers = new HandTimers()
  const random = new Random(1, 'day')
  const made: Manifest[] = []
  const waited: number[] = []
  const shipper = new Shipper({
    bucket,
    spool,
    timers,
    random: () => random.next(),
    windowEveryMs: WINDOW_MS,
    log: {
      info: () => undefined,
      warn: (fields) => void ('delayMs' in fields && waited.push(Number(fields.delayMs))),
    },
  })
  t.after(async () => {
    await shipper.stop()
    bucket.close()
    await store.stop()
  })

  const committed = () => store.objects.keys.filter((key) => key.endsWith('.json')).length
  /** At rest: it waits for its own timer, or it has nothing to do. Beside it there is the timer of the next window. */
  const isAtRest = () =>
    timers.pending === 2 ||
    (timers.pending === 1 && shipper.state.state === 'idle' && committed() === made.length)
  let sealing: Promise<void> = Promise.resolve()
  const arrive = () => {
    sealing = seal()
    timers.setTimer(WINDOW_MS, arrive)
  }
  const seal = async () => {
    const { manifest } = await recordWindow(spool, { window: made.length, streams: ['books20'] })
    made.push(manifest)
    shipper.notify()
  }
  async function runUntil(endMs: number, isEnough = () => false): Promise<void> {
    while (timers.nowMs() < endMs && !isEnough()) {
      timers.next()
      await sealing
      while (!isAtRest()) await moment(1)
    }
  }

  const startMs = timers.nowMs()
  shipper.start()
  timers.setTimer(WINDOW_MS, arrive)
  await runUntil(startMs + BEFORE_MS)
  assert.equal(committed(), made.length)

  const before = committed()
  for (const [i, trouble] of TROUBLES.entries()) {
    store.heal()
    store.inject(trouble)
    await runUntil(startMs + BEFORE_MS + ((i + 1) * DAY_MS) / TROUBLES.length)
  }
  const { failures } = shipper.counts
  assert.equal(committed(), before, 'nothing was committed')
  assert.deepEqual([...store.fired.keys()].sort(), [...TROUBLES].sort())
  assert.ok(Math.max(...waited) <= WAIT_MS_MAX, `${Math.max(...waited)} ms`)
  assert.ok(failures > 24 * 60 && failures < 24 * TRIES_PER_HOUR_MAX, `${failures} tries`)
  const backlog = made.length - before
  assert.equal((await spool.listWindows()).length, backlog)
  // as of the last try: one may have come since
  assert.ok(shipper.state.waitingWindows >= backlog - 1, `${shipper.state.waitingWindows} of ${backlog}`)

  store.heal()
  const backMs = timers.nowMs()
  await runUntil(backMs + DRAINS_WITHIN_MS, () => committed() === made.length)
  const seconds = (timers.nowMs() - backMs) / 1000
  t.diagnostic(
    `${failures} tries in a day, a backlog of ${backlog} windows, gone ${seconds.toFixed(0)} s after`,
  )
  assert.equal(committed(), made.length)
  const puts = store.requests.filter((each) => each.startsWith('put') && each.endsWith('.json'))
  assert.deepEqual(
    puts.map((each) => each.slice('put cap/'.length)),
    made.map(keyOfManifest),
    'each manifest once, oldest first',
  )
  const truth = async (key: string) => store.objects.get(`cap/${key}`)
  for (const manifest of made) assert.ok(await isWholeIn(truth, keyOfManifest(manifest)))
  assert.deepEqual(await spool.listWindows(), [])
  assert.deepEqual(store.complaints, [])
})
