import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { pino } from 'pino'
import type { L2CaptureResource } from '../../api/resource.ts'
import { Cluster } from '../../operator/cluster.ts'
import { ApiError, type ApiErrorCode, type Call, type KubeClient } from '../../operator/kube/mod.ts'
import { Memory } from '../../operator/plan/mod.ts'
import { ACTING_MS_MAX, Reconciler } from '../../operator/reconciler.ts'
import { captureOf, NOW, podOf, settingsOf, specOf } from './plan/build.ts'

const settings = settingsOf({ limits: { startsPerMinute: 100 } })

/** An operator that looks at one capture; `answer` is the API server's word on a write, or throws. */
function rig(
  symbols: readonly string[],
  answer: (method: string, path: string) => void,
  { suspend = true, recorded = true } = {},
) {
  const capture = captureOf(specOf({ symbols, suspend }))
  const pods = suspend ? symbols.map((symbol) => podOf(capture, settings, { symbol })) : []
  const writes: string[] = []
  const events: string[] = []
  const statuses: L2CaptureResource[] = []
  let nowMs = NOW
  const request = async ({ method, path, body }: Call): Promise<unknown> => {
    const name = path.split('/').at(-1) ?? ''
    if (method === 'GET')
      return path.includes('l2captures') ? capture : pods.find((pod) => nameOf(pod) === name)
    if (path.endsWith('/status')) {
      statuses.push(body as L2CaptureResource)
      return body
    }
    const created = method === 'POST' ? (body as V1Pod) : undefined
    const pod = created ?? pods.find((one) => nameOf(one) === name)
    writes.push(`${method} ${nameOf(pod ?? {})}`)
    answer(method, path)
    if (created !== undefined)
      pods.push({ ...created, metadata: { ...created.metadata, uid: nameOf(created) } })
    return pod
  }
  const memory = new Memory(NOW)
  const reconciler = new Reconciler({
    view: {
      capture: () => capture,
      captures: () => [capture],
      pods: () => pods,
      statuses: new Map(),
    },
    cluster: new Cluster({ request } as unknown as KubeClient),
    memory,
    settings,
    events: {
      record: ({ type, reason, note }) => {
        events.push(`${type} ${reason}: ${note}`)
        return recorded
      },
    },
    log: pino({ level: 'silent' }),
    now: () => nowMs,
    onFacts: () => {},
    onAction: () => {},
  })
  const pass = (ms: number) => {
    nowMs += ms
  }
  return { reconciler, memory, writes, events, statuses, pass }
}

function nameOf({ metadata }: V1Pod): string {
  return metadata?.name ?? ''
}

function refusal(code: ApiErrorCode, status: number): ApiError {
  return new ApiError({ code, status, message: `the policy says no (${status})` })
}

describe('a look at a capture', () => {
  for (const [code, status] of [
    ['Forbidden', 403],
    ['Invalid', 422],
    ['Refused', 400],
  ] as const)
    it(`a pod that may not be annotated (${status}) holds up no other, and is told by its name`, async () => {
      const { reconciler, writes, events } = rig(['AUSDT', 'BUSDT'], (_method, path) => {
        if (path.includes('ausdt')) throw refusal(code, status)
      })
      await assert.rejects(reconciler.reconcile('md/majors'), { code })
      assert.equal(writes.length, 2, writes.join())
      const [told = ''] = events.filter((event) => event.startsWith('Warning PodRefused'))
      assert.match(told, /ausdt.*the policy says no/)
    })

  it('an API server that answers nothing is asked nothing further in this look, and the status is tried', async () => {
    for (const code of [
      'Network',
      'Unavailable',
      'TooManyRequests',
      'Timeout',
      'Fenced',
      'Unauthorized',
    ] as const) {
      const { reconciler, writes, statuses } = rig(['AUSDT', 'BUSDT'], () => {
        throw new ApiError({ code, message: code })
      })
      await assert.rejects(reconciler.reconcile('md/majors'), { code })
      assert.deepEqual([writes.length, statuses.length], [1, 1], code)
    }
  })

  it('a look that takes long tells what is so, and goes on at once with another one', async () => {
    const symbols = Array.from({ length: 10 }, (_, at) => `S${at}USDT`)
    const slow: { rig?: ReturnType<typeof rig> } = {}
    slow.rig = rig(symbols, () => slow.rig?.pass(ACTING_MS_MAX / 4), { suspend: false })
    const { reconciler, memory, writes, statuses } = slow.rig
    assert.equal(await reconciler.reconcile('md/majors'), 0)
    assert.deepEqual([writes.length, statuses.length], [4, 1])
    assert.equal(memory.view.starts.length, 4, 'the starts that were not made hold up nobody')
    assert.equal(await reconciler.reconcile('md/majors'), 0)
    await reconciler.reconcile('md/majors')
    assert.deepEqual([writes.length, new Set(writes).size, statuses.length], [10, 10, 3])
  })

  it('an event that was too much is told later, and none that was told is told again', async () => {
    const tooMuch = rig(['AUSDT'], () => {}, { recorded: false })
    await tooMuch.reconciler.reconcile('md/majors')
    assert.ok(tooMuch.events.length > 0)
    assert.equal(tooMuch.memory.view.told.size, 0)
    const told = rig(['AUSDT'], () => {})
    await told.reconciler.reconcile('md/majors')
    assert.ok(told.memory.view.told.size > 0)
  })
})
