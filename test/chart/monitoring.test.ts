/** Alerts and dashboard: what they read exists, and what they say can be found. When they fire: alerts.long.test.ts. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { z } from 'zod'
import { HTTP_PORT_NAME, LABELS, POD_LABELS } from '../../api/labels.ts'
import { METRICS } from '../../capture/process/metrics.ts'
import { OperatorMetrics } from '../../operator/metrics.ts'
import { at, CHART, chartFile, helmProblem, one, ROOT, rendered } from './helm.ts'
import { metricsIn } from './named.ts'

const Alerts = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          alert: z.string(),
          expr: z.string(),
          labels: z.object({ severity: z.enum(['warning', 'critical']) }),
          annotations: z.object({ summary: z.string(), description: z.string() }),
        }),
      ),
    }),
  ),
})
const Monitor = z.strictObject({
  namespaceSelector: z.strictObject({ matchNames: z.array(z.string()) }),
  selector: z.strictObject({ matchLabels: z.record(z.string(), z.string()) }),
  podTargetLabels: z.array(z.string()).optional(),
  podMetricsEndpoints: z.array(z.strictObject({ port: z.string(), path: z.string(), interval: z.string() })),
})
const rules = Alerts.parse(chartFile('files/alerts.yaml')).groups.flatMap((group) => group.rules)
const dashboard = readFileSync(join(CHART, 'files/dashboard.json'), 'utf8')

function known(): Set<string> {
  const operator = new OperatorMetrics()
  operator.watch({
    queueLength: () => 0,
    unfinishedSeconds: () => 0,
    longestRunningSeconds: () => 0,
    workers: 1,
    activeWorkers: () => 0,
    isLeader: () => true,
    leaseName: 'l2cap-operator',
    stalenessSeconds: () => ({}),
    polls: () => ({ answered: 0, failed: 0 }),
  })
  return new Set([...METRICS.map(({ name }) => name), ...operator.names])
}

describe('alerts', () => {
  it('every metric that an alert reads exists', () => {
    const names = metricsIn(rules.map(({ expr }) => expr).join('\n'))
    assert.ok(names.length > 12, names.join(', '))
    assert.deepEqual(
      names.filter((name) => !known().has(name)),
      [],
    )
  })

  it('every alert has a chapter of its name in docs/OPERATIONS.md', () => {
    const page = readFileSync(join(ROOT, 'docs/OPERATIONS.md'), 'utf8')
    const titles = [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title.replaceAll('`', ''))
    assert.deepEqual(
      rules.map(({ alert }) => alert).filter((alert) => !titles.includes(alert)),
      [],
    )
  })

  it('each is rendered with the address of its chapter, and can be left out', {
    skip: helmProblem() || false,
  }, async () => {
    const words = [
      '--set',
      'monitoring.resources=always',
      '--set',
      'monitoring.alerts.disabled={L2capGapRate}',
    ]
    const rule = one(await rendered(...words), 'PrometheusRule', 'l2cap')
    const Linked = z.object({ alert: z.string(), annotations: z.looseObject({ runbook_url: z.url() }) })
    const Spec = z.object({ groups: z.array(z.object({ rules: z.array(Linked) })) })
    const linked = Spec.parse(rule['spec']).groups.flatMap((group) => group.rules)
    assert.deepEqual(
      linked.map(({ alert }) => alert),
      rules.map(({ alert }) => alert).filter((alert) => alert !== 'L2capGapRate'),
    )
    for (const { alert, annotations } of linked)
      assert.ok(
        annotations.runbook_url.endsWith(`OPERATIONS.md#${alert.toLowerCase()}`),
        annotations.runbook_url,
      )
  })
})

describe('scraping', { skip: helmProblem() || false }, () => {
  it('PodMonitors find the pods that the operator builds, and its own, by label and by the name of the port', async () => {
    const objects = await rendered('--set', 'monitoring.resources=always')
    const monitor = (name: string) => Monitor.parse(one(objects, 'PodMonitor', name)['spec'])
    const endpoint = { port: HTTP_PORT_NAME, path: '/metrics', interval: '30s' }
    const here = { matchNames: ['market-data'] }
    const { selector, ...capture } = monitor('l2cap-capture')
    const podTargetLabels = [LABELS.capture]
    assert.deepEqual(capture, { namespaceSelector: here, podTargetLabels, podMetricsEndpoints: [endpoint] })
    for (const [label, value] of Object.entries(selector.matchLabels))
      assert.equal(Reflect.get(POD_LABELS, label), value, label)
    const { selector: own, ...operator } = monitor('l2cap-operator')
    assert.deepEqual(operator, { namespaceSelector: here, podMetricsEndpoints: [endpoint] })
    const template = at(one(objects, 'Deployment', 'l2cap-operator'), 'spec', 'template')
    for (const [label, value] of Object.entries(own.matchLabels))
      assert.equal(at(template, 'metadata', 'labels', label), value, label)
    assert.equal(at(template, 'spec', 'containers', 0, 'ports', 0, 'name'), HTTP_PORT_NAME)
    const wide = await rendered('--set', 'monitoring.resources=always,scope=cluster')
    assert.deepEqual(at(one(wide, 'PodMonitor', 'l2cap-capture'), 'spec', 'namespaceSelector'), { any: true })
  })
})

describe('dashboard', () => {
  it('every metric that a panel reads exists', () => {
    const Panels = z.object({
      panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })) })),
    })
    const { panels } = Panels.parse(JSON.parse(dashboard))
    assert.ok(panels.length > 20, `${panels.length} panels`)
    assert.equal(new Set(panels.map(({ title }) => title)).size, panels.length)
    for (const { title, targets } of panels) {
      const names = targets.flatMap(({ expr }) => metricsIn(expr))
      assert.ok(names.length > 0, title)
      for (const name of names) assert.ok(known().has(name), `${title}: ${name}`)
    }
  })
})
