/**
 * The store is away until the spool has no room for more. The market is a heavy one, with numbers as hard to compress
 * as real ones, so that unshipped Parquet fills the smallest spool that is allowed in less than a minute; a part of
 * it is taken by a torn tail, which is kept for people and never makes room.
 */
import assert from 'node:assert/strict'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { CaptureStatus } from '../../capture/process/status.ts'
import { parseTimeUs } from '../../capture/ship/mod.ts'
import { type Sim, startSim } from '../sim/mod.ts'
import { judgeBuckets } from '../support/judge.ts'
import {
  assertInOrder,
  coverageIn,
  eventually,
  OutageScene,
  PATIENCE_MS,
  type Place,
} from './outage-scene.ts'
import { serverProblem } from './store.ts'

const SYMBOL = 'BTCUSDT'
const STREAMS = ['books20', 'depth', 'mark_price', 'trades']
const SIZE_LIMIT_BYTES = 16 * 2 ** 20
/** 80 and 70 % of it, as documented. */
const CAP_BYTES = SIZE_LIMIT_BYTES * 0.8
const LOW_BYTES = CAP_BYTES * 0.7
const MIB = 1024 * 1024
const TORN_BYTES = 5 * MIB
/** The reserve, and small files. */
const OTHERS_BYTES_MAX = 1.25 * MIB
/** Short, so that little of the spool is the journal of the window that is open. */
const ROTATION_SECONDS = 5
/** What sums of seconds lose in floating point is less. */
const MICROSECOND = 1e-6
/** How coverage calls it that a busy machine let the capture or the exchange stand still: no outage of a store does. */
const MACHINE = ['overload', 'no_data']
/** At least so many estimates before the pause: one comes each second after the first ten. */
const ESTIMATES_MIN = 8
/** More would not be kept up with on a busy machine: an exchange that lags only falls further behind. */
const MARKET = {
  rate: 60_000,
  profile: { levels: 3_000, tradeShare: 0.002, qtyDecimals: 8, qtyMean: 2e13 },
}

const skip = serverProblem()

describe('a spool that fills up', skip ? { skip } : {}, () => {
  test('under an outage it pauses at its cap and says so before; the backlog goes, it records again, the hole shows', {
    timeout: 1_800_000,
  }, async (t) => {
    const scene = await OutageScene.open()
    const place = await scene.place('full')
    const sim = await startSim({ seed: 41, symbols: [SYMBOL], ...MARKET })
    const spool = join(place.dir, 'spool', SYMBOL)
    try {
      await mkdir(join(spool, 'torn'), { recursive: true })
      await writeFile(join(spool, 'torn', 'tail.torn'), Buffer.alloc(TORN_BYTES))
      const capture = await place.capture({
        ...{ symbol: SYMBOL, endpoints: sim.endpoints, rotationSeconds: ROTATION_SECONDS },
        // an exchange that lags on a busy machine is not silent
        ...{ guards: { staleAfterSeconds: 60 }, spoolSizeLimitBytes: SIZE_LIMIT_BYTES },
      })
      const begun = performance.now()
      const seconds = () => ((performance.now() - begun) / 1000).toFixed(0)
      const { run } = await capture.until('the live book', ({ state }) => state === 'live', PATIENCE_MS)
      // it hangs: each try waits for it, and the one in flight is answered at once when it is back
      scene.store.server.pause()
      const estimates = await estimatesUntilPause(place)
      t.diagnostic(`full after ${seconds()} s; seconds until full were told as ${estimates.join(' ')}`)
      assertFell(estimates)
      const paused = await place.status()
      assertPauseIsTold(paused, run, await (await place.ask('/metrics')).text(), capture.output)
      await assertFeedClosed(sim)
      assert.equal((await place.ask('/readyz')).status, 503)
      assert.equal((await place.ask('/livez')).status, 200)

      // the window that the pause closed is recorded, then its segment goes like the others
      await eventually('all is Parquet', async () => (await readdir(join(spool, 'journal'))).length === 0)
      const held = (await place.status()).spool
      t.diagnostic(`${held.windowsWaiting} windows wait, ${held.unshippedBytes} bytes of Parquet, no segment`)
      assert.ok(held.bytes > LOW_BYTES && held.bytes < SIZE_LIMIT_BYTES)
      assert.ok(held.bytes - held.unshippedBytes - TORN_BYTES < OTHERS_BYTES_MAX, 'Parquet is what fills it')
      assert.equal((await place.status()).state, 'paused', 'there is no room as long as nothing is shipped')
      assert.match(capture.output, /the spool is half full: segments of sealed windows were deleted/)

      scene.store.server.resume()
      const again = await capture.until(
        'another run',
        (now) => now.run !== run && now.state === 'live',
        PATIENCE_MS,
      )
      t.diagnostic(`another run is live at ${seconds()} s, the spool holds ${again.spool.bytes} bytes`)
      const { rows: rowsBefore = 0 } = again.streams['depth'] ?? {}
      await capture.until(
        'the backlog is gone, and rows come again',
        ({ streams, ship, spool: { windowsWaiting } }) =>
          ship.state !== 'waiting' && windowsWaiting <= 1 && (streams['depth']?.rows ?? 0) > rowsBefore,
        PATIENCE_MS,
      )
      await capture.drain()
      t.diagnostic(`drained at ${seconds()} s, ${place.shipped.length} windows were shipped`)
      assertInOrder(place.shipped)
      await place.assertSpoolEmpty(SYMBOL)
      await assertHole(place, run, again.run)
      const truth = join(place.dir, 'truth.json')
      const [summary] = await judgeBuckets(sim, SYMBOL, truth, [{ path: join(place.dir, 'data') }])
      t.diagnostic(JSON.stringify(summary))
      // on a busy machine another pause may come before the book is live: such a run covers nothing
      assert.ok((summary?.runs ?? 0) >= 2)
    } finally {
      await scene.close()
      await sim.stop()
    }
  })
})

/** `l2cap_spool_full_seconds` each time that it changed, until the capture pauses; the last one is that of the pause. */
async function estimatesUntilPause(place: Place): Promise<number[]> {
  const told: number[] = []
  await eventually('the pause', async () => {
    const text = await (await place.ask('/metrics')).text()
    const estimate = Math.round(metricOf(text, 'l2cap_spool_full_seconds'))
    if (Number.isFinite(estimate) && estimate !== told.at(-1)) told.push(estimate)
    return metricOf(text, 'l2cap_book_state', 'state="paused"') === 1
  })
  return told
}

/** It may jump where the spool is counted anew, each ten seconds; between that it falls as the journal grows. */
function assertFell(estimates: readonly number[]): void {
  assert.ok(estimates.length >= ESTIMATES_MIN, `${estimates}`)
  const [last = 0, end] = estimates.slice(-2)
  assert.equal(end, 0)
  assert.ok(last < Math.max(...estimates), `${estimates}`)
  const falls = estimates.filter((each, i) => i > 0 && each < (estimates[i - 1] ?? 0))
  assert.ok(falls.length > 0.7 * estimates.length, `${estimates}`)
}

/** In `/status`, in the metrics and in the log. */
function assertPauseIsTold(status: CaptureStatus, run: string, metrics: string, output: string): void {
  const { state, reason, why, streams, connections, ship } = status
  assert.deepEqual([status.run, state, reason], [run, 'paused', 'disk_full'])
  assert.match(why, /^the spool holds \d+ bytes, its cap is 13421772$/)
  assert.deepEqual(connections, [])
  assert.deepEqual(
    Object.entries(streams)
      .map(([name, stream]) => `${name} ${stream.state}`)
      .sort(),
    STREAMS.map((name) => `${name} paused`),
  )
  assert.equal(ship.state, 'waiting')
  assert.match(ship.reason ?? '', /^Timeout: /)
  assert.equal(metricOf(metrics, 'l2cap_gaps_total', 'stream="depth"', 'reason="disk_full"'), 1)
  assert.deepEqual(
    lossesOf(metrics).filter((reason) => ![...MACHINE, 'disk_full'].includes(reason)),
    [],
    'nothing else was lost before',
  )
  assert.ok(metricOf(metrics, 'l2cap_windows_waiting') > 2)
  assert.match(output, /"reason":"disk_full".*paused, nothing is captured: the spool holds/)
}

/** The exchange cuts events for connections alone: the market goes on, and nobody listens. */
async function assertFeedClosed(sim: Sim): Promise<void> {
  const { batches, tradeIds } = sim.emitted(SYMBOL)
  const cut = batches.length
  const traded = tradeIds.length
  await eventually('more trades', () => sim.emitted(SYMBOL).tradeIds.length > traded)
  assert.equal(sim.emitted(SYMBOL).batches.length, cut)
}

/** Coverage of each stream is whole up to the pause, ends there by name, and what follows is missing until the next run. */
async function assertHole(place: Place, run: string, next: string): Promise<void> {
  const verified = await place.verified()
  const coverage = await coverageIn(await place.mirror())
  for (const name of STREAMS) {
    const rows = coverage.filter((row) => row.of_stream === name)
    const ends = rows.filter((row) => row.ended_by !== null)
    assert.deepEqual(
      ends.filter((row) => !MACHINE.includes(row.ended_by ?? '')).map((row) => `${row.run} ${row.ended_by}`),
      [`${run} disk_full`, `${next} stopped`],
      name,
    )
    const secondsAfter = (row: (typeof rows)[number]) => {
      const following = rows[rows.indexOf(row) + 1]
      return following === undefined ? 0 : (parseTimeUs(following.from) - parseTimeUs(row.to)) / 1e6
    }
    const days = verified.coverage.filter(({ stream }) => stream === name)
    const missing = days.reduce((sum, { seconds }) => sum + seconds.missing, 0)
    const holes = ends.map(secondsAfter)
    const hole = secondsAfter(ends.find((row) => row.ended_by === 'disk_full') ?? assert.fail(name))
    assert.ok(
      Math.abs(missing - holes.reduce((sum, each) => sum + each, 0)) < MICROSECOND && hole > 0,
      `${name}: ${missing} s are missing, the holes are ${holes} s`,
    )
  }
}

/** Why depth ended so far, each reason once. */
function lossesOf(text: string): string[] {
  const lines = text.split('\n').filter((line) => line.startsWith('l2cap_gaps_total{'))
  const ofDepth = lines.filter((line) => line.includes('stream="depth"') && !line.endsWith(' 0'))
  return ofDepth.map((line) => /reason="(\w+)"/.exec(line)?.[1] ?? assert.fail(line))
}

/** The value of a metric whose labels hold all of these. */
function metricOf(text: string, name: string, ...labels: readonly string[]): number {
  const line = text
    .split('\n')
    .find((each) => each.startsWith(`${name}{`) && labels.every((label) => each.includes(label)))
  return Number(
    (line ?? assert.fail(`no metric ${name} ${labels}`)).split(' ').at(-1)?.replace('+Inf', 'Infinity'),
  )
}
