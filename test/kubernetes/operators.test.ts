import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { V1Lease, V1Pod } from '@kubernetes/client-node'
import { nameOf } from '../e2e/captures.ts'
import { linesOf } from '../e2e/halting.ts'
import { PodHistory } from '../e2e/history.ts'
import { handedOver, manifestsOf, publishes } from '../e2e/published.ts'
import { waitFor } from '../support/wait.ts'
import { phases } from './phases.ts'
import { ClusterScene } from './scene.ts'
import { faultsProblem, targetProblem } from './target.ts'

const problem = targetProblem()
const options = problem === '' ? {} : { skip: problem }
const faults = faultsProblem()
const ownOnly = faults === '' ? {} : { skip: faults }
/** Its pod is looked at all the while; the others come and go with operators. */
const STAYS = 'BTCUSDT'
const WITHIN_MS = 240_000
/** Short, as tests wait for its end; whoever stands still for 10 s with the machine keeps it. */
const LEASE_SECONDS = 20

describe('operators that fall, on real kubelets', options, () => {
  it('captures go on and none is restarted; what is wanted meanwhile happens when one leads again', async (context) => {
    const symbols = [STAYS, 'ETHUSDT', 'SOLUSDT', 'XRPUSDT']
    const scene = await ClusterScene.open(context, {
      symbols,
      values: { operator: { leaseSeconds: LEASE_SECONDS } },
    })
    const phase = phases(context)
    const history = await PodHistory.open(context, scene.api, scene.namespace)
    await scene.apply('stays', { symbols: [STAYS] })
    const pod = nameOf(await scene.live(STAYS, { deadlineMs: WITHIN_MS }))
    phase('live')

    await context.test(
      'the leader is frozen: the other takes over; the first writes nothing more when it thaws',
      ownOnly,
      async () => {
        const first = await leading(scene)
        const [frozen] = (await scene.operators()).filter((one) => nameOf(one) === first)
        assert.ok(frozen !== undefined)
        const pid = await scene.processOf(frozen)
        const restarts = restartsOf(frozen)
        process.kill(pid, 'SIGSTOP')
        try {
          await scene.apply('frozen', { symbols: ['ETHUSDT'] })
          await leading(scene, first)
        } finally {
          thaw(pid)
        }
        const takenAt = Date.parse(String((await lease(scene)).spec?.acquireTime))
        await scene.live('ETHUSDT', { deadlineMs: WITHIN_MS })
        const restarted = async () => {
          const now = (await scene.operators()).find((one) => nameOf(one) === first)
          return now !== undefined && restartsOf(now) > restarts
        }
        await waitFor('the first to end, since it leads no more', restarted, {
          deadlineMs: WITHIN_MS,
          everyMs: 300,
        })
        const said = linesOf(await scene.outputOf(first, 'previous=true'))
        assert.ok(
          said.some(({ action }) => action === 'create'),
          'it had led',
        )
        const late = said.filter(
          ({ action, time }) => action !== undefined && Date.parse(String(time)) >= takenAt,
        )
        assert.deepEqual(late, [], 'nothing of the first after the second leads')
        assert.equal(history.pods('ETHUSDT').length, 1)
      },
    )
    phase('frozen and thawed')

    await context.test('SIGKILL of the leader: one of them leads again', ownOnly, async () => {
      const killed = await leading(scene)
      const before = (await lease(scene)).spec?.holderIdentity
      const [leader] = (await scene.operators()).filter((one) => nameOf(one) === killed)
      assert.ok(leader !== undefined)
      process.kill(await scene.processOf(leader), 'SIGKILL')
      await scene.apply('killed', { symbols: ['SOLUSDT'] })
      await scene.live('SOLUSDT', { deadlineMs: WITHIN_MS })
      assert.notEqual((await lease(scene)).spec?.holderIdentity, before)
      assert.equal(history.pods('SOLUSDT').length, 1)
    })
    phase('killed')

    await context.test('both replicas are away for a while', async () => {
      await scene.kubectl('scale', 'deployment/l2cap-operator', '--replicas=0')
      const operators = ['-l', 'app.kubernetes.io/component=operator']
      // not by force: what is taken from the API alone runs on for a while
      await scene.kubectl('delete', 'pods', ...operators, '--grace-period=1')
      await waitFor('no operator to be there', async () => (await all(scene)).length === 0, {
        deadlineMs: WITHIN_MS,
        everyMs: 300,
      })
      await scene.apply('away', { symbols: ['XRPUSDT'] })
      await publishes(scene, STAYS, pod, (await manifestsOf(scene, STAYS)).length + 2)
      assert.deepEqual(await scene.pods('XRPUSDT'), [])
      await scene.kubectl('scale', 'deployment/l2cap-operator', '--replicas=2')
      await scene.live('XRPUSDT', { deadlineMs: WITHIN_MS })
    })
    phase('away and back')

    assert.deepEqual(history.pods(STAYS), [pod])
    assert.equal(history.last(pod).restarts, 0)
    const captured = faults === '' ? ['stays', 'frozen', 'killed', 'away'] : ['stays', 'away']
    for (const name of captured) await scene.delete(name)
    await scene.gone(WITHIN_MS)
    const settled = await scene.settled()
    for (const symbol of symbols)
      if (history.pods(symbol).length > 0) await handedOver(settled, symbol, history.pods(symbol))
    await scene.verify()
    phase('drained and judged')
  })
})

function restartsOf({ status }: V1Pod): number {
  return status?.containerStatuses?.[0]?.restartCount ?? 0
}

/** Its kubelet may have found it hanging, and have ended it. */
function thaw(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** Pods of the operator, those that are about to go, too. */
async function all({ api, namespace }: ClusterScene): Promise<V1Pod[]> {
  const query = 'labelSelector=app.kubernetes.io%2Fcomponent%3Doperator'
  return await api.list(`/api/v1/namespaces/${namespace}/pods?${query}`)
}

async function lease({ api, namespace }: ClusterScene): Promise<V1Lease> {
  return await api.get(`/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/l2cap-operator`)
}

/** The pod that leads, once it is another one than this. */
async function leading(scene: ClusterScene, not = ''): Promise<string> {
  return await waitFor(
    `an operator other than ${not || 'none'} to lead`,
    async () => {
      const leader = await scene.leader()
      return leader !== '' && leader !== not ? leader : undefined
    },
    { deadlineMs: WITHIN_MS, everyMs: 200, show: () => lease(scene) },
  )
}
