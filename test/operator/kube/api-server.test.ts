/** The same promises against a real API server: a script can only do what its author thought of. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { before, describe, it, type TestContext } from 'node:test'
import {
  ApiError,
  Elector,
  EventRecorder,
  KubeClient,
  type KubeObject,
  leaseApi,
  listAll,
  openConnection,
  Reflector,
  type ReflectorLimits,
  system,
} from '../../../operator/kube/mod.ts'
import { type WatchEvent, watchOnce } from '../../../operator/kube/watch.ts'
import {
  type ApiClient,
  type Cluster,
  clusterProblem,
  openCluster,
  ownClusterProblem,
  ownControlPlane,
} from '../../cluster/mod.ts'
import { ownProxy } from '../../cluster/proxy/mod.ts'
import { waitFor } from '../../support/wait.ts'
import { Counts } from './counts.ts'

/** Attempts follow each other quickly, and no machine is so slow that a lease is lost. */
const TIMES = { leaseMs: 120_000, renewDeadlineMs: 100_000, retryMs: 300 }

interface Place {
  readonly namespace: string
  readonly client: KubeClient
  readonly counts: Counts
  readonly maps: string
  readonly token: string
}

/** A namespace, and our own client with all rights in it. */
async function placeIn(
  context: TestContext,
  cluster: Cluster,
  address: { readonly server?: string; readonly ca?: string | undefined } = {},
): Promise<Place> {
  const namespace = await cluster.namespace(context, 'kube')
  const { token } = await cluster.serviceAccount(namespace, 'operator')
  await cluster.grant(namespace, 'operator', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }])
  const counts = new Counts()
  const client = await clientFor(context, cluster.kubeconfig(token, address), counts)
  return { namespace, client, counts, token, maps: `/api/v1/namespaces/${namespace}/configmaps` }
}

async function clientFor(context: TestContext, kubeconfig: string, meter: Counts): Promise<KubeClient> {
  const connection = await openConnection({ kubeconfig }, system, meter)
  context.after(() => connection.close())
  return new KubeClient({ connection, system, meter, qps: 1_000, burst: 1_000 })
}

function follow(context: TestContext, place: Place, limits: Partial<ReflectorLimits> = {}) {
  const news: string[] = []
  const tell = (kind: string, { metadata }: KubeObject) =>
    news.push(`${kind} ${metadata?.name} ${metadata?.uid}`)
  const reflector = new Reflector<KubeObject>({
    client: place.client,
    path: place.maps,
    // the root certificate that each namespace gets is none of ours
    query: { labelSelector: 'test=kube' },
    name: 'configmaps',
    system,
    meter: place.counts,
    handlers: {
      added: (object) => tell('added', object),
      updated: (_before, object) => tell('updated', object),
      deleted: (object) => tell('deleted', object),
    },
    limits,
  })
  const stop = new AbortController()
  const ended = reflector.run(stop.signal)
  context.after(async () => {
    stop.abort()
    await ended
  })
  return { reflector, news }
}

/** Makes a config map; its UID. */
async function make(api: ApiClient, maps: string, name: string): Promise<string> {
  const body = { metadata: { name, labels: { test: 'kube' } } }
  return (await api.create<{ metadata: { uid: string } }>(maps, body)).metadata.uid
}

describe('kube against a real API server', { skip: clusterProblem() || false }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await openCluster()
  })

  it('follows creation, change, deletion, recreation', async (context) => {
    const place = await placeIn(context, cluster)
    const first = await make(cluster.api, place.maps, 'a')
    const { reflector, news } = follow(context, place)
    await reflector.synced
    await cluster.api.patch(`${place.maps}/a`, { data: { x: '1' } })
    await cluster.api.delete(`${place.maps}/a`)
    const second = await make(cluster.api, place.maps, 'a')
    await waitFor('all news', () => news.length === 4, { show: () => news })
    assert.deepEqual(news, [
      `added a ${first}`,
      `updated a ${first}`,
      `deleted a ${first}`,
      `added a ${second}`,
    ])
    assert.equal(reflector.store.get(place.namespace, 'a')?.metadata?.uid, second)
  })

  it('what leaves the selector is gone, and is back with its UID when it returns', async (context) => {
    const place = await placeIn(context, cluster)
    const uid = await make(cluster.api, place.maps, 'a')
    const { reflector, news } = follow(context, place)
    await reflector.synced
    await cluster.api.patch(`${place.maps}/a`, { metadata: { labels: { test: 'other' } } })
    await cluster.api.patch(`${place.maps}/a`, { metadata: { labels: { test: 'kube' } } })
    await waitFor('all news', () => news.length === 3, { show: () => news })
    assert.deepEqual(news, [`added a ${uid}`, `deleted a ${uid}`, `added a ${uid}`])
  })

  it('a list of 520 objects comes in two pages', async (context) => {
    const place = await placeIn(context, cluster)
    const names = Array.from({ length: 520 }, (_, at) => `map-${at}`)
    const workers = Array.from({ length: 8 }, async () => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        await make(cluster.api, place.maps, name)
      }
    })
    await Promise.all(workers)
    const { items } = await listAll<KubeObject>(place.client, place.maps, { labelSelector: 'test=kube' })
    assert.equal(new Set(items.map((item) => item.metadata?.uid)).size, 520)
    assert.equal(place.counts.of('rest_client_requests_total', 'GET', '200'), 2)
  })

  it('bookmarks move the version on while nothing of ours happens', async (context) => {
    const place = await placeIn(context, cluster)
    const { version } = await listAll(place.client, place.maps)
    // the version is the cluster's: somebody else's object of this kind moves it
    await cluster.api.create(place.maps, { metadata: { name: 'of-another-selector' } })
    const events: WatchEvent<KubeObject>[] = []
    // a server promises no bookmark in any one watch
    for (let watches = 0; watches < 10 && events.length === 0; watches++) {
      const watching = watchOnce<KubeObject>(
        place.client,
        system.timers,
        {
          path: place.maps,
          query: { labelSelector: 'test=kube' },
          version,
          timeoutSeconds: 5,
          idleMs: 120_000,
          signal: new AbortController().signal,
        },
        () => {},
        (event) => events.push(event),
      )
      assert.equal(await watching, 'closed')
    }
    const [bookmark] = events
    assert.ok(bookmark?.type === 'BOOKMARK', JSON.stringify(events))
    assert.ok(BigInt(bookmark.version) > BigInt(version))
  })

  it('conflicts, preconditions and absences have their codes', async (context) => {
    const { client, maps } = await placeIn(context, cluster)
    const body = { metadata: { name: 'a' } }
    const codeOf = async (call: Promise<unknown>) => {
      const error = await call.catch((thrown: unknown) => thrown)
      return error instanceof ApiError ? error.code : error
    }
    await client.request({ method: 'POST', path: maps, body })
    assert.equal(await codeOf(client.request({ method: 'POST', path: maps, body })), 'AlreadyExists')
    const preconditions = { uid: '00000000-0000-0000-0000-000000000000' }
    const other = { method: 'DELETE', path: `${maps}/a`, body: { preconditions } } as const
    assert.equal(await codeOf(client.request(other)), 'Conflict')
    assert.equal(await codeOf(client.request({ method: 'GET', path: `${maps}/b` })), 'NotFound')
    const foreign = '/api/v1/namespaces/kube-system/secrets'
    assert.equal(await codeOf(client.request({ method: 'GET', path: foreign })), 'Forbidden')
    const invalid = { metadata: { name: 'NOT A NAME' } }
    assert.equal(await codeOf(client.request({ method: 'POST', path: maps, body: invalid })), 'Invalid')
  })

  it('a token that is refused is read again, and the call succeeds', async (context) => {
    const { token, maps } = await placeIn(context, cluster)
    const kubeconfig = cluster.kubeconfig('revoked')
    const counts = new Counts()
    const client = await clientFor(context, kubeconfig, counts)
    const refused = await client.request({ method: 'GET', path: maps }).catch((error: unknown) => error)
    assert.ok(refused instanceof ApiError && refused.code === 'Unauthorized', String(refused))
    const { readFileSync } = await import('node:fs')
    writeFileSync(kubeconfig, readFileSync(cluster.kubeconfig(token), 'utf8'))
    // refusals are looked into once a second at most
    await waitFor('the new token', async () => (await listAll(client, maps)).version !== '')
    assert.ok(counts.of('rest_client_requests_total', '401') >= 2)
  })

  it('two electors: one leads, gives the lease back, and the other one takes it', async (context) => {
    const { client, namespace } = await placeIn(context, cluster)
    const stops = [new AbortController(), new AbortController()]
    context.after(() => {
      for (const stop of stops) stop.abort()
    })
    const electors = ['one', 'two'].map(
      (identity) =>
        new Elector({ leases: leaseApi(client, namespace, 'l2cap'), identity, system, times: TIMES }),
    )
    const ends = electors.map((elector, at) => elector.run(stops[at]?.signal ?? AbortSignal.abort()))
    const leads = () => electors.findIndex((elector) => elector.mayWrite())
    const first = await waitFor('a leader', () => (leads() < 0 ? undefined : { at: leads() }))
    assert.equal(electors.filter((elector) => elector.mayWrite()).length, 1)
    stops[first.at]?.abort()
    assert.equal(await ends[first.at], 'released')
    const second = await waitFor('the other one', () => (leads() < 0 ? undefined : { at: leads() }))
    assert.notEqual(second.at, first.at)
    const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/l2cap`
    const { spec } = await cluster.api.get<{ spec: { holderIdentity: string; leaseTransitions: number } }>(
      path,
    )
    assert.equal(spec.holderIdentity, ['one', 'two'][second.at])
    assert.equal(spec.leaseTransitions, 1)
  })

  it('an event and its series are accepted', async (context) => {
    const { client, namespace } = await placeIn(context, cluster)
    const counts = new Counts()
    const recorder = new EventRecorder({
      client,
      controller: 'l2cap.dev/operator',
      instance: 'operator-0',
      system,
      meter: counts,
      limits: { patchEveryMs: 100 },
    })
    const regarding = {
      apiVersion: 'l2cap.dev/v1alpha1',
      kind: 'L2Capture',
      namespace,
      name: 'majors',
      uid: 'u',
    }
    const intent = {
      regarding,
      type: 'Warning',
      reason: 'Halted',
      action: 'Observe',
      note: 'BTCUSDT',
    } as const
    recorder.record(intent)
    recorder.record(intent)
    recorder.record({ ...intent, note: 'é'.repeat(1_000) })
    const written = (how: string) => counts.of('l2cap_operator_events_total', how)
    await waitFor('both events and the series', () => written('created') === 2 && written('patched') === 1)
    await recorder.stop()
    const events = await cluster.api.list<{ note: string; series?: { count: number } }>(
      `/apis/events.k8s.io/v1/namespaces/${namespace}/events`,
    )
    assert.equal(events.length, 2)
    assert.equal(events.find(({ note }) => note === 'BTCUSDT')?.series?.count, 2)
    assert.equal(written('failed'), 0)
  })
})

describe('kube against an API server that is killed', { skip: ownClusterProblem() || false }, () => {
  it('compaction and a restart give a real 410: a recreation that no watch told of is found', async (context) => {
    const plane = await ownControlPlane(context)
    const proxy = await ownProxy(context, { target: plane })
    const { server, ca } = proxy
    const place = await placeIn(context, plane, { server, ca })
    const first = await make(plane.api, place.maps, 'a')
    const { reflector, news } = follow(context, place, { idleMs: 3_000 })
    await reflector.synced
    await waitFor('the watch', () => proxy.watches.length > 0)
    const frozen = proxy.strike({ when: { resource: 'configmaps' }, do: 'freeze' })
    await plane.api.delete(`${place.maps}/a`)
    const second = await make(plane.api, place.maps, 'a')
    await plane.compact()
    await plane.kill()
    frozen.remove()
    await plane.start()
    await waitFor('the recreation', () => news.length === 3, { deadlineMs: 180_000, show: () => news })
    assert.deepEqual(news, [`added a ${first}`, `deleted a ${first}`, `added a ${second}`])
    assert.ok(place.counts.of('l2cap_operator_watch_total', 'Gone') >= 1, 'the server answered 410')
    await waitFor('contact', () => reflector.stalenessSeconds() < 10)
  })
})
