import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { windowName } from '../../capture/ship/mod.ts'
import { ProcessRuntime } from '../cluster/kubelet/mod.ts'
import { ownClusterProblem } from '../cluster/mod.ts'
import { alterStateHash } from '../crash/segments.ts'
import { failCalls, straceProblem } from '../faults/machine.ts'
import { buildWallClock, wallClock } from '../faults/wall-clock.ts'
import { s3Problem } from '../s3/server.ts'
import { waitFor } from '../support/wait.ts'
import { applyFor, assertRestarted, assertTold, flowing, halting, hold, lastEnd, leave } from './halting.ts'
import { manifestsBy, publishes } from './published.ts'
import { nameOf, Scene } from './scene.ts'
import { Told } from './told.ts'

const dir = mkdtempSync(join(tmpdir(), 'l2cap-clock-'))
process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
const problem = ownClusterProblem() || s3Problem()
const options = problem === '' ? {} : { skip: problem }
const clockProblem = buildWallClock(dir)
const withClock = clockProblem === '' ? {} : { skip: `no clock can be moved here: ${clockProblem}` }
const traceProblem = straceProblem()
const traced = traceProblem === '' ? {} : { skip: `no system call can be made to fail here: ${traceProblem}` }
const WITHIN_MS = 180_000

const CLOCK = halting('BTCUSDT', 'ClockSkew')
/** One window: a segment that fails is the one that is looked at. */
const DISK = halting('ETHUSDT', 'DiskFailed', { rotationSeconds: 3600 })
/** What is looked at, and made to fail, takes less. */
const HOUR_LEFT_MS_MIN = 60_000
/** The store is to die before the window that follows a commit is closed. */
const REPLAY = halting('SOLUSDT', 'ReplayMismatch', { rotationSeconds: 30 })

/** Why coverage ended: a journal that takes no more cannot say of what. What was quarantined has none. */
const WHY: Readonly<Record<string, string>> = { ClockSkew: 'clock_step', DiskFailed: 'crash' }

describe('a fault of the machine below one pod', options, () => {
  it('is told as any halt is; the pod restarts in place with its spool, and nothing is published that cannot be vouched for', {
    concurrency: 3,
  }, async (context) => {
    const clock = wallClock(dir, dir)
    const scene = await Scene.open(context, {
      symbols: [CLOCK, DISK, REPLAY].map(({ symbol }) => symbol),
      market: { rate: 100 },
      runtime: new ProcessRuntime(({ metadata }) =>
        metadata?.annotations?.['l2cap.dev/symbol'] === CLOCK.symbol && clockProblem === '' ? clock.env : {},
      ),
    })
    const told = await Told.open(context, scene)

    const skewed = context.test("a machine's clock that is set back: ClockSkew", withClock, async () => {
      await applyFor(scene, CLOCK)
      const pod = await flowing(scene, CLOCK.symbol)
      hold(scene, CLOCK, pod)
      clock.set(-3000)
      await scene.says(pod, 'halt ClockSkew')
      clock.set(0)
      await assertTold(told, CLOCK, pod)
      scene.kubelet.release(pod)
      await assertRestarted(scene, told, CLOCK, pod)
    })

    const failed = context.test('a sync of the journal that fails: DiskFailed', traced, async () => {
      await applyFor(scene, DISK)
      const pod = await flowing(scene, DISK.symbol)
      await farFromRotation()
      hold(scene, DISK, pod)
      const journal = join(scene.kubelet.volume(pod, 'spool'), 'journal')
      const [segment = ''] = await readdir(journal)
      await failCalls(scene.kubelet.pid(pod), 'fdatasync', join(journal, segment))
      await scene.says(pod, 'halt DiskFailed')
      await assertTold(told, DISK, pod)
      scene.kubelet.release(pod)
      await assertRestarted(scene, told, DISK, pod)
    })

    const replayed = context.test('a journal that replays to another state: ReplayMismatch', async () => {
      await applyFor(scene, REPLAY)
      const pod = await flowing(scene, REPLAY.symbol)
      // the others are to ship what they have when they halt
      await Promise.all([skewed, failed])
      // right after a commit: of a window that is quarantined nothing lies in the store
      const before = (await manifestsBy(scene, REPLAY.symbol, pod)).length
      await publishes(scene, REPLAY.symbol, pod, before + 1)
      await scene.s3.kill()
      const last = (await manifestsBy(scene, REPLAY.symbol, pod)).at(-1)
      const committed = windowName(last?.run ?? '', last?.window ?? 0)
      const spool = scene.kubelet.volume(pod, 'spool')
      const window = await waitFor(
        'a window that waits',
        async () => (await readdir(join(spool, 'sealed'))).sort().find((name) => name > committed),
        { deadlineMs: WITHIN_MS, show: () => scene.kubelet.output(pod).slice(-3000) },
      )
      scene.kubelet.kill(pod, 'SIGSTOP')
      await alterStateHash(join(spool, 'journal', `${window}.journal`))
      await rm(join(spool, 'sealed', window), { recursive: true })
      hold(scene, REPLAY, pod)
      scene.kubelet.kill(pod)
      await scene.says(pod, 'halt ReplayMismatch')
      await scene.s3.start()
      await assertTold(told, REPLAY, pod)
      scene.kubelet.release(pod)
      // the second restart: it was killed before
      const again = await scene.live(REPLAY.symbol, { deadlineMs: WITHIN_MS })
      assert.equal(nameOf(again), pod)
      const { exitCode, report } = lastEnd(again)
      assert.deepEqual([exitCode, report.reason, report.haltsInARow], [19, 'ReplayMismatch', 1])
      assert.match(report.message, new RegExp(window.slice(0, 28)))
      const kept = join(scene.data, 'quarantine/exchange=BinanceUsdm', `symbol=${REPLAY.symbol}`)
      await waitFor(
        'what cannot be vouched for to be kept in the store',
        async () => (await readdir(kept)).includes(`${window}.journal`),
        { deadlineMs: WITHIN_MS },
      )
    })
    await Promise.all([skewed, failed, replayed])
    const captured = [CLOCK, DISK, REPLAY].filter(({ capture }) => told.statuses(capture).length > 0)
    await leave(scene, captured)
    for (const { symbol, reason } of captured) {
      const { ended } = await scene.judge(symbol)
      const why = WHY[reason]
      if (why !== undefined) assert.ok((ended[why] ?? 0) > 0, `${symbol}: ${JSON.stringify(ended)}`)
    }
  })
})

/** Windows of an hour end with the hour. */
async function farFromRotation(): Promise<void> {
  const hourMs = 3_600_000
  const leftMs = () => hourMs - (Date.now() % hourMs)
  await waitFor('an hour that does not end soon', () => leftMs() > HOUR_LEFT_MS_MIN)
}
