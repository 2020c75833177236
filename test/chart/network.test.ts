/** NetworkPolicies as they are rendered: who reaches whom. That a network enforces them is not tested anywhere. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HTTP_PORT, HTTP_PORT_NAME, POD_LABELS } from '../../api/labels.ts'
import { at, helmProblem, one, type Rendered, rendered } from './helm.ts'
import { mayConnect, type Party } from './network.ts'

const skip = helmProblem() || false
const HERE = 'market-data'
const OPERATOR_PORT = 8080

const capture: Party = { namespace: HERE, labels: POD_LABELS, ports: { [HTTP_PORT_NAME]: HTTP_PORT } }
const stranger: Party = { namespace: 'elsewhere', labels: { app: 'x' } }
const neighbour: Party = { namespace: HERE, labels: { app: 'x' } }
const prometheus: Party = { namespace: 'monitoring', labels: { app: 'prometheus' } }
const outside: Party = {}

function labelsAt(object: Rendered, ...keys: string[]): Record<string, string> {
  const labels = at(object, ...keys, 'labels')
  assert.ok(typeof labels === 'object' && labels !== null)
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]))
}

/** The operator's pods and that of `helm test`, with the labels that the chart gives them. */
function ours(objects: readonly Rendered[]): { operator: Party; test: Party } {
  const deployment = one(objects, 'Deployment', 'l2cap-operator')
  const test = objects.find(({ kind }) => kind === 'Pod')
  assert.ok(test !== undefined)
  return {
    operator: {
      namespace: HERE,
      labels: labelsAt(deployment, 'spec', 'template', 'metadata'),
      ports: { http: OPERATOR_PORT },
    },
    test: { namespace: HERE, labels: labelsAt(test, 'metadata') },
  }
}

describe('network policies', { skip }, () => {
  it('what has to speak speaks: the API server, /status, the exchange, the store, helm test', async () => {
    const objects = await rendered()
    const { operator, test } = ours(objects)
    const may = (from: Party, to: Party, port: number) => mayConnect(objects, from, to, port)
    for (const port of [443, 6443]) assert.ok(may(operator, outside, port), `API server at ${port}`)
    assert.ok(may(operator, capture, HTTP_PORT))
    for (const port of [443, 9000]) assert.ok(may(capture, outside, port), `exchange or store at ${port}`)
    assert.ok(may(capture, neighbour, 9000), 'a store in the namespace')
    assert.ok(may(test, operator, OPERATOR_PORT) && may(test, outside, 443))
    assert.ok(may(prometheus, operator, OPERATOR_PORT) && may(prometheus, capture, HTTP_PORT))
  })

  it('and nothing else does', async () => {
    const objects = await rendered()
    const { operator, test } = ours(objects)
    const may = (from: Party, to: Party, port: number) => mayConnect(objects, from, to, port)
    for (const port of [22, 80, 8080, HTTP_PORT]) {
      assert.ok(!may(capture, outside, port), `a capture at ${port} outside`)
      assert.ok(!may(test, outside, port), `the test at ${port} outside`)
    }
    assert.ok(!may(operator, outside, 80) && !may(operator, neighbour, HTTP_PORT))
    assert.ok(!may(capture, operator, OPERATOR_PORT) && !may(capture, capture, HTTP_PORT))
    assert.ok(!may(neighbour, operator, 22) && !may(neighbour, capture, 22))
    // what no policy selects is as it was
    assert.ok(may(neighbour, outside, 22))
  })

  it('with metricsFrom, those alone read metrics; the operator still asks captures', async () => {
    const from = 'networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name'
    const objects = await rendered('--set', `${from}=monitoring`)
    const { operator, test } = ours(objects)
    const may = (who: Party, to: Party, port: number) => mayConnect(objects, who, to, port)
    assert.ok(may(prometheus, operator, OPERATOR_PORT) && may(prometheus, capture, HTTP_PORT))
    for (const who of [stranger, neighbour]) {
      assert.ok(!may(who, operator, OPERATOR_PORT))
      assert.ok(!may(who, capture, HTTP_PORT))
    }
    assert.ok(may(operator, capture, HTTP_PORT) && may(test, operator, OPERATOR_PORT))
  })

  it('an operator of another namespace reaches the captures that it watches', async () => {
    const objects = await rendered('--set', 'watchNamespace=feeds')
    const { operator } = ours(objects)
    const there = { ...capture, namespace: 'feeds' }
    assert.ok(mayConnect(objects, operator, there, HTTP_PORT))
    assert.ok(!mayConnect(objects, operator, capture, HTTP_PORT), 'and no others')
  })
})
