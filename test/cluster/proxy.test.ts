import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { before, describe, it } from 'node:test'
import { waitFor } from '../support/wait.ts'
import { ApiClient, ApiFailure, type Cluster, clusterProblem, openCluster } from './mod.ts'
import { startProxy } from './proxy/mod.ts'
import { base64, follow, openScene } from './proxy-scene.ts'

const skip = clusterProblem() || false

describe('fault proxy', { skip }, () => {
  let cluster: Cluster
  before(async () => {
    cluster = await openCluster()
  })

  describe('without a rule', () => {
    it('passes everything on, reads, writes and watches', async (t) => {
      const { api, secrets, proxy } = await openScene(t)
      await api.create(secrets, { metadata: { name: 'one' } })
      const watch = follow(t, api, secrets)
      await watch.has('ADDED one')
      await api.patch(`${secrets}/one`, { data: { text: base64('x') } })
      await watch.has('MODIFIED one')
      await api.delete(`${secrets}/one`)
      await watch.has('DELETED one')
      assert.deepEqual(
        proxy.writes.map(
          ({ number, request: { verb, name }, status }) => `${number} ${verb} ${name} ${status}`,
        ),
        ['1 create  201', '2 patch one 200', '3 delete one 200'],
      )
    })

    it('leaves who asks as it was: rights are those of the token', async (t) => {
      const { proxy, secrets, namespace } = await openScene(t)
      const account = await cluster.serviceAccount(namespace, 'nobody')
      const api = new ApiClient({ server: proxy.server, ca: proxy.ca, token: account.token })
      t.after(() => api.close())
      await assert.rejects(api.get(secrets), { status: 403 })
    })

    it('speaks plain HTTP where it is told to', async (t) => {
      const { proxy, api, secrets } = await openScene(t, { plain: true })
      assert.match(proxy.server, /^http:/)
      assert.deepEqual(await api.list(`${secrets}?labelSelector=none`), [])
    })
  })

  describe('requests', () => {
    const answers = [
      { status: 429, reason: 'TooManyRequests', retryAfterSeconds: 3 },
      { status: 500, reason: 'InternalError' },
      { status: 503, reason: 'ServiceUnavailable', retryAfterSeconds: 1 },
      { status: 401, reason: 'Unauthorized' },
      { status: 403, reason: 'Forbidden' },
      { status: 410, reason: 'Expired' },
    ]
    for (const { status, reason, retryAfterSeconds } of answers) {
      it(`${status}: answered as often as told, and then no more`, async (t) => {
        const { proxy, api, secrets } = await openScene(t)
        const retry = retryAfterSeconds === undefined ? {} : { retryAfterSeconds }
        const rule = proxy.fault({
          when: { verbs: ['list'] },
          times: 2,
          do: { kind: 'answer', status, ...retry },
        })
        for (let i = 0; i < 2; i++) {
          await assert.rejects(api.get(secrets), (error) => {
            assert.ok(error instanceof ApiFailure)
            assert.deepEqual(
              [error.status, error.reason, error.retryAfterSeconds],
              [status, reason, retryAfterSeconds],
            )
            return true
          })
        }
        await api.get(secrets)
        assert.equal(rule.fired, 2)
      })
    }

    it('a rule is for what it names alone', async (t) => {
      const { proxy, api, secrets, make } = await openScene(t)
      await make('a')
      proxy.fault({ when: { resource: 'secrets', name: 'a' }, do: { kind: 'answer', status: 500 } })
      await assert.rejects(api.get(`${secrets}/a`), { status: 500 })
      await api.get(secrets)
      await api.get(secrets.replace('secrets', 'configmaps'))
    })

    it('a new token is taken while the old one gets 401', async (t) => {
      const { proxy, secrets, namespace } = await openScene(t)
      const old = await cluster.token(namespace, 'default')
      const fresh = await cluster.token(namespace, 'default', 1200)
      const authorization = `Bearer ${old}`
      proxy.fault({
        when: { where: ({ headers }) => headers.authorization === authorization },
        do: { kind: 'answer', status: 401 },
      })
      for (const [token, status] of [[old, 401] as const, [fresh, 403] as const]) {
        const api = new ApiClient({ server: proxy.server, ca: proxy.ca, token })
        t.after(() => api.close())
        await assert.rejects(api.get(secrets), { status })
      }
    })

    it('hang: no answer, and a broken connection when it is over', async (t) => {
      const { proxy, api, secrets } = await openScene(t)
      const rule = proxy.fault({ do: 'hang' })
      let answered = false
      const asked = assert
        .rejects(api.get(secrets), (error) => !(error instanceof ApiFailure))
        .then(() => {
          answered = true
        })
      await rule.whenFired()
      assert.equal(answered, false)
      rule.remove()
      await asked
      await api.get(secrets)
    })

    it('cut: the server has seen nothing', async (t) => {
      const { proxy, api, secrets } = await openScene(t)
      const rule = proxy.fault({ when: { verbs: ['create'] }, times: 1, do: 'cut' })
      await assert.rejects(
        api.create(secrets, { metadata: { name: 'one' } }),
        (error) => !(error instanceof ApiFailure),
      )
      assert.equal(rule.fired, 1)
      assert.equal(await cluster.api.exists(`${secrets}/one`), false)
    })

    it('lose-reply and half-reply: the server has done it, and the client does not know', async (t) => {
      const { proxy, api, secrets } = await openScene(t)
      for (const fault of ['lose-reply', 'half-reply'] as const) {
        const rule = proxy.fault({ when: { verbs: ['create'] }, times: 1, do: fault })
        await assert.rejects(
          api.create(secrets, { metadata: { name: fault } }),
          (error) => !(error instanceof ApiFailure),
        )
        assert.equal(rule.fired, 1)
        assert.equal(await cluster.api.exists(`${secrets}/${fault}`), true)
      }
    })

    it('delay: the answer comes late, and the next rule may strike, too', async (t) => {
      const { proxy, api, secrets } = await openScene(t)
      proxy.fault({ times: 1, do: { kind: 'delay', ms: 300 } })
      proxy.fault({ times: 1, do: { kind: 'answer', status: 503 } })
      const started = performance.now()
      await assert.rejects(api.get(secrets), { status: 503 })
      assert.ok(performance.now() - started >= 290)
      await api.get(secrets)
    })

    it('a probability is drawn from the seed: the same requests fail again', async (t) => {
      const failures = async (seed: number) => {
        const { proxy, api } = await openScene(t, { seed })
        proxy.fault({ probability: 0.5, do: { kind: 'answer', status: 500 } })
        const failed: boolean[] = []
        for (let i = 0; i < 40; i++)
          failed.push(
            await api.get('/version').then(
              () => false,
              () => true,
            ),
          )
        return failed
      }
      const first = await failures(7)
      assert.ok(first.includes(true) && first.includes(false))
      assert.deepEqual(await failures(7), first)
      assert.notDeepEqual(await failures(8), first)
    })

    it('partition: nothing passes and nothing breaks, until it is over', async (t) => {
      const { proxy, api, secrets, make } = await openScene(t)
      await make('first')
      const watch = follow(t, api, secrets)
      await watch.has('ADDED first')
      const apart = proxy.partition()
      const asked = api.get(secrets).then(
        () => 'answered',
        () => 'broken',
      )
      await make('unseen')
      await waitFor('the request to arrive', () => proxy.requests.some(({ verb }) => verb === 'list'))
      assert.equal(await Promise.race([asked, watch.end.then(() => 'watch over'), soon()]), 'nothing')
      assert.deepEqual(watch.seen, ['ADDED first'])
      apart.remove()
      assert.equal(await asked, 'broken')
      await assert.rejects(watch.end)
      await api.get(secrets)
    })
  })

  describe('pods of the stand-in kubelet', () => {
    it('answer through the proxy sub-resource, to those who have the right', async (t) => {
      const { proxy, api, secrets, namespace } = await openScene(t)
      const server = http.createServer((request, reply) => void reply.end(`you asked for ${request.url}`))
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      t.after(() => void server.close())
      const { port } = server.address() as AddressInfo
      const pods = secrets.replace('secrets', 'pods')
      const containers = [{ name: 'c', image: 'none:1' }]
      await api.create(pods, { metadata: { name: 'p' }, spec: { containers } })
      const path = `${pods}/p:${port}/proxy/status?a=b`
      await assert.rejects(api.get(path), { status: 503 })
      await cluster.api.patch(`${pods}/p/status`, { status: { podIP: '127.0.0.1' } })
      assert.equal(await api.get(path), 'you asked for /status?a=b')
      await assert.rejects(api.get(path.replace('/p:', '/q:')), { status: 404 })

      const { server: address, ca } = proxy
      const nobody = new ApiClient({ server: address, ca, token: await cluster.token(namespace, 'default') })
      t.after(() => nobody.close())
      await assert.rejects(nobody.get(path), { status: 403 })
    })
  })

  describe('writes', () => {
    it('a hook sees each write before and after it is done, and can cut either way', async (t) => {
      const { proxy, api, secrets } = await openScene(t)
      const log: string[] = []
      proxy.onWrite = {
        before: async ({ number, request }) => {
          const { name } = JSON.parse(request.body).metadata
          log.push(`before ${number} ${name} ${await cluster.api.exists(`${secrets}/${name}`)}`)
          return number === 2 ? 'cut' : undefined
        },
        after: async ({ number, request, status }) => {
          const { name } = JSON.parse(request.body).metadata
          log.push(`after ${number} ${name} ${status} ${await cluster.api.exists(`${secrets}/${name}`)}`)
          return number === 3 ? 'cut' : undefined
        },
      }
      const outcomes: string[] = []
      for (const name of ['a', 'b', 'c']) {
        outcomes.push(
          await api.create(secrets, { metadata: { name } }).then(
            () => 'done',
            () => 'broken',
          ),
        )
      }
      assert.deepEqual(outcomes, ['done', 'broken', 'broken'])
      assert.deepEqual(log, [
        'before 1 a false',
        'after 1 a 201 true',
        'before 2 b false',
        'before 3 c false',
        'after 3 c 201 true',
      ])
    })

    it('signs of life, events and questions have no number', async (t) => {
      const { proxy, api, secrets } = await openScene(t)
      const leases = secrets.replace('/api/v1', '/apis/coordination.k8s.io/v1').replace('secrets', 'leases')
      await api.create(leases, { metadata: { name: 'l' }, spec: { holderIdentity: 'me' } })
      await api.create(`${secrets}?dryRun=All`, { metadata: { name: 'dry' } })
      await api.create(secrets, { metadata: { name: 'wet' } })
      assert.deepEqual(
        proxy.writes.map(({ number, request }) => [number, request.resource]),
        [[1, 'secrets']],
      )
      assert.equal(proxy.requests.length, 3)
    })

    it('a hook that throws fails the test at its end', async (t) => {
      const { api, secrets } = await openScene(t)
      const proxy = await startProxy({ target: cluster })
      proxy.onWrite.before = () => {
        throw new Error('a mistake in a test')
      }
      const { token } = api.address
      const through = new ApiClient({ server: proxy.server, ca: proxy.ca, token })
      t.after(() => through.close())
      await assert.rejects(through.create(secrets, { metadata: { name: 'a' } }))
      await assert.rejects(proxy.close(), /the fault proxy went wrong/)
    })
  })
})

/** Loses every race that anything else would win. */
async function soon(): Promise<string> {
  await new Promise((wake) => setTimeout(wake, 200))
  return 'nothing'
}
