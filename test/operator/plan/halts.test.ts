import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { ANNOTATIONS } from '../../../api/labels.ts'
import { suspectOf } from '../../../operator/plan/breaker.ts'
import { type Action, plan } from '../../../operator/plan/mod.ts'
import { viewPod } from '../../../operator/plan/pods.ts'
import { captureOf, iso, NOW, observe, podOf, reportOf, settingsOf, specOf } from './build.ts'

const settings = settingsOf()
const capture = captureOf(specOf({ symbols: ['BTCUSDT'] }))
const after = (pod: V1Pod, generation = 1) => {
  const at = { ...capture, metadata: { ...capture.metadata, generation } }
  return plan(observe(at, [pod]), settings, NOW)
}
const only = (actions: readonly Action[]): Action => {
  assert.equal(actions.length, 1, JSON.stringify(actions.map(({ kind, why }) => [kind, why])))
  const [action] = actions
  assert.ok(action !== undefined)
  return action
}
const down = (reason: string, more = {}) =>
  podOf(capture, settings, { as: 'down', report: reportOf(reason, more), node: 'node-a' })

describe('halts', () => {
  it('a first halt is left to the kubelet, which restarts it in place', () => {
    assert.deepEqual(after(down('CrossedBook')).actions, [])
    assert.deepEqual(after(down('CrossedBook', { haltsInARow: 2 })).actions, [])
  })

  it('the third halt in a row replaces the pod, make-before-break', () => {
    const action = only(after(down('CrossedBook', { haltsInARow: 3 })).actions)
    assert.equal(action.kind, 'create')
    assert.equal(action.kind === 'create' && action.cause, 'halts')
    assert.match(action.why, /3 times in a row, at last CrossedBook/)
  })

  it('a pod that is live again has recovered, whatever its last report says', () => {
    const pod = podOf(capture, settings, { as: 'live', report: reportOf('CrossedBook', { haltsInARow: 5 }) })
    assert.deepEqual(after(pod).actions, [])
  })

  it('ClockSkew or DiskFailed twice within ten minutes replaces the pod, away from its node', () => {
    for (const reason of ['ClockSkew', 'DiskFailed']) {
      const previous = { reason, at: iso(NOW - 60_000 - 599_000) }
      const action = only(after(down(reason, { haltsInARow: 2, previous })).actions)
      assert.ok(action.kind === 'create')
      assert.equal(action.cause, 'node')
      const [term] =
        action.pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
      assert.deepEqual(term?.preference.matchExpressions, [
        { key: 'kubernetes.io/hostname', operator: 'NotIn', values: ['node-a'] },
      ])
    }
  })

  it('twice, but not within ten minutes, is left alone', () => {
    const previous = { reason: 'ClockSkew', at: iso(NOW - 60_000 - 601_000) }
    assert.deepEqual(after(down('ClockSkew', { haltsInARow: 2, previous })).actions, [])
    const other = { reason: 'CrossedBook', at: iso(NOW - 120_000) }
    assert.deepEqual(after(down('ClockSkew', { haltsInARow: 2, previous: other })).actions, [])
  })

  it('a terminal reason stops the symbol: it drains, opens no socket, and stays as the record', () => {
    for (const reason of ['SymbolUnknown', 'PrecisionLoss', 'ConfigInvalid']) {
      const action = only(after(down(reason)).actions)
      assert.ok(action.kind === 'annotate')
      assert.equal(action.set[ANNOTATIONS.drain], 'true')
      assert.equal(action.set[ANNOTATIONS.stopped], reason)
      assert.deepEqual(action.needs, { generation: 1, captureUid: 'uid-majors', self: 'notLive' })
      assert.equal(action.event?.type, 'Warning')
    }
  })

  it('a terminal end from before an edit is tried once more, since the edit may have mended it', () => {
    const pod = down('SymbolUnknown')
    const noted = only(after(pod, 2).actions)
    assert.ok(noted.kind === 'annotate' && noted.set[ANNOTATIONS.drain] === undefined)
    const known = (finishedMs: number) =>
      podOf(capture, settings, {
        as: 'down',
        report: reportOf('SymbolUnknown'),
        finishedMs,
        notes: {
          [ANNOTATIONS.generation]: '2',
          [ANNOTATIONS.generationSeen]: noted.set[ANNOTATIONS.generationSeen] ?? '',
        },
      })
    assert.deepEqual(after(known(NOW - 60_000), 2).actions, [])
    const again = only(after(known(NOW - 1000), 2).actions)
    assert.ok(again.kind === 'annotate' && again.set[ANNOTATIONS.stopped] === 'SymbolUnknown')
  })

  it('a process that refuses its configuration and leaves no report is stopped too', () => {
    const pod = podOf(capture, settings, {
      as: 'down',
      exitCode: 2,
      message: 'l2cap: L2CAP_CONFIG is not valid',
    })
    const action = only(after(pod).actions)
    assert.ok(action.kind === 'annotate' && action.set[ANNOTATIONS.stopped] === 'ConfigInvalid')
  })

  it('a stopped symbol stays stopped with a wiped status, and until the spec or the template changes', () => {
    const notes = {
      [ANNOTATIONS.drain]: 'true',
      [ANNOTATIONS.drainSince]: iso(NOW - 600_000),
      [ANNOTATIONS.drainSeen]: 'an end before',
      [ANNOTATIONS.stopped]: 'SymbolUnknown',
      [ANNOTATIONS.stoppedGeneration]: '1',
      [ANNOTATIONS.stoppedMessage]: 'never listed',
    }
    const record = podOf(capture, settings, { as: 'down', report: reportOf('Drained'), notes })
    const stays = after(record)
    assert.deepEqual(stays.actions, [])
    assert.equal(stays.status.symbols?.halted, 1)
    assert.deepEqual(
      stays.status.attention?.map(({ state, reason, message }) => [state, reason, message]),
      [['Stopped', 'SymbolUnknown', 'never listed']],
    )
    const kinds = (pod: V1Pod, generation: number) => after(pod, generation).actions.map(({ kind }) => kind)
    assert.deepEqual(kinds(record, 2), ['create', 'delete'], 'another generation is another try')
    const outdated = podOf(capture, settings, { as: 'down', report: reportOf('Drained'), notes, hash: 'old' })
    assert.deepEqual(kinds(outdated, 1), ['create', 'delete'], 'another image is another try')
  })

  it('an internal error or a killed process is no halt', () => {
    assert.deepEqual(after(down('InternalError', { haltsInARow: 9 })).actions, [])
    assert.deepEqual(after(podOf(capture, settings, { as: 'down', message: '', exitCode: 137 })).actions, [])
  })

  it('a report of another shape, or cut off, is no report', () => {
    for (const message of ['{"reason":"CrossedBook"', '{"reason":7}', 'CrossedBook', '[]', 'null']) {
      assert.deepEqual(after(podOf(capture, settings, { as: 'down', message, exitCode: 11 })).actions, [])
    }
  })

  it('a halt is told once: in an event, in attention, in the condition, in the facts', () => {
    const pod = podOf(capture, settings, { as: 'down', report: reportOf('StaleFeed'), finishedMs: NOW - 500 })
    const first = after(pod)
    assert.deepEqual(
      first.events.map(({ type, reason }) => [type, reason]),
      [['Warning', 'StaleFeed']],
    )
    assert.deepEqual(
      first.facts.halts.map(({ reason }) => reason),
      ['StaleFeed'],
    )
    const halted = first.status.conditions?.find(({ type }) => type === 'Halted')
    assert.deepEqual([halted?.status, halted?.reason], ['True', 'StaleFeed'])
    const restarted = observe({ ...capture, status: first.status }, [pod], {
      memory: {
        startedAtMs: NOW + 60_000,
        starts: [],
        expected: [],
        written: [],
        refused: new Map(),
        endedSeen: new Map(),
        told: new Set(),
      },
    })
    assert.deepEqual(plan(restarted, settings, NOW + 61_000).events, [], 'a restarted operator repeats it')
  })
})

describe('breaker', () => {
  const spec = specOf({ symbols: Array.from({ length: 9 }, (_, at) => `S${at}USDT`) })
  const many = captureOf(spec)
  /** Nine pods on three nodes; those named halted with that reason, so many seconds ago. */
  const fleet = (halted: readonly number[], reason: string, secondsAgo = 60, nodes = 3, more = {}) =>
    spec.symbols.map((symbol, at) =>
      podOf(many, settings, {
        symbol,
        node: `node-${at % nodes}`,
        ...(halted.includes(at)
          ? {
              as: 'down' as const,
              report: reportOf(reason, { haltsInARow: 3, ...more }),
              finishedMs: NOW - secondsAgo * 1000,
            }
          : {}),
      }),
    )
  const suspect = (pods: readonly V1Pod[]) => suspectOf(pods.map(viewPod), settings, NOW)?.reason

  it('a third of the pods halting alike on several nodes is the exchange: nothing is replaced', () => {
    const pods = fleet([0, 1, 2], 'StaleFeed')
    assert.equal(suspect(pods), 'StaleFeed')
    const planned = plan(observe(many, pods), settings, NOW)
    assert.deepEqual(
      planned.actions.filter(({ kind }) => kind === 'create'),
      [],
    )
    const halted = planned.status.conditions?.find(({ type }) => type === 'Halted')
    assert.deepEqual([halted?.status, halted?.reason], ['True', 'ExchangeSuspect'])
    assert.ok(planned.events.some(({ reason, type }) => reason === 'ExchangeSuspect' && type === 'Warning'))
    assert.ok((planned.requeueAfterMs ?? 0) > 0, 'it is looked at again by itself')
  })

  it('fewer than a third, fewer than three, other reasons, or one node of several is not', () => {
    assert.equal(suspect(fleet([0, 1], 'StaleFeed')), undefined)
    assert.equal(suspect(fleet([0, 3, 6], 'StaleFeed')), undefined, 'one node')
    const mixed = fleet([0, 1], 'StaleFeed').map((pod, at) =>
      at === 2 ? (fleet([2], 'CrossedBook')[2] ?? pod) : pod,
    )
    assert.equal(suspect(mixed), undefined)
    assert.equal(suspect(fleet([0, 1, 2], 'StaleFeed').slice(0, 2)), undefined, 'two of two')
    assert.equal(suspect(fleet([0, 1, 2], 'StaleFeed', 60, 1)), 'StaleFeed', 'the only node')
  })

  it('not alike within the window is not; one that waits for its restart is still counted', () => {
    const spread = [0, 1, 2].map((at) => fleet([at], 'StaleFeed', at * 301)[at])
    const pods = fleet([], '').map((pod, at) => spread[at] ?? pod)
    assert.equal(suspect(pods), undefined)
    assert.equal(suspect(fleet([0, 1, 2], 'StaleFeed', 800)), 'StaleFeed')
    assert.equal(suspect(fleet([0, 1, 2], 'StaleFeed', 901)), undefined)
  })

  it('ClockSkew and DiskFailed need half of the nodes, at least two, or the only one', () => {
    assert.equal(suspect(fleet([0, 3, 6], 'ClockSkew')), undefined)
    assert.equal(suspect(fleet([0, 1, 3], 'ClockSkew')), 'ClockSkew')
    assert.equal(suspect(fleet([0, 1, 2], 'DiskFailed', 60, 1)), 'DiskFailed')
    const wide = fleet([0, 1, 5], 'DiskFailed', 60, 5)
    assert.equal(suspect(wide), undefined, 'two of five')
  })

  it('a listing that is empty for everyone stops no symbol', () => {
    const planned = plan(observe(many, fleet([0, 1, 2, 3, 4], 'SymbolUnknown')), settings, NOW)
    assert.deepEqual(planned.actions, [])
  })

  it('pods of other captures of the exchange count, drained ones do not', () => {
    const other = captureOf(specOf({ symbols: ['AUSDT', 'BUSDT', 'CUSDT'] }), { name: 'other' })
    const theirs = ['AUSDT', 'BUSDT', 'CUSDT'].map((symbol, at) =>
      podOf(other, settings, { symbol, node: `node-${at}`, as: 'down', report: reportOf('StaleFeed') }),
    )
    const mine = fleet([0], 'StaleFeed').slice(0, 2)
    assert.equal(suspect([...mine, ...theirs]), 'StaleFeed')
    const drained = theirs.map((pod) => ({
      ...pod,
      metadata: {
        ...pod.metadata,
        annotations: { ...pod.metadata?.annotations, [ANNOTATIONS.drain]: 'true' },
      },
    }))
    assert.equal(suspect([...mine, ...drained]), undefined)
  })
})
