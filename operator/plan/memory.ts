import type { V1Pod } from '@kubernetes/client-node'
import { ANNOTATIONS, LABELS } from '../../api/labels.ts'
import type { CreateAction, MemoryView, Start } from './observed.ts'
import { refOf, viewPod } from './pods.ts'
import { timeMs } from './time.ts'

/**
 * What an operator remembers of its own writes until the cache shows them, and of what it said. It makes nothing
 * right: an operator that has lost it comes to the same end. It keeps one from writing twice what a cache that is
 * behind does not show, and from starting more pods a minute than an exchange bears.
 */

const MINUTE_MS = 60_000
/** A pod whose creation was answered by nothing, and that is never seen, is not there after all. */
const EXPECTED_MS = 5 * MINUTE_MS
const TOLD_MAX = 20_000
/** A creation that was refused is tried again well within this; what is older is of a symbol that nobody wants now. */
const REFUSAL_MS = 15 * MINUTE_MS

interface Expected {
  readonly pod: V1Pod
  readonly atMs: number
}

interface Refusal {
  readonly message: string
  readonly atMs: number
}

interface Written {
  readonly pod: V1Pod
  readonly atMs: number
  /** Once the cache has shown the pod, its absence means that it is gone. */
  readonly seen: boolean
}

export class Memory {
  readonly #startedAtMs: number
  #starts: Start[] = []
  readonly #expected = new Map<string, Expected>()
  readonly #written = new Map<string, Written>()
  readonly #refusals = new Map<string, Refusal>()
  readonly #endedSeen = new Map<string, number>()
  readonly #told = new Set<string>()

  /** @param startedAtMs when this operator began to decide, ms since the Unix epoch */
  constructor(startedAtMs: number) {
    this.#startedAtMs = startedAtMs
  }

  get view(): MemoryView {
    return {
      startedAtMs: this.#startedAtMs,
      starts: this.#starts,
      expected: [...this.#expected.values()].map(({ pod }) => pod),
      written: [...this.#written.values()].map(({ pod }) => pod),
      refused: new Map([...this.#refusals].map(([key, { message }]) => [key, message])),
      endedSeen: this.#endedSeen,
      told: this.#told,
    }
  }

  /** To be called before the request is sent, so that no other plan counts without it. */
  starting({ pod }: CreateAction, nowMs: number): void {
    const { namespace, name } = refOf(pod)
    const exchange = pod.metadata?.labels?.[LABELS.exchange] ?? ''
    this.#starts = [...this.#starts, { namespace, name, exchange, atMs: nowMs }]
    // the newest of its symbol, as it will be once it is seen
    const metadata = { ...pod.metadata, creationTimestamp: new Date(nowMs) }
    this.#expected.set(`${namespace}/${name}`, { pod: { ...pod, metadata }, atMs: nowMs })
  }

  /** The API server has surely refused the creation: nothing is expected of it, and it was no start. */
  refused(namespace: string, name: string): void {
    this.#expected.delete(`${namespace}/${name}`)
    const last = this.#starts.findLastIndex((start) => start.namespace === namespace && start.name === name)
    this.#starts = this.#starts.filter((_, at) => at !== last)
  }

  /** What the API server said of a creation that it refused for a quota or a policy: a person must know. */
  refusedFor(pod: V1Pod, message: string, nowMs: number): void {
    this.#refusals.set(refusalKeyOf(pod), { message, atMs: nowMs })
  }

  /**
   * Nobody knows whether the creation was done. It is tried again under the same name, which tells; the start counts,
   * since it may have been one.
   */
  unsure(namespace: string, name: string): void {
    this.#expected.delete(`${namespace}/${name}`)
  }

  /** The pod as the answer to one of our own writes shows it. */
  wrote(pod: V1Pod, nowMs: number): void {
    const { namespace, name, uid } = refOf(pod)
    const created = this.#expected.delete(`${namespace}/${name}`)
    if (uid === '') return
    if (created) this.#refusals.delete(refusalKeyOf(pod))
    const before = this.#written.get(uid)
    if (before !== undefined && !isNewerVersion(pod, before.pod)) return
    this.#written.set(uid, { pod, atMs: nowMs, seen: before?.seen ?? !created })
  }

  /** Forgets what the cache has caught up with. `pods`: all that it holds now. */
  observe(pods: readonly V1Pod[], nowMs: number): void {
    this.#starts = this.#starts.filter(({ atMs }) => atMs > nowMs - MINUTE_MS)
    this.#forgetRefusals(pods, nowMs)
    this.#seeEnds(pods, nowMs)
    const cached = new Map(pods.map((pod) => [refOf(pod).uid, pod]))
    const names = new Set(pods.map(refOf).map(({ namespace, name }) => `${namespace}/${name}`))
    for (const [name, { atMs }] of this.#expected) {
      if (names.has(name) || atMs <= nowMs - EXPECTED_MS) this.#expected.delete(name)
    }
    for (const [uid, written] of this.#written) {
      const pod = cached.get(uid)
      const caughtUp = pod === undefined ? written.seen : !isNewerVersion(written.pod, pod)
      if (caughtUp || written.atMs <= nowMs - EXPECTED_MS) this.#written.delete(uid)
      else if (pod !== undefined && !written.seen) this.#written.set(uid, { ...written, seen: true })
    }
  }

  /** Of what is too old, and of symbols that have got a pod since. */
  #forgetRefusals(pods: readonly V1Pod[], nowMs: number): void {
    if (this.#refusals.size === 0) return
    for (const pod of pods) {
      const key = refusalKeyOf(pod)
      const createdMs = timeMs(pod.metadata?.creationTimestamp) ?? 0
      if (createdMs > (this.#refusals.get(key)?.atMs ?? Number.POSITIVE_INFINITY)) this.#refusals.delete(key)
    }
    for (const [key, { atMs }] of this.#refusals) {
      if (atMs <= nowMs - REFUSAL_MS) this.#refusals.delete(key)
    }
  }

  #seeEnds(pods: readonly V1Pod[], nowMs: number): void {
    const ended = new Set(pods.map(viewPod).flatMap(({ ended, ref }) => (ended ? [ref.uid] : [])))
    for (const uid of this.#endedSeen.keys()) if (!ended.has(uid)) this.#endedSeen.delete(uid)
    for (const uid of ended) if (!this.#endedSeen.has(uid)) this.#endedSeen.set(uid, nowMs)
  }

  /** An event intent was recorded. */
  told(key: string): void {
    this.#told.add(key)
    // the oldest go: at worst an old event is told again
    if (this.#told.size > TOLD_MAX)
      for (const old of this.#told) {
        this.#told.delete(old)
        if (this.#told.size <= TOLD_MAX / 2) break
      }
  }
}

/** One symbol of one L2Capture. */
export function refusalKey(namespace: string, capture: string, symbol: string): string {
  return `${namespace}/${capture}/${symbol}`
}

function refusalKeyOf({ metadata }: V1Pod): string {
  const symbol = metadata?.annotations?.[ANNOTATIONS.symbol] ?? ''
  return refusalKey(metadata?.namespace ?? '', metadata?.labels?.[LABELS.capture] ?? '', symbol)
}

/** The cache with our own later writes, and with the pods that our creations may have made. */
export function withOwnWrites(pods: readonly V1Pod[], { expected, written }: MemoryView): V1Pod[] {
  const later = new Map(written.map((pod) => [refOf(pod).uid, pod]))
  const merged = pods.map((pod) => {
    const own = later.get(refOf(pod).uid)
    later.delete(refOf(pod).uid)
    return own !== undefined && isNewerVersion(own, pod) ? own : pod
  })
  const names = new Set(
    [...merged, ...later.values()].map(refOf).map((ref) => `${ref.namespace}/${ref.name}`),
  )
  const unseen = expected.filter((pod) => !names.has(`${refOf(pod).namespace}/${refOf(pod).name}`))
  return [...merged, ...later.values(), ...unseen]
}

/** Resource versions of one kind are numbers that grow; of anything else nothing is concluded. */
function isNewerVersion(a: V1Pod, b: V1Pod): boolean {
  const [newer, older] = [a, b].map(({ metadata }) => metadata?.resourceVersion ?? '')
  if (newer === undefined || older === undefined || !/^\d+$/.test(newer) || !/^\d+$/.test(older)) return false
  return BigInt(newer) > BigInt(older)
}
