import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { ownClusterProblem } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import { endState, podWrites, shapes } from './census.ts'
import { nameOf } from './scene.ts'
import { CAPTURE, create, edit, openStage, play, type Stage, settled, startOperator } from './stage.ts'

const problem = ownClusterProblem()
const options = problem === '' ? { concurrency: 3 } : { skip: problem }
const BOTH = ['BTCUSDT', 'ETHUSDT']
const DEADLINE = { deadlineMs: 180_000 }

/** Something wrong that a person does to the capture's pods, and then leaves, or takes back. */
interface Trouble {
  readonly name: string
  make(stage: Stage): Promise<void>
  /** Resolves when the operator has seen it. */
  seen?(stage: Stage): Promise<void>
  mend?(stage: Stage): Promise<void>
}

function pathOf({ scene }: Stage, pod: string): string {
  return `/api/v1/namespaces/${scene.namespace}/pods/${pod}`
}

async function patchPod(stage: Stage, symbol: string, metadata: object): Promise<string> {
  const pod = nameOf(await stage.scene.pod(symbol))
  await stage.scene.cluster.api.patch(pathOf(stage, pod), { metadata })
  return pod
}

async function remove(stage: Stage, symbol: string, graceSeconds?: number): Promise<void> {
  const pod = nameOf(await stage.scene.pod(symbol))
  const grace = graceSeconds === undefined ? {} : { gracePeriodSeconds: graceSeconds }
  await stage.scene.cluster.api.delete(pathOf(stage, pod), grace)
  await stage.scene.live(symbol, { not: [pod], ...DEADLINE })
}

const TROUBLES: readonly Trouble[] = [
  { name: 'a pod deleted by hand', make: (stage) => remove(stage, 'BTCUSDT') },
  { name: 'a pod deleted by force', make: (stage) => remove(stage, 'ETHUSDT', 0) },
  {
    name: 'a pod that cannot go, for a finalizer',
    make: async (stage) => {
      const pod = await patchPod(stage, 'BTCUSDT', { finalizers: ['example.com/stuck'] })
      await stage.scene.cluster.api.delete(pathOf(stage, pod))
    },
    seen: async ({ scene }) => {
      const two = async () => (await scene.pods('BTCUSDT')).length === 2
      await waitFor('a successor beside the stuck pod', two, DEADLINE)
    },
    mend: async (stage) => {
      const stuck = (await stage.scene.pods('BTCUSDT')).find(({ metadata }) => metadata?.deletionTimestamp)
      const path = pathOf(stage, nameOf(stuck ?? {}))
      await stage.scene.cluster.api.patch(path, { metadata: { finalizers: null } })
    },
  },
  {
    name: 'a pod that lost its owner',
    make: async (stage) => void (await patchPod(stage, 'BTCUSDT', { ownerReferences: null })),
    seen: async ({ scene }) => {
      const owned = async () => ((await scene.pod('BTCUSDT')).metadata?.ownerReferences ?? []).length === 1
      await waitFor('the pod to be adopted', owned, DEADLINE)
    },
  },
  {
    name: 'a pod whose annotations are changed',
    make: async (stage) =>
      void (await patchPod(stage, 'ETHUSDT', {
        annotations: { 'l2cap.dev/share': '77', 'l2cap.dev/template-hash': 'x' },
      })),
    seen: async ({ scene }) => {
      const fresh = async () => (await scene.pods()).every((pod) => hashOf(pod) !== 'x')
      await waitFor('the pod to be replaced', fresh, DEADLINE)
    },
  },
  {
    name: 'a status that somebody wiped, and one that somebody wrote',
    make: async ({ scene }) => {
      const path = `${scene.captures}/${CAPTURE}/status`
      await scene.cluster.api.patch(path, { status: null })
      await scene.until(CAPTURE, 'Ready', 'True', undefined, DEADLINE.deadlineMs)
      await scene.cluster.api.patch(path, { status: { symbols: { desired: 9, live: 0, halted: 9 } } })
    },
  },
]

function hashOf({ metadata }: V1Pod): string | undefined {
  return metadata?.annotations?.['l2cap.dev/template-hash']
}

const IDLE = /^(list|watch) (pods|l2captures) $|^update leases /

/**
 * Nothing is to be done: nothing is written, over several looks, whole lists and questions to pods. Events of what was
 * done before may be told beside it for a while.
 */
async function writesNothing(stage: Stage): Promise<void> {
  const { length } = stage.proxy.writes
  const others: string[] = []
  const quiet = async () => {
    const busy = await busyRequests(stage)
    others.push(...busy.filter((one) => !/^(create|patch) events /.test(one)))
    return busy.length === 0 || others.length > 0
  }
  await waitFor('looks that ask for nothing', quiet, DEADLINE)
  assert.deepEqual(others, [], 'requests of looks that found nothing to do')
  assert.equal(stage.proxy.writes.length, length)
}

/** What was asked of the server over several looks and lists, but for these lists themselves. */
async function busyRequests({ proxy, scene }: Stage): Promise<string[]> {
  const looks = () => scene.operator.looks()
  const lists = () => proxy.requests.filter(({ verb }) => verb === 'list').length
  const before = {
    requests: proxy.requests.length,
    lists: lists(),
    looks: await looks(),
  }
  await waitFor(
    'looks and lists',
    async () => lists() >= before.lists + 6 && (await looks()) >= before.looks + 3,
    {
      ...DEADLINE,
      everyMs: 250,
    },
  )
  const asked = proxy.requests
    .slice(before.requests)
    .map(({ verb, resource, name }) => `${verb} ${resource} ${name}`)
  return asked.filter((one) => !IDLE.test(one))
}

describe('bad states: whatever is done to pods by hand, it heals', options, () => {
  it('pods deleted, stuck, orphaned, changed; statuses wiped: one live pod a symbol again; and then nothing is written', async (context) => {
    const stage = await openStage(context)
    const operator = startOperator(stage, ['--relist-seconds', '2', '--resync-seconds', '2'])
    await operator.leads()
    await play(stage, create(BOTH))
    const { conditions } = (await endState(stage)) as { conditions?: unknown }
    for (const { name, make, seen, mend } of TROUBLES) {
      await make(stage)
      await seen?.(stage)
      await mend?.(stage)
      await settled(stage, name, BOTH)
      assert.deepEqual(((await endState(stage)) as { conditions?: unknown }).conditions, conditions, name)
    }
    await writesNothing(stage)
    assert.equal(operator.hasEnded, false)
  })

  it('a pod of somebody else under our labels is left alone, and told; a pod that lost its labels is not lost', async (context) => {
    const stage = await openStage(context)
    await startOperator(stage).leads()
    await play(stage, create(['BTCUSDT']))
    const { scene, proxy } = stage
    const own = await scene.pod('BTCUSDT')
    const { labels } = own.metadata ?? {}
    const name = 'somebody-elses'
    const account = `/api/v1/namespaces/${scene.namespace}/serviceaccounts/default`
    const { uid } = (await scene.cluster.api.get<V1Pod>(account)).metadata ?? {}
    const owner = { apiVersion: 'v1', kind: 'ServiceAccount', name: 'default', uid, controller: true }
    await scene.cluster.api.create(`/api/v1/namespaces/${scene.namespace}/pods`, {
      metadata: { name, labels, ownerReferences: [owner] },
      spec: { containers: [{ name: 'other', image: 'other' }], nodeSelector: { nowhere: 'at-all' } },
    })
    await waitFor(
      'the event about a foreign pod',
      async () =>
        (await scene.events()).some((event) => event.startsWith('ForeignPod') && event.includes(name)),
      { ...DEADLINE, show: () => scene.events() },
    )
    assert.ok((await scene.pods()).some((pod) => nameOf(pod) === name))
    assert.ok(proxy.writes.every(({ request }) => request.name !== name))
    await scene.cluster.api.delete(pathOf(stage, name), { gracePeriodSeconds: 0 })

    // without its labels the operator sees it no more: a pod of that name is there all the same
    await scene.cluster.api.patch(pathOf(stage, nameOf(own)), {
      metadata: { labels: Object.fromEntries(Object.keys(labels ?? {}).map((label) => [label, null])) },
    })
    await scene.until(CAPTURE, 'Ready', 'False', undefined, DEADLINE.deadlineMs)
    await scene.cluster.api.patch(pathOf(stage, nameOf(own)), { metadata: { labels } })
    await settled(stage, 'labels given back', ['BTCUSDT'])
    assert.equal(nameOf(await scene.pod('BTCUSDT')), nameOf(own))
  })
})

describe('bad specs, and back: equal specs give equal clusters', options, () => {
  it('resources that no node has, a Secret that is not there, a symbol that never gets live: the old pods stay, and it heals', async (context) => {
    const stage = await openStage(context, { settings: { times: { successorDeadlineSeconds: 5 } } })
    await startOperator(stage).leads()
    await play(stage, create(BOTH))
    const good = await endState(stage)
    const { scene, runtime } = stage
    const names = (await scene.pods()).map(nameOf)

    runtime.break('ETHUSDT')
    await scene.patch(CAPTURE, { bookLevels: 10 })
    await scene.until(CAPTURE, 'Stalled', 'True', 'RolloutTimedOut', DEADLINE.deadlineMs)
    const [eth] = await scene.pods('ETHUSDT')
    assert.ok(names.includes(nameOf(eth ?? {})), 'the pod that is live stays')
    await scene.patch(CAPTURE, { bookLevels: 20 })
    runtime.mend('ETHUSDT')
    await settled(stage, 'the spec as it was', BOTH)
    assert.deepEqual(shapes(await endState(stage)), shapes(good))

    await assert.rejects(scene.patch(CAPTURE, { exchange: 'Elsewhere' }), /exchange/i)
    await assert.rejects(
      scene.patch(CAPTURE, { resources: { requests: { memory: '2Gi' }, limits: { memory: '1Gi' } } }),
    )
    await settled(stage, 'refused specs', BOTH)
    assert.deepEqual(shapes(await endState(stage)), shapes(good))
  })

  it('two captures of one spec, one after a life of changes: the same pods, the same status', async (context) => {
    const [plain, lived] = await Promise.all([openStage(context), openStage(context)])
    await Promise.all([startOperator(plain).leads(), startOperator(lived).leads()])
    await play(plain, create(BOTH, { bookLevels: 10 }))
    await play(lived, create(['ETHUSDT']))
    await play(lived, edit('more', [...BOTH, 'SOLUSDT'], { symbols: ['SOLUSDT', ...BOTH] }))
    await play(lived, edit('another template', [...BOTH, 'SOLUSDT'], { bookLevels: 10 }, true))
    await play(lived, edit('suspend', [], { suspend: true }))
    await play(lived, edit('resume with less', BOTH, { suspend: false, symbols: BOTH }))
    assert.deepEqual(shapes(await endState(lived)), shapes(await endState(plain)))
    assert.ok(Object.values(podWrites(lived.proxy)).every((count) => count <= 2))
  })

  it('nodes that no pod may go to, and back: nothing that is live goes before its successor is', async (context) => {
    const stage = await openStage(context)
    const first = startOperator(stage)
    await first.leads()
    await play(stage, create(BOTH))
    const good = await endState(stage)
    const { scene } = stage
    const names = (await scene.pods()).map(nameOf).sort()
    await first.stop()
    const settings = stage.settings
    await scene.changeSettings({ settings: { ...settings, pods: { nodeSelector: { nowhere: 'at-all' } } } })
    const second = startOperator(stage)
    await scene.until(CAPTURE, 'Reconciling', 'True', undefined, DEADLINE.deadlineMs)
    const pending = async () =>
      (await scene.pods()).filter(({ status }) => status?.phase === 'Pending').length === 2
    await waitFor('successors that find no node', pending, DEADLINE)
    const live = async () =>
      (await scene.pods())
        .filter((pod) => names.includes(nameOf(pod)))
        .map(nameOf)
        .sort()
    assert.deepEqual(await live(), names)
    await second.stop()
    await scene.changeSettings({ settings })
    await startOperator(stage).leads()
    await settled(stage, 'the settings as they were', BOTH)
    assert.deepEqual(await live(), names)
    assert.deepEqual(shapes(await endState(stage)), shapes(good))
  })
})
