import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { V1Node, V1Pod } from '@kubernetes/client-node'
import { isLive, nameOf } from '../e2e/captures.ts'
import { handedOver, manifestsBy, publishes } from '../e2e/published.ts'
import { waitFor } from '../support/wait.ts'
import type { NodeFault, RealCluster } from './cluster.ts'
import { phases } from './phases.ts'
import { ClusterScene, type SceneOptions } from './scene.ts'
import { faultsProblem } from './target.ts'

const problem = faultsProblem()
const options = problem === '' ? {} : { skip: problem }
const SYMBOL = 'BTCUSDT'
/** Exchange, store and operators lie on one node; the others are broken. */
const [KEPT, ...BROKEN] = ['node1', 'node2', 'node3'] as const
const WITHIN_MS = 240_000
const API_AWAY_MS = 60_000
const HOSTNAME = 'kubernetes.io/hostname'
const LOST = { handoverSeconds: 6 }
/** A successor needs some seconds to be live on another node; the old pod records until then. */
const HANDED_OVER = { handoffSeconds: 15 }

interface Loss {
  readonly what: string
  readonly fault: NodeFault
  readonly heal: NodeFault
  /** Whether the pod's process is there still when the node is back, and ships what it holds. */
  readonly survives: boolean
}

/** Side by side, each on a node of its own. */
const LOSSES: readonly (readonly Loss[])[] = [
  [
    {
      what: 'its kubelet is gone and the pod runs on',
      fault: 'kubelet-stop',
      heal: 'kubelet-start',
      survives: true,
    },
    { what: 'nothing reaches it and the pod runs on', fault: 'cut', heal: 'heal', survives: true },
  ],
  [
    { what: 'everything on it dies at once', fault: 'crash', heal: 'kubelet-start', survives: false },
    { what: 'everything on it stands still', fault: 'freeze', heal: 'thaw', survives: true },
  ],
]

interface Prepared {
  readonly scene: ClusterScene
  readonly nodes: RealCluster
  readonly pod: string
}

async function takesPods({ api }: ClusterScene, node: string): Promise<boolean> {
  const { spec, status } = await api.get<V1Node>(`/api/v1/nodes/${node}`)
  const isReady = status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True')
  return isReady === true && (spec?.taints ?? []).length === 0
}

/** A live capture on the node that will be broken; none of its pods goes to a third one. */
async function on(broken: string, context: TestContext, times: object): Promise<Prepared> {
  const rule = (values: readonly string[]) => ({
    matchExpressions: [{ key: HOSTNAME, operator: 'In', values }],
  })
  const nodeAffinity = {
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [rule([KEPT, broken])] },
    preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, preference: rule([broken]) }],
  }
  const settings: SceneOptions['settings'] = { times, pods: { affinity: { nodeAffinity } } }
  const scene = await ClusterScene.open(context, {
    ...{ symbols: [SYMBOL], worldNode: KEPT, settings },
    values: { operator: { nodeSelector: { [HOSTNAME]: KEPT } } },
  })
  const { nodes } = scene.target
  assert.ok(nodes !== undefined)
  // a node that was broken before takes pods a moment after it is Ready
  await waitFor(`${broken} to take pods`, () => takesPods(scene, broken), { deadlineMs: WITHIN_MS })
  await scene.apply('majors')
  const pod = await scene.live(SYMBOL, { deadlineMs: WITHIN_MS })
  assert.equal(pod.spec?.nodeName, broken)
  await publishes(scene, SYMBOL, nameOf(pod))
  return { scene, nodes, pod: nameOf(pod) }
}

/** The live pod on the node that is kept, whatever the old one does meanwhile. */
async function successor({ scene, pod }: Prepared): Promise<V1Pod> {
  const next = await waitFor(
    `a live successor of ${pod}`,
    async () => (await scene.pods(SYMBOL)).find((one) => nameOf(one) !== pod && isLive(one)),
    { deadlineMs: WITHIN_MS, everyMs: 300, show: () => scene.state('majors') },
  )
  assert.equal(next.spec?.nodeName, KEPT)
  await publishes(scene, SYMBOL, nameOf(next))
  return next
}

async function lost({ fault, heal, survives }: Loss, node: string, context: TestContext): Promise<void> {
  const phase = phases(context)
  const prepared = await on(node, context, LOST)
  const { scene, nodes, pod } = prepared
  phase('a pod publishes')
  let next: V1Pod
  try {
    await nodes.fault(fault, node)
    next = await successor(prepared)
    phase('its successor publishes')
  } finally {
    await nodes.fault(heal, node)
    await scene.kubectl('wait', '--for=condition=Ready', '--timeout=480s', `node/${node}`)
    phase('the node is back')
  }
  const stays = await scene.live(SYMBOL, { not: [pod], deadlineMs: WITHIN_MS })
  assert.equal(nameOf(stays), nameOf(next), 'whoever comes back changes nothing')
  phase('the lost pod is gone')
  await scene.delete('majors')
  await scene.gone(WITHIN_MS)
  phase('drained')
  const settled = await scene.settled()
  assert.ok((await settled.judge(SYMBOL)).runs >= 2)
  const last = (await manifestsBy(settled, SYMBOL, pod)).at(-1)
  if (survives) assert.equal(last?.final, true, `${pod} ships what it holds when its node is back`)
  await scene.verify()
  phase('judged')
}

describe('nodes that go, with real kubelets', options, () => {
  for (const losses of LOSSES)
    it(`nodes are lost: ${losses.map(({ fault }) => fault).join(', ')}`, {
      concurrency: 2,
    }, async (context) => {
      await Promise.all(
        losses.map((loss, i) =>
          context.test(
            `${loss.what}: replaced on another node; when it is back, what it holds is shipped and verify is clean`,
            (one) => lost(loss, BROKEN[i] ?? '', one),
          ),
        ),
      )
    })

  it('kubectl drain: succeeded at once on another node. The API server is down for a minute: the capture goes on and is not restarted. Nothing missing, nothing doubled', async (context) => {
    const phase = phases(context)
    const [broken] = BROKEN
    const prepared = await on(broken, context, HANDED_OVER)
    const { scene, nodes, pod } = prepared
    phase('a pod publishes')
    try {
      await scene.kubectl('drain', broken, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=480s')
      phase('drained')
      await successor(prepared)
    } finally {
      await scene.kubectl('uncordon', broken)
    }
    const next = nameOf(await scene.live(SYMBOL, { not: [pod], deadlineMs: WITHIN_MS }))
    phase('its successor publishes alone')

    await nodes.killApi()
    // nobody can be asked meanwhile: a minute is what is tested
    await new Promise((done) => setTimeout(done, API_AWAY_MS))
    await nodes.startApi()
    phase('the API server is back')
    await publishes(scene, SYMBOL, next, 6)
    const same = await scene.pod(SYMBOL)
    assert.deepEqual([nameOf(same), same.status?.containerStatuses?.[0]?.restartCount], [next, 0])
    // the operator's pauses between tries have grown to half a minute, as those of every client do
    await scene.patch('majors', { suspend: true })
    await scene.until('majors', 'Suspended', 'True', 'Drained', WITHIN_MS)
    await scene.gone(WITHIN_MS)
    phase('the operator does what is wanted again')
    await handedOver(await scene.settled(), SYMBOL, [pod, next])
    await scene.verify()
    phase('judged')
  })
})
