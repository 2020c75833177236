import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { ANNOTATIONS } from '../../../api/labels.ts'
import { type Action, type CreateAction, Memory, plan, unmet } from '../../../operator/plan/mod.ts'
import { captureOf, iso, NOW, observe, podOf, reportOf, settingsOf, specOf } from './build.ts'

const settings = settingsOf()
const creations = (actions: readonly Action[]): CreateAction[] =>
  actions.filter((action) => action.kind === 'create')
const symbolsOf = (count: number) => Array.from({ length: count }, (_, at) => `S${at}USDT`)

describe('two captures that name one symbol', () => {
  const spec = specOf({ symbols: ['BTCUSDT'] })
  const older = captureOf(spec, { name: 'older', createdMs: NOW - 9000 })
  const younger = captureOf(spec, { name: 'younger', createdMs: NOW - 5000 })
  const reason = (status: ReturnType<typeof plan>['status']) =>
    status.conditions?.find(({ type }) => type === 'Stalled')?.reason

  it('the older owns it; the other says SymbolConflict and starts nothing', () => {
    assert.equal(
      creations(plan(observe(older, [], { captures: [younger] }), settings, NOW).actions).length,
      1,
    )
    const lost = plan(observe(younger, [], { captures: [older] }), settings, NOW)
    assert.deepEqual(lost.actions, [])
    assert.equal(reason(lost.status), 'SymbolConflict')
    assert.deepEqual(
      lost.status.attention?.map(({ state }) => state),
      ['Conflict'],
    )
  })

  it('of two of one second the smaller UID is the older', () => {
    const twin = captureOf(spec, { name: 'twin', uid: 'a', createdMs: NOW - 5000 })
    assert.deepEqual(plan(observe(younger, [], { captures: [twin] }), settings, NOW).actions, [])
    assert.equal(plan(observe(twin, [], { captures: [younger] }), settings, NOW).actions.length, 1)
  })

  it('another prefix, bucket, endpoint or exchange symbol is no conflict; a slash at the end is', () => {
    for (const s3 of [
      { bucket: 'market-data', prefix: 'other' },
      { bucket: 'other-bucket', prefix: 'l2' },
      { bucket: 'market-data', prefix: 'l2', endpoint: 'https://elsewhere.example' },
    ]) {
      const other = captureOf(specOf({ symbols: ['BTCUSDT'], storage: { s3 } }), {
        name: 'other',
        createdMs: NOW - 9000,
      })
      assert.equal(plan(observe(younger, [], { captures: [other] }), settings, NOW).actions.length, 1)
    }
    const [here, same] = ['https://a.example', 'https://a.example/'].map((endpoint, at) =>
      captureOf(specOf({ symbols: ['BTCUSDT'], storage: { s3: { bucket: 'market-data', endpoint } } }), {
        name: `c${at}`,
        createdMs: NOW - 9000 + at * 1000,
      }),
    )
    assert.ok(here !== undefined && same !== undefined)
    assert.deepEqual(plan(observe(same, [], { captures: [here] }), settings, NOW).actions, [])
  })

  it('a live pod that the other has already is handed over: it goes when the pod of the owner is live', () => {
    const theirs = podOf(younger, settings, { share: 1 })
    const [create] = creations(plan(observe(older, [theirs], { captures: [younger] }), settings, NOW).actions)
    assert.match(create?.pod.metadata?.annotations?.[ANNOTATIONS.predecessor] ?? '', /younger.*BTCUSDT-1$/)
    const waits = plan(observe(younger, [theirs], { captures: [older] }), settings, NOW)
    assert.deepEqual([waits.actions, waits.requeueAfterMs], [[], 15_000])
    const ours = podOf(older, settings, { attempt: 2, createdMs: NOW - 60_000, share: 1 })
    const [action] = plan(observe(younger, [theirs, ours], { captures: [older] }), settings, NOW).actions
    assert.deepEqual([action?.kind, action?.needs?.live?.uid], ['annotate', 'BTCUSDT-2'])
    const halted = podOf(younger, settings, { as: 'down', report: reportOf('EmptyBook') })
    const [drain] = plan(observe(younger, [halted], { captures: [older] }), settings, NOW).actions
    assert.ok(drain?.kind === 'annotate' && drain.set[ANNOTATIONS.drain] === 'true')
    assert.match(
      unmet(drain.needs, { capture: younger, self: theirs }) ?? '',
      /live again/,
      'one that got live since is the only one',
    )
  })

  it('an owner that is suspended leaves the symbol to the other', () => {
    const suspended = captureOf(specOf({ symbols: ['BTCUSDT'], suspend: true }), {
      name: 'older',
      createdMs: NOW - 9000,
    })
    assert.equal(plan(observe(younger, [], { captures: [suspended] }), settings, NOW).actions.length, 1)
  })

  it('an owner that is being deleted owns nothing', () => {
    const going = JSON.parse(JSON.stringify(older))
    going.metadata.deletionTimestamp = iso(NOW)
    assert.equal(plan(observe(younger, [], { captures: [going] }), settings, NOW).actions.length, 1)
  })
})

describe('owners', () => {
  const capture = captureOf(specOf({ symbols: ['BTCUSDT'] }))

  it('a pod with our labels and no owner is adopted, and nothing else is done to its symbol', () => {
    const planned = plan(
      observe(capture, [podOf(capture, settings, { owner: null, hash: 'old' })]),
      settings,
      NOW,
    )
    assert.deepEqual(
      planned.actions.map(({ kind }) => kind),
      ['adopt'],
    )
    assert.equal(planned.actions[0]?.needs?.captureUid, 'uid-majors')
  })

  it('a pod of a capture that had our name is let alone and told, and its name is not taken again', () => {
    const theirs = podOf(capture, settings, { owner: 'uid-before', attempt: 4 })
    const planned = plan(observe(capture, [theirs]), settings, NOW)
    assert.deepEqual(
      planned.actions.map(({ kind }) => kind),
      ['create'],
    )
    assert.match(creations(planned.actions)[0]?.pod.metadata?.name ?? '', /-5$/)
    assert.deepEqual([planned.facts.foreignPods, planned.events[0]?.reason], [1, 'ForeignPod'])
  })

  it('a debugging copy under our labels, without an owner, a symbol or a capture in it, is let alone and told', () => {
    const own = podOf(capture, settings, { share: 1 })
    const copy = podOf(capture, settings, { owner: null, attempt: 2, as: 'unstarted' })
    const { [ANNOTATIONS.symbol]: _, ...unnamed } = copy.metadata?.annotations ?? {}
    const [container] = copy.spec?.containers ?? []
    assert.ok(container !== undefined)
    for (const foreign of [
      { ...copy, metadata: { ...copy.metadata, annotations: unnamed } },
      { ...copy, metadata: { ...copy.metadata, annotations: {} } },
      { ...copy, spec: { ...copy.spec, containers: [{ ...container, name: 'debugger' }] } },
    ]) {
      const planned = plan(observe(capture, [own, foreign]), settings, NOW)
      assert.deepEqual(planned.actions, [])
      assert.equal(planned.facts.foreignPods, 1)
      assert.deepEqual(
        planned.events.filter(({ reason }) => reason === 'ForeignPod').map(({ pod }) => pod?.uid),
        ['BTCUSDT-2'],
      )
      assert.deepEqual(
        planned.status.symbols,
        { desired: 1, live: 1, halted: 0 },
        'it counts for nothing in the status',
      )
    }
  })

  it('an owner of the same UID elsewhere, or a pod of another namespace, is not ours', () => {
    const pod = podOf(capture, settings)
    const elsewhere = { ...pod, metadata: { ...pod.metadata, namespace: 'elsewhere' } }
    assert.equal(creations(plan(observe(capture, [elsewhere]), settings, NOW).actions).length, 1)
  })
})

describe('pacing', () => {
  const capture = captureOf(specOf({ symbols: symbolsOf(50) }))
  const other = captureOf(specOf({ symbols: ['AUSDT'] }), { name: 'other' })

  it('starts 20 a minute, and looks again when the next may be', () => {
    const first = plan(observe(capture, []), settings, NOW)
    assert.equal(creations(first.actions).length, 20)
    assert.equal(first.requeueAfterMs, 60_000)
  })

  it('counts pods of every capture of the exchange by their age', () => {
    const pods = [10, 59, 61].map((secondsAgo, at) =>
      podOf(other, settings, { symbol: `O${at}USDT`, createdMs: NOW - secondsAgo * 1000 }),
    )
    assert.equal(creations(plan(observe(capture, pods), settings, NOW).actions).length, 18)
  })

  it('counts what it remembers and does not see, and what it sees and remembers once', () => {
    const memory = new Memory(NOW - 100_000)
    const sent = creations(plan(observe(capture, []), settings, NOW).actions)
    for (const action of sent) memory.starting(action, NOW)
    const next = plan(observe(capture, [], { memory: memory.view }), settings, NOW + 1000)
    assert.deepEqual(creations(next.actions), [])
    assert.equal(next.requeueAfterMs, 59_001)
    const seen: V1Pod[] = sent.slice(0, 5).map(({ pod }, at) => ({
      ...pod,
      metadata: {
        ...pod.metadata,
        uid: `u${at}`,
        resourceVersion: '1',
        creationTimestamp: JSON.parse(JSON.stringify(iso(NOW))),
      },
    }))
    memory.observe(seen, NOW + 1000)
    assert.deepEqual(
      creations(plan(observe(capture, seen, { memory: memory.view }), settings, NOW + 1000).actions),
      [],
    )
    memory.refused('md', sent[19]?.pod.metadata?.name ?? '')
    assert.equal(
      creations(plan(observe(capture, seen, { memory: memory.view }), settings, NOW + 1000).actions).length,
      1,
    )
  })

  it('a symbol that nobody captures goes before one that halts, and that before a roll-out', () => {
    const one = settingsOf({ limits: { startsPerMinute: 1 } })
    const three = captureOf(specOf({ symbols: ['OLD', 'HALTS', 'GONE'] }))
    const old = podOf(three, one, { symbol: 'OLD', hash: 'old', share: 4 })
    const halts = podOf(three, one, {
      symbol: 'HALTS',
      as: 'down',
      report: reportOf('EmptyBook', { haltsInARow: 3 }),
    })
    const gone = podOf(three, one, { symbol: 'GONE', deleting: true })
    const first = (pods: readonly V1Pod[]) =>
      creations(plan(observe(three, pods), one, NOW).actions).map(({ symbol }) => symbol)
    assert.deepEqual(first([old, halts, gone]), ['GONE'])
    assert.deepEqual(first([old, halts, podOf(three, one, { symbol: 'GONE' })]), ['HALTS'])
  })

  it('rolls out so many symbols at once', () => {
    const few = settingsOf({ limits: { rolloutsAtOnce: 3 } })
    const pods = symbolsOf(50).map((symbol) => podOf(capture, few, { symbol, hash: 'old' }))
    const planned = plan(observe(capture, pods), few, NOW)
    assert.deepEqual(
      creations(planned.actions).map(({ symbol }) => symbol),
      ['S0USDT', 'S1USDT', 'S2USDT'],
    )
    const under = podOf(capture, few, {
      symbol: 'S0USDT',
      attempt: 2,
      as: 'starting',
      createdMs: NOW - 90_000,
    })
    const noted = {
      ...under,
      metadata: {
        ...under.metadata,
        annotations: { ...under.metadata?.annotations, [ANNOTATIONS.cause]: 'spec' },
      },
    }
    assert.equal(creations(plan(observe(capture, [...pods, noted]), few, NOW).actions).length, 2)
  })
})

describe('share', () => {
  it('is the symbols behind an address, over all captures, rounded up to a power of two', () => {
    const share = (count: number, addresses = 1) => {
      const capture = captureOf(specOf({ symbols: symbolsOf(count) }))
      const second = captureOf(specOf({ symbols: ['AUSDT'] }), { name: 'second' })
      const suspended = captureOf(specOf({ symbols: ['BUSDT'], suspend: true }), { name: 'third' })
      const observed = observe(capture, [], { captures: [second, suspended] })
      return plan(observed, settingsOf({ addresses }), NOW).facts.share
    }
    assert.deepEqual([share(1), share(3), share(4), share(120), share(120, 2)], [2, 4, 8, 128, 64])
  })

  it('is kept by annotation on pods that run, without a new pod, and left alone on those that drain', () => {
    const capture = captureOf(specOf({ symbols: ['AUSDT', 'BUSDT', 'CUSDT'] }))
    const pods = ['AUSDT', 'BUSDT', 'CUSDT'].map((symbol, at) =>
      podOf(capture, settings, { symbol, share: at === 2 ? 4 : 2 }),
    )
    const planned = plan(observe(capture, pods), settings, NOW)
    assert.deepEqual(
      planned.actions.map((action) => [action.kind, action.symbol, action.kind === 'annotate' && action.set]),
      ['AUSDT', 'BUSDT'].map((symbol) => ['annotate', symbol, { [ANNOTATIONS.share]: '4' }]),
    )
  })

  it('too many symbols behind an address are warned of, once', () => {
    const capture = captureOf(specOf({ symbols: symbolsOf(121) }))
    const planned = plan(observe(capture, []), settings, NOW)
    const crowded = planned.events.filter(({ reason }) => reason === 'AddressCrowded')
    assert.equal(crowded.length, 1)
    const memory = new Memory(NOW)
    for (const { key } of planned.events) memory.told(key)
    const again = plan(observe(capture, [], { memory: memory.view }), settings, NOW)
    assert.deepEqual(
      again.events.filter(({ reason }) => reason === 'AddressCrowded'),
      [],
    )
  })
})

describe('predecessors', () => {
  const capture = captureOf(specOf({ symbols: ['BTCUSDT'] }))
  const namedBy = (pods: readonly V1Pod[]) =>
    creations(plan(observe(capture, pods), settings, NOW).actions)[0]?.pod.metadata?.annotations?.[
      ANNOTATIONS.predecessor
    ]

  it('are the newest that may have published into the same place', () => {
    const older = podOf(capture, settings, { deleting: true })
    const newer = podOf(capture, settings, { attempt: 2, createdMs: NOW - 60_000, deleting: true })
    assert.match(namedBy([older, newer]) ?? '', /BTCUSDT-2$/)
  })

  it('never one that was discarded, never started, or writes elsewhere', () => {
    const base = podOf(capture, settings, { deleting: true })
    const later = { attempt: 2, createdMs: NOW - 60_000, deleting: true } as const
    const discarded = podOf(capture, settings, { ...later, notes: { [ANNOTATIONS.drain]: 'discard' } })
    const unstarted = podOf(capture, settings, { ...later, as: 'unstarted' })
    const place = captureOf(specOf({ symbols: ['BTCUSDT'], storage: { s3: { bucket: 'elsewhere' } } }))
    for (const pod of [discarded, unstarted, podOf(place, settings, later)]) {
      assert.match(namedBy([base, pod]) ?? '', /BTCUSDT-1$/)
    }
  })
})

describe('fresh reads before an action', () => {
  const capture = captureOf()
  const live = podOf(capture, settings)
  const ref = { namespace: 'md', name: live.metadata?.name ?? '', uid: 'BTCUSDT-1' }

  it('a spec that changed, or another capture of the name, forbids what rests on it', () => {
    const needs = { generation: 1, captureUid: 'uid-majors' }
    assert.equal(unmet(needs, { capture }), undefined)
    assert.match(unmet(needs, {}) ?? '', /gone/)
    assert.match(unmet(needs, { capture: captureOf(specOf(), { generation: 2 }) }) ?? '', /spec has changed/)
    assert.match(unmet(needs, { capture: captureOf(specOf(), { uid: 'new' }) }) ?? '', /gone/)
  })

  it('a successor that is live no more, drains, or is another pod forbids the delete', () => {
    assert.equal(unmet({ live: ref }, { live }), undefined)
    assert.match(unmet({ live: ref }, {}) ?? '', /gone/)
    assert.match(unmet({ live: { ...ref, uid: 'x' } }, { live }) ?? '', /gone/)
    assert.match(
      unmet({ live: ref }, { live: podOf(capture, settings, { deleting: true }) }) ?? '',
      /not live/,
    )
    assert.match(
      unmet({ live: ref }, { live: podOf(capture, settings, { as: 'lost-live' }) }) ?? '',
      /not live/,
    )
    const drains = podOf(capture, settings, { notes: { [ANNOTATIONS.drain]: 'true' } })
    assert.match(unmet({ live: ref }, { live: drains }) ?? '', /not live/)
  })

  it('a pod that has started is not thrown away, and one that is live again does not step back', () => {
    const halted = podOf(capture, settings, { as: 'down', report: reportOf('EmptyBook') })
    assert.equal(
      unmet({ self: 'neverStarted' }, { self: podOf(capture, settings, { as: 'unstarted' }) }),
      undefined,
    )
    assert.match(unmet({ self: 'neverStarted' }, { self: live }) ?? '', /has started/)
    assert.match(unmet({ self: 'notLive' }, { self: live }) ?? '', /live again/)
    assert.equal(unmet({ self: 'notLive' }, { self: halted }), undefined)
    assert.match(unmet({ self: 'notLive' }, {}) ?? '', /gone/)
  })
})

describe('memory', () => {
  const capture = captureOf(specOf({ symbols: ['BTCUSDT'] }))
  const stored = (pod: V1Pod, resourceVersion: string, more = {}): V1Pod => ({
    ...pod,
    metadata: {
      ...pod.metadata,
      uid: 'u1',
      resourceVersion,
      creationTimestamp: JSON.parse(JSON.stringify(iso(NOW))),
      ...more,
    },
  })
  const [create] = creations(plan(observe(capture, []), settings, NOW).actions)
  assert.ok(create !== undefined)

  it('a pod that was asked for and is not seen yet is not asked for again, for five minutes', () => {
    const memory = new Memory(NOW)
    memory.starting(create, NOW)
    const again = (nowMs: number) => {
      memory.observe([], nowMs)
      return creations(plan(observe(capture, [], { memory: memory.view }), settings, nowMs).actions).length
    }
    assert.deepEqual([again(NOW + 1000), again(NOW + 299_000), again(NOW + 300_000)], [0, 0, 1])
  })

  it('our own later writes hide what the cache still shows, until it has caught up', () => {
    const memory = new Memory(NOW)
    const deleted = stored(create.pod, '20', { deletionTimestamp: JSON.parse(JSON.stringify(iso(NOW))) })
    memory.wrote(deleted, NOW)
    const cached = stored(create.pod, '10')
    memory.observe([cached], NOW)
    const planned = plan(observe(capture, [cached], { memory: memory.view }), settings, NOW + 61_000)
    assert.deepEqual(
      planned.actions.map(({ kind }) => kind),
      ['create'],
    )
    memory.observe([stored(create.pod, '20')], NOW)
    assert.deepEqual(memory.view.written, [])
  })

  it('a pod that the cache has shown and shows no more is gone', () => {
    const memory = new Memory(NOW)
    memory.wrote(stored(create.pod, '20'), NOW)
    memory.observe([], NOW)
    assert.deepEqual(memory.view.written, [], 'an answer to a patch or a delete')
    memory.starting(create, NOW)
    memory.wrote(stored(create.pod, '20'), NOW)
    memory.observe([], NOW)
    assert.equal(memory.view.written.length, 1, 'an answer to a creation')
    memory.observe([stored(create.pod, '20')], NOW)
    assert.deepEqual(memory.view.written, [])
  })
})
