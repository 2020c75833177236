import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { CONDITION_REASONS, CONDITION_TYPES, SYMBOL_STATES } from '../../../api/conditions.ts'
import { ANNOTATIONS } from '../../../api/labels.ts'
import { ProcessStatus } from '../../../api/process-status.ts'
import { HALT_EXIT_CODES } from '../../../api/reasons.ts'
import { CaptureStatus, type L2CaptureResource } from '../../../api/resource.ts'
import { type Plan, plan } from '../../../operator/plan/mod.ts'
import { parseSettings } from '../../../operator/settings.ts'
import { captureOf, iso, NOW, observe, podOf, reportOf, settingsOf, specOf } from './build.ts'

const settings = settingsOf()
const capture = captureOf()
const planOf = (
  pods: readonly V1Pod[],
  of: L2CaptureResource = capture,
  nowMs = NOW,
  statuses = new Map(),
): Plan => plan(observe(of, pods, { statuses }), settings, nowMs)
const condition = ({ status }: Plan, type: string) => status.conditions?.find((one) => one.type === type)
const said = (planned: Plan, type: string) => [
  condition(planned, type)?.status,
  condition(planned, type)?.reason,
]
const both = (shape = {}, second = {}) => [
  podOf(capture, settings, { symbol: 'BTCUSDT', ...shape }),
  podOf(capture, settings, { symbol: 'ETHUSDT', ...second }),
]
const polled = (ship: object, at = NOW) => ({ at, status: ProcessStatus.parse({ ship }) })

describe('conditions', () => {
  it('are all there from the first visit on, each with a reason, its generation and a time', () => {
    const { status } = planOf([])
    assert.deepEqual(
      status.conditions?.map(({ type }) => type),
      [...CONDITION_TYPES],
    )
    for (const one of status.conditions ?? []) {
      assert.equal(one.observedGeneration, 1)
      assert.equal(one.lastTransitionTime, iso(NOW))
    }
    assert.equal(status.observedGeneration, 1)
  })

  it('carry no reason that is not documented, and every status fits the schema', () => {
    const suspended = captureOf(specOf({ suspend: true }))
    const bad = JSON.parse(JSON.stringify({ ...capture, spec: {} }))
    const down = (reason: string) => ({ as: 'down' as const, report: reportOf(reason) })
    const worlds = [
      planOf([]),
      planOf(both()),
      planOf(both({ hash: 'old' })),
      planOf(both(down('CrossedBook'))),
      planOf(both(down('CrossedBook'), down('EmptyBook'))),
      planOf(both({ as: 'failed' })),
      planOf(both(), suspended),
      planOf([], suspended),
      planOf([], bad),
      planOf(
        both(),
        capture,
        NOW,
        new Map([['BTCUSDT-1', polled({ state: 'waiting', reason: 'AccessDenied' })]]),
      ),
      ...Object.keys(HALT_EXIT_CODES).map((reason) => planOf(both(down(reason)))),
    ]
    for (const { status } of worlds) {
      CaptureStatus.parse(status)
      for (const { type, reason } of status.conditions ?? []) {
        const known = Object.entries(CONDITION_REASONS).find(([one]) => one === type)?.[1] ?? {}
        assert.ok(reason in known, `${type}/${reason} is not documented`)
      }
      for (const { state } of status.attention ?? [])
        assert.ok(
          SYMBOL_STATES.some((one) => one === state),
          state,
        )
    }
  })

  it('of a capture in an ordinary life: Ready and Capturing, and nothing else to tell', () => {
    const statuses = new Map([
      ['BTCUSDT-1', polled({ state: 'idle' })],
      ['ETHUSDT-1', polled({ state: 'shipping' })],
    ])
    const planned = planOf(both(), capture, NOW, statuses)
    assert.deepEqual(
      planned.status.conditions?.map(({ type, status }) => [type, status]),
      [
        ['Ready', 'True'],
        ['Capturing', 'True'],
        ['Uploading', 'True'],
        ['Halted', 'False'],
        ['Suspended', 'False'],
        ['Reconciling', 'False'],
        ['Stalled', 'False'],
      ],
    )
    assert.deepEqual(planned.status.symbols, { desired: 2, live: 2, halted: 0 })
    assert.deepEqual(planned.status.attention, [])
  })

  it('move their transition time only when their status does', () => {
    const first = planOf(both({ as: 'starting' }))
    const later = planOf(
      both({ as: 'down', report: reportOf('EmptyBook') }),
      { ...capture, status: first.status },
      NOW + 60_000,
    )
    assert.deepEqual([said(first, 'Ready')[0], said(later, 'Ready')[0]], ['False', 'False'])
    assert.notEqual(condition(first, 'Ready')?.reason, condition(later, 'Ready')?.reason)
    assert.equal(condition(later, 'Ready')?.lastTransitionTime, iso(NOW))
    assert.equal(condition(later, 'Halted')?.lastTransitionTime, iso(NOW + 60_000))
  })

  it('a status that says the same is not written again, however late', () => {
    const pods = both({ as: 'down', report: reportOf('EmptyBook') })
    const first = planOf(pods)
    assert.equal(first.statusChanged, true)
    const again = planOf(
      pods,
      { ...capture, status: JSON.parse(JSON.stringify(first.status)) },
      NOW + 3_000_000,
    )
    assert.equal(again.statusChanged, false)
    assert.deepEqual(again.status, first.status)
  })

  it('Uploading is False with the reason of the first that cannot ship, Unknown where nobody has told', () => {
    const statuses = new Map([
      ['BTCUSDT-1', polled({ state: 'waiting', reason: 'NoSuchBucket' })],
      ['ETHUSDT-1', polled({ state: 'idle' })],
    ])
    const failing = planOf(both(), capture, NOW, statuses)
    assert.deepEqual(said(failing, 'Uploading'), ['False', 'UploadFailing'])
    assert.match(condition(failing, 'Uploading')?.message ?? '', /BTCUSDT: NoSuchBucket/)
    assert.deepEqual(said(failing, 'Ready'), ['False', 'UploadFailing'])
    assert.deepEqual(said(planOf(both()), 'Uploading'), ['Unknown', 'NotAsked'])
    const old = new Map([['BTCUSDT-1', polled({ state: 'waiting' }, NOW - 61_000)]])
    assert.deepEqual(said(planOf(both(), capture, NOW, old), 'Uploading'), ['Unknown', 'NotAsked'])
  })

  it('what pods answer when they are asked decides nothing', () => {
    const answers = [{ state: 'halted' }, { state: 'live', ship: { state: 'waiting' } }, {}]
    const pods = both({ hash: 'old' }, { as: 'down', report: reportOf('EmptyBook', { haltsInARow: 3 }) })
    const plans = answers.map((answer) => {
      const status = ProcessStatus.parse(answer)
      return planOf(
        pods,
        capture,
        NOW,
        new Map(pods.map(({ metadata }) => [metadata?.uid, { at: NOW, status }])),
      ).actions
    })
    for (const actions of plans) assert.deepEqual(actions, planOf(pods).actions)
  })

  it('Reconciling tells creating, rolling out, replacing and draining apart', () => {
    assert.deepEqual(said(planOf([]), 'Reconciling'), ['True', 'Creating'])
    assert.deepEqual(said(planOf(both({ hash: 'old' })), 'Reconciling'), ['True', 'RollingOut'])
    const three = { as: 'down' as const, report: reportOf('EmptyBook', { haltsInARow: 3 }) }
    assert.deepEqual(said(planOf(both(three)), 'Reconciling'), ['True', 'Replacing'])
    const removed = podOf(captureOf(specOf({ symbols: ['XRPUSDT'] })), settings, { symbol: 'XRPUSDT' })
    assert.deepEqual(said(planOf([...both(), removed]), 'Reconciling'), ['True', 'Draining'])
  })
})

describe('attention', () => {
  const many = captureOf(
    specOf({ symbols: Array.from({ length: 60 }, (_, at) => `S${String(at).padStart(2, '0')}USDT`) }),
  )

  it('names at most so many symbols, the worst first, in a stable order, and counts the rest', () => {
    const pods = many.spec.symbols.map((symbol, at) =>
      podOf(many, settings, {
        symbol,
        ...(at === 59
          ? { as: 'down' as const, report: reportOf('CrossedBook') }
          : { as: 'starting' as const }),
      }),
    )
    const { attention, attentionOmitted, symbols } = planOf(pods, many).status
    assert.equal(attention?.length, 20)
    assert.deepEqual(
      attention?.slice(0, 3).map(({ symbol, state }) => [symbol, state]),
      [
        ['S59USDT', 'Halted'],
        ['S00USDT', 'Starting'],
        ['S01USDT', 'Starting'],
      ],
    )
    assert.equal(attentionOmitted, 40)
    assert.deepEqual(symbols, { desired: 60, live: 0, halted: 1 })
    assert.deepEqual(planOf(pods.toReversed(), many).status, planOf(pods, many).status)
  })

  it('says why a pod waits: no node, no image', () => {
    const pod = podOf(capture, settings, { as: 'unstarted' })
    const waiting = (reason: string, message: string) => ({
      ...pod,
      status: {
        ...pod.status,
        containerStatuses: [{ name: 'capture', restartCount: 0, state: { waiting: { reason, message } } }],
      },
    })
    const unscheduled = {
      ...pod,
      status: {
        phase: 'Pending',
        conditions: [
          { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/2 nodes' },
        ],
      },
    }
    const entry = (raw: object) =>
      planOf([JSON.parse(JSON.stringify(raw))]).status.attention?.find(({ symbol }) => symbol === 'BTCUSDT')
    const words = (raw: object) => [entry(raw)?.state, entry(raw)?.reason, entry(raw)?.message]
    assert.deepEqual(words(waiting('ImagePullBackOff', 'no such image')), [
      'Pending',
      'ImagePullBackOff',
      'no such image',
    ])
    assert.deepEqual(words(unscheduled), ['Pending', 'Unschedulable', '0/2 nodes'])
    assert.deepEqual(words(waiting('ContainerCreating', ''))[0], 'Starting')
  })

  it('names the halted pod while its successor starts, since the halt, with its restarts', () => {
    const halted = podOf(capture, settings, { as: 'down', report: reportOf('EmptyBook', { haltsInARow: 3 }) })
    const successor = podOf(capture, settings, { attempt: 2, as: 'starting', createdMs: NOW - 9000 })
    const [entry] = planOf([halted, successor, ...both().slice(1)]).status.attention ?? []
    assert.deepEqual(
      [entry?.state, entry?.reason, entry?.since, entry?.restarts, entry?.pod],
      ['Halted', 'EmptyBook', iso(NOW - 60_000), 1, halted.metadata?.name],
    )
  })

  it('a time that no object tells is kept from the status before, and made anew where it was wiped', () => {
    const paced = settingsOf({ limits: { startsPerMinute: 1 } })
    const first = plan(observe(many, []), paced, NOW)
    assert.equal(first.status.attention?.[0]?.since, iso(NOW))
    const kept = plan(observe({ ...many, status: first.status }, []), paced, NOW + 5000)
    assert.equal(kept.status.attention?.[0]?.since, iso(NOW))
  })
})

describe('events', () => {
  const reasons = ({ events }: Plan) => events.map(({ reason }) => reason)

  it('tell a change once: a plan after the status was written tells nothing', () => {
    const notes = {
      [ANNOTATIONS.drain]: 'true',
      [ANNOTATIONS.stopped]: 'PrecisionLoss',
      [ANNOTATIONS.stoppedGeneration]: '1',
    }
    const stopped = podOf(capture, settings, { as: 'down', report: reportOf('Drained'), notes })
    const first = planOf([stopped, ...both().slice(1)])
    assert.deepEqual(reasons(first), ['SymbolStopped'])
    assert.deepEqual(
      reasons(planOf([stopped, ...both().slice(1)], { ...capture, status: first.status }, NOW + 5000)),
      [],
    )
    const healed = planOf(both(), { ...capture, status: first.status }, NOW + 9000)
    assert.deepEqual(reasons(healed), ['AllSymbolsLive', 'Progressing'])
  })

  it('tell suspend and resume, and uploads that fail and heal', () => {
    const suspended = captureOf(specOf({ suspend: true }), { generation: 2 })
    const first = planOf([], suspended)
    assert.deepEqual(reasons(first), ['Drained'])
    assert.deepEqual(reasons(planOf(both(), { ...capture, status: first.status })), [
      'AllSymbolsLive',
      'NotSuspended',
    ])
    const failing = planOf(
      both(),
      capture,
      NOW,
      new Map([['BTCUSDT-1', polled({ state: 'waiting', reason: 'x' })]]),
    )
    assert.deepEqual(reasons(failing), ['UploadFailing'])
    const healed = new Map([['BTCUSDT-1', polled({ state: 'idle' })]])
    const after = planOf(both(), { ...capture, status: failing.status }, NOW, healed)
    assert.ok(reasons(after).includes('UploadsSucceed'))
  })
})

describe('settings', () => {
  it('need an image, and have the figures of the design for the rest', () => {
    const { times, limits, addresses } = parseSettings({ image: 'i' })
    assert.deepEqual(
      [
        times.successorDeadlineSeconds,
        times.statusPollSeconds,
        times.handoverSeconds,
        times.drainDeadlineSeconds,
      ],
      [600, 15, 900, 86_400],
    )
    assert.deepEqual(
      [
        limits.startsPerMinute,
        limits.haltsInARow,
        limits.breakerPodsMin,
        limits.symbolsPerAddress,
        addresses,
      ],
      [20, 3, 3, 120, 1],
    )
  })

  it('tell every fault in a line, with its place', () => {
    assert.throws(
      () => parseSettings({ pods: { runAsUser: 0 }, times: { handoffSeconds: -1 }, what: 1 }),
      (error: Error & { code?: string }) =>
        error.code === 'SettingsInvalid' &&
        ['image', 'pods.runAsUser', 'times.handoffSeconds', 'what'].every((word) =>
          error.message.includes(word),
        ),
    )
  })
})
