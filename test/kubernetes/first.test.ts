import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { flowing } from '../e2e/halting.ts'
import { waitFor } from '../support/wait.ts'
import { ClusterScene } from './scene.ts'
import { targetProblem } from './target.ts'

const problem = targetProblem()
const options = problem === '' ? {} : { skip: problem }
const SYMBOLS = ['BTCUSDT', 'ETHUSDT']
const COLUMNS = ['NAME', 'EXCHANGE', 'SYMBOLS', 'LIVE', 'HALTED', 'READY', 'AGE']

describe('a cluster, from helm install to proven data', options, () => {
  it('an L2Capture of two symbols: Ready=True, kubectl get shows it, Parquet in the bucket, verify s3:// is clean, deleted and drained, each event once', async (context) => {
    const scene = await ClusterScene.open(context)
    await scene.apply('majors', { symbols: SYMBOLS })
    const ready = await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')
    assert.deepEqual(ready.status?.symbols, { desired: 2, live: 2, halted: 0 })
    // something of every stream is recorded before the capture goes
    for (const symbol of SYMBOLS) await flowing(scene, symbol)
    const shown = () => scene.kubectl('get', 'l2c')
    // a machine that stands still may have it say for a moment that a symbol is not live
    const table = await waitFor(
      'kubectl get to show it',
      async () => [await shown()].find((text) => /^majors +BinanceUsdm +2 +2 +0 +True +\d+/m.test(text)),
      { everyMs: 500, show: shown },
    )
    context.diagnostic(`\n${table}`)
    const [header = ''] = table.split('\n')
    assert.deepEqual(header.trim().split(/\s+/), COLUMNS)

    await scene.delete('majors')
    await scene.gone()
    context.diagnostic(`\n${await scene.verify()}`)
    for (const symbol of SYMBOLS) {
      const { published, runs } = await scene.judge(symbol)
      assert.equal(runs, 1)
      assert.ok((published['depth'] ?? 0) > 0, JSON.stringify(published))
    }
  })
})
