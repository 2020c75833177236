import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { ApiError, isRetryable, type KubeClient, listAll, MERGE_PATCH } from '../../../operator/kube/mod.ts'
import { waitFor } from '../../support/wait.ts'
import { Counts } from './counts.ts'
import { accessOf, clientOf, failure, type Reply, ScriptedServer, type Seen } from './scripted.ts'
import { fastSystem } from './virtual.ts'

const PODS = '/api/v1/namespaces/x/pods'
const SPEED = 20

interface Rig {
  readonly server: ScriptedServer
  readonly client: KubeClient
  readonly counts: Counts
}

async function rig(context: TestContext, script: (seen: Seen) => Reply): Promise<Rig> {
  const server = await ScriptedServer.start(context, script)
  const counts = new Counts()
  return { server, counts, client: clientOf(context, server, fastSystem(SPEED), counts) }
}

/** The error that the call ends in. */
async function errorOf(call: Promise<unknown>): Promise<ApiError> {
  const error = await call.then(
    () => assert.fail('the call succeeded'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof ApiError, String(error))
  return error
}

/** Answers each request with the next of `replies`, and the last one from then on. */
function inTurn(...replies: readonly Reply[]): () => Reply {
  let at = 0
  return () => replies[Math.min(at++, replies.length - 1)] ?? 'hang'
}

const OK: Reply = { status: 200, body: { ok: true } }

describe('rest', () => {
  it('sends JSON, the token and the query, and gives back the answer', async (context) => {
    const { server, client, counts } = await rig(context, () => OK)
    const answer = await client.request<{ ok: boolean }>({
      method: 'PATCH',
      path: `${PODS}/a`,
      query: { fieldManager: 'me', dryRun: undefined },
      body: { metadata: { labels: null } },
      contentType: MERGE_PATCH,
    })
    assert.deepEqual(answer, { ok: true })
    const [seen] = server.seen
    assert.equal(seen?.headers.authorization, 'Bearer first')
    assert.equal(seen?.headers['content-type'], MERGE_PATCH)
    assert.equal(seen?.query.toString(), 'fieldManager=me')
    assert.deepEqual(seen?.body, { metadata: { labels: null } })
    assert.equal(counts.of('rest_client_requests_total', '200', 'PATCH'), 1)
  })

  it('a hundred calls in a row share their connections', async (context) => {
    const { server, client } = await rig(context, () => OK)
    for (let calls = 0; calls < 100; calls++) await client.request({ method: 'GET', path: PODS })
    assert.ok(server.opened <= 2, `${server.opened} connections`)
  })

  it('tells failures apart by code, status and reason', async (context) => {
    const { server, client } = await rig(context, () => OK)
    const cases: [number, string, string][] = [
      [403, 'Forbidden', 'Forbidden'],
      [404, 'NotFound', 'NotFound'],
      [409, 'AlreadyExists', 'AlreadyExists'],
      [409, 'Conflict', 'Conflict'],
      [410, 'Expired', 'Gone'],
      [422, 'Invalid', 'Invalid'],
      [429, 'TooManyRequests', 'TooManyRequests'],
      [503, 'ServiceUnavailable', 'Unavailable'],
      [400, 'BadRequest', 'Refused'],
    ]
    for (const [status, reason, code] of cases) {
      server.script(() => failure(status, reason))
      const error = await errorOf(client.request({ method: 'POST', path: PODS, body: {} }))
      assert.deepEqual([error.status, error.reason, error.code], [status, reason, code])
      assert.match(error.message, new RegExp(`POST ${PODS}: the API server answered ${status} ${reason}`))
    }
  })

  it('429 and 503 with Retry-After: a read waits that long, a write hands it to its caller', async (context) => {
    const { server, client } = await rig(context, () => OK)
    for (const status of [429, 503]) {
      server.script(inTurn(failure(status, 'Busy', { 'retry-after': '6' }), OK))
      const startedMs = performance.now()
      await client.request({ method: 'GET', path: PODS })
      assert.ok((performance.now() - startedMs) * SPEED >= 5_900, 'as long as it was asked to')
      server.script(() => failure(status, 'Busy', { 'retry-after': '6' }))
      const before = server.seen.length
      const error = await errorOf(client.request({ method: 'POST', path: PODS, body: {} }))
      assert.equal(error.retryAfterMs, 6_000)
      assert.ok(isRetryable(error))
      assert.equal(server.seen.length, before + 1, 'a write is tried once')
    }
  })

  it('reads are tried four times at most, after broken sockets, 500 and answers that are no JSON', async (context) => {
    const { server, client, counts } = await rig(
      context,
      inTurn('break', failure(500, 'InternalError'), { status: 200, body: '{"items": [' }, OK),
    )
    assert.deepEqual(await client.request({ method: 'GET', path: PODS }), { ok: true })
    assert.equal(server.seen.length, 4)
    assert.equal(counts.of('rest_client_requests_total', '<error>'), 1)
    server.script(() => 'break')
    const error = await errorOf(client.request({ method: 'GET', path: PODS }))
    assert.equal(error.code, 'Network')
    assert.equal(error.status, 0)
    assert.equal(server.seen.length, 8)
  })

  it('a write whose answer is lost is not repeated', async (context) => {
    const { server, client } = await rig(context, () => 'break')
    const error = await errorOf(client.request({ method: 'POST', path: PODS, body: {} }))
    assert.equal(error.code, 'Network')
    assert.equal(server.seen.length, 1)
  })

  it('hangs: the deadline ends the call, also in the middle of the body', async (context) => {
    const { server, client } = await rig(context, () => 'hang')
    const call = { method: 'POST', path: PODS, body: {}, deadlineMs: 2_000 } as const
    assert.equal((await errorOf(client.request(call))).code, 'Timeout')
    server.script(() => ({ stream: ['{"a":'], after: 'hold' }))
    const error = await errorOf(client.request(call))
    assert.equal(error.code, 'Timeout')
    assert.match(error.message, /no answer within 2 s/)
  })

  it('a caller that gives up gets the code Aborted', async (context) => {
    const { server, client } = await rig(context, () => 'hang')
    const controller = new AbortController()
    const call = client.request({ method: 'GET', path: PODS, signal: controller.signal })
    const failed = errorOf(call)
    await waitFor('the request', () => server.seen.length === 1)
    controller.abort()
    assert.equal((await failed).code, 'Aborted')
  })

  it('401: the credentials are read again, once for all who were refused, and the call is repeated', async (context) => {
    let reads = 0
    let address = ''
    const server = await ScriptedServer.start(context, ({ headers }) =>
      headers.authorization === 'Bearer second' ? OK : failure(401, 'Unauthorized'),
    )
    address = server.address
    const counts = new Counts()
    const read = async () => {
      reads += 1
      return accessOf(address, 'second')
    }
    // at true speed: credentials that are a minute old are read again as well
    const client = clientOf(context, server, fastSystem(1), counts, { read })
    const call = () => client.request({ method: 'POST', path: PODS, body: {} })
    await Promise.all([call(), call(), call()])
    assert.equal(reads, 1)
    assert.equal(server.seen.length, 6)
    await call()
    assert.equal(server.seen.length, 7)
    assert.equal(counts.of('l2cap_operator_credentials_reads_total', 'read'), 1)
  })

  it('401 with credentials that are still the same is an error, and no second request', async (context) => {
    const { server, client } = await rig(context, () => failure(401, 'Unauthorized'))
    const error = await errorOf(client.request({ method: 'GET', path: PODS }))
    assert.equal(error.code, 'Unauthorized')
    assert.equal(server.seen.length, 1)
  })

  it('credentials that cannot be read are counted, and the old ones stay in use', async (context) => {
    const server = await ScriptedServer.start(context, () => failure(401, 'Unauthorized'))
    const counts = new Counts()
    const read = () => Promise.reject(new Error('the file is gone'))
    const client = clientOf(context, server, fastSystem(SPEED), counts, { read })
    assert.equal((await errorOf(client.request({ method: 'GET', path: PODS }))).code, 'Unauthorized')
    assert.equal(counts.of('l2cap_operator_credentials_reads_total', 'failed'), 1)
  })

  it('credentials that never come do not hold a call beyond its deadline', async (context) => {
    const server = await ScriptedServer.start(context, () => failure(401, 'Unauthorized'))
    const read = () => new Promise<never>(() => {})
    const client = clientOf(context, server, fastSystem(SPEED), undefined, { read })
    const error = await errorOf(client.request({ method: 'GET', path: PODS, deadlineMs: 2_000 }))
    assert.equal(error.code, 'Timeout')
  })

  it('a token file that changed is read again within a minute, without any 401', async (context) => {
    const server = await ScriptedServer.start(context, () => OK)
    const system = fastSystem(1)
    let ageMs = 0
    const clock = { ...system.clock, monotonicMs: () => system.clock.monotonicMs() + ageMs }
    const read = async () => accessOf(server.address, 'second')
    const client = clientOf(context, server, { ...system, clock }, undefined, { read })
    await client.request({ method: 'GET', path: PODS })
    ageMs = 61_000
    await client.request({ method: 'GET', path: PODS })
    assert.deepEqual(
      server.seen.map((seen) => seen.headers.authorization),
      ['Bearer first', 'Bearer second'],
    )
  })

  it('a new certificate gets new connections, and calls under way keep theirs', async (context) => {
    const server = await ScriptedServer.start(context, () => 'hang')
    const system = fastSystem(1)
    let ageMs = 0
    const clock = { ...system.clock, monotonicMs: () => system.clock.monotonicMs() + ageMs }
    const read = async () => ({ ...accessOf(server.address), tls: { cert: 'NEXT', key: 'NEXT' } })
    const client = clientOf(context, server, { ...system, clock }, undefined, { read })
    const underWay = client.request({ method: 'GET', path: PODS })
    const held = await waitFor('the first call', () => server.seen[0]?.response)
    server.script(() => OK)
    ageMs = 61_000
    await client.request({ method: 'GET', path: PODS })
    assert.equal(server.opened, 2)
    held.end('{"late":true}')
    assert.deepEqual(await underWay, { late: true })
  })

  it('the fence is asked at the instant of a write: nothing is sent, and reads go on', async (context) => {
    const server = await ScriptedServer.start(context, () => OK)
    let leads = true
    const counts = new Counts()
    const client = clientOf(context, server, fastSystem(SPEED), counts, { fence: () => leads })
    const call = client.request({ method: 'POST', path: PODS, body: {} })
    // after the call, before its socket is there: as a process that is stopped in between
    leads = false
    const error = await errorOf(call)
    assert.equal(error.code, 'Fenced')
    assert.equal(isRetryable(error), false)
    assert.equal(server.seen.length, 0)
    assert.equal(counts.of('rest_client_requests_total'), 0)
    await client.request({ method: 'GET', path: PODS })
    leads = true
    await client.request({ method: 'DELETE', path: `${PODS}/a` })
    assert.deepEqual(
      server.seen.map((seen) => seen.method),
      ['GET', 'DELETE'],
    )
  })

  it('our own pace: what exceeds the burst waits its turn', async (context) => {
    const server = await ScriptedServer.start(context, () => OK)
    const client = clientOf(context, server, fastSystem(SPEED), undefined, { qps: 1 })
    const startedMs = performance.now()
    await Promise.all([1, 2, 3, 4].map(() => client.request({ method: 'GET', path: PODS })))
    assert.ok((performance.now() - startedMs) * SPEED >= 2_900, 'three seconds for three more calls')
  })

  it('lists: all pages, of one moment, from a quorum', async (context) => {
    const { server, client } = await rig(context, ({ query }) => {
      const from = Number(query.get('continue') ?? 0)
      const metadata = { resourceVersion: '77', ...(from < 2 ? { continue: String(from + 1) } : {}) }
      return { status: 200, body: { metadata, items: [{ at: from }] } }
    })
    const { items, version } = await listAll<{ at: number }>(client, PODS, { labelSelector: 'a=b' })
    assert.deepEqual(items, [{ at: 0 }, { at: 1 }, { at: 2 }])
    assert.equal(version, '77')
    for (const { query } of server.seen) {
      assert.equal(query.get('limit'), '500')
      assert.equal(query.get('labelSelector'), 'a=b')
      assert.equal(query.has('resourceVersion'), false, 'a version would let a stale server answer')
    }
  })

  it('a list that never ends is an error', async (context) => {
    const { client } = await rig(context, () => ({
      status: 200,
      body: { metadata: { resourceVersion: '1', continue: 'again' }, items: [] },
    }))
    assert.match((await errorOf(listAll(client, PODS))).message, /does not end/)
  })
})
