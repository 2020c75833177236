import assert from 'node:assert/strict'
import type { V1Pod } from '@kubernetes/client-node'
import { ANNOTATIONS } from '../../../api/labels.ts'
import type { L2CaptureResource } from '../../../api/resource.ts'
import { type Action, Memory, type Plan, plan, unmet } from '../../../operator/plan/mod.ts'
import type { Settings } from '../../../operator/settings.ts'
import { activeOf, type SimCluster } from './cluster.ts'

/** An operator remembers its own writes for five minutes: a cache that is further behind is no cache. */
const LAG_MS_MAX = 240_000

interface Heard {
  readonly atMs: number
  readonly pods: readonly V1Pod[]
  readonly captures: readonly L2CaptureResource[]
}

/**
 * An operator around plan(), with caches that may be behind and a life that may end after any write; and a witness
 * who sees the world as it truly is and fails the test when a promise is broken.
 */
export class SimOperator {
  settings: Settings
  readonly #cluster: SimCluster
  #memory: Memory
  #pods: readonly V1Pod[] = []
  #captures: readonly L2CaptureResource[] = []
  /** Until then the cache shows what it showed before. */
  frozenUntilMs = 0
  /** The cache is so many steps behind. */
  lagSteps = 0
  readonly #heard: Heard[] = []
  #at = 0
  /** It began on a view that lacks writes of the one before: it may put a third pod beside two, for as long. */
  #staleStart = false
  /** A view from before its own start hides starts that nobody remembers. */
  #pacingBlindUntilMs = 0
  readonly creations: number[] = []
  writes = 0
  /** Of the last look at all captures. */
  requeueAfterMs: number | undefined

  constructor(cluster: SimCluster, settings: Settings) {
    this.#cluster = cluster
    this.settings = settings
    this.#memory = new Memory(cluster.nowMs)
  }

  /** It dies, and another starts: with what a list gives, or on a view from before. */
  restart(stale: boolean): void {
    this.#memory = new Memory(this.#cluster.nowMs)
    // so do starts of pods that are gone already
    this.#pacingBlindUntilMs = this.#cluster.nowMs + 60_000
    this.#staleStart = stale
    if (stale) return
    // its first list is one that no write before it is missing from
    this.frozenUntilMs = 0
    this.hear()
    this.#at = this.#heard.length - 1
  }

  /** What a watch would have shown by now, of which the cache may be some steps behind. */
  hear(): void {
    const { nowMs } = this.#cluster
    this.#heard.push({
      atMs: nowMs,
      pods: this.#cluster.list(),
      captures: [...this.#cluster.captures.values()],
    })
  }

  #look(): void {
    if (this.#cluster.nowMs < this.frozenUntilMs) return
    if (this.lagSteps === 0) this.hear()
    this.#at = Math.max(this.#at, this.#heard.length - 1 - this.lagSteps)
    const oldestMs = this.#cluster.nowMs - LAG_MS_MAX
    while (this.#at < this.#heard.length - 1 && (this.#heard[this.#at]?.atMs ?? 0) < oldestMs) this.#at++
    if (this.#at === this.#heard.length - 1) this.#staleStart = false
    const seen = this.#heard[this.#at]
    this.#pods = seen?.pods ?? []
    this.#captures = seen?.captures ?? []
  }

  planOf(capture: L2CaptureResource): Plan {
    const { nowMs } = this.#cluster
    this.#memory.observe(this.#pods, nowMs)
    const captures = this.#captures.filter(({ metadata }) => metadata.uid !== capture.metadata.uid)
    const observed = { capture, captures, pods: this.#pods, statuses: new Map(), memory: this.#memory.view }
    const planned = plan(observed, this.settings, nowMs)
    const { status: _, ...wiped } = capture
    const blind = plan({ ...observed, capture: wiped }, this.settings, nowMs)
    assert.deepEqual(blind.actions, planned.actions, 'a wiped status decides something')
    assert.ok(
      planned.actions.length <= this.#pods.length + this.settings.limits.startsPerMinute + 5,
      `${planned.actions.length} actions for ${this.#pods.length} pods`,
    )
    return planned
  }

  /** One look at each capture; dies after so many writes. Returns how many writes it made. */
  reconcile(writesMax = Number.POSITIVE_INFINITY): number {
    let made = 0
    this.#look()
    this.requeueAfterMs = undefined
    for (const capture of this.#captures) {
      const planned = this.planOf(capture)
      const afterMs = planned.requeueAfterMs ?? Number.POSITIVE_INFINITY
      if (afterMs < (this.requeueAfterMs ?? Number.POSITIVE_INFINITY)) this.requeueAfterMs = afterMs
      for (const action of planned.actions)
        if (action.kind === 'create') this.#memory.starting(action, this.#cluster.nowMs)
      for (const action of planned.actions) {
        if (made >= writesMax) return made
        if (planned.facts.suspect !== undefined && action.kind === 'create') {
          assert.ok(
            !['spec', 'halts', 'node'].includes(action.cause),
            `${action.cause} while the exchange is suspect`,
          )
        }
        if (this.#apply(action)) made++
      }
      if (made >= writesMax) return made
      const stored = this.#cluster.captures.get(capture.metadata.uid ?? '')
      if (
        planned.statusChanged &&
        stored !== undefined &&
        stored.metadata.generation === capture.metadata.generation
      ) {
        this.#cluster.captures.set(capture.metadata.uid ?? '', { ...stored, status: planned.status })
      }
      for (const { key } of planned.events) this.#memory.told(key)
    }
    this.writes += made
    return made
  }

  #apply(action: Action): boolean {
    const { needs } = action
    const cluster = this.#cluster
    const self = action.kind === 'create' ? undefined : cluster.pods.get(action.pod.uid)?.pod
    const fresh = {
      capture: cluster.captures.get(needs?.captureUid ?? ''),
      live: cluster.pods.get(needs?.live?.uid ?? '')?.pod,
      self,
    }
    if (unmet(needs, fresh) !== undefined) {
      if (action.kind === 'create') {
        this.#memory.refused(action.pod.metadata?.namespace ?? '', action.pod.metadata?.name ?? '')
      }
      return false
    }
    if (action.kind === 'create') return this.#create(action)
    if (self === undefined) return false
    assert.ok(!cluster.strangers.has(action.pod.uid), `a stranger's pod is touched: ${action.why}`)
    this.#witness(action)
    const written = this.#write(action, self)
    if (written !== undefined) this.#memory.wrote(written, cluster.nowMs)
    return true
  }

  #create(action: Extract<Action, { kind: 'create' }>): boolean {
    const pod = this.#cluster.create(action.pod)
    if (pod === undefined) return false
    const { nowMs } = this.#cluster
    this.creations.push(nowMs)
    const lastMinute = this.creations.filter((atMs) => atMs > nowMs - 60_000).length
    if (nowMs >= this.#pacingBlindUntilMs) {
      assert.ok(lastMinute <= this.settings.limits.startsPerMinute, `${lastMinute} starts in a minute`)
    }
    this.#memory.wrote(pod, nowMs)
    const uid = pod.metadata?.ownerReferences?.[0]?.uid ?? ''
    const active = activeOf(this.#cluster, uid, action.symbol)
    const most = this.#staleStart ? 3 : 2
    assert.ok(
      active.length <= most,
      `${active.length} pods of ${action.symbol} may open a socket: ${action.why}`,
    )
    return true
  }

  #write(action: Exclude<Action, { kind: 'create' }>, self: V1Pod): V1Pod | undefined {
    switch (action.kind) {
      case 'delete':
        return this.#cluster.delete(action.pod.uid)
      case 'adopt':
        return this.#cluster.change(action.pod.uid, { ownerReferences: [action.owner] })
      case 'annotate': {
        const notes: Record<string, string> = { ...self.metadata?.annotations }
        for (const [name, value] of Object.entries(action.set)) {
          if (value === null) delete notes[name]
          else notes[name] = value
        }
        return this.#cluster.change(action.pod.uid, { annotations: notes })
      }
    }
  }

  /** Looks at the world as it is, right before something is taken away from it. */
  #witness(action: Exclude<Action, { kind: 'create' }>): void {
    const life = this.#cluster.pods.get(action.pod.uid)
    const drains = action.kind === 'annotate' && ANNOTATIONS.drain in action.set
    if (life === undefined || (action.kind !== 'delete' && !drains)) return
    const owner = this.#cluster.captures.get(life.pod.metadata?.ownerReferences?.[0]?.uid ?? '')
    const wanted = owner !== undefined && !owner.spec.suspend && owner.spec.symbols.includes(action.symbol)
    // also where another capture has taken the symbol over: both write to one place
    const active = activeOf(this.#cluster, undefined, action.symbol)
    const live = active.filter(({ liveSinceMs }) => liveSinceMs !== undefined)
    if (wanted && live.length === 1 && live[0] === life) {
      assert.fail(`the last live pod of ${action.symbol} is taken away: ${action.why}`)
    }
    if (action.kind === 'delete') this.#witnessDelete(action, life)
  }

  #witnessDelete(
    action: Extract<Action, { kind: 'delete' }>,
    life: { running: boolean; unshippedBytes: number; pod: V1Pod },
  ): void {
    const drains = life.running && life.pod.status?.phase === 'Running'
    const discarded = life.pod.metadata?.annotations?.[ANNOTATIONS.drain] === 'discard'
    if (drains || discarded || life.unshippedBytes === 0) return
    assert.equal(action.cause, 'drain_deadline', `${life.unshippedBytes} unshipped bytes: ${action.why}`)
    assert.equal(action.event?.type, 'Warning')
    assert.match(action.event?.note ?? '', /unshipped bytes/)
  }
}
