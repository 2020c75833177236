import type { V1Pod } from '@kubernetes/client-node'
import { ANNOTATIONS, LABELS } from '../../../api/labels.ts'
import { HALT_EXIT_CODES, type HaltReason } from '../../../api/reasons.ts'
import type { Report } from '../../../api/report.ts'
import type { L2CaptureResource } from '../../../api/resource.ts'
import { iso, NOW, wireTime } from './build.ts'

/**
 * A world for plan(): an API server, kubelets and captures, in a few lines and without a clock of its own. Pods
 * start, get live, halt, restart in place with a back-off, drain, are evicted and lost with their nodes. Objects are
 * replaced and never changed, as in a cache.
 */

const NODE_GRACE_MS = 40_000
const EVICTED_AFTER_MS = 70_000
const BACKOFF_MAX_MS = 300_000
const GRACE_MS = 3_600_000
const RECOVERED_MS = 600_000
/** A spec with so many levels never gets live: a stand-in for whatever a user can get wrong. */
export const BAD_LEVELS = 13
export const BAD_IMAGE = 'bad'

export interface Life {
  pod: V1Pod
  nextStartMs: number
  liveMs: number
  liveSinceMs: number | undefined
  running: boolean
  started: boolean
  restarts: number
  haltsInARow: number
  last: Report | undefined
  finishedMs: number | undefined
  unshippedBytes: number
  readySinceMs: number
  deletedMs: number | undefined
}

export class SimCluster {
  nowMs = NOW
  readonly pods = new Map<string, Life>()
  readonly captures = new Map<string, L2CaptureResource>()
  readonly nodes = new Map<string, number | undefined>([
    ['node-a', undefined],
    ['node-b', undefined],
    ['node-c', undefined],
  ])
  exchangeUp = true
  storeUp = true
  readonly unlisted = new Set<string>()
  readonly skewed = new Set<string>()
  /** UIDs of pods under the labels of captures that no operator may touch. */
  readonly strangers = new Set<string>()
  created = 0
  version = 100
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  list(): V1Pod[] {
    return [...this.pods.values()].map(({ pod }) => pod)
  }

  byName(name: string): Life | undefined {
    return [...this.pods.values()].find(({ pod }) => pod.metadata?.name === name)
  }

  /** Undefined where a pod of that name is there. */
  create(pod: V1Pod): V1Pod | undefined {
    const name = pod.metadata?.name ?? ''
    if (this.byName(name) !== undefined) return undefined
    const uid = `pod-${++this.created}`
    const life: Life = {
      pod,
      nextStartMs: Number.POSITIVE_INFINITY,
      liveMs: Number.POSITIVE_INFINITY,
      liveSinceMs: undefined,
      running: false,
      started: false,
      restarts: 0,
      haltsInARow: 0,
      last: undefined,
      finishedMs: undefined,
      unshippedBytes: 0,
      readySinceMs: this.nowMs,
      deletedMs: undefined,
    }
    life.pod = { ...pod, metadata: { ...pod.metadata, uid, creationTimestamp: wireTime(this.nowMs) } }
    this.pods.set(uid, life)
    this.#show(life, 'Pending')
    return life.pod
  }

  /** Somebody copies a pod by hand, without its owner: with another container in it, or without our annotations. */
  copyByHand({ pod }: Life, otherContainer: boolean): void {
    const { annotations = {}, labels = {}, namespace = '' } = pod.metadata ?? {}
    const [container = { name: '' }] = pod.spec?.containers ?? []
    const copy = this.create({
      metadata: {
        namespace,
        name: `copy-${this.created}`,
        labels,
        annotations: otherContainer ? annotations : {},
      },
      spec: { containers: [otherContainer ? { ...container, name: 'debugger' } : container] },
    })
    this.strangers.add(copy?.metadata?.uid ?? '')
  }

  change(uid: string, metadata: object): V1Pod | undefined {
    const life = this.pods.get(uid)
    if (life === undefined) return undefined
    life.pod = { ...life.pod, metadata: { ...life.pod.metadata, ...metadata } }
    this.#touch(life)
    return life.pod
  }

  delete(uid: string): V1Pod | undefined {
    const life = this.pods.get(uid)
    if (life === undefined) return undefined
    const over = life.pod.status?.phase === 'Failed' || life.pod.status?.phase === 'Succeeded'
    if (over || life.pod.spec?.nodeName === undefined) {
      this.pods.delete(uid)
      return undefined
    }
    if (life.deletedMs !== undefined) return life.pod
    life.deletedMs = this.nowMs
    return this.change(uid, { deletionTimestamp: wireTime(this.nowMs) })
  }

  /** The kubelet kills it for want of something, and its volumes go. */
  evict(life: Life): void {
    life.running = false
    life.finishedMs = this.nowMs
    life.liveSinceMs = undefined
    this.#show(life, 'Failed')
  }

  halt(life: Life, reason: HaltReason): void {
    // one that drains has no socket to halt for
    if (!life.running || life.pod.metadata?.annotations?.[ANNOTATIONS.drain] !== undefined) return
    const recovered = life.liveSinceMs !== undefined && this.nowMs - life.liveSinceMs >= RECOVERED_MS
    life.haltsInARow = (recovered ? 0 : life.haltsInARow) + 1
    // it ships for half a minute, which is not always enough
    if (this.#random() < 0.5) life.unshippedBytes += 100
    this.#end(life, reason, HALT_EXIT_CODES[reason])
  }

  advance(ms: number): void {
    this.nowMs += ms
    for (const life of [...this.pods.values()]) this.#live(life, ms)
  }

  #live(life: Life, ms: number): void {
    const node = life.pod.spec?.nodeName
    if (node === undefined) return this.#schedule(life)
    const lostMs = this.nodes.get(node)
    if (lostMs !== undefined) return this.#lost(life, this.nowMs - lostMs)
    const phase = life.pod.status?.phase
    if (life.deletedMs !== undefined) return this.#terminate(life, life.deletedMs)
    if (phase === 'Failed' || phase === 'Succeeded') return
    if (life.running) this.#run(life, ms)
    else if (this.nowMs >= life.nextStartMs) this.#start(life)
  }

  #schedule(life: Life): void {
    const up = [...this.nodes].filter(([, lost]) => lost === undefined).map(([name]) => name)
    const preferred =
      life.pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution?.[0]?.preference
    const avoid = preferred?.matchExpressions?.[0]?.values ?? []
    const node = up.find((name) => !avoid.includes(name) && this.#random() < 0.6) ?? up.at(-1)
    if (node === undefined) return
    life.pod = {
      ...life.pod,
      spec: { ...life.pod.spec, nodeName: node, containers: life.pod.spec?.containers ?? [] },
    }
    life.nextStartMs = this.nowMs + 5000
    life.readySinceMs = this.nowMs
    this.#show(life, 'Pending')
  }

  #lost(life: Life, forMs: number): void {
    if (forMs > NODE_GRACE_MS && life.liveSinceMs !== undefined) {
      life.liveSinceMs = undefined
      life.readySinceMs = this.nowMs
      this.#show(life, 'Running')
    }
    if (forMs > EVICTED_AFTER_MS && life.deletedMs === undefined) {
      life.deletedMs = this.nowMs
      this.change(life.pod.metadata?.uid ?? '', { deletionTimestamp: wireTime(this.nowMs) })
    }
  }

  #terminate(life: Life, sinceMs: number): void {
    if (!life.running || this.storeUp || this.nowMs - sinceMs > GRACE_MS) {
      this.pods.delete(life.pod.metadata?.uid ?? '')
    }
  }

  #start(life: Life): void {
    if (life.pod.spec?.containers[0]?.image === BAD_IMAGE) return
    life.running = true
    life.restarts += life.started ? 1 : 0
    life.started = true
    life.liveMs = this.nowMs + 5000 + this.#random() * 40_000
    this.#show(life, 'Running')
  }

  #run(life: Life, ms: number): void {
    const notes = life.pod.metadata?.annotations ?? {}
    const drain = notes[ANNOTATIONS.drain]
    if (drain === 'discard') {
      life.unshippedBytes = 0
      return this.#end(life, 'Discarded', 0)
    }
    life.unshippedBytes = this.storeUp ? 0 : life.unshippedBytes + ms
    if (drain === 'true') return this.storeUp ? this.#end(life, 'Drained', 0) : undefined
    if (this.nowMs < life.liveMs) return
    if (this.unlisted.has(notes[ANNOTATIONS.symbol] ?? '')) return this.halt(life, 'SymbolUnknown')
    if (this.skewed.has(life.pod.spec?.nodeName ?? '')) return this.halt(life, 'ClockSkew')
    if (!this.exchangeUp && this.#random() < 0.2) return this.halt(life, 'StaleFeed')
    this.#book(life, this.exchangeUp && !this.#hopeless(life))
  }

  #book(life: Life, live: boolean): void {
    if ((life.liveSinceMs !== undefined) === live) return
    life.liveSinceMs = live ? this.nowMs : undefined
    life.readySinceMs = this.nowMs
    this.#show(life, 'Running')
  }

  #hopeless(life: Life): boolean {
    return (life.pod.spec?.containers[0]?.env?.[0]?.value ?? '').includes(`"bookLevels":${BAD_LEVELS},`)
  }

  #end(life: Life, reason: string, exitCode: number): void {
    const at = iso(this.nowMs)
    const before = life.last
    life.last = {
      reason,
      message: `${reason} happened`,
      symbol: '',
      run: '',
      at,
      exitCode,
      haltsInARow: life.haltsInARow,
      previous: before === undefined ? null : { reason: before.reason, at: before.at },
      unshippedBytes: life.unshippedBytes,
      quarantinedBytes: 0,
    }
    life.finishedMs = this.nowMs
    life.running = false
    if (life.liveSinceMs !== undefined) life.readySinceMs = this.nowMs
    life.liveSinceMs = undefined
    const backoffMs = life.restarts === 0 ? 0 : Math.min(BACKOFF_MAX_MS, 10_000 * 2 ** (life.restarts - 1))
    life.nextStartMs = this.nowMs + backoffMs
    this.#show(life, 'Running')
  }

  /** Writes the status that a kubelet would write. */
  #show(life: Life, phase: string): void {
    const scheduledMs = Math.min(life.readySinceMs, this.nowMs)
    const firstMs = life.started ? this.#initialized(life, scheduledMs) : scheduledMs
    const terminated =
      life.finishedMs === undefined
        ? undefined
        : {
            exitCode: life.last?.exitCode ?? 137,
            message: life.last === undefined || phase === 'Failed' ? '' : JSON.stringify(life.last),
            finishedAt: wireTime(life.finishedMs),
          }
    const state = life.running
      ? { running: {} }
      : phase === 'Failed' && terminated !== undefined
        ? { terminated }
        : { waiting: { reason: life.started ? 'CrashLoopBackOff' : 'ContainerCreating' } }
    const ready = life.liveSinceMs !== undefined && phase === 'Running'
    life.pod = {
      ...life.pod,
      status: {
        phase,
        conditions: [
          { type: 'Initialized', status: 'True', lastTransitionTime: wireTime(firstMs) },
          {
            type: 'Ready',
            status: ready ? 'True' : 'False',
            lastTransitionTime: wireTime(life.readySinceMs),
          },
        ],
        containerStatuses: [
          {
            name: 'capture',
            image: '',
            imageID: '',
            ready,
            restartCount: life.restarts,
            state,
            ...(phase === 'Failed' || terminated === undefined ? {} : { lastState: { terminated } }),
          },
        ],
      },
    }
    this.#touch(life)
  }

  #initialized(life: Life, otherwiseMs: number): number {
    const known = life.pod.status?.conditions?.find(({ type }) => type === 'Initialized')?.lastTransitionTime
    return known === undefined ? otherwiseMs : Date.parse(String(known))
  }

  #touch(life: Life): void {
    life.pod = {
      ...life.pod,
      metadata: { ...life.pod.metadata, resourceVersion: String(++this.version) },
    }
  }
}

/** Pods of a symbol that may open a socket, as they truly are; of any capture where no UID is given. */
export function activeOf(cluster: SimCluster, uid: string | undefined, symbol: string): Life[] {
  return [...cluster.pods.values()].filter(({ pod, deletedMs }) => {
    const { metadata, status } = pod
    return (
      !cluster.strangers.has(metadata?.uid ?? '') &&
      (uid === undefined || metadata?.ownerReferences?.[0]?.uid === uid) &&
      metadata?.annotations?.[ANNOTATIONS.symbol] === symbol &&
      metadata.annotations[ANNOTATIONS.drain] === undefined &&
      metadata.labels?.[LABELS.name] !== undefined &&
      deletedMs === undefined &&
      status?.phase !== 'Failed' &&
      status?.phase !== 'Succeeded'
    )
  })
}
