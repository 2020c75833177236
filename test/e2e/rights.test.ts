import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type AuditEvent, ownClusterProblem } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import { leaseRules, operatorRules, type Rules } from './rules.ts'
import { CAPTURE, edit, LIFE, openStage, play, settled, startOperator } from './stage.ts'

const problem = ownClusterProblem()
const options = problem === '' ? {} : { skip: problem }
const BOTH = ['BTCUSDT', 'SOLUSDT']

describe('the rights that the chart gives the operator', options, () => {
  it('a full life needs all of them, word by word, and no other', async (context) => {
    const stage = await openStage(context)
    const { scene, account } = stage
    const first = startOperator(stage)
    await first.leads()
    for (const step of LIFE) await play(stage, step)
    // an orphan to adopt, an eviction, an end in order, and one that follows
    const orphan = await scene.pod('BTCUSDT')
    const path = `/api/v1/namespaces/${scene.namespace}/pods/${orphan.metadata?.name}`
    await scene.cluster.api.patch(path, { metadata: { ownerReferences: null } })
    await waitFor('the pod to be adopted', async () => {
      return ((await scene.pod('BTCUSDT')).metadata?.ownerReferences ?? []).length === 1
    })
    await scene.drain(await scene.pod('SOLUSDT'))
    await settled(stage, 'a pod was evicted', BOTH)
    await first.stop()
    await startOperator(stage).leads()
    await play(stage, edit('another template again', BOTH, { bookLevels: 5 }, true))
    await scene.delete(CAPTURE)
    await scene.gone()
    await scene.operator.stop()

    const all = await scene.cluster.audit({ user: account.user })
    // the test itself asks as the operator whether its rights count already
    const asked = all.filter(({ objectRef }) => objectRef?.resource !== 'selfsubjectaccessreviews')
    assert.ok(asked.length > 100, `the log knows ${asked.length} requests`)
    const refused = asked.filter(({ responseStatus }) => [401, 403].includes(responseStatus?.code ?? 0))
    assert.deepEqual(refused.map(nameOf), [])
    const used = new Set(asked.map(nameOf))
    const allowed = rightsOf([...operatorRules(), ...leaseRules()])
    assert.deepEqual(
      [...allowed].filter((right) => !used.has(right)),
      [],
      'rights that nothing needs',
    )
    assert.deepEqual(
      [...used].filter((right) => !allowed.has(right)),
      [],
      'requests beyond the rules',
    )
  })
})

/** Every verb of every resource that the rules name, one by one. */
function rightsOf(rules: Rules): Set<string> {
  const rights = new Set<string>()
  for (const { apiGroups, resources, verbs } of rules)
    for (const group of apiGroups)
      for (const resource of resources)
        for (const verb of verbs) rights.add(`${verb} ${resource} of "${group}"`)
  return rights
}

function nameOf({ verb, objectRef = {} }: AuditEvent): string {
  const { apiGroup = '', resource = '', subresource } = objectRef
  return `${verb} ${resource}${subresource === undefined ? '' : `/${subresource}`} of "${apiGroup}"`
}
