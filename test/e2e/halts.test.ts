import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ownClusterProblem } from '../cluster/mod.ts'
import { s3Problem } from '../s3/server.ts'
import {
  applyFor,
  assertRestarted,
  assertTold,
  flowing,
  GUARD_HALTS,
  GUARD_MARKET,
  hold,
  leave,
} from './halting.ts'
import { Scene } from './scene.ts'
import { Told } from './told.ts'

const problem = ownClusterProblem() || s3Problem()
const options = problem === '' ? {} : { skip: problem }

describe('a guard that halts', options, () => {
  it('is told in condition, attention, event and metric; the pod restarts in place with its spool; the hole is coverage ended by that reason', {
    concurrency: GUARD_HALTS.length,
  }, async (context) => {
    const scene = await Scene.open(context, {
      symbols: GUARD_HALTS.map(({ symbol }) => symbol),
      market: GUARD_MARKET,
    })
    const told = await Told.open(context, scene)
    const tests = GUARD_HALTS.map((guard) =>
      context.test(`${guard.name}: ${guard.reason}`, async () => {
        await applyFor(scene, guard)
        const pod = await flowing(scene, guard.symbol)
        hold(scene, guard, pod)
        scene.sim.inject(guard.fault)
        await scene.says(pod, `halt ${guard.reason}`)
        scene.sim.lift(guard.symbol)
        await assertTold(told, guard, pod)
        scene.kubelet.release(pod)
        await assertRestarted(scene, told, guard, pod)
      }),
    )
    await Promise.all(tests)
    await leave(scene, GUARD_HALTS)
    for (const { symbol, reason, after = reason } of GUARD_HALTS) {
      const { ended, runs } = await scene.judge(symbol)
      assert.equal(runs, 2, symbol)
      for (const why of [reason, after])
        assert.ok((ended[why] ?? 0) > 0, `${symbol} ${why}: ${JSON.stringify(ended)}`)
    }
    assert.deepEqual({ ...scene.sim.violations }, { attempts: 0, messages: 0, weight: 0, early: 0 })
  })
})
