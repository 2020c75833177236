import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { drifted } from '../../charts/generate.ts'
import { parseSettings } from '../../operator/settings.ts'
import { at, CHART, chartFile, helm, helmProblem, objectsIn, one, rendered } from './helm.ts'

const skip = helmProblem() || false

/** What helm says of values that it refuses. */
async function refusal(...words: string[]): Promise<string> {
  try {
    await rendered(...words)
  } catch (error) {
    return String(error)
  }
  return 'it was accepted'
}

describe('chart: generated files', () => {
  it('schema and README are as values and settings say', () => {
    assert.deepEqual(drifted(), [], 'run `node charts/generate.ts`')
  })
})

describe('chart: rendered', { skip }, () => {
  it('lint finds nothing', async () => {
    assert.match(await helm('lint', '--strict', CHART), /0 chart\(s\) failed/)
  })

  const TYPOS: readonly (readonly [name: string, word: string])[] = [
    ['replica', 'operator.replica=3'],
    ['setings', 'setings.addresses=2'],
    ['startsPerMinutes', 'settings.limits.startsPerMinutes=5'],
    ['handoverSecond', 'settings.times.handoverSecond=5'],
    ['nodeselector', 'settings.pods.nodeselector.a=b'],
    ['Binance', 'settings.endpoints.Binance=http://a.test'],
    ['networkpolicy', 'networkpolicy.enabled=false'],
    ['annotation', 'captures.serviceAccount.annotation.a=b'],
  ]
  for (const [name, word] of TYPOS) {
    it(`the typing error ${name} is refused by name`, async () => {
      assert.match(await refusal('--set', word), new RegExp(`'?${name}'?`))
    })
  }

  it('values out of bounds are refused where they are', async () => {
    assert.match(await refusal('--set', 'scope=everything'), /scope/)
    assert.match(await refusal('--set', 'settings.limits.startsPerMinute=0'), /startsPerMinute/)
    assert.match(await refusal('--set', 'settings.endpoints.BinanceUsdm=ftp://x'), /BinanceUsdm/)
    assert.match(await refusal('--set', 'image.digest=sha256:1'), /digest/)
  })

  it("values.yaml states the operator's own defaults", () => {
    const stated = at(chartFile('values.yaml'), 'settings')
    assert.ok(typeof stated === 'object')
    const byDefault = parseSettings({ image: 'x' })
    assert.deepEqual(parseSettings({ image: 'x', ...stated }), byDefault)
    // what is left out of values.yaml is known here, so that a new setting is not forgotten there
    const left = (part: 'pods' | 'times' | 'limits') =>
      Object.keys(byDefault[part]).filter((name) => at(stated, part, name) === undefined)
    assert.deepEqual(left('pods'), ['imagePullSecrets', 'serviceAccountName'])
    assert.deepEqual(left('times'), [])
    assert.deepEqual(left('limits'), ['breakerFraction'])
  })

  it('the operator understands the settings that are rendered, and starts anew when they change', async () => {
    const words = [
      '--set',
      'image.pullSecrets={mine},image.tag=next',
      '--set',
      'settings.limits.startsPerMinute=5',
    ]
    const objects = await rendered(...words)
    const text = at(one(objects, 'ConfigMap', 'l2cap-operator'), 'data', 'settings.yaml')
    const settings = parseSettings(parse(String(text)))
    assert.equal(settings.image, 'ghcr.io/l2cap/l2cap:next')
    assert.deepEqual(settings.pods.imagePullSecrets, ['mine'])
    assert.equal(settings.pods.serviceAccountName, 'l2cap-capture')
    assert.equal(settings.limits.startsPerMinute, 5)
    const sums = [objects, await rendered()].map((each) =>
      at(
        one(each, 'Deployment', 'l2cap-operator'),
        'spec',
        'template',
        'metadata',
        'annotations',
        'checksum/settings',
      ),
    )
    assert.notEqual(sums[0], sums[1])
  })

  it('one namespace gets a Role, a cluster a ClusterRole, both with the rules of the files', async () => {
    const rules = chartFile('files/operator-rules.yaml')
    const narrow = await rendered('--set', 'watchNamespace=feeds')
    const role = one(narrow, 'Role', 'l2cap-operator')
    assert.equal(role.metadata.namespace, 'feeds')
    assert.deepEqual(role['rules'], rules)
    assert.ok(!narrow.some(({ kind }) => kind.startsWith('ClusterRole')))
    const args = at(
      one(narrow, 'Deployment', 'l2cap-operator'),
      'spec',
      'template',
      'spec',
      'containers',
      0,
      'args',
    )
    assert.ok(Array.isArray(args) && args.includes('--namespace=feeds'))
    const wide = await rendered('--set', 'scope=cluster')
    assert.deepEqual(one(wide, 'ClusterRole', 'market-data-l2cap-operator')['rules'], rules)
    for (const objects of [narrow, wide]) {
      const lease = one(objects, 'Role', 'l2cap-operator-lease')
      assert.equal(lease.metadata.namespace, 'market-data')
      assert.deepEqual(lease['rules'], chartFile('files/lease-rules.yaml'))
    }
    assert.match(await refusal('--set', 'operator.serviceAccount.create=false'), /give a name/)
    const settings = at(one(wide, 'ConfigMap', 'l2cap-operator'), 'data', 'settings.yaml')
    // an account that is missing in some namespace would refuse its pods
    assert.equal(parseSettings(parse(String(settings))).pods.serviceAccountName, 'default')
  })

  it('two releases in one namespace have a Lease each, and alerts of their own', async () => {
    const text = await helm(
      'template',
      'eu',
      CHART,
      '--namespace',
      'x',
      '--set',
      'monitoring.resources=always',
    )
    const objects = objectsIn(text)
    const words = at(
      one(objects, 'Deployment', 'eu-l2cap-operator'),
      ...(['spec', 'template', 'spec', 'containers', 0, 'args'] as const),
    )
    assert.ok(Array.isArray(words) && words.includes('--lease-name=eu-l2cap-operator'))
    const [create, hold] = [one(objects, 'Role', 'eu-l2cap-operator-lease')['rules']].flat()
    assert.deepEqual([at(create, 'verbs'), at(create, 'resourceNames')], [['create'], undefined])
    assert.deepEqual(
      [at(hold, 'verbs'), at(hold, 'resourceNames')],
      [['get', 'update'], ['eu-l2cap-operator']],
    )
    assert.equal(text.match(/master_status\{namespace="x",name="eu-l2cap-operator"\}/g)?.length, 2)
    assert.ok(text.includes(String.raw`name=\"eu-l2cap-operator\"`), 'the dashboard')
    assert.ok(!text.includes('name="l2cap-operator"') && !text.includes(String.raw`name=\"l2cap-operator\"`))
  })

  it('a cluster that does not know what the definition needs is refused', async () => {
    assert.match(await refusal('--kube-version', '1.30.9'), /incompatible with Kubernetes/)
    assert.ok((await rendered('--kube-version', '1.31.0')).length > 10)
  })

  it('what would have no effect is refused', async () => {
    assert.match(await refusal('--set', 'scope=cluster,watchNamespace=a'), /watchNamespace/)
    assert.match(await refusal('--set', 'captures.namespaces={a}'), /captures.namespaces/)
    const twice = await rendered('--set', 'scope=cluster', '--set', 'captures.namespaces={a,a}')
    assert.equal(twice.filter(({ metadata }) => metadata.namespace === 'a').length, 2)
  })

  it('a label that is given twice is there once, and the nearer one counts', async () => {
    const labels = ['--set', 'extraLabels.release=all', '--set', 'monitoring.labels.release=prom']
    // the parser refuses a key that is there twice
    const objects = await rendered('--set', 'monitoring.resources=always', ...labels)
    assert.equal(one(objects, 'PodMonitor', 'l2cap-capture').metadata.labels['release'], 'prom')
    assert.equal(one(objects, 'Deployment', 'l2cap-operator').metadata.labels['release'], 'all')
    assert.equal(
      one(objects, 'Deployment', 'l2cap-operator').metadata.labels['app.kubernetes.io/component'],
      'operator',
    )
  })

  it('captures may reach the exchange at the ports of its addresses, and the store', async () => {
    const objects = await rendered('--set', 'settings.endpoints.BinanceUsdm=http://sim.test:8080/x')
    const egress = at(one(objects, 'NetworkPolicy', 'l2cap-capture'), 'spec', 'egress')
    const ports = Array.isArray(egress)
      ? egress.flatMap((rule) => [at(rule, 'ports')].flat().map((port) => at(port, 'port')))
      : []
    assert.deepEqual(ports, [53, 53, 443, 8080, 443, 9000])
  })

  it('extra labels are on every object, and the definition stays at an uninstall', async () => {
    const objects = await rendered('--set', 'extraLabels.team=data', '--set', 'monitoring.resources=always')
    assert.ok(objects.length > 15, `${objects.length} objects`)
    for (const { kind, metadata } of objects)
      assert.equal(metadata.labels['team'], 'data', kind + metadata.name)
    const definition = one(objects, 'CustomResourceDefinition', 'l2captures.l2cap.dev')
    assert.equal(definition.metadata.annotations['helm.sh/resource-policy'], 'keep')
  })
})
