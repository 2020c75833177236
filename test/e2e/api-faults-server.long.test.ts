import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ownClusterProblem, ownControlPlane } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import { podWrites } from './census.ts'
import { CAPTURE, create, edit, openStage, play, settled, startOperator } from './stage.ts'

const problem = ownClusterProblem()
const options = problem === '' ? { concurrency: 2 } : { skip: problem }
/** The server may be away for two thirds of it, however slow the machine starts it again. */
const LONG_LEASE = ['--lease-seconds', '600']
const BOTH = ['BTCUSDT', 'ETHUSDT']

describe('an API server that goes away and comes back', options, () => {
  it('killed in the middle of the work, killed while all is quiet: healed without a restart, nothing is written twice', async (context) => {
    const plane = await ownControlPlane(context)
    const stage = await openStage(context, { cluster: plane })
    const operator = startOperator(stage, LONG_LEASE)
    await operator.leads()
    await play(stage, create(BOTH))
    const { scene, proxy } = stage

    await plane.kill()
    await waitFor('the operator to notice', () => /"code":"Network"/.test(operator.output), {
      deadlineMs: 180_000,
    })
    await plane.start()
    await play(stage, edit('another template', BOTH, { bookLevels: 10 }, true))

    // it has created one successor, and knows nothing of what became of the other
    const killed = Promise.withResolvers<number | undefined>()
    proxy.onWrite.after = async ({ request, status }) => {
      if (request.verb !== 'create' || request.resource !== 'pods') return undefined
      proxy.onWrite.after = undefined
      await plane.kill()
      killed.resolve(status)
      return 'cut'
    }
    await scene.patch(CAPTURE, { bookLevels: 5 })
    assert.equal(await killed.promise, 201)
    await plane.start()
    await settled(stage, 'the server died after a write', BOTH)

    const counts = podWrites(proxy)
    assert.equal(Object.keys(counts).length, 6 + 4, JSON.stringify(counts))
    assert.deepEqual(new Set(Object.values(counts)), new Set([1]), JSON.stringify(counts))
    assert.equal(operator.hasEnded, false)
  })

  it('etcd compacted while the operator heard nothing: 410, a whole list, and the same end', async (context) => {
    const plane = await ownControlPlane(context)
    const stage = await openStage(context, { cluster: plane })
    const operator = startOperator(stage, LONG_LEASE)
    await operator.leads()
    const { scene, proxy } = stage
    await play(stage, create(BOTH))
    const frozen = proxy.strike({ times: 2, do: 'freeze' })
    await scene.patch(CAPTURE, { symbols: ['BTCUSDT'] })
    await plane.compact()
    await plane.restart({ kill: true })
    frozen.remove()
    await settled(stage, 'remove ETHUSDT', ['BTCUSDT'])
    assert.match(await operator.metrics(), /^l2cap_operator_(watch|list)_total\{.*result="Gone".*\} [1-9]/m)
    assert.equal(operator.hasEnded, false)
  })

  it('away for longer than the lease: the leader ends, another one goes on where it stopped', async (context) => {
    const plane = await ownControlPlane(context)
    const stage = await openStage(context, { cluster: plane })
    const args = ['--lease-seconds', '24']
    const first = startOperator(stage, args)
    await first.leads()
    await play(stage, create(BOTH))
    const second = startOperator(stage, args)
    await waitFor('the second operator to stand by', () => second.output.includes('standing for'), {
      deadlineMs: 180_000,
    })
    plane.pause()
    await waitFor('the leader to end', () => first.hasEnded, { deadlineMs: 180_000 })
    assert.match(first.output, /the lease is lost/)
    plane.resume()
    await second.leads()
    await play(stage, edit('another template', BOTH, { bookLevels: 10 }, true))
    assert.equal(second.hasEnded, false)
    assert.deepEqual(new Set(Object.values(podWrites(stage.proxy))), new Set([1]))
  })
})
