/** The chart and the examples on a real API server: what it would refuse, it refuses here. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { parse, stringify } from 'yaml'
import { captureDefinition } from '../../api/crd.ts'
import { definitionsServed } from '../cluster/definitions.ts'
import {
  ApiFailure,
  type ControlPlane,
  ownClusterProblem,
  programPath,
  startControlPlane,
} from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import { at, CHART, chartFile, helm, helmProblem, objectsIn, one, ROOT, rendered } from './helm.ts'

const skip = ownClusterProblem() || helmProblem() || false
const TIMEOUT_MS = 300_000
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const DEFINITION = `${DEFINITIONS}/l2captures.l2cap.dev`
const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' }
const SPEC_FIELDS = [
  ...['spec', 'versions', 0, 'schema', 'openAPIV3Schema', 'properties', 'spec', 'properties'],
] as const
const EXAMPLES = readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.yaml'))

const INSTALL = readFileSync(join(ROOT, 'docs/INSTALL.md'), 'utf8')
/** What was set stays, and what is new has its default. */
const KEEPING = '--reset-then-reuse-values'

/** Names of the fields of a spec, by a definition. */
function fieldsOf(definition: unknown): string[] {
  return Object.keys(Object(at(definition, ...SPEC_FIELDS))).sort()
}

/** As much of Prometheus' API as it takes for helm to see it. */
function monitoringDefinition(kind: string): object {
  const plural = `${kind.toLowerCase()}s`
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.monitoring.coreos.com` },
    spec: {
      group: 'monitoring.coreos.com',
      scope: 'Namespaced',
      names: { kind, plural },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  }
}

describe('chart: on an API server', { skip }, () => {
  let plane: ControlPlane
  let kubeconfig: string
  before(async () => {
    plane = await startControlPlane({ definitions: false })
    kubeconfig = plane.kubeconfig(plane.adminToken)
  })
  after(() => plane.stop())

  const on = (...words: string[]) => helm(...words, '--kubeconfig', kubeconfig)

  async function dryRun(name: string, text: string, ...place: string[]): Promise<string> {
    const file = join(plane.dir, `${name}.yaml`)
    writeFileSync(file, text)
    const words = ['apply', '--server-side', '--dry-run=server', '--validate=strict', ...place, '-f', file]
    const { stdout } = await promisify(execFile)(
      programPath('kubectl'),
      [...words, '--kubeconfig', kubeconfig, '--cache-dir', plane.dir],
      { timeout: TIMEOUT_MS },
    )
    return stdout
  }

  /** Resolves when clients find these kinds: that is a while after their definitions are there. */
  async function known(group: string, ...plurals: string[]): Promise<void> {
    const words = ['api-resources', '--output=name', `--api-group=${group}`, '--cached=false']
    const find = async () => {
      const where = ['--kubeconfig', kubeconfig, '--cache-dir', plane.dir]
      const { stdout } = await promisify(execFile)(programPath('kubectl'), [...words, ...where], {
        timeout: TIMEOUT_MS,
      })
      return plurals.every((plural) => stdout.includes(`${plural}.${group}\n`))
    }
    await waitFor(`${plurals.join(', ')} of ${group} to be found`, find, { everyMs: 300 })
  }

  /** The chart as it was before `bookLevels` was a field. */
  function olderChart(): string {
    const dir = join(plane.dir, 'older')
    cpSync(CHART, dir, { recursive: true })
    const file = join(dir, 'files/l2captures.yaml')
    const definition: unknown = parse(readFileSync(file, 'utf8'))
    const spec = at(definition, ...SPEC_FIELDS)
    assert.ok(typeof spec === 'object' && spec !== null)
    assert.ok(Reflect.has(spec, 'bookLevels') && Reflect.deleteProperty(spec, 'bookLevels'))
    writeFileSync(file, stringify(definition, { aliasDuplicateObjects: false }))
    // nor was this value there yet, nor asked for
    const values = join(dir, 'values.yaml')
    const text = readFileSync(values, 'utf8')
    assert.ok(text.includes('  extraEgress: []\n'))
    writeFileSync(values, text.replace('  extraEgress: []\n', ''))
    rmSync(join(dir, 'values.schema.json'))
    return dir
  }

  async function installed(t: TestContext, ...words: string[]): Promise<string> {
    const namespace = await plane.namespace(t, 'chart', RESTRICTED)
    await on('install', 'l2cap', CHART, '--namespace', namespace, ...words)
    return namespace
  }

  it('installs, upgrades the definition with the chart, and keeps it and its captures at an uninstall', async (t) => {
    const namespace = await plane.namespace(t, 'chart', RESTRICTED)
    await on('install', 'l2cap', olderChart(), '--namespace', namespace, '--set', 'operator.workers=7')
    const captures = `/apis/l2cap.dev/v1alpha1/namespaces/${namespace}/l2captures`
    const hasLevels = async () => fieldsOf(await plane.api.get(DEFINITION)).includes('bookLevels')
    assert.equal(await hasLevels(), false)
    // as docs/INSTALL.md says
    assert.ok(INSTALL.includes(`helm upgrade l2cap charts/l2cap --namespace market-data ${KEEPING}`))
    await on('upgrade', 'l2cap', CHART, '--namespace', namespace, KEEPING)
    assert.equal(await hasLevels(), true)
    const workers = JSON.parse(await on('get', 'values', 'l2cap', '--namespace', namespace, '-o', 'json'))
    assert.deepEqual(workers, { operator: { workers: 7 } })
    assert.deepEqual(fieldsOf(await plane.api.get(DEFINITION)), fieldsOf(captureDefinition()))
    await definitionsServed(plane.api, ['l2captures.l2cap.dev'])
    const [example] = objectsIn(readFileSync(join(ROOT, 'examples/one-symbol.yaml'), 'utf8'))
    assert.ok(example !== undefined)
    await plane.api.create(captures, example)
    await on('uninstall', 'l2cap', '--namespace', namespace)
    assert.ok(await plane.api.exists(`${captures}/one`))
    assert.ok(!(await plane.api.exists(`/apis/apps/v1/namespaces/${namespace}/deployments/l2cap-operator`)))
    // and a later release takes it up again
    await on('install', 'l2cap', CHART, '--namespace', namespace)
    await on('uninstall', 'l2cap', '--namespace', namespace)
  })

  it('a definition that somebody applied by hand is refused by name, and taken over where helm is told to', async (t) => {
    await plane.api.apply(
      DEFINITION,
      JSON.parse(JSON.stringify({ ...captureDefinition(), status: undefined })),
    )
    const owner = { 'meta.helm.sh/release-name': null, 'meta.helm.sh/release-namespace': null }
    const metadata = { annotations: owner, labels: { 'app.kubernetes.io/managed-by': null } }
    await plane.api.patch(DEFINITION, { metadata })
    const namespace = await plane.namespace(t, 'chart', RESTRICTED)
    const words = ['install', 'l2cap', CHART, '--namespace', namespace]
    await assert.rejects(on(...words), /l2captures\.l2cap\.dev.* invalid ownership metadata/)
    await on(...words, '--take-ownership')
    await on('uninstall', 'l2cap', '--namespace', namespace)
  })

  for (const scope of ['namespace', 'cluster']) {
    it(`scope ${scope}: the operator may do what its rules say, and read no Secret`, async (t) => {
      const words = ['--set', `scope=${scope},crds.install=false,fullnameOverride=${scope}`]
      const namespace = await installed(t, ...words)
      const user = `system:serviceaccount:${namespace}:${scope}-operator`
      const elsewhere = await plane.namespace(t, 'elsewhere')
      const may = async (where: string, group: string, resource: string, verb: string, name = '') => {
        const [kind = '', subresource = ''] = resource.split('/')
        const resourceAttributes = { namespace: where, group, resource: kind, subresource, verb, name }
        const review = await plane.api.create('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
          spec: { user, resourceAttributes },
        })
        return at(review, 'status', 'allowed')
      }
      const rules = chartFile('files/operator-rules.yaml')
      assert.ok(Array.isArray(rules))
      for (const { apiGroups, resources, verbs } of rules)
        for (const verb of verbs) {
          const what = `${verb} ${resources[0]}`
          assert.equal(await may(namespace, apiGroups[0], resources[0], verb), true, what)
          assert.equal(await may(elsewhere, apiGroups[0], resources[0], verb), scope === 'cluster', what)
        }
      const lease = (where: string, verb: string, name = '') =>
        may(where, 'coordination.k8s.io', 'leases', verb, name)
      const own = `${scope}-operator`
      assert.equal(await lease(namespace, 'create'), true)
      for (const verb of ['get', 'update']) {
        assert.equal(await lease(namespace, verb, own), true, verb)
        assert.equal(await lease(namespace, verb, 'of-another'), false, verb)
        assert.equal(await lease(elsewhere, verb, own), false, verb)
      }
      for (const verb of ['get', 'list', 'watch'])
        assert.equal(await may(namespace, '', 'secrets', verb), false, `${verb} secrets`)
      await on('uninstall', 'l2cap', '--namespace', namespace)
    })

    it(`scope ${scope}: the server takes every object, and "restricted" the pods`, async (t) => {
      const namespace = await plane.namespace(t, 'chart', RESTRICTED)
      const words = [
        '--set',
        `scope=${scope},fullnameOverride=dry-${scope}`,
        '--set',
        scope === 'cluster' ? 'captures.namespaces={default}' : 'watchNamespace=default',
      ]
      const text = await helm('template', 'l2cap', CHART, '--namespace', namespace, ...words)
      await dryRun(namespace, text)
      // the server warns of a Deployment's pods, and refuses the pods themselves
      const objects = objectsIn(text)
      const template = at(one(objects, 'Deployment', `dry-${scope}-operator`), 'spec', 'template')
      const spec = at(template, 'spec')
      assert.ok(typeof spec === 'object')
      const pods = [spec, at(one(objects, 'Pod', `dry-${scope}-test`), 'spec')]
      for (const [index, each] of pods.entries()) {
        const pod = {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: `pod-${index}` },
          spec: { ...Object(each), serviceAccountName: 'default' },
        }
        await plane.api.create(`/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod)
        const bare = {
          ...pod,
          spec: { ...pod.spec, securityContext: {}, containers: [{ name: 'x', image: 'x' }] },
        }
        await assert.rejects(
          plane.api.create(`/api/v1/namespaces/${namespace}/pods?dryRun=All`, bare),
          (error) => error instanceof ApiFailure && error.status === 403,
        )
      }
    })
  }

  it('monitors and alerts are made where the cluster knows their API, and not elsewhere', async (t) => {
    const monitors = (namespace: string) => `/apis/monitoring.coreos.com/v1/namespaces/${namespace}`
    const words = ['--set', 'crds.install=false,fullnameOverride=seen']
    assert.ok(!(await rendered()).some(({ kind }) => kind === 'PodMonitor'))
    for (const kind of ['PodMonitor', 'PrometheusRule']) {
      const definition = monitoringDefinition(kind)
      await plane.api.create(DEFINITIONS, definition)
    }
    await known('monitoring.coreos.com', 'podmonitors', 'prometheusrules')
    const namespace = await plane.namespace(t, 'chart', RESTRICTED)
    await on('install', 'l2cap', CHART, '--namespace', namespace, ...words)
    assert.ok(await plane.api.exists(`${monitors(namespace)}/podmonitors/seen-capture`))
    assert.ok(await plane.api.exists(`${monitors(namespace)}/podmonitors/seen-operator`))
    assert.ok(await plane.api.exists(`${monitors(namespace)}/prometheusrules/seen`))
    await on('uninstall', 'l2cap', '--namespace', namespace)
  })

  for (const name of EXAMPLES) {
    it(`examples/${name} is taken by the server`, async (t) => {
      await plane.api.apply(
        DEFINITION,
        JSON.parse(JSON.stringify({ ...captureDefinition(), status: undefined })),
      )
      await definitionsServed(plane.api, ['l2captures.l2cap.dev'])
      const namespace = await plane.namespace(t, 'example', RESTRICTED)
      const text = readFileSync(join(ROOT, 'examples', name), 'utf8')
      const told = await dryRun(namespace, text, '-n', namespace)
      assert.match(told, /l2capture\.l2cap\.dev\/\w+ serverside-applied \(server dry run\)/)
      for (const object of objectsIn(text)) {
        const spec = at(object, 'spec', 'template', 'spec')
        if (typeof spec !== 'object') continue
        const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'pod' }, spec }
        await plane.api.create(`/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod)
      }
    })
  }

  it('values that an example tells of are what the chart takes', async () => {
    const text = readFileSync(join(ROOT, 'examples/aws-irsa.yaml'), 'utf8')
    const [, inner = ''] = /<<'YAML'\n([\s\S]*?)#\s+YAML/.exec(text) ?? []
    const values = join(plane.dir, 'irsa-values.yaml')
    writeFileSync(values, inner.replaceAll(/^# {6}/gm, ''))
    const account = one(await rendered('--values', values), 'ServiceAccount', 'l2cap-capture')
    assert.match(String(account.metadata.annotations['eks.amazonaws.com/role-arn']), /^arn:aws:iam::/)
    assert.equal(account['automountServiceAccountToken'], false, stringify(account))
  })
})
