import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ownClusterProblem } from '../cluster/mod.ts'
import { s3Problem } from '../s3/server.ts'
import { applyFor, assertRestarted, assertTold, flowing, type Halting, halting, leave } from './halting.ts'
import { Scene } from './scene.ts'
import { Told } from './told.ts'

const problem = ownClusterProblem() || s3Problem()
const options = problem === '' ? {} : { skip: problem }

interface Guard extends Halting {
  readonly name: string
  /** Of the simulated exchange; it lasts until the guard has halted. */
  readonly fault: string
  /** Why coverage ended, where it was not the halt alone. */
  readonly after?: string
}

/** Each has a symbol of its own, so that no fault is felt by another. The longest first: they run beside each other. */
const GUARDS: readonly Guard[] = [
  {
    name: 'three frozen connections in a row',
    ...halting('XRPUSDT', 'StaleFeed', { guards: { staleAfterSeconds: 1 } }),
    fault: 'silence_depth:XRPUSDT@0+600',
    after: 'stale',
  },
  {
    name: 'more gaps than a book may have in ten minutes',
    ...halting('BTCUSDT', 'ResyncStorm'),
    fault: 'wrong_pu:BTCUSDT@0+600',
    after: 'sequence',
  },
  {
    name: 'three joins in a row with an empty side',
    ...halting('SOLUSDT', 'EmptyBook'),
    fault: 'empty_side:SOLUSDT@0+600',
    after: 'empty_side',
  },
  {
    name: 'ten unreadable frames in a minute',
    ...halting('DOGEUSDT', 'ProtocolChanged'),
    fault: 'garbage:DOGEUSDT@0+600',
    after: 'parse',
  },
  { name: 'a bid at the best ask', ...halting('ETHUSDT', 'CrossedBook'), fault: 'crossed:ETHUSDT@0' },
]

describe('a guard that halts', options, () => {
  it('is told in condition, attention, event and metric; the pod restarts in place with its spool; the hole is coverage ended by that reason', {
    concurrency: GUARDS.length,
  }, async (context) => {
    const scene = await Scene.open(context, {
      symbols: GUARDS.map(({ symbol }) => symbol),
      market: { rate: 100, profiles: { SOLUSDT: { rate: 20, levels: 12 } } },
    })
    const told = await Told.open(context, scene)
    const tests = GUARDS.map((guard) =>
      context.test(`${guard.name}: ${guard.reason}`, async () => {
        await applyFor(scene, guard)
        const pod = await flowing(scene, guard.symbol)
        scene.sim.inject(guard.fault)
        await scene.says(pod, `halt ${guard.reason}`)
        scene.sim.lift(guard.symbol)
        await assertTold(told, guard, pod)
        await assertRestarted(scene, told, guard, pod)
      }),
    )
    await Promise.all(tests)
    await leave(scene, GUARDS)
    for (const { symbol, reason, after = reason } of GUARDS) {
      const { ended, runs } = await scene.judge(symbol)
      assert.equal(runs, 2, symbol)
      for (const why of [reason, after])
        assert.ok((ended[why] ?? 0) > 0, `${symbol} ${why}: ${JSON.stringify(ended)}`)
    }
    assert.deepEqual({ ...scene.sim.violations }, { attempts: 0, messages: 0, weight: 0, early: 0 })
  })
})
