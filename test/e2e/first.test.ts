import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ownClusterProblem } from '../cluster/mod.ts'
import { s3Problem } from '../s3/server.ts'
import { Scene } from './scene.ts'

const problem = ownClusterProblem() || s3Problem()
const options = problem === '' ? {} : { skip: problem }

describe('from an L2Capture to proven data in a bucket', options, () => {
  it('two symbols: live, Ready=True, Parquet in the bucket, deleted and drained; verify finds nothing wrong', async (context) => {
    const scene = await Scene.open(context)
    await scene.apply('majors', { symbols: ['BTCUSDT', 'ETHUSDT'] })
    const ready = await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')
    assert.deepEqual(ready.status?.symbols, { desired: 2, live: 2, halted: 0 })
    await scene.delete('majors')
    await scene.gone()
    for (const symbol of ['BTCUSDT', 'ETHUSDT']) {
      const { published, runs } = await scene.judge(symbol)
      assert.equal(runs, 1)
      assert.ok((published['depth'] ?? 0) > 0, JSON.stringify(published))
    }
  })
})
