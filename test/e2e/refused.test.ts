import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, it, type TestContext } from 'node:test'
import type { V1Pod, V1ResourceQuota } from '@kubernetes/client-node'
import { API_VERSION, CAPTURES, HTTP_PORT, KIND } from '../../api/labels.ts'
import { ApiFailure, type Cluster, ownClusterProblem, ownControlPlane } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import { nameOf, type Scene } from './scene.ts'
import { CAPTURE, create, openStage, play, type Stage, settled, startOperator } from './stage.ts'
import { attentionOf, conditionText, Told } from './told.ts'

const problem = ownClusterProblem()
const options = problem === '' ? { concurrency: 2 } : { skip: problem }
const WITHIN_MS = 180_000
const JSON_PATCH = 'application/json-patch+json'
const QUOTA = 'few-pods'
/** More than any L2Capture of this version may have. */
const MORE_LEVELS = 51

interface Played {
  readonly stage: Stage
  readonly scene: Scene
  readonly told: Told
}

async function open(context: TestContext, cluster?: Cluster): Promise<Played> {
  const stage = await openStage(context, cluster === undefined ? {} : { cluster })
  const told = await Told.open(context, stage.scene)
  await startOperator(stage).leads()
  return { stage, scene: stage.scene, told }
}

/** Type and reason of the events about a capture whose note holds this. */
async function kinds(scene: Scene, capture: string, note: string): Promise<string[]> {
  const path = `/apis/events.k8s.io/v1/namespaces/${scene.namespace}/events`
  const events = await scene.cluster.api.list<{
    type?: string
    reason?: string
    note?: string
    regarding?: { name?: string }
  }>(path)
  return events
    .filter((event) => event.regarding?.name === capture && event.note?.includes(note))
    .map(({ type, reason }) => `${type} ${reason}`)
}

/** Creation times are whole seconds: of two captures of one second nobody knows which is the elder. */
async function secondIsOver({ scene }: Played): Promise<void> {
  const made = Date.parse(String((await scene.capture(CAPTURE))?.metadata.creationTimestamp))
  await waitFor('the next second', () => Date.now() >= made + 1000)
}

describe('an L2Capture that another one is in the way of', options, () => {
  it('SymbolConflict: the younger one waits and says for whom, its other symbols are captured; it goes on when the elder goes', async (context) => {
    const played = await open(context)
    const { stage, scene, told } = played
    await play(stage, create(['BTCUSDT']))
    const elders = nameOf(await scene.pod('BTCUSDT'))
    await secondIsOver(played)
    await scene.apply('minors', { symbols: ['BTCUSDT', 'ETHUSDT'] })
    await scene.live('ETHUSDT')
    const owner = `${scene.namespace}/${CAPTURE}`
    const status = await told.first(
      'minors',
      'that it stands back for one symbol, and has the other',
      (one) => conditionText(one, 'Stalled') === 'Stalled=True SymbolConflict' && one.symbols?.live === 1,
    )
    const texts = ['Ready', 'Capturing', 'Halted', 'Reconciling'].map((type) => conditionText(status, type))
    assert.deepEqual(texts, [
      'Ready=False Stalled',
      'Capturing=False SymbolConflict',
      'Halted=False NoneHalted',
      'Reconciling=False UpToDate',
    ])
    const stalled = status.conditions?.find(({ type }) => type === 'Stalled')
    assert.ok(stalled?.message.includes('BTCUSDT') && stalled.message.includes(owner), stalled?.message)
    const entry = attentionOf(status, 'BTCUSDT')
    assert.deepEqual([entry?.state, entry?.reason, entry?.pod], ['Conflict', 'SymbolConflict', ''])
    assert.ok(entry?.message.includes(owner), entry?.message)
    assert.equal(attentionOf(status, 'ETHUSDT'), undefined)
    assert.deepEqual(status.symbols, { desired: 2, live: 1, halted: 0 })
    await told.event('SymbolConflict', owner)
    assert.deepEqual(await kinds(scene, 'minors', owner), ['Warning SymbolConflict'])
    assert.equal(nameOf(await scene.pod('BTCUSDT')), elders, 'the elder goes on alone')
    assert.equal(
      conditionText((await scene.capture(CAPTURE))?.status ?? {}, 'Ready'),
      'Ready=True AllSymbolsLive',
    )

    await scene.delete(CAPTURE)
    await scene.live('BTCUSDT', { not: [elders], deadlineMs: WITHIN_MS })
    const healed = await scene.until('minors', 'Ready', 'True', 'AllSymbolsLive', WITHIN_MS)
    assert.equal(conditionText(healed.status ?? {}, 'Stalled'), 'Stalled=False Progressing')
    assert.deepEqual(healed.status?.attention, [])
    await told.event('Progressing', 'nothing waits for a person')
  })
})

/**
 * A definition whose schema lets more pass than this operator knows: that of a later version, say. Resolves when it
 * counts.
 */
async function laxDefinition(cluster: Cluster): Promise<void> {
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/l2captures.l2cap.dev'
  const levels = '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/bookLevels'
  const change = [{ op: 'remove', path: `${levels}/maximum` }]
  await cluster.api.patch(path, change, JSON_PATCH)
  const trial = {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { name: 'trial' },
    spec: {
      exchange: 'BinanceUsdm',
      symbols: ['BTCUSDT'],
      bookLevels: MORE_LEVELS,
      storage: { s3: { bucket: 'market-data' } },
    },
  }
  const dryRun = `/apis/${API_VERSION}/namespaces/default/${CAPTURES}?dryRun=All`
  await waitFor(
    'the lax definition to be served',
    async () => {
      try {
        await cluster.api.create(dryRun, trial)
        return true
      } catch (error) {
        if (error instanceof ApiFailure && error.status === 422) return false
        throw error
      }
    },
    { deadlineMs: WITHIN_MS },
  )
}

describe('an L2Capture that this operator does not understand', options, () => {
  it('SpecInvalid: it says where, nothing is started and what runs goes on; it heals with the spec', async (context) => {
    const plane = await ownControlPlane(context)
    await laxDefinition(plane)
    const { stage, scene, told } = await open(context, plane)
    await play(stage, create(['BTCUSDT']))
    const pod = nameOf(await scene.pod('BTCUSDT'))
    await scene.patch(CAPTURE, { bookLevels: MORE_LEVELS, symbols: ['BTCUSDT', 'ETHUSDT'] })
    const { status = {}, metadata } = await scene.until(CAPTURE, 'Stalled', 'True', 'SpecInvalid', WITHIN_MS)
    assert.deepEqual(
      ['Ready', 'Capturing', 'Reconciling'].map((type) => conditionText(status, type)),
      ['Ready=False Stalled', 'Capturing=False SpecInvalid', 'Reconciling=False UpToDate'],
    )
    for (const type of ['Ready', 'Capturing', 'Stalled'] as const) {
      const condition = status.conditions?.find((one) => one.type === type)
      assert.match(condition?.message ?? '', /spec\.bookLevels: .*50/)
    }
    assert.equal(status.observedGeneration, metadata.generation)
    assert.deepEqual(status.attention, [])
    await told.event('SpecInvalid', 'spec.bookLevels')
    assert.deepEqual(await kinds(scene, CAPTURE, 'spec.bookLevels'), ['Warning SpecInvalid'])
    assert.deepEqual((await scene.pods()).map(nameOf), [pod])

    // what was wrong is taken back: the new symbol starts, and the old pod was never touched
    await scene.patch(CAPTURE, { bookLevels: 20 })
    await settled(stage, 'a spec that is understood', ['BTCUSDT', 'ETHUSDT'])
    assert.equal(nameOf(await scene.pod('BTCUSDT')), pod)
    await told.event('Progressing', 'nothing waits for a person')
  })
})

/** What the pod's process answers to /status; gone with the test. */
async function answer(context: TestContext, pod: V1Pod, ship: () => object): Promise<void> {
  const { name, uid } = pod.metadata ?? {}
  const server = createServer((_request, response) => {
    const writer = { pod: name, podUid: uid }
    response.end(JSON.stringify({ symbol: 'BTCUSDT', writer, state: 'live', ship: ship() }))
  })
  server.listen(HTTP_PORT, pod.status?.podIP)
  await once(server, 'listening')
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
}

describe('an L2Capture whose store takes nothing', options, () => {
  it('UploadFailing: the book is live and Ready is False, with the words of the store; both are told, and that it is over', async (context) => {
    const { stage, scene, told } = await open(context)
    await play(stage, create(['BTCUSDT']))
    const before = (await scene.capture(CAPTURE))?.status ?? {}
    assert.equal(conditionText(before, 'Uploading'), 'Uploading=Unknown NotAsked')
    const pod = await scene.pod('BTCUSDT')
    const words = 'AccessDenied: the credentials may not write there'
    let ship: object = { state: 'waiting', reason: words }
    await answer(context, pod, () => ship)

    const { status = {} } = await scene.until(CAPTURE, 'Uploading', 'False', 'UploadFailing', WITHIN_MS)
    assert.deepEqual(
      ['Ready', 'Capturing', 'Halted', 'Stalled'].map((type) => conditionText(status, type)),
      [
        'Ready=False UploadFailing',
        'Capturing=True AllSymbolsLive',
        'Halted=False NoneHalted',
        'Stalled=False Progressing',
      ],
    )
    for (const type of ['Ready', 'Uploading']) {
      const message = status.conditions?.find((one) => one.type === type)?.message
      assert.ok(message?.includes('BTCUSDT') && message.includes(words), message)
    }
    assert.deepEqual([status.attention, status.symbols], [[], { desired: 1, live: 1, halted: 0 }])
    await told.event('UploadFailing', words)
    assert.deepEqual(await kinds(scene, CAPTURE, words), ['Warning UploadFailing'])

    ship = { state: 'idle', reason: null }
    await scene.until(CAPTURE, 'Uploading', 'True', 'UploadsSucceed', WITHIN_MS)
    await scene.until(CAPTURE, 'Ready', 'True', 'AllSymbolsLive', WITHIN_MS)
    await told.event('UploadsSucceed', 'Uploading is True')
    assert.equal(nameOf(await scene.pod('BTCUSDT')), nameOf(pod), 'no pod is replaced for its store')
  })
})

/** So many pods may be in the namespace; resolves when it counts. */
async function quota(scene: Scene, pods: number): Promise<void> {
  const path = `/api/v1/namespaces/${scene.namespace}/resourcequotas`
  await scene.cluster.api.create(path, { metadata: { name: QUOTA }, spec: { hard: { pods: String(pods) } } })
  await waitFor(
    'the quota to count',
    async () => {
      const { status } = await scene.cluster.api.get<V1ResourceQuota>(`${path}/${QUOTA}`)
      return status?.hard?.['pods'] === String(pods) && status.used?.['pods'] !== undefined
    },
    { deadlineMs: WITHIN_MS },
  )
}

describe('an L2Capture whose pods the API server refuses', options, () => {
  it("PodRefused: what fits is captured, the rest waits and says so in the quota's words; it heals when the quota goes", async (context) => {
    const { stage, scene, told } = await open(context)
    await quota(scene, 1)
    await scene.apply(CAPTURE, { symbols: ['BTCUSDT', 'ETHUSDT'] })
    const { status = {} } = await scene.until(CAPTURE, 'Stalled', 'True', 'PodRefused', WITHIN_MS)
    const words = `exceeded quota: ${QUOTA}`
    const stalled = status.conditions?.find(({ type }) => type === 'Stalled')
    assert.ok(stalled?.message.includes(words), stalled?.message)
    assert.equal(conditionText(status, 'Ready'), 'Ready=False Stalled')

    const rest = await told.first(
      CAPTURE,
      'one symbol live and the other refused',
      (one) => one.symbols?.live === 1 && conditionText(one, 'Stalled') === 'Stalled=True PodRefused',
    )
    const [entry, ...others] = rest.attention ?? []
    assert.deepEqual([entry?.state, entry?.reason, entry?.pod, others], ['Pending', 'PodRefused', '', []])
    assert.ok(entry?.message.includes(words), entry?.message)
    await told.event('PodRefused', words)
    for (const kind of await kinds(scene, CAPTURE, words)) assert.equal(kind, 'Warning PodRefused')
    const [live] = await scene.pods()
    assert.ok(live !== undefined)
    assert.equal((await scene.pods()).length, 1)

    await scene.cluster.api.delete(`/api/v1/namespaces/${scene.namespace}/resourcequotas/${QUOTA}`)
    const healed = await settled(stage, 'the quota to go', ['BTCUSDT', 'ETHUSDT'])
    assert.equal(conditionText(healed.status ?? {}, 'Stalled'), 'Stalled=False Progressing')
    assert.deepEqual(healed.status?.attention, [])
    assert.ok((await scene.pods()).map(nameOf).includes(nameOf(live)), 'the pod that fitted goes on')
  })
})
