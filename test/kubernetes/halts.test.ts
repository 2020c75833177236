/** Every reason for which a capture halts, on a real kubelet; `ReplayMismatch` needs a store that is down, see store.test.ts. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { isLive, nameOf } from '../e2e/captures.ts'
import {
  applyFor,
  assertReplaced,
  assertRestarted,
  assertTold,
  flowing,
  GUARD_HALTS,
  GUARD_MARKET,
  halting,
  lastEnd,
  leave,
} from '../e2e/halting.ts'
import { PodHistory } from '../e2e/history.ts'
import { manifestsBy, manifestsOf, overlapping, publishes } from '../e2e/published.ts'
import { Told } from '../e2e/told.ts'
import { failCalls, straceProblem } from '../faults/machine.ts'
import { waitFor } from '../support/wait.ts'
import { phases } from './phases.ts'
import { ClusterScene } from './scene.ts'
import { assertStopped } from './stopped.ts'
import { faultsProblem, targetProblem } from './target.ts'

const problem = targetProblem()
const options = problem === '' ? { concurrency: 2 } : { skip: problem }
const diskProblem = faultsProblem() || straceProblem()
const withDisk = diskProblem === '' ? {} : { skip: diskProblem }
const nodesProblem = faultsProblem()
const ownOnly = nodesProblem === '' ? {} : { skip: nodesProblem }
const WITHIN_MS = 240_000

/** Halts three times in a row, and is replaced. */
const AGAIN = 'CrossedBook'
/** One window: the segment whose sync fails is the one that is looked at. */
const DISK = halting('BNBUSDT', 'DiskFailed', { rotationSeconds: 3600 })
const DIGITS = halting('LTCUSDT', 'PrecisionLoss')
/** What nobody trades: it is meant to be LINKUSDT. */
const TYPO = halting('LINKUSTD', 'SymbolUnknown')
const CLOCK = halting('BTCUSDT', 'ClockSkew')
const SKEW_MS = 3000

describe('halts, on real kubelets', options, () => {
  it('each reason: exit code and report as the termination message, condition, attention, event and figure; restarted in place with its spool; the hole is coverage ended by that reason', {
    concurrency: 9,
  }, async (context) => {
    const scene = await ClusterScene.open(context, {
      symbols: [...GUARD_HALTS.map(({ symbol }) => symbol), DISK.symbol, DIGITS.symbol],
      market: GUARD_MARKET,
    })
    const phase = phases(context)
    const told = await Told.open(context, scene)
    const history = await PodHistory.open(context, scene.api, scene.namespace)
    const seen = { scene, told, history }
    const captured = [...GUARD_HALTS, DIGITS, TYPO, ...(diskProblem === '' ? [DISK] : [])]
    await Promise.all(captured.map((one) => applyFor(scene, one)))

    const guards = GUARD_HALTS.map((guard) =>
      context.test(`${guard.name}: ${guard.reason}`, async () => {
        const pod = await flowing(scene, guard.symbol)
        await haltsOnce(seen, pod, guard.symbol, guard.fault, 1)
        await assertTold(told, guard, pod)
        await assertRestarted(scene, told, guard, pod)
        if (guard.reason === AGAIN) await haltsOn(seen, guard.symbol, pod)
      }),
    )
    const digits = context.test('a price with too many digits, PrecisionLoss: stopped', async () => {
      await flowing(scene, DIGITS.symbol)
      await scene.world.inject(`digits16:${DIGITS.symbol}@0`)
      await assertStopped(seen, DIGITS)
    })
    const typo = context.test('a symbol that is not listed, SymbolUnknown: stopped', async () => {
      await assertStopped(seen, TYPO)
    })
    const disk = context.test('a sync of the journal that fails: DiskFailed', withDisk, async () => {
      const pod = await flowing(scene, DISK.symbol)
      await failSync(scene, await scene.pod(DISK.symbol))
      await assertTold(told, DISK, pod)
      await assertRestarted(scene, told, DISK, pod)
    })
    await Promise.all([...guards, digits, typo, disk])
    phase('all halted, and live again')
    await leave(scene, captured)
    phase('drained')
    const settled = await scene.settled()
    await scene.verify()
    for (const { symbol, reason, after = reason } of GUARD_HALTS) {
      const { ended, runs } = await settled.judge(symbol)
      // after its third halt the old pod is restarted too, unless it is asked to drain first
      assert.ok(reason === AGAIN ? runs === 4 || runs === 5 : runs === 2, `${symbol}: ${runs} runs`)
      for (const why of [reason, after])
        assert.ok((ended[why] ?? 0) > 0, `${symbol} ${why}: ${JSON.stringify(ended)}`)
    }
    // a journal that takes no more cannot say of what
    const others = [
      [DIGITS, 'PrecisionLoss'],
      ...(diskProblem === '' ? [[DISK, 'crash'] as const] : []),
    ] as const
    for (const [{ symbol }, why] of others) {
      const { ended } = await settled.judge(symbol)
      assert.ok((ended[why] ?? 0) > 0, `${symbol} ${why}: ${JSON.stringify(ended)}`)
    }
    assert.deepEqual(await scene.world.violations(), { attempts: 0, messages: 0, weight: 0, early: 0 })
    phase('judged')
  })

  it(
    'ClockSkew on one node alone: CrashLoopBackOff, then a pod on another node; each event once or outside coverage',
    ownOnly,
    async (context) => {
      const { scene, told, history } = await skewable(context)
      const phase = phases(context)
      await applyFor(scene, CLOCK)
      const pod = await scene.live(CLOCK.symbol)
      const [old, node] = [nameOf(pod), pod.spec?.nodeName ?? '']
      await publishes(scene, CLOCK.symbol, old)
      phase('live')
      // a process probes the clock five times at its start, and once a minute after that
      await scene.world.skew(networkOf(pod), SKEW_MS)
      process.kill(await scene.processOf(pod), 'SIGKILL')
      await assertTold(told, CLOCK, old)
      const next = await waitFor(
        `a live pod of ${CLOCK.symbol} on another node`,
        async () =>
          (await scene.pods(CLOCK.symbol)).find((one) => isLive(one) && one.spec?.nodeName !== node),
        { deadlineMs: WITHIN_MS, everyMs: 200, show: () => scene.state(CLOCK.capture) },
      )
      phase('live on another node')
      await assertReplaced(scene, told, 'node', nameOf(next), `${old} halted ClockSkew twice on ${node}`)
      assert.ok(history.waited(old, 'CrashLoopBackOff'), 'its restarts were delayed')
      const live = await scene.live(CLOCK.symbol, { not: [old], deadlineMs: WITHIN_MS })
      assert.deepEqual(history.pods(CLOCK.symbol), [old, nameOf(live)])
      assert.ok(history.liveWhenDrained(old).includes(nameOf(next)), 'make before break')
      await flowing(scene, CLOCK.symbol)
      await leave(scene, [CLOCK])
      phase('drained')
      const settled = await scene.settled()
      assert.deepEqual(overlapping(await manifestsOf(settled, CLOCK.symbol)), [])
      assert.equal((await manifestsBy(settled, CLOCK.symbol, old)).at(-1)?.final, true, 'it has drained')
      await settled.judge(CLOCK.symbol)
      await scene.verify()
      phase('judged')
    },
  )
})

interface Seen {
  readonly scene: ClusterScene
  readonly told: Told
  readonly history: PodHistory
}

async function skewable(context: TestContext): Promise<Seen> {
  const scene = await ClusterScene.open(context, { symbols: [CLOCK.symbol], market: { rate: 100 } })
  const told = await Told.open(context, scene)
  return { scene, told, history: await PodHistory.open(context, scene.api, scene.namespace) }
}

/** What the addresses of all pods on the node of this one begin with. */
function networkOf({ status }: V1Pod): string {
  return (status?.podIP ?? '').replace(/\d+$/, '')
}

/** The fault acts until the container of this pod has ended this many times, and no longer. */
async function haltsOnce(
  { scene, history }: Seen,
  pod: string,
  symbol: string,
  fault: string,
  times: number,
): Promise<void> {
  await scene.world.inject(fault)
  await waitFor(`${pod} to end ${times} times`, () => history.last(pod).ends >= times, {
    deadlineMs: WITHIN_MS,
    show: () => scene.state(),
  })
  await scene.world.lift(symbol)
}

/** A symbol whose pod halted once halts twice more: its kubelet delays the restarts, then another pod is there. */
async function haltsOn(seen: Seen, symbol: string, old: string): Promise<void> {
  const { scene, told, history } = seen
  for (const times of [2, 3]) {
    await waitFor(`${old} to be live`, () => history.last(old).live, { deadlineMs: WITHIN_MS })
    assert.deepEqual(history.pods(symbol), [old], `one pod before halt ${times}`)
    await haltsOnce(seen, old, symbol, `crossed:${symbol}@0`, times)
  }
  const next = nameOf(await scene.live(symbol, { not: [old], deadlineMs: WITHIN_MS }))
  assert.deepEqual(history.pods(symbol), [old, next], 'one successor')
  assert.ok(history.waited(old, 'CrashLoopBackOff'), 'its restarts were delayed')
  const asked = history.last(old).drain === '' ? history.liveWhenDeleted(old) : history.liveWhenDrained(old)
  assert.ok(asked.includes(next), 'make before break')
  await assertReplaced(scene, told, 'halts', next, `${old} halted 3 times in a row, at last CrossedBook`)
  await flowing(scene, symbol)
}

/** From now on the disk refuses to sync the journal that the pod's process writes. Resolves when it has ended. */
async function failSync(scene: ClusterScene, pod: V1Pod): Promise<void> {
  const [segment = ''] = await readdir(join(scene.volume(pod, 'spool'), 'journal'))
  await failCalls(await scene.processOf(pod), 'fdatasync', join('/spool/journal', segment))
  await waitFor(
    `${nameOf(pod)} to end`,
    async () => lastEnd(await scene.pod(DISK.symbol)).report.reason === DISK.reason,
    { deadlineMs: WITHIN_MS, show: () => scene.outputOf(nameOf(pod)) },
  )
}
