import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { stringify } from 'yaml'
import { randomPort } from '../s3/ports.ts'
import { DIES_WITH_US } from '../support/children.ts'
import { waitFor } from '../support/wait.ts'
import { applyDefinitions } from './definitions.ts'
import { ApiClient, ApiFailure, type ControlPlane, ownClusterProblem, startControlPlane } from './mod.ts'

const NAMESPACES = '/api/v1/namespaces'
const skip = ownClusterProblem() || false

describe('control plane', { skip }, () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({ definitions: false })
  })
  after(() => plane.stop())

  it('is a Kubernetes of the pinned version', async () => {
    const { gitVersion } = await plane.api.get<{ gitVersion: string }>('/version')
    assert.match(gitVersion, /^v1\.\d+\.\d+$/)
    assert.equal(await plane.api.get('/readyz'), 'ok')
  })

  it('knows nobody without a token, and gives an account no right but what it was given', async (t) => {
    const stranger = plane.api.as('not-a-token')
    t.after(() => stranger.close())
    await assert.rejects(stranger.get(NAMESPACES), { status: 401 })

    const namespace = await plane.namespace(t)
    const pods = `${NAMESPACES}/${namespace}/pods`
    const account = await plane.serviceAccount(namespace, 'reader')
    t.after(() => account.api.close())
    await assert.rejects(account.api.get(pods), { status: 403, reason: 'Forbidden' })
    await plane.grant(namespace, 'reader', [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }])
    assert.deepEqual(await account.api.list(pods), [])
    await assert.rejects(account.api.create(pods, {}), { status: 403 })

    const asked = await waitFor('the log of requests to hold all three', async () => {
      const found = await plane.audit({ user: account.user, resource: 'pods' })
      return found.some(({ verb }) => verb === 'create') && found
    })
    const decisions = new Set(
      asked.map(({ verb, annotations }) => `${verb} ${annotations?.['authorization.k8s.io/decision']}`),
    )
    assert.deepEqual([...decisions].sort(), ['create forbid', 'list allow', 'list forbid'])
  })

  it('a token is worth nothing without its account', async (t) => {
    const namespace = await plane.namespace(t)
    const account = await plane.serviceAccount(namespace, 'short')
    t.after(() => account.api.close())
    await plane.api.delete(`${NAMESPACES}/${namespace}/serviceaccounts/short`)
    // for a moment the server still knows the account, and a token that it took once it takes for 10 s
    const statusOf = (error: unknown) => (error instanceof ApiFailure ? error.status : error)
    await waitFor('the token to be refused', async () => {
      const refused = await account.api.get(`${NAMESPACES}/${namespace}/pods`).catch(statusOf)
      assert.equal(refused, 401)
      return true
    })
  })

  it('serves the resource definitions of a folder, and leaves those alone that are there', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'l2cap-crds-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const write = (shortName: string) => writeFileSync(join(folder, 'widgets.yaml'), definition(shortName))
    const shortNames = async () => {
      const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.test'
      const { spec } = await plane.api.get<{ spec: { names: { shortNames: string[] } } }>(path)
      return spec.names.shortNames
    }
    write('w')
    assert.deepEqual(await applyDefinitions(plane.api, { folder }), ['widgets.example.test'])
    assert.deepEqual(await plane.api.list('/apis/example.test/v1/widgets'), [])
    write('wi')
    await applyDefinitions(plane.api, { folder, replace: false })
    assert.deepEqual(await shortNames(), ['w'])
    await applyDefinitions(plane.api, { folder })
    assert.deepEqual(await shortNames(), ['wi'])
  })

  it('its controllers work: dependents go with their owner, and a namespace goes with all that is in it', async (t) => {
    const namespace = await plane.namespace(t)
    const maps = `${NAMESPACES}/${namespace}/configmaps`
    const owner = await plane.api.create<{ metadata: { uid: string } }>(maps, { metadata: { name: 'owner' } })
    const { uid } = owner.metadata
    const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid }]
    await plane.api.create(maps, { metadata: { name: 'owned', ownerReferences } })
    await plane.api.delete(`${maps}/owner`)
    await waitFor('the owned object to go', async () => !(await plane.api.exists(`${maps}/owned`)))

    await plane.api.delete(`${NAMESPACES}/${namespace}`)
    await waitFor('the namespace to go', async () => !(await plane.api.exists(`${NAMESPACES}/${namespace}`)))
  })

  it('a node without a sign of life is lost, and its pods are to go, while another node lives', async (t) => {
    const namespace = await plane.namespace(t)
    const [lost, alive] = [`lost-${namespace}`, `alive-${namespace}`]
    for (const name of [lost, alive]) {
      await plane.api.create('/api/v1/nodes', { metadata: { name } })
      t.after(() => plane.api.delete(`/api/v1/nodes/${name}`).then(() => undefined))
      await beat(plane, name)
    }
    const pods = `${NAMESPACES}/${namespace}/pods`
    for (const name of [lost, alive]) await plane.api.create(pods, podOn(name))
    const isToGo = async (name: string) => {
      const { metadata } = await plane.api.get<{ metadata: { deletionTimestamp?: string } }>(
        `${pods}/${name}`,
      )
      return metadata.deletionTimestamp !== undefined
    }
    const onLost = async () => {
      await beat(plane, alive)
      return await isToGo(lost)
    }
    await waitFor('the pod of the lost node to be deleted', onLost, { deadlineMs: 180_000, everyMs: 500 })
    assert.equal(await isToGo(alive), false)
  })

  it('killed and started again: the same address, the same objects, and open watches broke', async (t) => {
    const namespace = await plane.namespace(t)
    const stop = new AbortController()
    t.after(async () => stop.abort())
    const watch = plane.api.watch(`${NAMESPACES}?watch=1`, () => undefined, stop.signal)
    const { server } = plane
    await plane.api.get('/readyz')
    const [broken] = await Promise.allSettled([watch, plane.kill()])
    assert.equal(broken.status, 'rejected')
    await assert.rejects(plane.api.get('/readyz'), (error) => !(error instanceof ApiFailure))
    await plane.start()
    assert.equal(plane.server, server)
    assert.deepEqual(await plane.api.list('/apis/example.test/v1/widgets'), [])
    assert.ok(await plane.api.exists(`${NAMESPACES}/${namespace}`))
  })

  it('paused: takes connections and answers nothing; then it goes on', async () => {
    plane.pause()
    // a stopped process in the kernel’s own words
    await waitFor('the process to be stopped', async () => (await stateOf(plane.apiServerPid)) === 'T')
    let answered = false
    const asked = plane.api.get('/readyz').then((answer) => {
      answered = true
      return answer
    })
    const taken = connect(Number(new URL(plane.server).port), '127.0.0.1')
    await once(taken, 'connect')
    taken.destroy()
    assert.equal(answered, false)
    plane.resume()
    assert.equal(await asked, 'ok')
  })

  it('compacted and restarted: versions and continue tokens of before get 410, in both forms', async (t) => {
    const namespace = await plane.namespace(t)
    const maps = `${NAMESPACES}/${namespace}/configmaps`
    for (const name of ['a', 'b', 'c']) await plane.api.create(maps, { metadata: { name } })
    const page = await plane.api.get<{ metadata: { continue: string; resourceVersion: string } }>(
      `${maps}?limit=1`,
    )
    const { resourceVersion } = page.metadata
    await plane.api.delete(`${maps}/a`)
    await plane.compact()
    await plane.restart({ kill: true })
    const token = encodeURIComponent(page.metadata.continue)
    await assert.rejects(plane.api.get(`${maps}?limit=1&continue=${token}`), { status: 410 })
    const seen: unknown[] = []
    const watch = plane.api.watch<{ code?: number }>(
      `${maps}?watch=1&resourceVersion=${resourceVersion}`,
      ({ type, object }) => seen.push(type === 'ERROR' ? object.code : type),
      t.signal,
    )
    await watch.catch((error: ApiFailure) => seen.push(error.status))
    assert.deepEqual(seen, [410])
  })
})

describe('control plane, left alone', { skip }, () => {
  it('takes other ports where one is taken, etcd’s or its own', async (t) => {
    const stranger = createServer().listen(0, '127.0.0.1')
    await once(stranger, 'listening')
    t.after(() => void stranger.close())
    const { port } = stranger.address() as AddressInfo
    const chosen: number[] = []
    const choosePort = () => {
      // the first of the first three, the last of the second three
      const next = [0, 5].includes(chosen.length) ? port : randomPort()
      chosen.push(next)
      return next
    }
    const plane = await startControlPlane({ controllers: false, definitions: false, choosePort })
    t.after(() => plane.stop())
    // three at a time; a random one may be taken as well
    assert.ok(chosen.length >= 9 && chosen.length % 3 === 0, `${chosen.length} ports`)
    assert.equal(plane.server, `https://127.0.0.1:${chosen.at(-1)}`)
    assert.equal(await plane.api.get('/readyz'), 'ok')
  })

  const dies = DIES_WITH_US.length > 0 || 'this machine has no setpriv'
  it('dies with the process that started it', { skip: dies === true ? false : dies }, async (t) => {
    const source = `
      import { startControlPlane } from ${JSON.stringify(`${import.meta.dirname}/control-plane.ts`)}
      const plane = await startControlPlane({ controllers: false, definitions: false })
      console.log(JSON.stringify({ server: plane.server, ca: plane.ca, pid: plane.apiServerPid, dir: plane.dir }))
      setInterval(() => undefined, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let told = ''
    parent.stdout.on('data', (text) => {
      told += text
    })
    try {
      await waitFor('the parent to start its control plane', () => told.includes('\n'), {
        deadlineMs: 180_000,
      })
      const { pid, server, ca, dir } = JSON.parse(told)
      t.after(() => rmSync(dir, { recursive: true, maxRetries: 5 }))
      assert.ok(existsSync(`/proc/${pid}`))
      parent.kill('SIGKILL')
      await waitFor('the API server to be gone', async () => ['', 'Z'].includes(await stateOf(pid)))
      const api = new ApiClient({ server, ca })
      await assert.rejects(api.get('/readyz'), (error) => !(error instanceof ApiFailure))
      await api.close()
    } finally {
      parent.kill('SIGKILL')
    }
  })
})

function definition(shortName: string): string {
  return stringify({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.test' },
    spec: {
      group: 'example.test',
      scope: 'Namespaced',
      names: { plural: 'widgets', singular: 'widget', kind: 'Widget', shortNames: [shortName] },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
      ],
    },
  })
}

/** A node's sign of life. */
async function beat(plane: ControlPlane, node: string): Promise<void> {
  const ready = { type: 'Ready', status: 'True', lastHeartbeatTime: new Date().toISOString() }
  await plane.api.patch(`/api/v1/nodes/${node}/status`, { status: { conditions: [ready] } })
}

/** A pod of the node's name, which leaves a lost node after a second. */
function podOn(node: string) {
  const tolerations = ['not-ready', 'unreachable'].map((taint) => ({
    key: `node.kubernetes.io/${taint}`,
    operator: 'Exists',
    effect: 'NoExecute',
    tolerationSeconds: 1,
  }))
  const containers = [{ name: 'c', image: 'none:1' }]
  return { metadata: { name: node }, spec: { nodeName: node, containers, tolerations } }
}

/** The letter that the kernel has for the state of a process; empty where there is none. */
async function stateOf(pid: number): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3)
  } catch {
    return '' // it has ended
  }
}
