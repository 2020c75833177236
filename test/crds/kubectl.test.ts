import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { API_GROUP, CAPTURES } from '../../api/labels.ts'
import { type Cluster, clusterProblem, kubectlProblem, openCluster, programPath } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import { capture, capturesPath, LEAST, type Stored } from './captures.ts'

const skip = clusterProblem() || kubectlProblem() || false
const TIMEOUT_MS = 120_000
const VERBS = ['get', 'list', 'create', 'patch']

describe('kubectl', { skip }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await openCluster()
  })

  async function kubectlIn(namespace: string) {
    const { token } = await cluster.serviceAccount(namespace, 'user')
    await cluster.grant(namespace, 'user', [{ apiGroups: [API_GROUP], resources: [CAPTURES], verbs: VERBS }])
    const kubeconfig = cluster.kubeconfig(token)
    return async (...words: string[]) => {
      const options = ['--kubeconfig', kubeconfig, '--namespace', namespace, '--cache-dir', cluster.dir]
      const call = promisify(execFile)(programPath('kubectl'), [...options, ...words], {
        timeout: TIMEOUT_MS,
      })
      return (await call).stdout
    }
  }

  it('explains every part as the schema documents it', async (t) => {
    const kubectl = await kubectlIn(await cluster.namespace(t, 'crd'))
    // the server publishes documentation a moment after it serves the kind
    const top = await waitFor('the kind to be documented', () => kubectl('explain', 'l2captures'))
    assert.match(top, /An L2Capture records the order books/)
    const guards = await kubectl('explain', 'l2c.spec.guards')
    assert.match(guards, /Limits of the guards\./)
    assert.match(guards, /Silence of the book longer than this is questioned\./)
    const all = await kubectl('explain', 'l2captures', '--recursive')
    for (const field of ['credentialsSecretName', 'rotationSeconds', 'attention', 'requests']) {
      assert.match(all, new RegExp(field))
    }
    assert.doesNotMatch(await kubectl('explain', 'l2captures.spec'), /<no description>/)
  })

  it('shows what a user asks first, and the reason where there is room', async (t) => {
    const namespace = await cluster.namespace(t, 'crd')
    const kubectl = await kubectlIn(namespace)
    const path = capturesPath(namespace)
    await cluster.api.create<Stored>(path, capture(LEAST))
    const conditions = ['Ready', 'Stalled'].map((type) => ({
      type,
      status: 'False',
      reason: `${type}Reason`,
      message: '',
      lastTransitionTime: '2026-11-22T12:00:00Z',
    }))
    const status = { symbols: { desired: 2, live: 1, halted: 1 }, conditions }
    await cluster.api.patch(`${path}/majors/status`, { status })
    const rows = (text: string) => text.split('\n').map((line) => line.trim().split(/\s+/))
    const [head, row] = rows(await kubectl('get', 'l2c'))
    assert.deepEqual(head, ['NAME', 'EXCHANGE', 'SYMBOLS', 'LIVE', 'HALTED', 'READY', 'AGE'])
    assert.deepEqual(row?.slice(0, 6), ['majors', 'BinanceUsdm', '2', '1', '1', 'False'])
    const [wideHead, wideRow] = rows(await kubectl('get', 'l2c', '-o', 'wide'))
    assert.deepEqual(wideHead?.slice(5), ['READY', 'REASON', 'AGE'])
    assert.equal(wideRow?.[6], 'ReadyReason')
  })

  it('refuses a misspelt field by name', async (t) => {
    const kubectl = await kubectlIn(await cluster.namespace(t, 'crd'))
    const path = join(cluster.dir, 'misspelt.json')
    await writeFile(path, JSON.stringify(capture({ ...LEAST, rotationSecond: 60 })))
    await assert.rejects(kubectl('create', '-f', path), /unknown field "spec\.rotationSecond"/)
  })
})
