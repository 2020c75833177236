import { ANNOTATIONS } from '../../api/labels.ts'
import { CONFIG_INVALID } from './ends.ts'
import { NODE_HALTS, type Verdict, verdictOn } from './halts.ts'
import { isNewer, neverRan, newestFirst, type PodView } from './pods.ts'
import { drainNotes, finish, retire, standDown } from './retire.ts'
import { cutAt } from './text.ts'
import { secondsMs, timeText } from './time.ts'
import { annotate, type Draft, specOf, type World } from './world.ts'

/**
 * Who captures a wanted symbol, and who comes next. At most two of its pods may open a socket: the one that
 * captures, and its successor. The newest pod with the wanted template is the one to be; the pod before it goes when
 * that one is live, and not before.
 */
export interface SymbolPods {
  readonly symbol: string
  /** The template that is wanted. */
  readonly hash: string
  /** Pods of this capture for this symbol, the newest first. */
  readonly pods: readonly PodView[]
}

/** A pod that never ran and ended, such as one that its node refused, is followed by another only after this. */
const REFUSED_RETRY_MS = 60_000
const STOPPED_MESSAGE_MAX = 500

export function symbolPods(symbol: string, hash: string, pods: readonly PodView[]): SymbolPods {
  return { symbol, hash, pods: pods.toSorted(newestFirst) }
}

/** The pod that stays as the witness that this spec cannot be captured; undefined where it may be tried. */
export function recordOf({ hash, pods }: SymbolPods, generation: number): PodView | undefined {
  return pods.find(
    ({ stopped, deleting, ended, hash: own }) =>
      stopped?.generation === generation && own === hash && !deleting && !ended,
  )
}

/** The mark that a successor with the wanted template timed out, while it is to be respected; with its end in ms. */
export function timedOut(
  { hash, pods }: SymbolPods,
  { settings, nowMs }: World,
): { readonly pod: PodView; readonly untilMs: number } | undefined {
  for (const pod of pods) {
    const failed = pod.active ? pod.failedSuccessor : undefined
    if (failed?.hash !== hash) continue
    const untilMs = failed.atMs + secondsMs(settings.times.rolloutRetrySeconds)
    if (nowMs < untilMs) return { pod, untilMs }
  }
  return undefined
}

/**
 * Decides for one wanted symbol. `rolloutsHeld`: the roll-out of the capture has stopped, since a successor of some
 * symbol failed.
 */
export function succeed(world: World, draft: Draft, symbol: SymbolPods, rolloutsHeld: boolean): void {
  const actives = symbol.pods.filter(({ active }) => active)
  const record = recordOf(symbol, world.generation)
  for (const pod of symbol.pods) if (pod !== record) finish(world, draft, pod, actives.length > 0)
  const current = actives.find(({ hash }) => hash === symbol.hash)
  const others = actives.filter((pod) => pod !== current)
  const before = others.find(({ live }) => live)
  if (current?.live === true) {
    for (const pod of others) retire(world, draft, pod, { kind: 'succeeded', by: current })
    return
  }
  thinOut(world, draft, others, before)
  if (current === undefined) {
    if (record === undefined) replaceOutdated(world, draft, symbol, others, rolloutsHeld)
    else stopHopeless(world, draft, others)
  } else if (before !== undefined) {
    awaitSuccessor(world, draft, symbol, current, before)
  } else if (others.length === 0) {
    judge(world, draft, symbol, current)
  } else {
    // neither is live: both are restarted in place until one of them is. A hopeless one is stopped while the spec
    // is the one that it is hopeless under: after an edit its report would be held against the new spec
    stopHopeless(world, draft, [current, ...others])
  }
}

/** Leaves one pod beside the one to be: the live one, else the newest. */
function thinOut(world: World, draft: Draft, others: readonly PodView[], live: PodView | undefined): void {
  const kept = live ?? others[0]
  for (const pod of others) {
    if (pod === kept) continue
    if (live !== undefined) retire(world, draft, pod, { kind: 'succeeded', by: live })
    else standDown(world, draft, pod, 'it is not live, and two others try')
  }
}

/** No pod has the wanted template. */
function replaceOutdated(
  world: World,
  draft: Draft,
  symbol: SymbolPods,
  others: readonly PodView[],
  rolloutsHeld: boolean,
): void {
  const [old, ...more] = others
  if (old === undefined) {
    createFirst(world, draft, symbol)
    return
  }
  // room first: thinOut makes it
  if (more.length > 0) return
  const held = timedOut(symbol, world)
  if (held !== undefined) draft.wakeAt(held.untilMs)
  if (held !== undefined || rolloutsHeld || world.suspect !== undefined) return
  wish(draft, symbol, 'spec', `${old.ref.name} has another template`, [])
}

/** Nobody captures the symbol. */
function createFirst(world: World, draft: Draft, symbol: SymbolPods): void {
  const [last] = symbol.pods
  if (last === undefined) {
    wish(draft, symbol, 'new', 'it has no pod', [])
    return
  }
  const againMs = last.createdMs + REFUSED_RETRY_MS
  if (last.ended && neverRan(last, world.nowMs) && world.nowMs < againMs) {
    draft.wakeAt(againMs)
    return
  }
  const byForce = last.deleting || last.ended
  const why = byForce ? `${last.ref.name} has ended or is being deleted` : `${last.ref.name} drains`
  wish(draft, symbol, byForce ? 'ended' : 'new', why, [])
}

/** A successor is under way beside a live pod: it has a deadline. */
function awaitSuccessor(
  world: World,
  draft: Draft,
  symbol: SymbolPods,
  successor: PodView,
  before: PodView,
): void {
  const { nowMs, settings, suspect } = world
  if (isNewer(before, successor)) {
    // no successor: the spec has come back to what it was
    retire(world, draft, successor, { kind: 'succeeded', by: before })
    return
  }
  const verdict = verdictOn(successor, settings)
  if (verdict.kind === 'stop' && mayStop(world, verdict)) {
    stop(world, draft, successor, verdict, before)
    return
  }
  const failed = before.failedSuccessor
  if (failed?.hash === symbol.hash && failed.atMs >= successor.createdMs) {
    retire(world, draft, successor, { kind: 'succeeded', by: before })
    return
  }
  const deadlineMs = successor.createdMs + secondsMs(settings.times.successorDeadlineSeconds)
  // while the whole exchange fails no successor is to blame
  if (suspect !== undefined) return
  if (nowMs < deadlineMs) {
    draft.wakeAt(deadlineMs)
    return
  }
  const note = `${successor.ref.name} was not live after ${settings.times.successorDeadlineSeconds} s; ${before.ref.name} stays`
  annotate(
    draft,
    before,
    { set: { [ANNOTATIONS.failedSuccessor]: `${symbol.hash} ${timeText(nowMs)}` }, why: note },
    { type: 'Warning', reason: 'RolloutTimedOut', action: 'Replace', note },
  )
}

/** The only pod, and not live: does its last end ask for more than a restart in place? */
function judge(world: World, draft: Draft, symbol: SymbolPods, pod: PodView): void {
  const verdict = verdictOn(pod, world.settings)
  if (verdict.kind === 'stop') {
    if (mayStop(world, verdict)) stop(world, draft, pod, verdict, undefined)
  } else if (verdict.kind === 'replace' && world.suspect === undefined) {
    const held = timedOut(symbol, world)
    if (held !== undefined) draft.wakeAt(held.untilMs)
    else wish(draft, symbol, verdict.cause, haltsText(pod, verdict), nodesToAvoid(symbol))
  }
}

function haltsText(pod: PodView, { cause, reason }: Extract<Verdict, { kind: 'replace' }>): string {
  if (cause === 'node') return `${pod.ref.name} halted ${reason} twice on ${pod.node}`
  return `${pod.ref.name} halted ${pod.end?.report?.haltsInARow ?? 0} times in a row, at last ${reason}`
}

function nodesToAvoid({ pods }: SymbolPods): string[] {
  const bad = pods.filter(({ end }) => end?.halt !== undefined && NODE_HALTS.includes(end.halt))
  return [...new Set(bad.map(({ node }) => node).filter((node) => node !== ''))].sort()
}

type Stop = Extract<Verdict, { kind: 'stop' }>

/** When everything halts alike it is not this symbol that cannot be captured. */
function mayStop({ suspect }: World, { reason }: Stop): boolean {
  return reason === CONFIG_INVALID || suspect?.reason !== reason
}

function stopHopeless(world: World, draft: Draft, pods: readonly PodView[]): void {
  for (const pod of pods) {
    const verdict = verdictOn(pod, world.settings)
    if (verdict.kind === 'stop' && mayStop(world, verdict)) stop(world, draft, pod, verdict, undefined)
  }
}

/** The pod stays, drains and opens no socket: it is the record of why, which no status has to remember. */
function stop(world: World, draft: Draft, pod: PodView, verdict: Stop, before: PodView | undefined): void {
  if (!triedUnder(world, draft, pod)) return
  const discard = before !== undefined && isNewer(pod, before) && pod.neverLive
  const note = `${pod.symbol} is stopped until the spec changes: ${verdict.reason}: ${verdict.message}`
  annotate(
    draft,
    pod,
    {
      set: {
        ...drainNotes(world, pod, discard ? 'discard' : 'true'),
        [ANNOTATIONS.stopped]: verdict.reason,
        [ANNOTATIONS.stoppedGeneration]: String(world.generation),
        [ANNOTATIONS.stoppedMessage]: cutAt(verdict.message, STOPPED_MESSAGE_MAX),
      },
      why: note,
      needs: {
        ...specOf(world),
        self: 'notLive',
        ...(discard ? { live: before.ref } : {}),
      },
    },
    { type: 'Warning', reason: 'SymbolStopped', action: 'Stop', note },
  )
}

/**
 * Whether the pod's last end speaks of the present spec. One that was seen only after an edit gets another try in
 * place: what the edit was for may be that very end.
 */
function triedUnder(world: World, draft: Draft, pod: PodView): boolean {
  const seen = pod.end?.finishedAt ?? ''
  if (pod.generation === world.generation) return pod.generationSeen !== seen
  annotate(draft, pod, {
    set: { [ANNOTATIONS.generation]: String(world.generation), [ANNOTATIONS.generationSeen]: seen },
    why: 'it has ended under an earlier spec, and is tried once more under this one',
  })
  return false
}

function wish(
  draft: Draft,
  { symbol, hash }: SymbolPods,
  cause: 'new' | 'spec' | 'halts' | 'node' | 'ended',
  why: string,
  avoidNodes: readonly string[],
): void {
  draft.wishes.push({ symbol, hash, cause, why, avoidNodes })
}
