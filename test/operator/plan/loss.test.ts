import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { ANNOTATIONS } from '../../../api/labels.ts'
import { CaptureStatus } from '../../../api/resource.ts'
import { Memory, type Plan, plan } from '../../../operator/plan/mod.ts'
import { unmet } from '../../../operator/plan/needs.ts'
import {
  captureOf,
  EMPTY_MEMORY,
  iso,
  NOW,
  observe,
  podOf,
  reportOf,
  settingsOf,
  specOf,
  wireTime,
} from './build.ts'

const DAY_MS = 86_400_000
const settings = settingsOf()
const capture = captureOf(specOf({ symbols: ['BTCUSDT'] }))
const planOf = (pods: readonly V1Pod[], memory = EMPTY_MEMORY, nowMs = NOW): Plan =>
  plan(observe(capture, pods, { memory }), settings, nowMs)
const kinds = ({ actions }: Plan): string[] =>
  actions.map((action) => `${action.kind} ${'cause' in action ? action.cause : ''}`.trim())
const created = ({ actions }: Plan): V1Pod => {
  const [action] = actions
  assert.ok(action?.kind === 'create' && actions.length === 1, JSON.stringify(actions.map(({ why }) => why)))
  return action.pod
}
const predecessor = (made: Plan): string =>
  created(made).metadata?.annotations?.[ANNOTATIONS.predecessor] ?? ''
const successor = podOf(capture, settings, { attempt: 2, createdMs: NOW - 100_000, as: 'live' })

/** A pod whose node was lost two minutes ago after days of work: nobody could write how its container ended. */
function lostWithItsNode(): V1Pod {
  const pod = podOf(capture, settings, { as: 'failed', createdMs: NOW - 5 * DAY_MS })
  const lost = { type: 'DisruptionTarget', status: 'True', lastTransitionTime: iso(NOW - 120_000) }
  const running = {
    name: 'capture',
    restartCount: 0,
    state: { running: { startedAt: iso(NOW - 4 * DAY_MS) } },
  }
  return JSON.parse(
    JSON.stringify({
      ...pod,
      status: {
        ...pod.status,
        conditions: [...(pod.status?.conditions ?? []), lost],
        containerStatuses: [running],
      },
    }),
  )
}

describe('what a pod may hold', () => {
  it('a pod that was live and now refuses its configuration holds what it recorded: it drains, and is succeeded by name', () => {
    const refuses = { message: 'l2cap: L2CAP_CONFIG is not valid', exitCode: 2, hash: 'old' }
    const wasLive = podOf(capture, settings, { as: 'lost-live', ...refuses })
    const down = {
      ...wasLive,
      status: { ...wasLive.status, ...statusOf(podOf(capture, settings, { as: 'down', ...refuses })) },
    }
    assert.deepEqual(kinds(planOf([down, successor])), ['annotate'])
    assert.match(predecessor(planOf([down])), /BTCUSDT-1$/)
    const neverLive = podOf(capture, settings, { as: 'down', ...refuses })
    assert.deepEqual(kinds(planOf([neverLive, successor])), ['delete never_started'])
  })

  it('a pod lost with its node, without a report: its end is its last change, it is succeeded by name, and the loss is told', () => {
    const lost = lostWithItsNode()
    assert.deepEqual(kinds(planOf([lost, successor])), [], 'the witness stays for a day')
    assert.match(predecessor(planOf([lost])), /BTCUSDT-1$/)
    const told = planOf([lost, successor], { ...EMPTY_MEMORY, startedAtMs: NOW - 600_000 })
    assert.deepEqual(told.events.map(({ reason }) => reason).slice(0, 1), ['BacklogLost'])
    const tomorrow = NOW - 120_000 + DAY_MS
    assert.deepEqual(kinds(planOf([lost, successor], EMPTY_MEMORY, tomorrow)), ['delete drain_deadline'])
    assert.deepEqual(
      kinds(planOf([lost], EMPTY_MEMORY, tomorrow)),
      ['create ended'],
      'and not before another is there',
    )
  })

  it('a pod that its node took back after a day, its word on the container wiped: it holds what it recorded', () => {
    const pod = podOf(capture, settings, { as: 'failed', createdMs: NOW - DAY_MS })
    const refused = (startedMs: number): V1Pod => ({
      ...pod,
      status: { phase: 'Failed', reason: 'OutOfcpu', startTime: wireTime(startedMs) },
    })
    const memory = { ...EMPTY_MEMORY, startedAtMs: NOW - 600_000, endedSeen: new Map([['BTCUSDT-1', NOW]]) }
    const wiped = refused(NOW - DAY_MS)
    assert.deepEqual(kinds(planOf([wiped, successor], memory)), [], 'the witness stays for a day')
    assert.match(predecessor(planOf([wiped])), /BTCUSDT-1$/)
    const told = (pod: V1Pod) => planOf([pod, successor], memory).events.map(({ reason }) => reason)
    assert.deepEqual(told(wiped).slice(0, 1), ['BacklogLost'])
    assert.deepEqual(
      kinds(planOf([wiped, successor], memory, NOW + DAY_MS)),
      ['delete drain_deadline'],
      'a day after its end was seen',
    )

    const atBirth = refused(NOW - 599_000)
    assert.deepEqual(kinds(planOf([atBirth, successor], memory)), ['delete never_started'])
    assert.equal(predecessor(planOf([atBirth])), '')
    assert.deepEqual(told(atBirth), [])
  })

  it('who drained more than a day ago is waited for no more', () => {
    const drained = (agoMs: number) =>
      podOf(capture, settings, {
        as: 'succeeded',
        report: reportOf('Drained'),
        finishedMs: NOW - agoMs,
        createdMs: NOW - 9 * DAY_MS,
      })
    assert.match(predecessor(planOf([drained(DAY_MS - 1000)])), /BTCUSDT-1$/)
    assert.equal(predecessor(planOf([drained(DAY_MS)])), '')
  })
})

describe('what must still be so when it is done', () => {
  const report = reportOf('Drained')
  const notes = {
    [ANNOTATIONS.drain]: 'true',
    [ANNOTATIONS.drainSince]: iso(NOW - 90_000),
    [ANNOTATIONS.drainSeen]: '',
  }

  it('a drained pod is deleted only while it says that it is drained', () => {
    const drained = podOf(capture, settings, { as: 'down', report, notes })
    const action = planOf([drained, successor]).actions.find(({ kind }) => kind === 'delete')
    assert.ok(action?.kind === 'delete', 'it is deleted')
    const again = podOf(capture, settings, { as: 'starting', notes })
    assert.equal(unmet(action.needs, { capture, self: drained }), undefined)
    assert.equal(unmet(action.needs, { capture, self: again }), 'it does not report that it is drained')
  })
})

describe('what is told', () => {
  it('a stopped symbol: its halt is told once, whatever operator looks', () => {
    const notes = {
      [ANNOTATIONS.drain]: 'true',
      [ANNOTATIONS.drainSince]: iso(NOW - 600_000),
      [ANNOTATIONS.drainSeen]: '',
      [ANNOTATIONS.stopped]: 'SymbolUnknown',
      [ANNOTATIONS.stoppedGeneration]: '1',
      [ANNOTATIONS.stoppedMessage]: 'never listed',
    }
    const report = reportOf('SymbolUnknown')
    const record = podOf(capture, settings, { as: 'down', report, notes, finishedMs: NOW - 610_000 })
    assert.deepEqual(
      planOf([record]).events.filter(({ reason }) => reason === 'SymbolUnknown'),
      [],
    )
  })

  it('a pod that the API server does not take: Stalled, and attention, in its words, until one is taken', () => {
    const memory = new Memory(NOW - 1000)
    const first = planOf([], memory.view)
    const pod = created(first)
    memory.refusedFor(pod, 'exceeded quota: small', NOW)
    const { status } = planOf([], memory.view)
    const stalled = status.conditions?.find(({ type }) => type === 'Stalled')
    assert.deepEqual(
      [stalled?.status, stalled?.reason, stalled?.message],
      ['True', 'PodRefused', 'BTCUSDT: exceeded quota: small'],
    )
    assert.deepEqual(
      status.attention?.map(({ state, reason, message }) => [state, reason, message]),
      [['Pending', 'PodRefused', 'exceeded quota: small']],
    )
    CaptureStatus.parse(status)
    const taken = { ...pod, metadata: { ...pod.metadata, uid: 'a', creationTimestamp: new Date(NOW + 1000) } }
    memory.observe([taken], NOW + 2000)
    assert.equal(memory.view.refused.size, 0)
    memory.refusedFor(pod, 'exceeded quota: small', NOW)
    memory.observe([], NOW + 900_000)
    assert.equal(memory.view.refused.size, 0, 'a quarter of an hour later it is history')
  })

  it('pods of a capture of the same name that go are nobody of ours to warn of', () => {
    const going = podOf(capture, settings, { owner: 'the capture before', deleting: true })
    const staying = podOf(capture, settings, { owner: 'the capture before', attempt: 3 })
    const foreign = (pod: V1Pod) =>
      planOf([pod, successor]).events.filter(({ reason }) => reason === 'ForeignPod').length
    assert.deepEqual([foreign(going), foreign(staying)], [0, 1])
  })

  it('a message that is cut is text: the API server gives it back as it was written', () => {
    const report = reportOf('StaleFeed', { message: `${'x'.repeat(299)}😀` })
    const { status } = planOf([podOf(capture, settings, { as: 'down', report })])
    for (const { message = '' } of status.attention ?? []) assert.ok(message.isWellFormed())
    assert.equal(status.attention?.length, 1)
  })
})

function statusOf({ status }: V1Pod) {
  return { containerStatuses: status?.containerStatuses ?? [] }
}
