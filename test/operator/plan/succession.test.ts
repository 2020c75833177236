import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { ANNOTATIONS } from '../../../api/labels.ts'
import type { L2CaptureResource } from '../../../api/resource.ts'
import { type Action, type Plan, plan } from '../../../operator/plan/mod.ts'
import { captureOf, iso, NOW, observe, podOf, reportOf, settingsOf, specOf } from './build.ts'

const settings = settingsOf()
const capture = captureOf(specOf({ symbols: ['BTCUSDT'] }))
const planOf = (pods: readonly V1Pod[], of: L2CaptureResource = capture, nowMs = NOW): Plan =>
  plan(observe(of, pods), settings, nowMs)
/** What is done to which pod, in few words. */
const words = ({ actions }: Plan): string[] =>
  actions.map((action) => {
    const attempt = (action.kind === 'create' ? action.pod.metadata?.name : action.pod.name)
      ?.split('-')
      .at(-1)
    const how =
      action.kind === 'annotate' ? ` ${action.set[ANNOTATIONS.drain] ?? Object.keys(action.set)[0]}` : ''
    const cause = 'cause' in action ? ` ${action.cause}` : ''
    return `${action.kind}${how}${cause} ${attempt}`
  })
const only = ({ actions }: Plan): Action => {
  const [action] = actions
  assert.ok(action !== undefined && actions.length === 1, JSON.stringify(actions.map(({ why }) => why)))
  return action
}
const old = (shape = {}) => podOf(capture, settings, { attempt: 1, hash: 'old', ...shape })
const next = (shape = {}) =>
  podOf(capture, settings, { attempt: 2, createdMs: NOW - 100_000, as: 'starting', ...shape })
const drainNotes = (how: string, secondsAgo: number, seen = '') => ({
  [ANNOTATIONS.drain]: how,
  [ANNOTATIONS.drainSince]: iso(NOW - secondsAgo * 1000),
  [ANNOTATIONS.drainSeen]: seen,
})

describe('succession', () => {
  it('a symbol without a pod gets one, without a predecessor', () => {
    const action = only(planOf([]))
    assert.ok(action.kind === 'create')
    assert.equal(action.pod.metadata?.annotations?.[ANNOTATIONS.predecessor], '')
    assert.equal(action.cause, 'new')
  })

  it('a changed template gets a successor that names its predecessor, and the old pod stays', () => {
    const action = only(planOf([old({ createdMs: NOW - 3_600_000 })]))
    assert.ok(action.kind === 'create' && action.cause === 'spec')
    assert.match(action.pod.metadata?.name ?? '', /-2$/)
    assert.match(action.pod.metadata?.annotations?.[ANNOTATIONS.predecessor] ?? '', /-1\/BTCUSDT-1$/)
    const config = JSON.parse(action.pod.spec?.containers[0]?.env?.[0]?.value ?? '')
    assert.deepEqual(
      [config.predecessor.uid, Date.parse(config.predecessor.since)],
      ['BTCUSDT-1', NOW - 3_600_000],
    )
  })

  it('the old pod is asked to drain when its successor is live, by a fresh look, and not before', () => {
    assert.deepEqual(words(planOf([old(), next()])), [])
    const action = only(planOf([old(), next({ as: 'live' })]))
    assert.ok(action.kind === 'annotate' && action.set[ANNOTATIONS.drain] === 'true')
    assert.deepEqual([action.pod.uid, action.needs?.live?.uid], ['BTCUSDT-1', 'BTCUSDT-2'])
  })

  it('a pod that runs is never deleted before it reports Drained: the store may be away for longer than its grace', () => {
    const drains = old({ notes: drainNotes('true', 7200) })
    assert.deepEqual(words(planOf([drains, next({ as: 'live' })])), [])
  })

  it('an old pod that does not run is asked to drain when its successor is live, and not before', () => {
    const halted = old({ as: 'down', report: reportOf('CrossedBook', { unshippedBytes: 9 }) })
    assert.deepEqual(words(planOf([halted, next()])), [])
    assert.deepEqual(words(planOf([halted, next({ as: 'live' })])), ['annotate true 1'])
  })

  it('it goes after the report Drained, and not after one from before it was asked', () => {
    const drained = (seen: string) =>
      old({ as: 'down', report: reportOf('Drained'), notes: drainNotes('true', 100, seen) })
    assert.deepEqual(words(planOf([drained(''), next({ as: 'live' })])), ['delete drained 1'])
    const before = new Date(NOW - 60_000).toISOString()
    assert.deepEqual(words(planOf([drained(before), next({ as: 'live' })])), [])
  })

  it('a report Drained that leaves bytes behind permits nothing', () => {
    const report = reportOf('Drained', { unshippedBytes: 1 })
    const pod = old({ as: 'down', report, notes: drainNotes('true', 100) })
    assert.deepEqual(words(planOf([pod, next({ as: 'live' })])), [])
  })

  it('what cannot drain is deleted after a day, with a warning that names the bytes', () => {
    const report = reportOf('StaleFeed', { unshippedBytes: 1234 })
    const pod = (secondsAgo: number) => old({ as: 'down', report, notes: drainNotes('true', secondsAgo) })
    const waits = planOf([pod(86_399), next({ as: 'live' })])
    assert.deepEqual(words(waits), [])
    assert.equal(waits.requeueAfterMs, 1000)
    const action = only(planOf([pod(86_400), next({ as: 'live' })]))
    assert.ok(action.kind === 'delete' && action.cause === 'drain_deadline')
    assert.equal(action.event?.type, 'Warning')
    assert.equal(action.event?.reason, 'BacklogLost')
    assert.match(action.event?.note ?? '', /1234 unshipped bytes/)
  })

  it('a successor that is not live in time: the old one is marked, the new one discarded, then deleted', () => {
    const late = next({ createdMs: NOW - 600_000 })
    assert.deepEqual(words(planOf([old(), next({ createdMs: NOW - 599_000 })])), [])
    const marked = only(planOf([old(), late]))
    assert.ok(marked.kind === 'annotate' && marked.pod.uid === 'BTCUSDT-1')
    assert.equal(marked.event?.reason, 'RolloutTimedOut')
    const mark = marked.set[ANNOTATIONS.failedSuccessor] ?? ''
    const before = old({ notes: { [ANNOTATIONS.failedSuccessor]: mark } })
    const discard = only(planOf([before, late]))
    assert.ok(discard.kind === 'annotate' && discard.set[ANNOTATIONS.drain] === 'discard')
    assert.equal(discard.needs?.live?.uid, 'BTCUSDT-1')
    const runs = next({ createdMs: NOW - 600_000, notes: drainNotes('discard', 10) })
    assert.deepEqual(words(planOf([before, runs])), [], 'it has time to see the annotation')
    const ended = next({ as: 'down', report: reportOf('Discarded'), notes: drainNotes('discard', 10) })
    assert.deepEqual(words(planOf([before, ended])), ['delete discarded 2'])
    const deaf = next({ notes: drainNotes('discard', 300) })
    assert.deepEqual(words(planOf([before, deaf])), ['delete discarded 2'])
  })

  it('after it the roll-out rests: Stalled/RolloutTimedOut, until an hour later or another spec', () => {
    const marked = (of: L2CaptureResource, secondsAgo: number) => {
      const hash = next().metadata?.annotations?.[ANNOTATIONS.templateHash]
      const notes = { [ANNOTATIONS.failedSuccessor]: `${hash} ${iso(NOW - secondsAgo * 1000)}` }
      return planOf([old({ notes })], of)
    }
    const rests = marked(capture, 3599)
    assert.deepEqual(words(rests), [])
    assert.equal(rests.requeueAfterMs, 1000)
    const stalled = rests.status.conditions?.find(({ type }) => type === 'Stalled')
    assert.deepEqual([stalled?.status, stalled?.reason], ['True', 'RolloutTimedOut'])
    assert.deepEqual(words(marked(capture, 3600)), ['create spec 2'])
    const edited = captureOf(specOf({ symbols: ['BTCUSDT'], bookLevels: 7 }), { generation: 2 })
    assert.deepEqual(words(marked(edited, 10)), ['create spec 2'])
  })

  it('a failed successor of one symbol stops the roll-out of the others', () => {
    const two = captureOf(specOf({ symbols: ['BTCUSDT', 'ETHUSDT'] }))
    const hash = podOf(two, settings).metadata?.annotations?.[ANNOTATIONS.templateHash]
    const notes = { [ANNOTATIONS.failedSuccessor]: `${hash} ${iso(NOW - 60_000)}` }
    const pods = [
      podOf(two, settings, { hash: 'old', notes }),
      podOf(two, settings, { symbol: 'ETHUSDT', hash: 'old' }),
    ]
    assert.deepEqual(words(planOf(pods, two)), [])
  })

  it('a successor that was live once may hold what the old pod missed: it drains instead', () => {
    const hash = next().metadata?.annotations?.[ANNOTATIONS.templateHash]
    const before = old({ notes: { [ANNOTATIONS.failedSuccessor]: `${hash} ${iso(NOW - 10_000)}` } })
    assert.deepEqual(words(planOf([before, next({ as: 'lost-live' })])), ['annotate true 2'])
  })

  it('a spec that comes back during the roll-out discards the successor', () => {
    const pods = [podOf(capture, settings), next({ hash: 'other' })]
    assert.deepEqual(words(planOf(pods)), ['annotate discard 2'])
  })

  it('a successor that never started holds nothing and is deleted at once', () => {
    const pods = [podOf(capture, settings), next({ hash: 'other', as: 'unstarted' })]
    const action = only(planOf(pods))
    assert.ok(action.kind === 'delete' && action.cause === 'never_started')
    assert.equal(action.needs?.self, 'neverStarted')
  })

  it('a successor whose spec is hopeless is stopped and stays as the record; the old pod records on', () => {
    const broken = next({ as: 'down', report: reportOf('PrecisionLoss') })
    const action = only(planOf([old(), broken]))
    assert.ok(action.kind === 'annotate' && action.set[ANNOTATIONS.stopped] === 'PrecisionLoss')
    assert.equal(action.set[ANNOTATIONS.drain], 'discard')
    const record = next({
      as: 'down',
      report: reportOf('Discarded'),
      notes: {
        ...drainNotes('discard', 9),
        [ANNOTATIONS.stopped]: 'PrecisionLoss',
        [ANNOTATIONS.stoppedGeneration]: '1',
      },
    })
    const settled = planOf([old(), record])
    assert.deepEqual(words(settled), [])
    assert.equal(settled.status.symbols?.live, 1)
    assert.equal(settled.status.conditions?.find(({ type }) => type === 'Stalled')?.reason, 'SymbolStopped')
  })

  it('pods that end by force are succeeded at once: deleted, Failed, Succeeded, vanished', () => {
    assert.deepEqual(words(planOf([podOf(capture, settings, { deleting: true })])), ['create ended 2'])
    assert.deepEqual(
      words(planOf([podOf(capture, settings, { as: 'failed', message: '', exitCode: 137 })])),
      ['create ended 2'],
    )
    const drained = podOf(capture, settings, { as: 'succeeded', report: reportOf('Drained') })
    assert.deepEqual(words(planOf([drained])), ['create ended 2'])
    assert.deepEqual(words(planOf([])), ['create new 1'])
  })

  it('Ready=False alone never replaces a pod', () => {
    assert.deepEqual(words(planOf([podOf(capture, settings, { as: 'lost-live', createdMs: NOW - 9e7 })])), [])
    assert.deepEqual(words(planOf([podOf(capture, settings, { as: 'starting', createdMs: NOW - 9e7 })])), [])
  })

  it('what an evicted pod still held is told, and its object goes after a day', () => {
    const evicted = podOf(capture, settings, {
      as: 'failed',
      message: '',
      exitCode: 137,
      finishedMs: NOW - 500,
    })
    const told = planOf([evicted, next({ as: 'live' })])
    assert.deepEqual(words(told), [])
    assert.deepEqual(told.events.map(({ reason }) => reason).slice(0, 1), ['BacklogLost'])
    const later = planOf([evicted, next({ as: 'live' })], capture, NOW + 86_400_000)
    assert.deepEqual(words(later), ['delete drain_deadline 1'])
    const empty = podOf(capture, settings, { as: 'succeeded', report: reportOf('Drained') })
    assert.deepEqual(words(planOf([empty, next({ as: 'live' })])), ['delete drained 1'])
  })

  it('a pod that its node refuses is not tried again before a minute', () => {
    const refused = (secondsAgo: number) => {
      const pod = podOf(capture, settings, { as: 'failed', createdMs: NOW - secondsAgo * 1000 })
      return { ...pod, status: { ...pod.status, containerStatuses: [] } }
    }
    assert.deepEqual(words(planOf([refused(59)])), [])
    assert.deepEqual(words(planOf([refused(60)])), ['create ended 2'])
  })

  it('of two that are not live both are left to try; a third is stood down', () => {
    const halted = old({ as: 'down', report: reportOf('CrossedBook', { haltsInARow: 7 }) })
    assert.deepEqual(words(planOf([halted, next({ createdMs: NOW - 9e6 })])), [])
    const third = podOf(capture, settings, { attempt: 3, createdMs: NOW - 50_000, as: 'starting' })
    const action = only(planOf([halted, next({ as: 'lost-live' }), third]))
    assert.ok(action.kind === 'annotate' && action.set[ANNOTATIONS.drain] === 'true')
    assert.deepEqual([action.pod.uid, action.needs?.self], ['BTCUSDT-1', 'notLive'])
  })

  it('a person may ask a pod to drain: it is succeeded, and its day begins then', () => {
    const asked = podOf(capture, settings, { notes: { [ANNOTATIONS.drain]: 'true' } })
    assert.deepEqual(words(planOf([asked])), ['create new 2', 'annotate true 1'])
  })
})

describe('symbols that are to stop', () => {
  it('suspend drains every pod, running or not, and deletes it when it reports so', () => {
    const suspended = captureOf(specOf({ symbols: ['BTCUSDT'], suspend: true }), { generation: 2 })
    const action = only(planOf([podOf(capture, settings)], suspended))
    assert.ok(action.kind === 'annotate' && action.set[ANNOTATIONS.drain] === 'true')
    assert.deepEqual(action.needs, { generation: 2, captureUid: 'uid-majors' })
    const drained = podOf(capture, settings, {
      as: 'down',
      report: reportOf('Drained'),
      notes: drainNotes('true', 9),
    })
    const draining = planOf([drained], suspended)
    assert.deepEqual(words(draining), ['delete drained 1'])
    const reasons = ({ status }: Plan) => status.conditions?.find(({ type }) => type === 'Suspended')?.reason
    assert.equal(reasons(draining), 'Draining')
    assert.equal(reasons(planOf([], suspended)), 'Drained')
    assert.match(JSON.stringify(planOf([], suspended).status), /no pod holds anything any more/)
  })

  it('resume starts anew while the old pod still drains', () => {
    const draining = podOf(capture, settings, { as: 'starting', notes: drainNotes('true', 9) })
    const action = only(planOf([draining]))
    assert.ok(action.kind === 'create')
    assert.match(action.pod.metadata?.annotations?.[ANNOTATIONS.predecessor] ?? '', /BTCUSDT-1$/)
  })

  it('a removed symbol drains, the others are left alone', () => {
    const two = captureOf(specOf({ symbols: ['BTCUSDT', 'ETHUSDT'] }))
    const pods = [podOf(two, settings, { share: 1 }), podOf(two, settings, { symbol: 'ETHUSDT', share: 1 })]
    const action = only(planOf(pods))
    assert.ok(
      action.kind === 'annotate' && action.symbol === 'ETHUSDT' && action.set[ANNOTATIONS.drain] === 'true',
    )
  })

  it('a capture that is being deleted is let alone: its pods are collected, and drain', () => {
    const going = {
      ...capture,
      metadata: { ...capture.metadata, deletionTimestamp: capture.metadata.creationTimestamp },
    }
    const planned = planOf([], JSON.parse(JSON.stringify(going)))
    assert.deepEqual([planned.actions, planned.statusChanged], [[], false])
  })

  it('under a spec that cannot be used everything that runs goes on', () => {
    const bad = JSON.parse(JSON.stringify({ ...capture, spec: { ...capture.spec, rotationSeconds: 7 } }))
    const planned = planOf([podOf(capture, settings)], bad)
    assert.deepEqual(planned.actions, [])
    const stalled = planned.status.conditions?.find(({ type }) => type === 'Stalled')
    assert.deepEqual([stalled?.status, stalled?.reason], ['True', 'SpecInvalid'])
    assert.match(stalled?.message ?? '', /rotationSeconds/)
  })
})
