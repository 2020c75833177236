/** Everything at once against a real API server: in the end the store holds what the server holds. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import {
  KubeClient,
  type KubeObject,
  listAll,
  openConnection,
  Reflector,
} from '../../../operator/kube/mod.ts'
import { type ApiClient, clusterProblem, openCluster } from '../../cluster/mod.ts'
import { type FaultProxy, ownProxy } from '../../cluster/proxy/mod.ts'
import { SEED } from '../../exchange/seed.ts'
import { waitFor } from '../../support/wait.ts'
import { Counts } from './counts.ts'
import { randomOf } from './random.ts'
import { fastSystem } from './virtual.ts'

const QUERY = { labelSelector: 'test=storm' }
const NAMES = 12
/** The storm goes on until so many faults have struck. */
const FAULTS = 40
const STORM_MS_MAX = 180_000
/** Waits of the reflector are shorter by this, so that it is there to be struck. */
const SPEED = 10

const system = fastSystem(SPEED)

/** Each breaks some of what passes; the seed says which. */
function brew(proxy: FaultProxy): { readonly fired: number }[] {
  const when = { resource: 'configmaps' }
  const events = ['drop', 'duplicate', 'swap', 'truncate', 'gone', 'freeze', 'cut'] as const
  return [
    ...events.map((fault) => proxy.tamper({ when, probability: 0.03, do: fault })),
    proxy.tamper({ when, probability: 0.05, do: { kind: 'delay', ms: 50 } }),
    proxy.fault({ when, probability: 0.05, do: { kind: 'answer', status: 503 } }),
    proxy.fault({ when, probability: 0.05, do: { kind: 'answer', status: 429, retryAfterSeconds: 1 } }),
    proxy.fault({ when, probability: 0.05, do: { kind: 'answer', status: 410, reason: 'Expired' } }),
    proxy.fault({ when, probability: 0.05, do: 'cut' }),
    proxy.fault({ when, probability: 0.05, do: 'half-reply' }),
  ]
}

/** Creates, changes and deletes objects under few names, so that names are used again. */
async function churn(
  api: ApiClient,
  maps: string,
  random: () => number,
  enough: () => boolean,
): Promise<void> {
  const there = new Set<string>()
  for (let change = 0; !enough(); change++) {
    const name = `map-${Math.floor(random() * NAMES)}`
    if (!there.has(name)) {
      await api.create(maps, { metadata: { name, labels: { test: 'storm' } } })
      there.add(name)
    } else if (random() < 0.5) {
      await api.patch(`${maps}/${name}`, { data: { at: String(change) } })
    } else {
      await api.delete(`${maps}/${name}`)
      there.delete(name)
    }
  }
}

/** What handlers alone can know: a store of their own, which must never be told nonsense. */
function mirror() {
  const known = new Map<string, string>()
  const versionOf = ({ metadata }: KubeObject) => metadata?.resourceVersion ?? ''
  const uidOf = ({ metadata }: KubeObject) => metadata?.uid ?? ''
  const wrong: string[] = []
  return {
    known,
    wrong,
    handlers: {
      added: (object: KubeObject) => {
        if (known.has(uidOf(object))) wrong.push(`added twice: ${uidOf(object)}`)
        known.set(uidOf(object), versionOf(object))
      },
      updated: (_before: KubeObject, object: KubeObject) => {
        if (!known.has(uidOf(object))) wrong.push(`updated before it was added: ${uidOf(object)}`)
        known.set(uidOf(object), versionOf(object))
      },
      deleted: (object: KubeObject) => {
        if (!known.delete(uidOf(object))) wrong.push(`deleted and not there: ${uidOf(object)}`)
      },
    },
  }
}

async function clientFor(context: TestContext, kubeconfig: string, meter: Counts): Promise<KubeClient> {
  const connection = await openConnection({ kubeconfig }, system, meter)
  context.after(() => connection.close())
  return new KubeClient({ connection, system, meter })
}

describe('reflector in a storm', { skip: clusterProblem() || false }, () => {
  it('ends with what the server holds, and tells each object once', async (context) => {
    const cluster = await openCluster()
    const namespace = await cluster.namespace(context, 'storm')
    const proxy = await ownProxy(context, { target: cluster, seed: SEED })
    const { token } = await cluster.serviceAccount(namespace, 'operator')
    const rule = { apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] }
    await cluster.grant(namespace, 'operator', [rule])
    const counts = new Counts()
    const client = await clientFor(context, proxy.kubeconfig(token), counts)
    const maps = `/api/v1/namespaces/${namespace}/configmaps`
    const { known, wrong, handlers } = mirror()
    const limits = { watchSecondsMin: 2, watchSecondsMax: 4, idleMs: 15_000, relistMs: 30_000 }
    const reflector = new Reflector<KubeObject>({
      client,
      path: maps,
      query: QUERY,
      name: 'configmaps',
      system,
      meter: counts,
      handlers,
      limits,
    })
    const stop = new AbortController()
    const ended = reflector.run(stop.signal)
    context.after(async () => {
      stop.abort()
      await ended
    })
    await reflector.synced
    const rules = brew(proxy)
    const struck = () => rules.reduce((sum, { fired }) => sum + fired, 0)
    const endMs = performance.now() + STORM_MS_MAX
    await churn(cluster.api, maps, randomOf(SEED), () => struck() >= FAULTS || performance.now() > endMs)
    proxy.heal()
    assert.ok(struck() >= FAULTS, `faults that struck: ${rules.map(({ fired }) => fired)}`)
    const direct = await clientFor(context, cluster.kubeconfig(token), new Counts())
    const { items } = await listAll<KubeObject>(direct, maps, QUERY)
    const truth = new Map(items.map(({ metadata }) => [metadata?.uid ?? '', metadata?.resourceVersion ?? '']))
    const sorted = (map: Map<string, string>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
    await waitFor(
      'what the handlers know to be the truth',
      () => JSON.stringify(sorted(known)) === JSON.stringify(sorted(truth)),
      { deadlineMs: 180_000, show: () => ({ known: sorted(known), truth: sorted(truth) }) },
    )
    assert.deepEqual(wrong, [])
    const held = reflector.store.all().map(({ metadata }) => [metadata?.uid, metadata?.resourceVersion])
    assert.deepEqual(new Map(held as [string, string][]), known)
  })
})
