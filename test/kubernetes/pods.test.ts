import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { nameOf } from '../e2e/captures.ts'
import { PodHistory } from '../e2e/history.ts'
import { handedOver, manifestsOf, overlapping, publishes } from '../e2e/published.ts'
import { waitFor } from '../support/wait.ts'
import { phases } from './phases.ts'
import { ClusterScene } from './scene.ts'
import { faultsProblem, targetProblem } from './target.ts'

const problem = targetProblem()
const options = problem === '' ? {} : { skip: problem }
const faults = faultsProblem()
const ownOnly = faults === '' ? {} : { skip: faults }
const WITHIN_MS = 240_000
const [KILLED, SQUEEZED, EVICTED] = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT'] as const
/** A successor needs some seconds to be live; the old pod records until then. */
const HANDED_OVER = { handoffSeconds: 15 }

interface Seen {
  readonly scene: ClusterScene
  readonly history: PodHistory
}

interface Death {
  readonly symbol: string
  /** Why the container ended, as the kubelet says it. */
  readonly reason: string
  act(scene: ClusterScene, pod: Awaited<ReturnType<ClusterScene['pod']>>): Promise<void>
}

const SIGKILL: Death = {
  symbol: KILLED,
  reason: 'Error',
  act: async (scene, pod) => void process.kill(await scene.processOf(pod), 'SIGKILL'),
}
const OOM: Death = {
  symbol: SQUEEZED,
  reason: 'OOMKilled',
  act: async (scene, pod) => {
    await scene.target.nodes?.squeeze(pod.status?.containerStatuses?.[0]?.containerID ?? '')
  },
}

describe('pods that fall, on real kubelets', options, () => {
  it('each event once or outside coverage', { concurrency: 3 }, async (context) => {
    const scene = await ClusterScene.open(context, {
      symbols: [KILLED, SQUEEZED, EVICTED],
      settings: { times: HANDED_OVER },
    })
    const phase = phases(context)
    const history = await PodHistory.open(context, scene.api, scene.namespace)
    const seen = { scene, history }
    const symbols = faults === '' ? [KILLED, SQUEEZED, EVICTED] : [EVICTED]
    await scene.apply('majors', { symbols })
    await Promise.all([
      context.test('SIGKILL of the container: restarted in place with its spool', ownOnly, () =>
        restartedAfter(seen, SIGKILL),
      ),
      context.test('no memory left: OOMKilled, restarted in place with its spool', ownOnly, () =>
        restartedAfter(seen, OOM),
      ),
      context.test('eviction through the API: a successor takes over', () => evicted(seen)),
    ])
    phase('all live again')
    await scene.delete('majors')
    await scene.gone(WITHIN_MS)
    phase('drained')
    const settled = await scene.settled()
    if (faults === '')
      for (const { symbol } of [SIGKILL, OOM]) {
        const { runs, ended } = await settled.judge(symbol)
        assert.equal(runs, 2)
        // only its own spool can tell of a run that was killed
        assert.ok((ended['crash'] ?? 0) > 0, `${symbol}: ${JSON.stringify(ended)}`)
        const manifests = await manifestsOf(settled, symbol)
        assert.deepEqual(overlapping(manifests), [])
        assert.deepEqual([...new Set(manifests.map(({ writer }) => writer.pod))], history.pods(symbol))
      }
    await handedOver(settled, EVICTED, history.pods(EVICTED))
    await scene.verify()
    phase('judged')
  })
})

/** The container ends with 137 for this reason and starts again in the same pod, which records on. */
async function restartedAfter({ scene, history }: Seen, { symbol, reason, act }: Death): Promise<void> {
  const pod = await scene.live(symbol, { deadlineMs: WITHIN_MS })
  const name = nameOf(pod)
  await publishes(scene, symbol, name)
  await act(scene, pod)
  await waitFor(
    `${name} to be restarted, and live`,
    () => history.last(name).restarts === 1 && history.last(name).live,
    {
      deadlineMs: WITHIN_MS,
      show: () => scene.state('majors'),
    },
  )
  const { end } = history.last(name)
  assert.deepEqual([end?.exitCode, end?.reason], [137, reason])
  assert.deepEqual(history.pods(symbol), [name])
  const before = (await manifestsOf(scene, symbol)).length
  await waitFor(
    'windows of the second run',
    async () => (await manifestsOf(scene, symbol)).length > before + 1,
    {
      deadlineMs: WITHIN_MS,
      everyMs: 500,
    },
  )
}

async function evicted({ scene, history }: Seen): Promise<void> {
  const old = nameOf(await scene.live(EVICTED, { deadlineMs: WITHIN_MS }))
  await publishes(scene, EVICTED, old)
  await scene.api.create(`/api/v1/namespaces/${scene.namespace}/pods/${old}/eviction`, {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name: old, namespace: scene.namespace },
  })
  const successor = nameOf(await scene.live(EVICTED, { not: [old], deadlineMs: WITHIN_MS }))
  await publishes(scene, EVICTED, successor)
  assert.deepEqual(history.pods(EVICTED), [old, successor])
}
