import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ownClusterProblem } from '../cluster/mod.ts'
import { s3Problem } from '../s3/server.ts'
import { waitFor } from '../support/wait.ts'
import { flowing, lastEnd, leave } from './halting.ts'
import { PodHistory } from './history.ts'
import { CALM, Scene } from './scene.ts'
import { conditionText, Told } from './told.ts'

const problem = ownClusterProblem() || s3Problem()
const options = problem === '' ? {} : { skip: problem }
const WITHIN_MS = 180_000

const SYMBOLS = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'XRPUSDT']
/** So many in a row replace a pod where it halts alone. */
const HALTS = 2
const SUSPECT = { exchange: 'BinanceUsdm' }

describe('an exchange that fails for everybody', options, () => {
  it('ExchangeSuspect: its pods restart in place and none is replaced, however often they halt; no rule of the exchange is broken; all is well again when the exchange is', async (context) => {
    const scene = await Scene.open(context, {
      symbols: SYMBOLS,
      market: { rate: 100 },
      settings: { times: { breakerWindowSeconds: 60 }, limits: { haltsInARow: HALTS } },
    })
    const told = await Told.open(context, scene)
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)
    await scene.apply('majors', { symbols: SYMBOLS, guards: CALM })
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive', WITHIN_MS)
    const pods = new Map<string, string>()
    for (const symbol of SYMBOLS) pods.set(symbol, await flowing(scene, symbol))
    await history.upToDate()
    const nodes = new Set([...pods.values()].map((pod) => history.last(pod).node))
    assert.equal(nodes.size, 2, 'no one machine can be to blame')

    scene.sim.inject('garbage:*@0+600')
    await told.first(
      'majors',
      'that the exchange is suspect',
      (status) => conditionText(status, 'Halted') === 'Halted=True ExchangeSuspect',
    )
    await told.event('ExchangeSuspect', 'ProtocolChanged')
    await waitFor(
      'the figure to rise',
      async () => (await told.figure('l2cap_operator_exchange_suspect', SUSPECT)) === 1,
    )
    await told.first('majors', `that each pod halted ${HALTS} times`, ({ attention = [] }) =>
      SYMBOLS.every((symbol) =>
        attention.some((one) => one.symbol === symbol && one.state === 'Halted' && one.restarts >= HALTS),
      ),
    )
    await assertNoneReplaced(history, pods)

    scene.sim.lift('*')
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive', WITHIN_MS)
    await scene.until('majors', 'Halted', 'False', 'NoneHalted', WITHIN_MS)
    await waitFor(
      'the figure to fall',
      async () => (await told.figure('l2cap_operator_exchange_suspect', SUSPECT)) === 0,
    )
    for (const symbol of SYMBOLS) await flowing(scene, symbol)
    await assertNoneReplaced(history, pods)
    assert.equal(await told.figure('l2cap_operator_pods_created_total', { cause: 'new' }), SYMBOLS.length)
    for (const symbol of SYMBOLS) {
      const { report } = lastEnd(await scene.pod(symbol))
      assert.equal(report.reason, 'ProtocolChanged')
      assert.ok(report.haltsInARow >= HALTS, String(report.haltsInARow))
    }
    await leave(scene, [{ capture: 'majors' }])
    for (const symbol of SYMBOLS) await scene.judge(symbol)
    assert.deepEqual({ ...scene.sim.violations }, { attempts: 0, messages: 0, weight: 0, early: 0 })
  })
})

/** Each symbol has had this one pod, which nobody has asked to go. */
async function assertNoneReplaced(history: PodHistory, pods: ReadonlyMap<string, string>): Promise<void> {
  await history.upToDate()
  for (const [symbol, pod] of pods) {
    assert.deepEqual(history.pods(symbol), [pod])
    const { deleting, drain } = history.last(pod)
    assert.deepEqual({ deleting, drain }, { deleting: false, drain: '' })
  }
}
