import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { waitFor } from '../support/wait.ts'
import { kubeconfigOf, readKubeconfig } from './access.ts'
import { ApiFailure, clusterProblem, kubectlProblem, openCluster, programPath } from './mod.ts'
import { givenKubeconfig, ownClusterProblem } from './programs.ts'

const skip = clusterProblem() || false

describe('somebody’s own cluster', () => {
  it('is found by one variable alone', () => {
    assert.equal(givenKubeconfig({ KUBECONFIG: '/home/me/.kube/config', HOME: '/home/me' }), undefined)
    assert.equal(givenKubeconfig({ L2CAP_TEST_KUBECONFIG: '/my/config' }), '/my/config')
    assert.equal(givenKubeconfig({ L2CAP_TEST_KUBECONFIG: '' }), undefined)
  })

  it('is not killed: tests that do so are skipped by name', (t) => {
    const before = process.env['L2CAP_TEST_KUBECONFIG']
    process.env['L2CAP_TEST_KUBECONFIG'] = '/my/config'
    t.after(() => {
      if (before === undefined) delete process.env['L2CAP_TEST_KUBECONFIG']
      else process.env['L2CAP_TEST_KUBECONFIG'] = before
    })
    assert.match(ownClusterProblem(), /somebody else’s/)
    assert.equal(clusterProblem(), '')
  })

  it('its kubeconfig is read: server, authority, and token or certificate', async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'l2cap-kubeconfig-'))
    t.after(() => rmSync(dir, { recursive: true }))
    const path = join(dir, 'config')
    const address = { server: 'https://127.0.0.1:6443', ca: '-- an authority --', token: 'a-token' }
    writeFileSync(path, kubeconfigOf(address))
    assert.deepEqual(await readKubeconfig(path), { ...address, cert: undefined, key: undefined })
    const certificate = {
      server: address.server,
      ca: address.ca,
      cert: '-- a certificate --',
      key: '-- a key --',
    }
    writeFileSync(path, kubeconfigOf(certificate))
    assert.deepEqual(await readKubeconfig(path), { ...certificate, token: undefined })
  })
})

describe('the cluster of a run', { skip }, () => {
  it('gives each test a namespace of its own, in which pods can be made', async (t) => {
    const cluster = await openCluster()
    const [one, other] = [await cluster.namespace(t), await cluster.namespace(t)]
    assert.notEqual(one, other)
    const containers = [{ name: 'c', image: 'none:1' }]
    await cluster.api.create(`/api/v1/namespaces/${one}/pods`, {
      metadata: { name: 'p' },
      spec: { containers },
    })
    assert.equal((await cluster.api.list(`/api/v1/namespaces/${one}/pods`)).length, 1)
    assert.equal((await cluster.api.list(`/api/v1/namespaces/${other}/pods`)).length, 0)
  })

  it('takes its namespaces away with the test, pods and all', async (t) => {
    const cluster = await openCluster()
    let clean: (() => Promise<void>) | undefined
    const name = await cluster.namespace({
      after: (work) => {
        clean = work
      },
    })
    t.after(() => clean?.())
    const containers = [{ name: 'c', image: 'none:1' }]
    const spec = { containers, nodeName: 'no-such-node', terminationGracePeriodSeconds: 3600 }
    await cluster.api.create(`/api/v1/namespaces/${name}/pods`, { metadata: { name: 'p' }, spec })
    await clean?.()
    await waitFor(
      'the namespace to go',
      async () => !(await cluster.api.exists(`/api/v1/namespaces/${name}`)),
    )
  })

  it('refuses in words: status, reason, message', async () => {
    const cluster = await openCluster()
    await assert.rejects(cluster.api.get('/api/v1/namespaces/none-such'), (error) => {
      assert.ok(error instanceof ApiFailure)
      assert.deepEqual([error.status, error.reason], [404, 'NotFound'])
      assert.match(
        error.message,
        /^GET \/api\/v1\/namespaces\/none-such: 404 NotFound: namespaces "none-such" not found$/,
      )
      return true
    })
  })

  it('is what kubectl sees by a kubeconfig of ours', { skip: kubectlProblem() || false }, async (t) => {
    const cluster = await openCluster()
    const namespace = await cluster.namespace(t)
    const { token } = await cluster.serviceAccount(namespace, 'cli')
    const kubeconfig = cluster.kubeconfig(token)
    const args = ['--kubeconfig', kubeconfig, 'auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}']
    const { status, stdout, stderr } = spawnSync(programPath('kubectl'), args, { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    assert.equal(stdout, `system:serviceaccount:${namespace}:cli`)
  })
})

describe('waitFor', () => {
  it('returns the first answer that is neither false nor undefined', async () => {
    const answers = [undefined, false, 0] as const
    let asked = 0
    assert.equal(await waitFor('a number', () => answers[asked++], { everyMs: 1 }), 0)
    assert.equal(asked, 3)
  })

  it('fails at its deadline with what it waited for, what went wrong, and what there was', async () => {
    const waiting = waitFor(
      'the moon',
      () => {
        throw new Error('clouds')
      },
      { deadlineMs: 20, everyMs: 5, show: () => ({ sky: 'grey' }) },
    )
    await assert.rejects(
      waiting,
      /waited 0.02 s for the moon; the last look failed: Error: clouds\nthere was: \{\n {2}"sky": "grey"\n\}/,
    )
  })
})
