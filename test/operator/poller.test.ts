import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { ANNOTATIONS } from '../../api/labels.ts'
import { StatusPoller } from '../../operator/poller.ts'
import { waitFor } from '../support/wait.ts'
import { type Reply, ScriptedServer } from './kube/scripted.ts'

const POD: V1Pod = {
  metadata: { name: 'majors-btcusdt-1', uid: 'u1', annotations: { [ANNOTATIONS.symbol]: 'BTCUSDT' } },
}
const OWN = {
  version: '0.2.0',
  symbol: 'BTCUSDT',
  writer: { pod: 'majors-btcusdt-1', podUid: 'u1' },
  state: 'live',
}

/** All deadlines but the first so many never end: a machine that stalls is not to meet them. Once in a test. */
function patient(context: TestContext, first: number): void {
  const timeout = AbortSignal.timeout.bind(AbortSignal)
  let given = 0
  context.mock.method(AbortSignal, 'timeout', (ms: number) =>
    ++given <= first ? timeout(ms) : new AbortController().signal,
  )
}

/** Polls one pod, of which `answer` is what comes from its address, however late: no deadline of the poller ends. */
async function rig(context: TestContext, answer: () => Reply) {
  patient(context, 0)
  const server = await ScriptedServer.start(context, answer)
  const changes: string[] = []
  let nowMs = 0
  const poller = new StatusPoller({
    pods: () => [POD],
    everyMs: 10,
    now: () => ++nowMs,
    onChange: (pod) => changes.push(pod.metadata?.name ?? ''),
    addressOf: () => server.address,
  })
  context.after(() => poller.stop())
  poller.start()
  return { poller, changes }
}

const ok = (body: unknown): Reply => ({ status: 200, body })

describe('the poller of /status', () => {
  it('keeps what a pod says of itself, and tells what is news once', async (context) => {
    const { poller, changes } = await rig(context, () => ok(OWN))
    await waitFor('three answers', () => poller.counts.answered >= 3)
    const polled = poller.statuses.get('u1')
    assert.ok(polled !== undefined && 'status' in polled)
    assert.deepEqual([polled.status.state, polled.status.writer.podUid], ['live', 'u1'])
    assert.deepEqual(changes, ['majors-btcusdt-1'])
  })

  describe('an address that another pod has by now: its answer is an error, whichever word gives it away', () => {
    for (const [word, other] of Object.entries({
      symbol: { ...OWN, symbol: 'ETHUSDT' },
      'name of the pod': { ...OWN, writer: { pod: 'majors-btcusdt-2', podUid: 'u1' } },
      'UID of the pod': { ...OWN, writer: { pod: 'majors-btcusdt-1', podUid: 'u2' } },
      'symbol, as version 0.1 answers': { symbol: 'ETHUSDT', state: 'live' },
    }))
      it(word, async (context) => {
        const { poller } = await rig(context, () => ok(other))
        await waitFor('an answer', () => poller.statuses.get('u1'))
        const polled = poller.statuses.get('u1')
        assert.ok(polled !== undefined && 'error' in polled, JSON.stringify(other))
        assert.equal(polled.error, 'answered for another pod')
        assert.equal(poller.counts.answered, 0)
      })
  })

  it('the version before says no pod: its symbol is enough', async (context) => {
    const { writer: _, ...before } = OWN
    const { poller } = await rig(context, () => ok(before))
    await waitFor('an answer', () => poller.counts.answered > 0)
    assert.equal(poller.counts.failed, 0)
  })

  it('a pod that answers something else is told as one that fails, and is asked again', async (context) => {
    const answers: Reply[] = [{ status: 500, body: {} }, ok('<html>'), 'break']
    const { poller, changes } = await rig(context, () => answers.shift() ?? ok(OWN))
    await waitFor('its own answer', () => poller.counts.answered > 0)
    assert.equal(poller.counts.failed, 3)
    assert.equal(changes.length, 4, 'each of them is news')
  })

  it('pods that hang take no turn from the others: whose turn comes while all askers wait is asked later', async (context) => {
    const hanging = await ScriptedServer.start(context, () => 'hang')
    const well = await ScriptedServer.start(context, () => ok({}))
    const pods = Array.from({ length: 17 }, (_, at) => ({ metadata: { name: `p${at}`, uid: `u${at}` } }))
    const last = pods.at(-1)
    patient(context, pods.length - 1)
    let rounds = 0
    const poller = new StatusPoller({
      pods: () => (rounds++ === 0 ? pods : []),
      everyMs: 34,
      now: () => 0,
      onChange: () => {},
      addressOf: (pod) => (pod === last ? well.address : hanging.address),
    })
    context.after(() => poller.stop())
    poller.start()
    // the askers give up after 3 s, and then it is its turn; no further round has it
    await waitFor('an answer of the last', () => well.seen.length > 0)
  })
})
