import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PodHistory } from '../e2e/history.ts'
import { handedOver } from '../e2e/published.ts'
import { succeeded } from '../e2e/succeeded.ts'
import { IMAGES } from './images.ts'
import { phases } from './phases.ts'
import { CALM, ClusterScene } from './scene.ts'
import { faultsProblem } from './target.ts'

const problem = faultsProblem()
const options = problem === '' ? {} : { skip: problem }
const SYMBOLS = ['BTCUSDT', 'ETHUSDT']
/** A successor needs some seconds to be live; the old pod records until then. */
const SETTINGS = { times: { handoffSeconds: 15 } }
const WITHIN_MS = 240_000

describe('changes, with real pods', options, () => {
  it('another spec, then another image: each successor is live before the pod before it is deleted, which hands over; no hole, no event twice', async (context) => {
    const scene = await ClusterScene.open(context, { symbols: SYMBOLS, settings: SETTINGS })
    const phase = phases(context)
    const history = await PodHistory.open(context, scene.api, scene.namespace)
    await scene.apply('majors', { symbols: SYMBOLS })
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive', WITHIN_MS)
    phase('live')

    await scene.patch('majors', { guards: { ...CALM, auditSeconds: 300 } })
    await succeeded(scene, history, SYMBOLS, 1)
    await scene.until('majors', 'Reconciling', 'False', 'UpToDate')
    phase('another spec')

    const [repository = ''] = IMAGES.product.split(':')
    await scene.target.nodes?.tagImage(IMAGES.product, `${repository}:next`)
    await scene.install({
      settings: SETTINGS,
      values: { image: { repository, tag: 'next', pullPolicy: 'IfNotPresent' } },
    })
    await succeeded(scene, history, SYMBOLS, 2)
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')
    for (const symbol of SYMBOLS)
      assert.equal((await scene.pod(symbol)).spec?.containers[0]?.image, `${repository}:next`)
    phase('another image')

    await scene.delete('majors')
    await scene.gone(WITHIN_MS)
    phase('drained')
    const settled = await scene.settled()
    for (const symbol of SYMBOLS) await handedOver(settled, symbol, history.pods(symbol))
    await scene.verify()
    phase('judged')
  })
})
