import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { type EventIntent, EventRecorder } from '../../../operator/kube/mod.ts'
import { waitFor } from '../../support/wait.ts'
import { Counts } from './counts.ts'
import { clientOf, failure, type Reply, ScriptedServer, type Seen } from './scripted.ts'
import { fastSystem } from './virtual.ts'

const EVENTS = '/apis/events.k8s.io/v1/namespaces/x/events'
const RESULT = 'l2cap_operator_events_total'
/** Of a series. */
const PATCH_EVERY_MS = 9_000
const CREATED: Reply = { status: 201, body: {} }

interface Rig {
  readonly server: ScriptedServer
  readonly counts: Counts
  readonly recorder: EventRecorder
}

/** Waits pass a hundred times as fast. */
const FAST = 100
/** For what has to be written before the deadline of a stop, 5 s, which no machine is to meet. */
const SLOW = 1 / 50

async function rig(
  context: TestContext,
  script: (seen: Seen) => Reply = () => CREATED,
  speed = FAST,
): Promise<Rig> {
  const server = await ScriptedServer.start(context, script)
  const counts = new Counts()
  const system = fastSystem(speed)
  const recorder = new EventRecorder({
    client: clientOf(context, server, system, counts),
    controller: 'l2cap.dev/operator',
    instance: 'operator-0',
    system,
    meter: counts,
    limits: { patchEveryMs: PATCH_EVERY_MS, burst: 3, refillMs: 1_000_000 },
  })
  return { server, counts, recorder }
}

function intent(more: Partial<EventIntent> = {}): EventIntent {
  return {
    regarding: {
      apiVersion: 'l2cap.dev/v1alpha1',
      kind: 'L2Capture',
      namespace: 'x',
      name: 'majors',
      uid: 'u',
    },
    type: 'Warning',
    reason: 'Halted',
    action: 'Observe',
    note: 'BTCUSDT halted: CrossedBook',
    ...more,
  }
}

function bodyOf<T>(seen: Seen | undefined): T {
  assert.ok(seen !== undefined, 'the server was asked')
  return seen.body as T
}

describe('events', () => {
  it('the first one is created as events.k8s.io/v1', async (context) => {
    const { server, recorder } = await rig(context)
    recorder.record(intent())
    await waitFor('the request', () => server.seen.length === 1)
    const [seen] = server.seen
    assert.equal(seen?.method, 'POST')
    assert.equal(seen?.path, EVENTS)
    const body = bodyOf<Record<string, unknown>>(seen)
    assert.match(String(body.eventTime), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    assert.equal(body.reportingController, 'l2cap.dev/operator')
    assert.equal(body.reportingInstance, 'operator-0')
    assert.deepEqual(body.regarding, intent().regarding)
    assert.equal(body.note, 'BTCUSDT halted: CrossedBook')
    assert.equal('series' in body, false)
  })

  it('repeats become one patch of a series, and no more than one in its time', async (context) => {
    const { server, counts, recorder } = await rig(context)
    for (let times = 0; times < 50; times++) recorder.record(intent())
    await waitFor('the patch', () => server.seen.length === 2)
    const [created, patched] = server.seen
    const { name } = bodyOf<{ metadata: { name: string } }>(created).metadata
    assert.equal(patched?.method, 'PATCH')
    assert.equal(patched?.path, `${EVENTS}/${name}`)
    const { series } = bodyOf<{ series: { count: number; lastObservedTime: string } }>(patched)
    const { count, lastObservedTime } = series
    assert.equal(count, 50)
    assert.match(lastObservedTime, /\.\d{6}Z$/)
    assert.equal(counts.of(RESULT, 'created'), 1)
    assert.equal(counts.of(RESULT, 'repeated'), 49)
  })

  it('another note is another event, until the object has talked too much', async (context) => {
    const { server, counts, recorder } = await rig(context, () => CREATED, SLOW)
    for (const symbol of ['A', 'B', 'C', 'D', 'E']) recorder.record(intent({ note: `${symbol} halted` }))
    recorder.record(intent({ regarding: { ...intent().regarding, name: 'minors', uid: 'v' } }))
    await recorder.stop()
    assert.equal(server.seen.length, 4, 'three of one object, one of the other')
    assert.deepEqual([counts.of(RESULT, 'created'), counts.of(RESULT, 'spam')], [4, 2])
  })

  it('no event is starved by those of another reason or pod: a halt of thirty new symbols is told', async (context) => {
    const { counts, recorder } = await rig(context, () => CREATED, SLOW)
    const symbols = Array.from({ length: 30 }, (_, at) => `S${at}`)
    for (const symbol of symbols)
      recorder.record(intent({ type: 'Normal', reason: 'PodCreated', note: `${symbol} is created` }))
    const halts = symbols.map((symbol) => {
      const related = { apiVersion: 'v1', kind: 'Pod', namespace: 'x', name: symbol, uid: symbol }
      return recorder.record(intent({ reason: 'CrossedBook', note: `${symbol} halted`, related }))
    })
    const others = ['SymbolStopped', 'BacklogLost', 'PodRefused'].map((reason) =>
      recorder.record(intent({ reason, note: reason })),
    )
    await recorder.stop()
    assert.ok(halts.every(Boolean) && others.every(Boolean))
    assert.deepEqual([counts.of(RESULT, 'created'), counts.of(RESULT, 'spam')], [3 + 30 + 3, 27])
  })

  it('who records learns whether it is told: what was too much is not', async (context) => {
    const { recorder } = await rig(context, () => CREATED, SLOW)
    const taken = ['A', 'B', 'C', 'D', 'A'].map((symbol) =>
      recorder.record(intent({ note: `${symbol} halted` })),
    )
    assert.deepEqual(taken, [true, true, true, false, true])
    await recorder.stop()
    assert.equal(recorder.record(intent({ note: 'too late' })), false)
  })

  it('an API server that is away: retried, then counted; recording never waits and never throws', async (context) => {
    const { server, counts, recorder } = await rig(context, () => failure(503, 'ServiceUnavailable'))
    recorder.record(intent())
    assert.equal(server.seen.length, 0, 'nobody has been asked when it returns')
    await waitFor('the end of the tries', () => counts.of(RESULT, 'failed') === 1)
    assert.equal(server.seen.length, 4)
    const names = server.seen.map((seen) => bodyOf<{ metadata: { name: string } }>(seen).metadata.name)
    assert.equal(new Set(names).size, 1, 'a create whose answer was lost is not done twice')
  })

  it('a refused verb is counted at once', async (context) => {
    const { server, counts, recorder } = await rig(context, () => failure(403, 'Forbidden'))
    recorder.record(intent())
    await waitFor('the failure', () => counts.of(RESULT, 'failed') === 1)
    assert.equal(server.seen.length, 1)
  })

  it('a create that arrived although its answer was lost counts as created', async (context) => {
    let tries = 0
    const { counts, recorder } = await rig(context, () =>
      tries++ === 0 ? 'break' : failure(409, 'AlreadyExists'),
    )
    recorder.record(intent())
    await waitFor('the end', () => counts.of(RESULT, 'created') === 1)
    assert.equal(counts.of(RESULT, 'failed'), 0)
  })

  it('a series whose event is gone by now is written anew', async (context) => {
    const { server, counts, recorder } = await rig(context, ({ method }) =>
      method === 'PATCH' ? failure(404, 'NotFound') : CREATED,
    )
    recorder.record(intent())
    recorder.record(intent())
    await waitFor('the second create', () => counts.of(RESULT, 'created') === 2)
    const second = bodyOf<{ series: { count: number } }>(server.seen.at(-1))
    assert.equal(second.series.count, 2)
  })

  it('stop writes the repeats that wait, and takes no more', async (context) => {
    const { server, recorder } = await rig(context, () => CREATED, SLOW)
    recorder.record(intent())
    await waitFor('the create', () => server.seen.length === 1)
    recorder.record(intent())
    recorder.record(intent())
    await recorder.stop()
    recorder.record(intent({ note: 'too late' }))
    assert.deepEqual(
      server.seen.map(({ method }) => method),
      ['POST', 'PATCH'],
    )
  })

  it('stop does not wait for an API server that hangs', async (context) => {
    const { recorder, counts } = await rig(context, () => 'hang')
    recorder.record(intent())
    await recorder.stop()
    assert.equal(counts.of(RESULT, 'failed'), 1)
  })

  it('a long note is cut at 1,024 bytes, between characters', async (context) => {
    const { server, recorder } = await rig(context, () => CREATED, SLOW)
    recorder.record(intent({ note: '€'.repeat(600) }))
    await recorder.stop()
    const { note } = bodyOf<{ note: string }>(server.seen[0])
    assert.ok(Buffer.byteLength(note) <= 1_024)
    assert.match(note, /^€+…$/)
  })
})
