/**
 * The chart's life, on a cluster without our definition: install, upgrade, uninstall, install again. The last test on a
 * cluster: it takes the definition away from all others for a moment.
 *
 * No revision of the chart was published before this one. The older one is this chart with a lower version, a
 * definition that lacks a column, and another default of the operator, so that an upgrade has something to change.
 */
import assert from 'node:assert/strict'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { V1CustomResourceDefinition, V1Lease, V1Pod } from '@kubernetes/client-node'
import { parse, stringify } from 'yaml'
import { CHART } from '../chart/helm.ts'
import { definitionsServed } from '../cluster/definitions.ts'
import { nameOf } from '../e2e/captures.ts'
import { handedOver, manifestsBy, publishes } from '../e2e/published.ts'
import { waitFor } from '../support/wait.ts'
import { phases } from './phases.ts'
import { ClusterScene, type SceneOptions } from './scene.ts'
import { faultsProblem } from './target.ts'

const problem = faultsProblem()
const options = problem === '' ? {} : { skip: problem }
const SYMBOLS = ['BTCUSDT', 'ETHUSDT']
const ADDED = 'SOLUSDT'
const NAME = 'l2captures.l2cap.dev'
const DEFINITION = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${NAME}`
const COLUMN = 'Halted'
const OLDER_VERSION = '0.0.9'
const accountOf = ({ namespace }: ClusterScene) =>
  `/api/v1/namespaces/${namespace}/serviceaccounts/l2cap-capture`
const OWN = { crds: { install: true } }
/** What shapes every pod. */
const CHANGED = { settings: { pods: { labels: { team: 'data' } } } }

/** The revision before this one, as the header says; its directory. */
async function olderChart(dir: string): Promise<string> {
  const older = join(dir, 'older')
  await cp(CHART, older, { recursive: true })
  const change = async (file: string, changed: (text: string) => string) => {
    const path = join(older, file)
    const text = await readFile(path, 'utf8')
    assert.notEqual(changed(text), text, `${file} is changed`)
    await writeFile(path, changed(text))
  }
  await change('Chart.yaml', (text) => text.replace(/^version: .*$/m, `version: ${OLDER_VERSION}`))
  await change('values.yaml', (text) => text.replace(/^ {2}workers: 4$/m, '  workers: 3'))
  await change('files/l2captures.yaml', (text) => {
    const definition: V1CustomResourceDefinition = parse(text)
    for (const version of definition.spec.versions)
      version.additionalPrinterColumns = (version.additionalPrinterColumns ?? []).filter(
        ({ name }) => name !== COLUMN,
      )
    return stringify(definition, { aliasDuplicateObjects: false })
  })
  return older
}

async function columns({ api }: ClusterScene): Promise<string[]> {
  const { spec } = await api.get<V1CustomResourceDefinition>(DEFINITION)
  return spec.versions.flatMap((version) => (version.additionalPrinterColumns ?? []).map(({ name }) => name))
}

/** Which process runs each symbol: another pod, or a restart, is another. */
async function processes(scene: ClusterScene): Promise<Record<string, string>> {
  const pods = await Promise.all(SYMBOLS.map((symbol) => scene.pod(symbol)))
  return Object.fromEntries(pods.map((pod, i) => [SYMBOLS[i], processOf(pod)]))
}

function processOf({ metadata, status }: V1Pod): string {
  return `${metadata?.uid} restarted ${status?.containerStatuses?.[0]?.restartCount} times`
}

/** Resolves when a pod of the newest ReplicaSet leads, and has nobody beside it of an older one. */
async function operatorIsNew(scene: ClusterScene, old: readonly string[]): Promise<void> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${scene.namespace}/leases/l2cap-operator`
  const holder = async () => (await scene.api.get<V1Lease>(path)).spec?.holderIdentity ?? ''
  await waitFor(
    'a new pod of the operator to lead',
    async () => {
      const leader = await holder()
      return leader !== '' && !old.some((name) => leader.startsWith(name))
    },
    { deadlineMs: 240_000, everyMs: 200, show: holder },
  )
}

async function operators({ api, namespace }: ClusterScene): Promise<string[]> {
  const query = 'labelSelector=app.kubernetes.io%2Fcomponent%3Doperator'
  const pods = await api.list<V1Pod>(`/api/v1/namespaces/${namespace}/pods?${query}`)
  return pods.filter(({ metadata }) => metadata?.deletionTimestamp === undefined).map(nameOf)
}

/** A namespace with the world, on a cluster that does not know our definition. */
async function bare(context: TestContext): Promise<ClusterScene> {
  const scene = await ClusterScene.open(context, { symbols: [...SYMBOLS, ADDED], install: false })
  await scene.api.delete(DEFINITION)
  await waitFor('the definition to be gone', async () => !(await scene.api.exists(DEFINITION)), {
    deadlineMs: 240_000,
  })
  return scene
}

describe('the chart over its life, with real pods', options, () => {
  it('install, upgrade and uninstall restart no capture; a changed template rolls them; definition, captures and data stay', async (context) => {
    const scene = await bare(context)
    const install = async (what: SceneOptions = {}) => {
      await scene.install({ values: OWN, ...what })
    }
    const phase = phases(context)
    await install({ chart: await olderChart(scene.dir) })
    await definitionsServed(scene.api, [NAME])
    assert.ok(!(await columns(scene)).includes(COLUMN))
    await scene.apply('majors', { symbols: SYMBOLS })
    const first = await Promise.all(SYMBOLS.map((symbol) => scene.live(symbol)))
    const began = await processes(scene)
    phase('the older chart, and a capture')

    const replicas = await operators(scene)
    await install()
    assert.ok((await columns(scene)).includes(COLUMN), 'the definition is upgraded')
    await operatorIsNew(scene, replicas)
    // that the new operator has looked at these pods shows on something else that it must do for the same capture
    await scene.patch('majors', { symbols: [...SYMBOLS, ADDED] })
    await scene.live(ADDED)
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')
    assert.deepEqual(await processes(scene), began, 'an upgrade restarts no capture')
    phase('upgraded: the operator is new, and no capture was restarted')

    await install(CHANGED)
    const rolled = await Promise.all(
      SYMBOLS.map((symbol, i) => scene.live(symbol, { not: [nameOf(first[i] ?? {})], deadlineMs: 240_000 })),
    )
    for (const pod of rolled) assert.equal(pod.metadata?.labels?.['team'], 'data')
    const after = await processes(scene)
    phase('a changed template: both rolled')

    await scene.until('majors', 'Reconciling', 'False')
    const had = await Promise.all(rolled.map((pod, i) => manifestsBy(scene, SYMBOLS[i] ?? '', nameOf(pod))))
    const uninstalled = await scene.helm('uninstall', 'l2cap', '--wait')
    context.diagnostic(uninstalled.trim())
    // helm waits for the Deployment alone; its pods are taken away after it
    await waitFor('the pods of the operator to go', async () => (await operators(scene)).length === 0, {
      deadlineMs: 240_000,
      everyMs: 200,
    })
    assert.ok((await columns(scene)).includes(COLUMN), 'the definition stays')
    assert.ok((await scene.capture('majors')) !== undefined, 'captures stay')
    assert.ok(await scene.api.exists(accountOf(scene)), 'and so does the account that their pods run as')
    for (const [i, pod] of rolled.entries())
      await publishes(scene, SYMBOLS[i] ?? '', nameOf(pod), (had[i]?.length ?? 0) + 1)
    assert.deepEqual(await processes(scene), after, 'pods go on')
    phase('uninstalled: captures go on and publish')

    await install(CHANGED)
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')
    assert.deepEqual(await processes(scene), after, 'and are taken up again')
    await scene.delete('majors')
    await scene.gone(240_000)
    for (const [i, symbol] of SYMBOLS.entries())
      await handedOver(scene, symbol, [nameOf(first[i] ?? {}), nameOf(rolled[i] ?? {})])
    await scene.verify()
    phase('installed again, drained and judged')
  })
})
