import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ANNOTATIONS } from '../../../api/labels.ts'
import type { L2CaptureResource } from '../../../api/resource.ts'
import { canonicalJson, templateHash } from '../../../operator/plan/template.ts'
import { SEED } from '../../exchange/seed.ts'
import { captureOf, settingsOf, specOf } from './build.ts'
import { activeOf, BAD_IMAGE, BAD_LEVELS, SimCluster } from './cluster.ts'
import { SimOperator } from './operator.ts'

/**
 * Thousands of clusters with faults of every kind, in which an operator lives that sees late, forgets and dies. What
 * must never happen is checked at each of its writes; at the end all faults stop, and everything must be well.
 */

const RUNS = Number(process.env.L2CAP_PLAN_RUNS ?? 1000)
const SYMBOLS = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'XRPUSDT']
const TICK_MS = 15_000
const IDLE_MS = 3_600_000
const QUIET_TICKS = 5
const SETTLE_TICKS_MAX = 1000
const GOOD_IMAGE = 'registry.example/l2cap:1'

const FAULTS = [
  'crash',
  'crash-stale',
  'freeze',
  'lag',
  'wipe-status',
  'edit',
  'edit-bad',
  'suspend',
  'resume',
  'remove-symbol',
  'add-symbol',
  'halt',
  'halt-storm',
  'evict',
  'delete-pod',
  'lose-node',
  'restore-node',
  'exchange-down',
  'exchange-up',
  'store-down',
  'store-up',
  'bad-image',
  'good-image',
  'unlist',
  'list',
  'skew-node',
  'second-capture',
  'drop-second',
  'orphan',
  'copy-by-hand',
] as const

/** What promises are broken by: a change, a halt, and a cache that shows neither. */
const OFTEN = ['edit', 'lag', 'lag', 'halt', 'halt', 'delete-pod'] as const

const step = fc.record({
  fault: fc.option(fc.constantFrom(...FAULTS, ...OFTEN, ...OFTEN), { freq: 3, nil: undefined }),
  seconds: fc.constantFrom(1, 5, 15, 30, 60, 300, 700),
  /** Looks of the operator after that; it may die in the middle of one. */
  looks: fc.integer({ min: 0, max: 3 }),
  writesMax: fc.constantFrom(0, 1, 2, 1000, 1000, 1000),
  pick: fc.nat(1000),
})
type Step = {
  fault: (typeof FAULTS)[number] | undefined
  seconds: number
  looks: number
  writesMax: number
  pick: number
}

const simSettings = (image = GOOD_IMAGE) =>
  settingsOf({
    image,
    times: { drainDeadlineSeconds: 7200, rolloutRetrySeconds: 1800 },
    limits: { startsPerMinute: 4, rolloutsAtOnce: 2 },
  })

class Scene {
  readonly cluster: SimCluster
  readonly operator: SimOperator
  readonly main = captureOf(specOf({ symbols: SYMBOLS.slice(0, 3) }))

  constructor(seed: number) {
    this.cluster = new SimCluster(mulberry(seed))
    this.cluster.captures.set('uid-majors', this.main)
    this.operator = new SimOperator(this.cluster, simSettings())
  }

  get capture(): L2CaptureResource {
    return this.cluster.captures.get('uid-majors') ?? this.main
  }

  edit(changes: Record<string, unknown>): void {
    const { metadata, spec } = this.capture
    const next = specOf({ ...spec, ...changes })
    if (canonicalJson(next) === canonicalJson(spec)) return
    this.cluster.captures.set('uid-majors', {
      ...this.capture,
      metadata: { ...metadata, generation: (metadata.generation ?? 0) + 1 },
      spec: next,
    })
  }

  fault({ fault, pick }: Step): void {
    const { cluster, operator } = this
    const lives = [...cluster.pods.values()]
    const life = lives[pick % Math.max(1, lives.length)]
    const symbol = SYMBOLS[pick % SYMBOLS.length] ?? ''
    const node = [...cluster.nodes.keys()][pick % 3] ?? ''
    const { symbols } = this.capture.spec
    switch (fault) {
      case undefined:
        return
      case 'crash':
        return operator.restart(false)
      case 'crash-stale':
        operator.frozenUntilMs = cluster.nowMs + (pick % 200) * 1000
        return operator.restart(true)
      case 'freeze':
        operator.frozenUntilMs = cluster.nowMs + (30 + (pick % 200)) * 1000
        return
      case 'lag':
        operator.lagSteps = pick % 4
        return
      case 'wipe-status': {
        const { status: _, ...wiped } = this.capture
        cluster.captures.set('uid-majors', wiped)
        return
      }
      case 'edit':
        return this.edit({ bookLevels: 20 + (pick % 3) })
      case 'edit-bad':
        return this.edit({ bookLevels: BAD_LEVELS })
      case 'suspend':
        return this.edit({ suspend: true })
      case 'resume':
        return this.edit({ suspend: false })
      case 'remove-symbol':
        if (symbols.length > 1) this.edit({ symbols: symbols.filter((one) => one !== symbol) })
        return
      case 'add-symbol':
        return this.edit({ symbols: [...new Set([...symbols, symbol])] })
      case 'halt':
        if (life !== undefined) cluster.halt(life, pick % 2 === 0 ? 'CrossedBook' : 'DiskFailed')
        return
      case 'halt-storm':
        for (const one of lives) cluster.halt(one, 'ResyncStorm')
        return
      case 'evict':
        if (life?.pod.spec?.nodeName !== undefined && life.deletedMs === undefined) cluster.evict(life)
        return
      case 'delete-pod':
        if (life !== undefined) cluster.delete(life.pod.metadata?.uid ?? '')
        return
      case 'lose-node':
        if (cluster.nodes.get(node) === undefined) cluster.nodes.set(node, cluster.nowMs)
        return
      case 'restore-node':
        cluster.nodes.set(node, undefined)
        return
      case 'exchange-down':
      case 'exchange-up':
        cluster.exchangeUp = fault === 'exchange-up'
        return
      case 'store-down':
      case 'store-up':
        cluster.storeUp = fault === 'store-up'
        return
      case 'bad-image':
      case 'good-image':
        operator.settings = simSettings(fault === 'bad-image' ? BAD_IMAGE : GOOD_IMAGE)
        return
      case 'unlist':
        cluster.unlisted.add(symbol)
        return
      case 'list':
        cluster.unlisted.delete(symbol)
        return
      case 'skew-node':
        cluster.skewed.add(node)
        return
      case 'second-capture': {
        const spec = specOf({ symbols: [symbol, 'ADAUSDT'] })
        if (!cluster.captures.has('uid-second')) {
          cluster.captures.set('uid-second', captureOf(spec, { name: 'second', createdMs: cluster.nowMs }))
        }
        return
      }
      case 'drop-second':
        return this.dropSecond()
      case 'orphan':
        if (life?.pod.metadata?.ownerReferences?.[0]?.uid === 'uid-majors')
          cluster.change(life.pod.metadata.uid ?? '', { ownerReferences: [] })
        return
      case 'copy-by-hand':
        if (life !== undefined) cluster.copyByHand(life, pick % 2 === 0)
        return
    }
  }

  /** The collector of garbage deletes its pods too. */
  dropSecond(): void {
    this.cluster.captures.delete('uid-second')
    for (const { pod } of this.cluster.pods.values()) {
      if (pod.metadata?.ownerReferences?.[0]?.uid === 'uid-second')
        this.cluster.delete(pod.metadata.uid ?? '')
    }
  }

  play(one: Step): void {
    this.fault(one)
    this.cluster.advance(one.seconds * 1000)
    this.operator.hear()
    for (let look = 0; look < one.looks; look++) {
      const made = this.operator.reconcile(one.writesMax)
      if (made >= one.writesMax) this.operator.restart(false)
      else if (made === 0) break
    }
  }

  /** Every fault is over; people have mended what they broke. */
  heal(): void {
    const { cluster, operator } = this
    for (const node of cluster.nodes.keys()) cluster.nodes.set(node, undefined)
    cluster.exchangeUp = true
    cluster.storeUp = true
    cluster.unlisted.clear()
    cluster.skewed.clear()
    operator.settings = simSettings()
    operator.frozenUntilMs = 0
    operator.lagSteps = 0
    if (cluster.captures.has('uid-second')) this.dropSecond()
    // what was given up under a spec waits for another one
    for (let tick = 0; tick < 20; tick++) {
      cluster.advance(TICK_MS)
      operator.reconcile()
    }
    this.edit({ suspend: false, bookLevels: this.capture.spec.bookLevels === 20 ? 25 : 20 })
  }

  /** Goes on until nothing happens and nothing is waited for. */
  settle(): void {
    const { cluster, operator } = this
    let quiet = 0
    for (let tick = 0; tick < SETTLE_TICKS_MAX && quiet < QUIET_TICKS; tick++) {
      const { version } = cluster
      const waitMs = quiet > 2 ? Math.min(operator.requeueAfterMs ?? IDLE_MS, IDLE_MS) : TICK_MS
      cluster.advance(Math.max(TICK_MS, waitMs))
      for (let look = 0; look < 4; look++) if (operator.reconcile() === 0) break
      const waiting = operator.requeueAfterMs !== undefined
      quiet = cluster.version !== version ? 0 : quiet < 3 || !waiting ? quiet + 1 : quiet
    }
  }
}

function mulberry(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

function assertWell(scene: Scene): void {
  const { cluster, operator, capture } = scene
  for (const symbol of capture.spec.symbols) {
    const active = activeOf(cluster, 'uid-majors', symbol)
    assert.equal(active.length, 1, `${symbol} has ${active.length} pods at work`)
    assert.notEqual(active[0]?.liveSinceMs, undefined, `${symbol} is not live`)
    const hash = active[0]?.pod.metadata?.annotations?.[ANNOTATIONS.templateHash]
    assert.equal(hash, templateHash(capture.spec, operator.settings, symbol), `${symbol} has an old template`)
  }
  const own = [...cluster.pods.keys()].filter((uid) => !cluster.strangers.has(uid))
  assert.equal(own.length, capture.spec.symbols.length, 'pods are left over')
  const planned = operator.planOf(capture)
  assert.deepEqual(planned.actions, [], 'a settled cluster is changed')
  assert.deepEqual(planned.status, capture.status, 'a settled status moves')
  assert.equal(planned.statusChanged, false)
  const conditions = Object.fromEntries(
    (planned.status.conditions ?? []).map(({ type, status }) => [type, status]),
  )
  assert.deepEqual(conditions, {
    Ready: 'True',
    Capturing: 'True',
    Uploading: 'Unknown',
    Halted: 'False',
    Suspended: 'False',
    Reconciling: 'False',
    Stalled: 'False',
  })
}

describe('plan: promises in any world', () => {
  it('never takes the last live pod, never three at work, paced, nothing unshipped dies, and all heals', () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(step, { maxLength: 40, size: 'max' }), (seed, steps) => {
        const scene = new Scene(seed)
        for (const one of steps) scene.play(one)
        scene.heal()
        scene.settle()
        assertWell(scene)
      }),
      { seed: SEED, numRuns: RUNS },
    )
  })
})
