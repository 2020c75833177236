import type { V1ContainerStatus, V1Pod, V1PodCondition } from '@kubernetes/client-node'
import { ANNOTATIONS, CONFIG_ENV, CONTAINER_NAME, LABELS } from '../../api/labels.ts'
import { type End, endOf } from './ends.ts'
import type { PodRef } from './observed.ts'
import { timeMs } from './time.ts'

/**
 * What a pod is, as far as decisions need it, read from the object alone: its metadata that we wrote, and its
 * status that the kubelet wrote.
 */
export interface PodView {
  readonly pod: V1Pod
  readonly ref: PodRef
  readonly symbol: string
  readonly exchange: string
  /** UID of the controller that owns it; empty where none does. */
  readonly owner: string
  readonly hash: string
  readonly share: string
  readonly cause: string
  readonly node: string
  readonly createdMs: number
  /** Somebody has deleted it: it ends, and its node may be gone. */
  readonly deleting: boolean
  /** Its container will never run again. */
  readonly ended: boolean
  /** Ready, and nobody has deleted it: its book is being recorded. */
  readonly live: boolean
  /** When Ready became True, where it is. */
  readonly liveSinceMs: number | undefined
  /** When Ready last became anything but True. */
  readonly notLiveSinceMs: number | undefined
  /** Its Ready condition has never been True, as far as its transition times tell. */
  readonly neverLive: boolean
  readonly running: boolean
  /** Its container has never run: it holds nothing. */
  readonly neverStarted: boolean
  /** It has ended and says nothing of a container: its node refused it, before the first start or before a later one. */
  readonly refusedByNode: boolean
  /** May open a socket, now or after a restart: nobody has deleted it or asked it to drain. */
  readonly active: boolean
  readonly drain: Drain | undefined
  readonly stopped: Stopped | undefined
  /** The generation of the spec that it was made or last tried under. */
  readonly generation: number
  /** finishedAt of an end that speaks of an earlier generation; empty where none does. */
  readonly generationSeen: string
  readonly failedSuccessor: FailedSuccessor | undefined
  /** How its container ended last. */
  readonly end: End | undefined
  readonly restarts: number
  /** Why its container does not run, in the words of Kubernetes, e.g. ImagePullBackOff; or why no node takes it. */
  readonly waiting: Waiting | undefined
}

export interface Drain {
  /** Ship everything; or throw away what another pod publishes. */
  readonly how: 'true' | 'discard'
  /** When the operator asked; undefined where a person did. */
  readonly sinceMs: number | undefined
  /** finishedAt of the end that was known then: a report from before says nothing. */
  readonly seen: string
}

/** A symbol that stays down until the spec changes. */
export interface Stopped {
  readonly reason: string
  readonly message: string
  readonly generation: number
}

/** On a pod whose successor was not live in time. */
export interface FailedSuccessor {
  readonly hash: string
  readonly atMs: number
}

export interface Waiting {
  readonly reason: string
  readonly message: string
}

/** A transition within this time of the pod's start is the kubelet's first word, not a change. */
const FIRST_WORD_MS = 1500

/** A node refuses a pod as soon as it gets it. What is refused later may have run. */
const REFUSED_AT_BIRTH_MS = 600_000

const views = new WeakMap<V1Pod, PodView>()

/** The view of a pod; a pod object is never changed in place, so one is made for each. */
export function viewPod(pod: V1Pod): PodView {
  const known = views.get(pod)
  if (known !== undefined) return known
  const view = makeView(pod)
  views.set(pod, view)
  return view
}

function makeView(pod: V1Pod): PodView {
  const { metadata, status } = pod
  const notes = metadata?.annotations ?? {}
  const container = status?.containerStatuses?.find(({ name }) => name === CONTAINER_NAME)
  const ready = condition(pod, 'Ready')
  const deleting = metadata?.deletionTimestamp !== undefined && metadata.deletionTimestamp !== null
  const ended = status?.phase === 'Succeeded' || status?.phase === 'Failed'
  const live = ready?.status === 'True' && !deleting && !ended
  const drain = drainOf(notes)
  const end = endOf(container)
  return {
    pod,
    ref: refOf(pod),
    symbol: notes[ANNOTATIONS.symbol] ?? '',
    exchange: metadata?.labels?.[LABELS.exchange] ?? '',
    owner: metadata?.ownerReferences?.find(({ controller }) => controller === true)?.uid ?? '',
    hash: notes[ANNOTATIONS.templateHash] ?? '',
    share: notes[ANNOTATIONS.share] ?? '',
    cause: notes[ANNOTATIONS.cause] ?? '',
    node: pod.spec?.nodeName ?? '',
    createdMs: timeMs(metadata?.creationTimestamp) ?? 0,
    deleting,
    ended,
    live,
    liveSinceMs: live ? timeMs(ready.lastTransitionTime) : undefined,
    notLiveSinceMs: live ? undefined : timeMs(ready?.lastTransitionTime),
    neverLive: neverLive(pod),
    running: container?.state?.running !== undefined && !ended,
    neverStarted: neverStarted(pod, container, end),
    refusedByNode: ended && container === undefined,
    active: !deleting && !ended && drain === undefined,
    drain,
    stopped: stoppedOf(notes),
    generation: Number(notes[ANNOTATIONS.generation] ?? Number.NaN),
    generationSeen: notes[ANNOTATIONS.generationSeen] ?? '',
    failedSuccessor: failedSuccessorOf(notes),
    end,
    restarts: container?.restartCount ?? 0,
    waiting: waitingOf(pod, container),
  }
}

/**
 * It holds nothing. Of a pod that its node refused nothing tells whether it ran before; one that was bound to the node
 * only moments ago did not.
 */
export function neverRan(pod: PodView, nowMs: number): boolean {
  if (pod.neverStarted) return true
  const boundMs = timeMs(pod.pod.status?.startTime) ?? pod.createdMs
  return pod.refusedByNode && nowMs - boundMs < REFUSED_AT_BIRTH_MS
}

/**
 * When a pod ended, ms since the epoch: as its kubelet says, as what took it away says, or when the end was first seen.
 * @param seen by UID, when this operator first saw that a pod had ended
 */
export function endedMs({ pod, ref, end, createdMs }: PodView, seen: ReadonlyMap<string, number>): number {
  if (end !== undefined && end.finishedMs > 0) return end.finishedMs
  const taken = condition(pod, 'DisruptionTarget')
  const takenMs = taken?.status === 'True' ? timeMs(taken.lastTransitionTime) : undefined
  return takenMs ?? seen.get(ref.uid) ?? createdMs
}

export function refOf({ metadata }: V1Pod): PodRef {
  return { namespace: metadata?.namespace ?? '', name: metadata?.name ?? '', uid: metadata?.uid ?? '' }
}

/** Newest first; among those of one second the one with the later name. */
export function newestFirst(a: PodView, b: PodView): number {
  return b.createdMs - a.createdMs || compareNames(b.ref.name, a.ref.name)
}

export function isNewer(a: PodView, b: PodView): boolean {
  return newestFirst(a, b) < 0
}

/** The pod's configuration as it was written; undefined where there is none that can be read. */
export function configOf(view: PodView): unknown {
  const container = view.pod.spec?.containers.find(({ name }) => name === CONTAINER_NAME)
  const text = container?.env?.find(({ name }) => name === CONFIG_ENV)?.value
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    // not a pod of ours then: nothing is known of where it writes
    return undefined
  }
}

/** Attempts are digits at the end: of two names of one symbol the longer is the later. */
function compareNames(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}

function condition(pod: V1Pod, type: string): V1PodCondition | undefined {
  return pod.status?.conditions?.find((one) => one.type === type)
}

function neverLive(pod: V1Pod): boolean {
  const ready = condition(pod, 'Ready')
  if (ready === undefined) return true
  if (ready.status === 'True') return false
  const movedMs = timeMs(ready.lastTransitionTime)
  const firstMs = timeMs(condition(pod, 'Initialized')?.lastTransitionTime) ?? timeMs(pod.status?.startTime)
  if (movedMs === undefined || firstMs === undefined) return true
  return movedMs <= firstMs + FIRST_WORD_MS
}

function neverStarted(pod: V1Pod, container: V1ContainerStatus | undefined, end: End | undefined): boolean {
  // a kubelet that comes back and has no room for a pod takes away all that its status said of containers
  if (container === undefined) return (pod.status?.phase ?? 'Pending') === 'Pending'
  return container.state?.running === undefined && end === undefined && container.restartCount === 0
}

function drainOf(notes: Readonly<Record<string, string>>): Drain | undefined {
  const how = notes[ANNOTATIONS.drain]
  if (how !== 'true' && how !== 'discard') return undefined
  return { how, sinceMs: timeMs(notes[ANNOTATIONS.drainSince]), seen: notes[ANNOTATIONS.drainSeen] ?? '' }
}

function stoppedOf(notes: Readonly<Record<string, string>>): Stopped | undefined {
  const reason = notes[ANNOTATIONS.stopped]
  if (reason === undefined) return undefined
  return {
    reason,
    message: notes[ANNOTATIONS.stoppedMessage] ?? '',
    generation: Number(notes[ANNOTATIONS.stoppedGeneration] ?? Number.NaN),
  }
}

function failedSuccessorOf(notes: Readonly<Record<string, string>>): FailedSuccessor | undefined {
  const [hash, time] = (notes[ANNOTATIONS.failedSuccessor] ?? '').split(' ')
  const atMs = timeMs(time)
  return hash === undefined || atMs === undefined ? undefined : { hash, atMs }
}

function waitingOf(pod: V1Pod, container: V1ContainerStatus | undefined): Waiting | undefined {
  const scheduled = condition(pod, 'PodScheduled')
  if (scheduled?.status === 'False') {
    return { reason: scheduled.reason ?? 'Unschedulable', message: scheduled.message ?? '' }
  }
  const waiting = container?.state?.waiting
  if (!waiting?.reason) return undefined
  return { reason: waiting.reason, message: waiting.message ?? '' }
}
