/** What pods and the operator may do on a real cluster, and what they are refused. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { V1NetworkPolicy, V1Pod } from '@kubernetes/client-node'
import { z } from 'zod'
import { type ApiClient, ApiFailure } from '../cluster/mod.ts'
import { nameOf } from '../e2e/captures.ts'
import { ClusterScene } from './scene.ts'
import { targetProblem } from './target.ts'

const problem = targetProblem()
const options = problem === '' ? {} : { skip: problem }
const SYMBOL = 'BTCUSDT'
const OPERATOR = 'l2cap-operator'
const CAPTURE = 'l2cap-capture'
/** Where a token would be. */
const TOKEN_DIR = '/var/run/secrets/kubernetes.io'
const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] as const

/** What a process may do, asked of the kernel by the process itself: no bits, no way to more. */
const ABOUT_ITSELF = `
  const { existsSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
  const status = Object.fromEntries(readFileSync('/proc/self/status', 'utf8').split('\\n').map((line) => line.split(':\\t')))
  const written = (path) => { try { writeFileSync(path, ''); rmSync(path); return 'written' } catch (error) { return error.code } }
  console.log(JSON.stringify({
    user: process.getuid(), capabilities: status.CapEff, bounding: status.CapBnd, noNewPrivileges: status.NoNewPrivs,
    seccomp: status.Seccomp, root: written('/written'), app: written('/app/written'), spool: written('/spool/.written'),
    token: existsSync('${TOKEN_DIR}'), secrets: Object.keys(process.env).filter((name) => name.startsWith('AWS_')),
  }))`

const Itself = z.object({
  ...{ user: z.number(), capabilities: z.string(), bounding: z.string(), noNewPrivileges: z.string() },
  ...{ seccomp: z.string(), root: z.string(), app: z.string(), spool: z.string() },
  ...{ token: z.boolean(), secrets: z.array(z.string()) },
})

/** The server, as the holder of a fresh token of this account. */
async function as({ api, namespace }: ClusterScene, account: string): Promise<ApiClient> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`
  const reply = await api.create<{ status: { token: string } }>(path, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: 600 },
  })
  return api.as(reply.status.token)
}

async function refused(call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => error instanceof ApiFailure && error.status === 403)
}

function selects(policy: V1NetworkPolicy, pod: V1Pod): boolean {
  const wanted = Object.entries(policy.spec?.podSelector?.matchLabels ?? {})
  return wanted.length > 0 && wanted.every(([name, value]) => pod.metadata?.labels?.[name] === value)
}

async function podsOf({ api, namespace }: ClusterScene, component: string): Promise<V1Pod[]> {
  const query = `labelSelector=app.kubernetes.io%2Fcomponent%3D${component}`
  return await api.list<V1Pod>(`/api/v1/namespaces/${namespace}/pods?${query}`)
}

describe('security on a real cluster', options, () => {
  it('pods under "restricted", without a token; an operator that reads no Secret; policies that select the pods', async (context) => {
    const scene = await ClusterScene.open(context, { symbols: [SYMBOL] })
    await scene.apply('majors')
    const pod = await scene.live(SYMBOL)
    const core = `/api/v1/namespaces/${scene.namespace}`

    await context.test(
      'the namespace enforces "restricted": ours run, and pods that ask for more are refused',
      async () => {
        const ours = [...(await podsOf(scene, 'operator')), pod]
        assert.ok(ours.length >= 2)
        for (const one of ours) assert.equal(one.status?.phase, 'Running', nameOf(one))
        for (const securityContext of [{ privileged: true }, { runAsUser: 0 }, {}]) {
          const spec = { containers: [{ name: 'x', image: 'localhost/x:1', securityContext }] }
          const call = scene.api.create(`${core}/pods`, { metadata: { name: 'more' }, spec })
          await assert.rejects(
            call,
            (error) => error instanceof ApiFailure && error.message.includes('restricted'),
          )
        }
        const asked = { ...pod.spec, nodeName: undefined, hostNetwork: true }
        await refused(
          scene.api.create(`${core}/pods?dryRun=All`, { metadata: { name: 'more' }, spec: asked }),
        )
      },
    )

    await context.test(
      'a capture is nobody: its process has no right, no writable root and no token',
      async () => {
        assert.equal(pod.spec?.automountServiceAccountToken, false)
        for (const volume of pod.spec?.volumes ?? [])
          assert.ok(
            !volume.projected?.sources?.some((source) => source.serviceAccountToken !== undefined),
            volume.name,
          )
        const said = await scene.kubectl('exec', nameOf(pod), '--', 'node', '-e', ABOUT_ITSELF)
        assert.deepEqual(Itself.parse(JSON.parse(said)), {
          ...{
            user: 1000,
            capabilities: '0'.repeat(16),
            bounding: '0'.repeat(16),
            noNewPrivileges: '1',
            seccomp: '2',
          },
          ...{ root: 'EROFS', app: 'EROFS', spool: 'written', token: false, secrets: [] },
        })
        // the same look finds a token where there is one
        const [operator] = await podsOf(scene, 'operator')
        assert.ok(operator !== undefined)
        const other = await scene.kubectl('exec', nameOf(operator), '--', 'node', '-e', ABOUT_ITSELF)
        const { token, root, capabilities } = Itself.parse(JSON.parse(other))
        assert.deepEqual(
          { token, root, capabilities },
          { token: true, root: 'EROFS', capabilities: '0'.repeat(16) },
        )
      },
    )

    await context.test('the operator cannot read a Secret, nor make itself able to', async () => {
      const user = `system:serviceaccount:${scene.namespace}:${OPERATOR}`
      const may = async (group: string, resource: string, verb: string, namespace: string, name = '') => {
        const review = await scene.api.create<{ status: { allowed: boolean } }>(
          '/apis/authorization.k8s.io/v1/subjectaccessreviews',
          { spec: { user, resourceAttributes: { namespace, group, resource, verb, name } } },
        )
        return review.status.allowed
      }
      assert.equal(await may('', 'pods', 'create', scene.namespace), true)
      const lease = (name: string) => may('coordination.k8s.io', 'leases', 'update', scene.namespace, name)
      assert.deepEqual([await lease(OPERATOR), await lease('another')], [true, false])
      for (const namespace of [scene.namespace, 'kube-system', '']) {
        for (const verb of VERBS) {
          assert.equal(await may('', 'secrets', verb, namespace), false, `${verb} secrets in "${namespace}"`)
          assert.equal(
            await may('rbac.authorization.k8s.io', 'roles', verb, namespace),
            false,
            `${verb} roles`,
          )
        }
        for (const resource of ['pods/exec', 'serviceaccounts/token'])
          assert.equal(await may('', resource, 'create', namespace), false, resource)
      }
      const operator = await as(scene, OPERATOR)
      assert.ok((await operator.list(`${core}/pods`)).length > 0)
      await refused(operator.get(`${core}/secrets/l2cap-s3`))
      await refused(operator.list(`${core}/secrets`))
      await refused(operator.list('/api/v1/pods'))
      await refused(operator.list('/api/v1/namespaces/kube-system/pods'))
      await operator.close()
    })

    await context.test('the account of captures may do nothing at all', async () => {
      const capture = await as(scene, CAPTURE)
      for (const path of [`${core}/pods`, `${core}/secrets`, scene.captures])
        await refused(capture.list(path))
      await capture.close()
    })

    await context.test('each NetworkPolicy selects the pods that it is for, and no other', async () => {
      const policies = await scene.api.list<V1NetworkPolicy>(
        `/apis/networking.k8s.io/v1/namespaces/${scene.namespace}/networkpolicies`,
      )
      const pods = [...(await podsOf(scene, 'operator')), ...(await podsOf(scene, 'capture'))]
      const chosen = Object.fromEntries(
        policies.map((policy) => {
          const labels = pods
            .filter((one) => selects(policy, one))
            .map(({ metadata }) => metadata?.labels ?? {})
          return [
            policy.metadata?.name,
            [...new Set(labels.map((each) => each['app.kubernetes.io/component']))],
          ]
        }),
      )
      assert.deepEqual(chosen, { [OPERATOR]: ['operator'], [CAPTURE]: ['capture'], 'l2cap-test': [] })
    })
  })
})
