import assert from 'node:assert/strict'
import { before, describe, it, type TestContext } from 'node:test'
import { CONDITION_TYPES } from '../../api/conditions.ts'
import {
  ATTENTION_MAX,
  ATTENTION_MESSAGE_LENGTH_MAX,
  CaptureStatus,
  CONDITION_MESSAGE_LENGTH_MAX,
} from '../../api/resource.ts'
import { type ApiClient, type Cluster, clusterProblem, openCluster } from '../cluster/mod.ts'
import { capture, capturesPath, LEAST, type Stored } from './captures.ts'

const skip = clusterProblem() || false
const SINCE = '2026-11-22T12:00:00Z'

const condition = (type: string, message = 'as it is') => ({
  type,
  status: 'False' as const,
  reason: 'SymbolsStarting',
  message,
  lastTransitionTime: SINCE,
  observedGeneration: 1,
})
const entry = (symbol: string, message = 'as it is') => ({
  symbol,
  state: 'Halted',
  reason: 'CrossedBook',
  message,
  since: SINCE,
  restarts: 2,
  pod: 'majors-x-1f3ac09b-2',
})

/** As much as a status may hold. */
const FULL: CaptureStatus = {
  observedGeneration: 1,
  symbols: { desired: 500, live: 0, halted: 500 },
  attention: Array.from({ length: ATTENTION_MAX }, (_, i) =>
    entry(`S${i}`, '币'.repeat(ATTENTION_MESSAGE_LENGTH_MAX)),
  ),
  attentionOmitted: 450,
  conditions: CONDITION_TYPES.map((type) => condition(type, '币'.repeat(CONDITION_MESSAGE_LENGTH_MAX))),
}

describe('the status on a real API server', { skip }, () => {
  let cluster: Cluster
  let api: ApiClient
  before(async () => {
    cluster = await openCluster()
    api = cluster.api
  })

  async function created(t: TestContext): Promise<{ path: string; stored: Stored }> {
    const path = capturesPath(await cluster.namespace(t, 'crd'))
    const stored = await api.create<Stored>(path, capture(LEAST))
    return { path: `${path}/majors`, stored }
  }

  it('is written through its subresource alone, and moves no generation', async (t) => {
    const { path, stored } = await created(t)
    assert.equal(stored.metadata.generation, 1)
    const ignored = await api.patch<Stored>(path, { status: { attentionOmitted: 3 } })
    assert.equal(ignored.status, undefined)
    const written = await api.send<Stored>('PUT', `${path}/status`, {
      ...ignored,
      spec: { ...ignored.spec, suspend: true },
      status: FULL,
    })
    assert.deepEqual(written.status, CaptureStatus.parse(FULL))
    assert.equal(written.spec['suspend'], false)
    assert.equal(written.metadata.generation, 1)
    const edited = await api.patch<Stored>(path, { spec: { suspend: true } })
    assert.equal(edited.metadata.generation, 2)
    assert.deepEqual(edited.status, FULL)
  })

  it('an equal status is no write: the version stays', async (t) => {
    const { path, stored } = await created(t)
    const first = await api.send<Stored>('PUT', `${path}/status`, { ...stored, status: FULL })
    const again = await api.send<Stored>('PUT', `${path}/status`, { ...first, status: FULL })
    assert.equal(again.metadata.resourceVersion, first.metadata.resourceVersion)
  })

  it('beyond its bounds it is refused, by zod and by the server', async (t) => {
    const { path } = await created(t)
    const wrong: Readonly<Record<string, readonly [object, RegExp]>> = {
      'a message too long': [{ attention: [entry('A', 'x'.repeat(513))] }, /message: Too long/],
      'too much attention': [
        { attention: Array.from({ length: ATTENTION_MAX + 1 }, (_, i) => entry(`S${i}`)) },
        /status\.attention: Too many: 51/,
      ],
      'no time': [{ conditions: [{ ...condition('Ready'), lastTransitionTime: 'noon' }] }, /date-time/],
      'no reason': [{ conditions: [{ ...condition('Ready'), reason: '' }] }, /reason/],
      'a status that is none': [
        { conditions: [{ ...condition('Ready'), status: 'Degraded' }] },
        /Unsupported/,
      ],
      'half a count': [{ symbols: { desired: 1 } }, /status\.symbols\.live: Required/],
    }
    for (const [name, [status, says]] of Object.entries(wrong)) {
      assert.equal(CaptureStatus.safeParse(status).success, false, name)
      await assert.rejects(api.patch(`${path}/status`, { status }), { status: 422, message: says }, name)
    }
    const twice = { conditions: [condition('Ready'), condition('Ready')] }
    await assert.rejects(api.patch(`${path}/status`, { status: twice }), { message: /Duplicate value/ })
  })
})
