import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { pino } from 'pino'
import { Connection } from '../../operator/kube/mod.ts'
import { OperatorMetrics } from '../../operator/metrics.ts'
import { Operator } from '../../operator/operator.ts'
import { waitFor } from '../support/wait.ts'
import { failure, type Reply, ScriptedServer } from './kube/scripted.ts'
import { VirtualSystem } from './kube/virtual.ts'
import { settingsOf } from './plan/build.ts'

/** An operator whose API server answers as told, and whose clock is the test's. */
async function rig(context: TestContext, answer: (path: string) => Reply) {
  const server = await ScriptedServer.start(context, ({ path }) => answer(path))
  const system = new VirtualSystem()
  const access = { server: server.address, headers: {}, tls: {}, proxy: undefined, namespace: 'l2cap' }
  const connection = new Connection(async () => access, access, system)
  context.after(() => connection.close())
  const options = {
    settings: settingsOf(),
    namespace: undefined,
    leaseNamespace: undefined,
    leaseName: 'l2cap-operator',
    identity: 'one',
    kubeconfig: undefined,
    host: '127.0.0.1',
    port: 0,
    workers: 1,
    leaseSeconds: 15,
    relistSeconds: 1800,
    resyncSeconds: 300,
  }
  const metrics = new OperatorMetrics()
  const operator = new Operator(options, { connection, system, log: pino({ level: 'silent' }), metrics })
  return { server, system, operator }
}

const EMPTY: Reply = { status: 200, body: { metadata: { resourceVersion: '1' }, items: [] } }

describe('/livez of the operator', () => {
  for (const [what, reply] of [
    ['its rights', failure(403, 'Forbidden')],
    ['its definition', failure(404, 'NotFound')],
    ['an API server that works', failure(503, 'ServiceUnavailable')],
  ] as const)
    it(`who waits for ${what} is not stuck, however long that takes`, async (context) => {
      const { server, system, operator } = await rig(context, () => reply)
      operator.start()
      for (let minute = 1; minute <= 30; minute++) {
        const { length } = server.seen
        await system.advance(60_000)
        assert.equal(operator.stuck, '', `after ${minute} minutes`)
        // what is under way when the minute is over may come to its end, or to its deadline, after it
        await waitFor('another try', async () => {
          if (server.seen.length > length) return true
          await system.advance(1_000)
          return false
        })
      }
      assert.equal(operator.ready, false)
      await operator.stop()
      assert.equal(await operator.ended, 'stopped')
    })

  it('an elector that hangs once it stands for election is stuck', async (context) => {
    const { server, system, operator } = await rig(context, (path) => {
      return path.includes('/leases') ? 'hang' : EMPTY
    })
    operator.start()
    await waitFor('the election', () => server.seen.some(({ path }) => path.includes('/leases')))
    assert.equal(operator.stuck, '')
    system.stopFor(181_000)
    assert.match(operator.stuck, /no attempt at the lease for 181 s/)
    void operator.stop()
  })
})
