import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { V1Node, V1Pod } from '@kubernetes/client-node'
import { startSim } from '../sim/mod.ts'
import { waitFor } from '../support/wait.ts'
import { type KubeletTimes, ProcessRuntime, StandInKubelet } from './kubelet/mod.ts'
import { chooseNode } from './kubelet/scheduler.ts'
import { openCluster, ownClusterProblem } from './mod.ts'

const problem = ownClusterProblem()
const options = problem === '' ? {} : { skip: problem }
const SYMBOL = 'BTCUSDT'

interface Scene {
  readonly kubelet: StandInKubelet
  readonly nodes: readonly string[]
  readonly root: string
  /** Creates a pod that captures from a simulated exchange into a directory, and returns its name. */
  create(
    name: string,
    changes?: {
      readonly config?: string
      readonly graceSeconds?: number
      readonly hungGraceSeconds?: number
    },
  ): Promise<string>
  pod(name: string): Promise<V1Pod | undefined>
  until(what: string, name: string, check: (pod: V1Pod) => boolean): Promise<V1Pod>
  send(method: string, path: string, body?: unknown, type?: string): Promise<unknown>
}

async function openScene(context: TestContext, times: Partial<KubeletTimes> = {}): Promise<Scene> {
  const cluster = await openCluster()
  const namespace = await cluster.namespace(context, 'kubelet')
  const root = await mkdtemp(join(tmpdir(), 'l2cap-kubelet-'))
  const sim = await startSim({ seed: 1, symbols: [SYMBOL] })
  const nodes = [`${namespace}-a`, `${namespace}-b`]
  const kubelet = new StandInKubelet({
    api: cluster.api,
    runtime: new ProcessRuntime(),
    root,
    nodes,
    namespace,
    times,
  })
  await kubelet.start()
  context.after(async () => {
    await kubelet.stop()
    await sim.stop()
    await rm(root, { recursive: true, force: true })
  })
  const path = `/api/v1/namespaces/${namespace}/pods`
  const pod = async (name: string) => {
    const pods = await cluster.api.list<V1Pod>(path)
    return pods.find(({ metadata }) => metadata?.name === name)
  }
  const bucket = join(root, 'bucket')
  return {
    kubelet,
    nodes,
    root,
    pod,
    create: async (
      name,
      { config = configOf(sim.endpoints, bucket), graceSeconds = 30, hungGraceSeconds } = {},
    ) => {
      await cluster.api.create(path, podOf(name, config, graceSeconds, hungGraceSeconds))
      return name
    },
    until: async (what, name, check) => {
      const found = await waitFor(
        what,
        async () => {
          const now = await pod(name)
          return now !== undefined && check(now) ? now : undefined
        },
        {
          show: async () => ({
            status: (await pod(name))?.status,
            output: kubelet.output(name).slice(-2000),
          }),
        },
      )
      return found
    },
    send: (method, at, body, type) => cluster.api.send(method, `${path}${at}`, body, type),
  }
}

function configOf(endpoints: string, bucket: string): string {
  return JSON.stringify({
    exchange: 'BinanceUsdm',
    symbol: SYMBOL,
    rotationSeconds: 5,
    guards: {},
    spool: { dir: '/spool' },
    storage: { local: { path: bucket } },
    terminationLog: '/dev/termination-log',
    port: 9090,
    endpoints,
  })
}

function podOf(name: string, config: string, graceSeconds: number, hungGraceSeconds?: number): object {
  const httpGet = { path: '/livez', port: 'http' }
  const livenessProbe = { httpGet, terminationGracePeriodSeconds: hungGraceSeconds }
  return {
    metadata: { name, annotations: { 'l2cap.dev/share': '1' } },
    spec: {
      terminationGracePeriodSeconds: graceSeconds,
      tolerations: [
        {
          key: 'node.kubernetes.io/unreachable',
          operator: 'Exists',
          effect: 'NoExecute',
          tolerationSeconds: 1,
        },
        {
          key: 'node.kubernetes.io/not-ready',
          operator: 'Exists',
          effect: 'NoExecute',
          tolerationSeconds: 1,
        },
      ],
      containers: [
        {
          name: 'capture',
          image: 'l2cap:test',
          env: [
            { name: 'L2CAP_CONFIG', value: config },
            { name: 'L2CAP_POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          ],
          ports: [{ name: 'http', containerPort: 9090 }],
          livenessProbe,
          volumeMounts: [
            { name: 'spool', mountPath: '/spool' },
            { name: 'podinfo', mountPath: '/etc/podinfo' },
          ],
        },
      ],
      volumes: [
        { name: 'spool', emptyDir: {} },
        {
          name: 'podinfo',
          downwardAPI: { items: [{ path: 'annotations', fieldRef: { fieldPath: 'metadata.annotations' } }] },
        },
      ],
    },
  }
}

const isReady = (pod: V1Pod) =>
  pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
const container = (pod: V1Pod) => pod.status?.containerStatuses?.[0]

describe('the stand-in kubelet, on a real API server', { ...options, concurrency: 2 }, () => {
  it('a pod runs a capture; killed, it starts again in place with its spool, the second time after a wait', async (context) => {
    const scene = await openScene(context, { backOffMs: 5_000 })
    const name = await scene.create('one')
    const live = await scene.until('a live book', name, isReady)
    assert.match(live.status?.podIP ?? '', /^127\./)
    assert.equal(live.status?.phase, 'Running')
    const before = await spoolOf(scene, name)
    scene.kubelet.kill(name)
    const again = await scene.until(
      'a second instance',
      name,
      (pod) => container(pod)?.restartCount === 1 && isReady(pod),
    )
    assert.equal(container(again)?.lastState?.terminated?.exitCode, 137)
    const after = await spoolOf(scene, name)
    assert.ok(before.filter((file) => file.endsWith('report.json')).every((file) => after.includes(file)))
    assert.ok(before.some((file) => file.endsWith('.journal')))
    scene.kubelet.kill(name)
    await scene.until('a wait', name, (pod) => container(pod)?.state?.waiting?.reason === 'CrashLoopBackOff')
    await scene.until('a third instance', name, (pod) => container(pod)?.restartCount === 2 && isReady(pod))
  })

  it("one that hangs has the grace of its probe to end, and without that the pod's", async (context) => {
    const scene = await openScene(context, { probeMs: 100, probeTimeoutMs: 1_000 })
    const graceSeconds = 3600
    const [short, long] = await Promise.all([
      scene.create('short', { graceSeconds, hungGraceSeconds: 1 }),
      scene.create('long', { graceSeconds }),
    ])
    for (const name of [short, long]) await scene.until('a live book', name, isReady)
    for (const name of [long, short]) scene.kubelet.kill(name, 'SIGSTOP')
    const again = await scene.until('a second instance', short, (pod) => container(pod)?.restartCount === 1)
    assert.equal(container(again)?.lastState?.terminated?.exitCode, 137)
    const waits = await scene.pod(long)
    assert.equal(waits === undefined ? undefined : container(waits)?.restartCount, 0)
    scene.kubelet.kill(long)
  })

  it('last words reach the status, at most 4,096 bytes of them; deleted, the pod ends in order and is gone', async (context) => {
    const scene = await openScene(context)
    const name = await scene.create('wrong', { config: '{"exchange":"Nowhere"}' })
    const ended = await scene.until(
      'an end',
      name,
      (pod) => container(pod)?.lastState?.terminated !== undefined,
    )
    assert.equal(container(ended)?.lastState?.terminated?.exitCode, 2)
    assert.ok((container(ended)?.lastState?.terminated?.message ?? '').length <= 4096)
    const right = await scene.create('right')
    await scene.until('a live book', right, isReady)
    await scene.send('PATCH', `/${right}`, { metadata: { annotations: { 'l2cap.dev/share': '8' } } }, MERGE)
    const file = join(scene.kubelet.volume(right, 'podinfo'), 'annotations')
    await waitFor('the annotation in the file', async () =>
      (await readFile(file, 'utf8')).includes('l2cap.dev/share="8"'),
    )
    for (const pod of [name, right]) await scene.send('DELETE', `/${pod}`)
    for (const pod of [name, right])
      await waitFor(`${pod} to be gone`, async () => (await scene.pod(pod)) === undefined)
    assert.deepEqual(
      (await readdir(scene.root)).filter((entry) => entry !== 'bucket'),
      [],
    )
  })

  it('a lost node: the real controllers see it; what ran on is ended when the node is back', async (context) => {
    const scene = await openScene(context)
    const name = await scene.create('lost')
    const live = await scene.until('a live book', name, isReady)
    const node = live.spec?.nodeName ?? ''
    scene.kubelet.lose(node, 'running')
    await waitFor(
      'Ready=False',
      async () => {
        const pod = await scene.pod(name)
        return pod !== undefined && !isReady(pod)
      },
      { deadlineMs: 180_000 },
    )
    await waitFor(
      'an eviction',
      async () => (await scene.pod(name))?.metadata?.deletionTimestamp !== undefined,
      {
        deadlineMs: 180_000,
      },
    )
    assert.ok(scene.kubelet.podNames.includes(name))
    await scene.kubelet.restore(node)
    await waitFor('the pod to go', async () => (await scene.pod(name)) === undefined)
  })

  it('evicted by its node, a pod stays as an object and its volumes are gone with it', async (context) => {
    const scene = await openScene(context)
    const name = await scene.create('full')
    await scene.until('a live book', name, isReady)
    scene.kubelet.evict(name)
    const over = await scene.until('its end', name, ({ status }) =>
      /^(Succeeded|Failed)$/.test(status?.phase ?? ''),
    )
    // as the real one tells it: an end in order is a success that says nothing of the eviction
    const { phase, reason } = over.status ?? {}
    assert.equal(reason, phase === 'Failed' ? 'Evicted' : undefined)
    await scene.send('DELETE', `/${name}`)
    await waitFor('the pod to go', async () => (await scene.pod(name)) === undefined)
  })
})

const MERGE = 'application/merge-patch+json'

/** What lies in the pod's spool. A folder may go while it is listed: then it is looked at again. */
async function spoolOf({ kubelet }: Scene, name: string): Promise<string[]> {
  return await waitFor('a look at the spool', () =>
    readdir(kubelet.volume(name, 'spool'), { recursive: true }),
  )
}

describe('the stand-in scheduler', () => {
  const node = (name: string, spec: V1Node['spec'] = {}): V1Node => ({
    metadata: { name, labels: { 'kubernetes.io/hostname': name } },
    spec: spec ?? {},
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  })
  const away = (from: string): V1Pod => ({
    spec: {
      containers: [],
      affinity: {
        nodeAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            {
              weight: 100,
              preference: {
                matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'NotIn', values: [from] }],
              },
            },
          ],
        },
      },
    },
  })

  it('prefers what the pod prefers, then the emptier node; a cordoned one takes nothing', () => {
    const nodes = [node('a'), node('b')]
    assert.equal(chooseNode(away('a'), nodes, []), 'b')
    assert.equal(chooseNode(away('b'), nodes, []), 'a')
    const plain: V1Pod = { spec: { containers: [] } }
    assert.equal(chooseNode(plain, nodes, [{ spec: { containers: [], nodeName: 'a' } }]), 'b')
    assert.equal(chooseNode(plain, [node('a', { unschedulable: true })], []), undefined)
    assert.equal(chooseNode(away('a'), [node('a')], []), 'a')
  })
})
