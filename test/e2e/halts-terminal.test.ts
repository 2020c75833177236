import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HALT_EXIT_CODES } from '../../api/reasons.ts'
import { ownClusterProblem } from '../cluster/mod.ts'
import { s3Problem } from '../s3/server.ts'
import { waitFor } from '../support/wait.ts'
import { applyFor, flowing, halting, leave } from './halting.ts'
import { PodHistory } from './history.ts'
import { handedOver, manifestsBy } from './published.ts'
import { CALM, nameOf, Scene } from './scene.ts'
import { attentionOf, conditionText, Told } from './told.ts'

const problem = ownClusterProblem() || s3Problem()
const options = problem === '' ? {} : { skip: problem }
const WITHIN_MS = 180_000

/** What nobody trades: it is meant to be ETHUSDT. */
const TYPO = 'ETHUSTD'
const DIGITS = halting('SOLUSDT', 'PrecisionLoss')

describe('a symbol that cannot be captured', options, () => {
  it('is stopped and drained without a storm of starts until the spec changes; others do not feel it', {
    concurrency: 2,
  }, async (context) => {
    const scene = await Scene.open(context, {
      symbols: ['BTCUSDT', 'ETHUSDT', DIGITS.symbol],
      market: { rate: 100 },
    })
    const told = await Told.open(context, scene)
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)

    const typo = context.test('SymbolUnknown: an edit that names the right symbol heals it', async () => {
      await scene.apply('majors', { symbols: ['BTCUSDT', TYPO], guards: CALM })
      const stopped = await assertStopped(scene, told, history, 'majors', TYPO, 'SymbolUnknown')
      const other = await flowing(scene, 'BTCUSDT')
      await scene.patch('majors', { symbols: ['BTCUSDT', 'ETHUSDT'] })
      await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive', WITHIN_MS)
      await scene.none(TYPO, WITHIN_MS)
      const healed = await scene.until('majors', 'Stalled', 'False', 'Progressing', WITHIN_MS)
      assert.deepEqual(healed.status?.attention ?? [], [])
      await history.upToDate()
      assert.equal(history.last(stopped).gone, true)
      assert.equal(await flowing(scene, 'BTCUSDT'), other)
      assert.equal(history.last(other).restarts, 0)
      await flowing(scene, 'ETHUSDT')
    })

    const digits = context.test(
      'PrecisionLoss: what it holds is shipped; an edit of the spec is another try',
      async () => {
        const { capture, symbol } = DIGITS
        await applyFor(scene, DIGITS)
        const first = await flowing(scene, symbol)
        scene.sim.inject(`digits16:${symbol}@0`)
        assert.equal(await assertStopped(scene, told, history, capture, symbol, 'PrecisionLoss'), first)
        await scene.patch(capture, { guards: { ...CALM, auditSeconds: 300 } })
        const second = nameOf(await scene.live(symbol, { not: [first], deadlineMs: WITHIN_MS }))
        await scene.until(capture, 'Stalled', 'False', 'Progressing', WITHIN_MS)
        await flowing(scene, symbol)
        await history.upToDate()
        assert.deepEqual(history.pods(symbol), [first, second])
      },
    )
    await Promise.all([typo, digits])
    await leave(scene, [{ capture: 'majors' }, DIGITS])
    await handedOver(scene, 'BTCUSDT', history.pods('BTCUSDT'))
    await handedOver(scene, 'ETHUSDT', history.pods('ETHUSDT'))
    const { ended } = await scene.judge(DIGITS.symbol)
    assert.ok((ended['PrecisionLoss'] ?? 0) > 0, JSON.stringify(ended))
    const [first = ''] = history.pods(DIGITS.symbol)
    assert.equal((await manifestsBy(scene, DIGITS.symbol, first)).at(-1)?.final, true)
    assert.deepEqual({ ...scene.sim.violations }, { attempts: 0, messages: 0, weight: 0, early: 0 })
  })
})

/**
 * The symbol's one pod halted, was asked to drain, drained, and is kept as the record of why; all of it is told.
 * Resolves with its name when it has reported that it holds nothing.
 */
async function assertStopped(
  scene: Scene,
  told: Told,
  history: PodHistory,
  capture: string,
  symbol: string,
  reason: 'SymbolUnknown' | 'PrecisionLoss',
): Promise<string> {
  const status = await told.first(
    capture,
    `that ${symbol} is stopped`,
    (one) => attentionOf(one, symbol)?.state === 'Stopped',
  )
  assert.equal(attentionOf(status, symbol)?.reason, reason)
  assert.equal(conditionText(status, 'Halted'), `Halted=True ${reason}`)
  assert.equal(conditionText(status, 'Stalled'), 'Stalled=True SymbolStopped')
  await told.event(reason, symbol)
  await told.event('SymbolStopped', symbol)
  await waitFor(
    `the figure of ${reason}`,
    async () => (await told.figure('l2cap_operator_halts_total', { exchange: 'BinanceUsdm', reason })) >= 1,
  )
  const pod = attentionOf(status, symbol)?.pod ?? ''
  await scene.says(pod, `"exitCode":${HALT_EXIT_CODES[reason]}`)
  await waitFor(
    `${pod} to report that it has drained`,
    async () => {
      const container = (await scene.pod(symbol)).status?.containerStatuses?.[0]
      const words = container?.state?.terminated ?? container?.lastState?.terminated
      return words?.exitCode === 0 && words.message?.includes('"reason":"Drained"')
    },
    { deadlineMs: WITHIN_MS, everyMs: 200, show: () => scene.kubelet.output(pod).slice(-3000) },
  )
  await history.upToDate()
  const [runs, { restarts }] = [runsOf(scene, pod), history.last(pod)]
  await waitFor('a further restart in place', () => history.last(pod).restarts > restarts + 1, {
    deadlineMs: WITHIN_MS,
  })
  assert.equal(runsOf(scene, pod), runs, 'a restart of a stopped pod captures nothing')
  const asked = history.restartsWhenDrained(pod)
  assert.ok(
    runs <= asked + 2,
    `${runs} runs: those until it was asked to drain, and perhaps one until it heard of it`,
  )
  assert.deepEqual(history.pods(symbol), [pod], 'no other pod was tried')
  assert.equal(history.last(pod).drain, 'true')
  return pod
}

/** Runs that the pod's processes have begun: each opens connections. */
function runsOf(scene: Scene, pod: string): number {
  return scene.kubelet.output(pod).split(' begins"').length - 1
}
