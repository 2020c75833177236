import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { ProcessRuntime } from '../cluster/kubelet/mod.ts'
import { ownClusterProblem } from '../cluster/mod.ts'
import { buildWallClock, wallClock } from '../faults/wall-clock.ts'
import { s3Problem } from '../s3/server.ts'
import { waitFor } from '../support/wait.ts'
import { applyFor, assertReplaced, assertTold, flowing, halting, leave } from './halting.ts'
import { PodHistory } from './history.ts'
import { manifestsBy, manifestsOf, overlapping } from './published.ts'
import { nameOf, Scene } from './scene.ts'
import { Told } from './told.ts'

const dir = mkdtempSync(join(tmpdir(), 'l2cap-clock-'))
process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
const problem = ownClusterProblem() || s3Problem()
const options = problem === '' ? {} : { skip: problem }
const clockProblem = buildWallClock(dir)
const withClock = clockProblem === '' ? {} : { skip: `no clock can be moved here: ${clockProblem}` }
const WITHIN_MS = 180_000

const CROSSED = halting('BTCUSDT', 'CrossedBook')
const SKEWED = halting('ETHUSDT', 'ClockSkew')
const SKEW_MS = 3000

describe('a symbol that halts again and again', options, () => {
  it('gets another pod before the old one goes; each event once or outside coverage', {
    concurrency: 2,
  }, async (context) => {
    const machine = new SkewedNode(dir)
    const scene = await Scene.open(context, {
      symbols: [CROSSED.symbol, SKEWED.symbol],
      market: { rate: 100 },
      runtime: new ProcessRuntime((pod) => machine.env(pod)),
    })
    const told = await Told.open(context, scene)
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)

    const crossed = context.test('three halts in a row: replaced', async () => {
      await applyFor(scene, CROSSED)
      const old = nameOf(await scene.live(CROSSED.symbol))
      for (let halts = 1; halts <= 3; halts++) {
        await waitFor(`${old} to be live`, () => history.last(old).live, { deadlineMs: WITHIN_MS })
        scene.sim.inject(`crossed:${CROSSED.symbol}@0`)
        await waitFor(`halt ${halts}`, () => history.last(old).restarts === halts, {
          deadlineMs: WITHIN_MS,
          show: () => scene.kubelet.output(old).slice(-3000),
        })
        const pods = history.pods(CROSSED.symbol).length
        if (halts < 3) assert.equal(pods, 1, `${pods} pods after ${halts} halts`)
      }
      await assertTold(told, CROSSED, old)
      const successor = nameOf(await scene.live(CROSSED.symbol, { not: [old], deadlineMs: WITHIN_MS }))
      await history.upToDate()
      assert.deepEqual(history.pods(CROSSED.symbol), [old, successor], 'one successor')
      const asked =
        history.last(old).drain === '' ? history.liveWhenDeleted(old) : history.liveWhenDrained(old)
      assert.ok(asked.includes(successor), 'make before break')
      await assertReplaced(
        scene,
        told,
        'halts',
        successor,
        `${old} halted 3 times in a row, at last CrossedBook`,
      )
      await flowing(scene, CROSSED.symbol)
    })

    const skewed = context.test('ClockSkew twice: replaced, preferring another node', withClock, async () => {
      await applyFor(scene, SKEWED)
      const moved = await waitFor(
        `a pod of ${SKEWED.symbol} on another node`,
        async () => (await scene.pods(SKEWED.symbol)).find((pod) => machine.spares(pod)),
        { deadlineMs: WITHIN_MS, everyMs: 200, show: () => scene.events() },
      )
      await history.upToDate()
      const [old = ''] = history.pods(SKEWED.symbol)
      await assertTold(told, SKEWED, old)
      await assertReplaced(
        scene,
        told,
        'node',
        nameOf(moved),
        `${old} halted ClockSkew twice on ${machine.node}`,
      )
      const live = await scene.live(SKEWED.symbol, { not: [old], deadlineMs: WITHIN_MS })
      assert.equal(nameOf(live), nameOf(moved))
      await history.upToDate()
      assert.deepEqual(history.pods(SKEWED.symbol), [old, nameOf(live)])
      await flowing(scene, SKEWED.symbol)
    })
    await Promise.all([crossed, skewed])
    const captured = [CROSSED, SKEWED].filter(({ capture }) => told.statuses(capture).length > 0)
    await leave(scene, captured)
    for (const { symbol } of captured) {
      assert.deepEqual(overlapping(await manifestsOf(scene, symbol)), [])
      await scene.judge(symbol)
    }
    const [old = ''] = history.pods(CROSSED.symbol)
    assert.equal((await manifestsBy(scene, CROSSED.symbol, old)).at(-1)?.final, true, 'it has drained')
    const { ended } = await scene.judge(CROSSED.symbol)
    assert.ok((ended['CrossedBook'] ?? 0) >= 3, JSON.stringify(ended))
    assert.deepEqual({ ...scene.sim.violations }, { attempts: 0, messages: 0, weight: 0, early: 0 })
  })
})

/** The node that the first pod of the symbol comes to has a wrong clock; the symbol's pods alone feel it. */
class SkewedNode {
  node = ''
  readonly #env: Readonly<Record<string, string>>

  constructor(dir: string) {
    const clock = wallClock(dir, dir)
    clock.set(SKEW_MS)
    this.#env = clock.env
  }

  env(pod: V1Pod): Readonly<Record<string, string>> {
    if (clockProblem !== '' || pod.metadata?.annotations?.['l2cap.dev/symbol'] !== SKEWED.symbol) return {}
    const node = pod.spec?.nodeName ?? ''
    if (this.node === '') this.node = node
    return node === this.node ? this.#env : {}
  }

  /** Whether the pod is on another node. */
  spares({ spec }: V1Pod): boolean {
    return this.node !== '' && spec?.nodeName !== undefined && spec.nodeName !== this.node
  }
}
