import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ownClusterProblem } from '../cluster/mod.ts'
import { s3Problem } from '../s3/server.ts'
import { waitFor } from '../support/wait.ts'
import { PodHistory } from './history.ts'
import { handedOver, publishes } from './published.ts'
import { CALM, nameOf, Scene } from './scene.ts'
import { succeeded } from './succeeded.ts'

const problem = ownClusterProblem() || s3Problem()
/** They wait more than they work. */
const options = problem === '' ? { concurrency: 2 } : { skip: problem }
const SYMBOLS = ['BTCUSDT', 'ETHUSDT']

describe('changes of what is wanted', options, () => {
  it('a spec edit, then a change of settings: each successor is live before the pod before it is deleted, which hands over; no hole, no event twice', async (context) => {
    const scene = await Scene.open(context)
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)
    await scene.apply('majors', { symbols: SYMBOLS, guards: CALM })
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')

    await scene.patch('majors', { guards: { ...CALM, auditSeconds: 300 } })
    await succeeded(scene, history, SYMBOLS, 1)
    await scene.until('majors', 'Reconciling', 'False', 'UpToDate')

    await scene.upgrade({ image: 'l2cap:next', settings: { pods: { annotations: { team: 'data' } } } })
    await succeeded(scene, history, SYMBOLS, 2)
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')
    assert.equal((await scene.pod('BTCUSDT')).spec?.containers[0]?.image, 'l2cap:next')

    await scene.delete('majors')
    await scene.gone()
    for (const symbol of SYMBOLS) await handedOver(scene, symbol, history.pods(symbol))
  })

  it('suspended: drained, Suspended=True (Drained), nothing left; resumed: live again. A symbol removed and added again likewise, and the others go on undisturbed', async (context) => {
    const scene = await Scene.open(context)
    await scene.apply('majors', { symbols: SYMBOLS, guards: CALM })
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')

    await scene.patch('majors', { suspend: true })
    const suspended = await scene.until('majors', 'Suspended', 'True', 'Drained')
    // a drained pod's object goes a moment after its process
    for (const symbol of SYMBOLS) await scene.none(symbol)
    assert.deepEqual(suspended.status?.symbols, { desired: 2, live: 0, halted: 0 })
    assert.equal(condition(suspended, 'Ready'), 'False Suspended')
    assert.equal(condition(suspended, 'Reconciling'), 'False UpToDate')

    await scene.patch('majors', { suspend: false })
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')
    const stays = await scene.pod('BTCUSDT')

    await scene.patch('majors', { symbols: ['BTCUSDT'] })
    await scene.none('ETHUSDT')
    const fewer = await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')
    assert.deepEqual(fewer.status?.symbols, { desired: 1, live: 1, halted: 0 })

    await scene.patch('majors', { symbols: SYMBOLS })
    await scene.live('ETHUSDT')
    const stayed = await scene.live('BTCUSDT')
    assert.equal(stayed.metadata?.uid, stays.metadata?.uid)
    assert.equal(stayed.status?.containerStatuses?.[0]?.restartCount, 0)
    await scene.delete('majors')
    await scene.gone()
    assert.equal((await scene.judge('BTCUSDT')).runs, 2)
    assert.equal((await scene.judge('ETHUSDT')).runs, 3)
  })

  it('a roll-out whose successor does not get live in time: RolloutTimedOut, the old pod records on, the new one is discarded; settings that work again end it', async (context) => {
    const times = { successorDeadlineSeconds: 5 }
    const scene = await Scene.open(context, { settings: { times } })
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)
    await scene.apply('majors', { guards: CALM })
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')
    const old = nameOf(await scene.pod('BTCUSDT'))

    await scene.upgrade({ settings: { times, endpoints: 'http://127.0.0.1:9' } })
    await scene.until('majors', 'Stalled', 'True', 'RolloutTimedOut')
    assert.equal(nameOf(await scene.live('BTCUSDT')), old)
    await history.upToDate()
    const [, failed = ''] = history.pods('BTCUSDT')
    assert.equal(history.last(failed).drain, 'discard')
    await waitFor(
      'the event that tells it',
      async () => (await scene.events()).some((event) => event.startsWith('RolloutTimedOut: ')),
      { show: () => scene.events() },
    )

    await scene.upgrade({ settings: { times } })
    await scene.until('majors', 'Stalled', 'False')
    await publishes(scene, 'BTCUSDT', old)
    await history.upToDate()
    assert.deepEqual(history.pods('BTCUSDT'), [old, failed], 'nothing else was tried')
    assert.equal(history.last(old).restarts, 0)
    await scene.delete('majors')
    await scene.gone()
    await handedOver(scene, 'BTCUSDT', [old])
  })

  it('more symbols behind the address, or fewer addresses: running pods are told their share, and take it without a restart', async (context) => {
    const scene = await Scene.open(context, { settings: { addresses: 2 } })
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)
    await scene.apply('one', { guards: CALM })
    const pod = nameOf(await scene.live('BTCUSDT'))
    assert.equal(await scene.metric(pod, 'l2cap_address_share'), 1)

    await scene.upgrade({ settings: { addresses: 1 } })
    await scene.apply('two', { symbols: ['ETHUSDT'], guards: CALM })
    await takes(scene, pod, 2)
    // symbols that the exchange does not have count as well: whoever asks in vain asks, too
    await scene.patch('two', { symbols: ['ETHUSDT', 'NO1USDT'] })
    await takes(scene, pod, 4)

    await history.upToDate()
    assert.deepEqual(history.pods('BTCUSDT'), [pod])
    assert.equal(history.last(pod).restarts, 0)
    await scene.delete('one')
    await scene.delete('two')
    await scene.gone()
    await handedOver(scene, 'BTCUSDT', [pod])
  })
})

async function takes(scene: Scene, pod: string, share: number): Promise<void> {
  await waitFor(
    `${pod} to take the share ${share}`,
    async () => (await scene.metric(pod, 'l2cap_address_share')) === share,
    { deadlineMs: 180_000, everyMs: 200 },
  )
}

type Conditioned = Awaited<ReturnType<Scene['until']>>

function condition({ status }: Conditioned, type: string): string {
  const found = status?.conditions?.find((one) => one.type === type)
  return `${found?.status} ${found?.reason}`
}
