import { ANNOTATIONS } from '../../api/labels.ts'
import { holdsNothing, isDrained } from './ends.ts'
import type { DeleteAction, Needs, RemovalCause } from './observed.ts'
import { endedMs, isNewer, neverRan, type PodView } from './pods.ts'
import { secondsMs, timeText } from './time.ts'
import { annotate, type Draft, eventOf, specOf, type World } from './world.ts'

/**
 * How a pod goes. Nothing unshipped dies: a pod is asked to drain first, also where it runs, and its own report alone,
 * or a day, permits the delete. A deleted pod would drain, too, but its grace has an end, and a store may be away for
 * longer.
 */

/** Why it may go. */
export type Going =
  | { readonly kind: 'succeeded'; readonly by: PodView }
  /** Its symbol is not to be captured: removed or suspended. */
  | { readonly kind: 'unwanted'; readonly why: string }
  /** Its symbol is another capture's, and this pod is not live: one that is waits for a live pod of the other. */
  | { readonly kind: 'conflict'; readonly why: string }

/** One step of the way of a pod that nobody has asked to drain yet. */
export function retire(world: World, draft: Draft, pod: PodView, going: Going): void {
  if (pod.deleting || pod.ended || pod.drain !== undefined) return
  const needs = needsOf(world, going)
  const why = going.kind === 'succeeded' ? `${going.by.ref.name} is live` : going.why
  if (pod.neverStarted) {
    remove(draft, pod, 'never_started', `${why}, and it never started`, { ...needs, self: 'neverStarted' })
    return
  }
  if (holdsNothing(pod)) {
    remove(draft, pod, 'never_started', `${why}, and its configuration was refused`, needs)
    return
  }
  // it has published nothing yet, for the pod before it goes on; was it live once, it may fill a hole of that one
  const holdsTheSame = going.kind === 'succeeded' && isNewer(pod, going.by) && pod.neverLive
  askToDrain(world, draft, pod, holdsTheSame ? 'discard' : 'true', why, needs)
}

function needsOf(world: World, going: Going): Needs {
  switch (going.kind) {
    case 'succeeded':
      return { live: going.by.ref }
    case 'unwanted':
      return { ...specOf(world) }
    case 'conflict':
      return { ...specOf(world), self: 'notLive' }
  }
}

/** A pod that is not live steps back for another try, whoever captures the symbol after it. */
export function standDown(world: World, draft: Draft, pod: PodView, why: string): void {
  if (pod.neverStarted) {
    remove(draft, pod, 'never_started', why, { ...specOf(world), self: 'neverStarted' })
  } else if (holdsNothing(pod)) {
    remove(draft, pod, 'never_started', why, { ...specOf(world) })
  } else {
    askToDrain(world, draft, pod, 'true', why, { ...specOf(world), self: 'notLive' })
  }
}

/** The annotations that ask a pod to drain. */
export function drainNotes(world: World, pod: PodView, how: 'true' | 'discard'): Record<string, string> {
  return {
    [ANNOTATIONS.drain]: how,
    [ANNOTATIONS.drainSince]: timeText(world.nowMs),
    [ANNOTATIONS.drainSeen]: pod.end?.finishedAt ?? '',
  }
}

function askToDrain(
  world: World,
  draft: Draft,
  pod: PodView,
  how: 'true' | 'discard',
  why: string,
  needs: Needs,
): void {
  const said =
    how === 'true'
      ? { reason: 'PodDraining', note: `${pod.ref.name} ships what it holds and goes: ${why}` }
      : { reason: 'PodDiscarded', note: `${pod.ref.name} was never live and goes: ${why}` }
  const event = { type: 'Normal', action: 'Drain', ...said } as const
  annotate(draft, pod, { set: drainNotes(world, pod, how), why: said.note, needs }, event)
}

/** The rest of the way of a pod that drains, or whose container will never run again. `succeeded`: another is there. */
export function finish(world: World, draft: Draft, pod: PodView, succeeded: boolean): void {
  if (pod.deleting) return
  if (pod.ended) finishEnded(world, draft, pod, succeeded)
  else if (pod.drain?.how === 'discard') finishDiscarded(world, draft, pod, pod.drain.sinceMs)
  else if (pod.drain !== undefined) finishDrained(world, draft, pod, pod.drain.sinceMs, pod.drain.seen)
}

function finishDrained(
  world: World,
  draft: Draft,
  pod: PodView,
  sinceMs: number | undefined,
  seen: string,
): void {
  if (pod.neverStarted || holdsNothing(pod)) {
    const needs: Needs = pod.neverStarted ? { self: 'neverStarted' } : {}
    remove(draft, pod, 'never_started', 'it was asked to drain and holds nothing', needs)
  } else if (isDrained(pod.end) && pod.end?.finishedAt !== seen) {
    remove(draft, pod, 'drained', 'it reports that everything it held is shipped', {
      self: 'drained',
    })
  } else if (sinceMs === undefined) {
    // a person asked: the day begins now
    annotate(draft, pod, { set: drainNotes(world, pod, 'true'), why: 'someone has asked it to drain' })
  } else {
    loseAfterDeadline(world, draft, pod, sinceMs)
  }
}

function finishDiscarded(world: World, draft: Draft, pod: PodView, sinceMs: number | undefined): void {
  const goesMs = (sinceMs ?? 0) + secondsMs(world.settings.times.discardSeconds)
  if (!pod.running || world.nowMs >= goesMs) {
    remove(draft, pod, 'discarded', 'it holds nothing that another pod does not publish')
  } else {
    draft.wakeAt(goesMs)
  }
}

/** Evicted, or its node has gone in order. A witness of how it went, and of what it still held, stays for a day. */
function finishEnded(world: World, draft: Draft, pod: PodView, succeeded: boolean): void {
  if (isDrained(pod.end) || neverRan(pod, world.nowMs) || holdsNothing(pod) || pod.drain?.how === 'discard') {
    const cause = isDrained(pod.end)
      ? 'drained'
      : pod.drain?.how === 'discard'
        ? 'discarded'
        : 'never_started'
    // its successor is to know it by name
    if (succeeded) remove(draft, pod, cause, 'it has ended, and nothing of it is unshipped')
  } else {
    // a successor that is made now is still to name it as the pod before
    loseAfterDeadline(world, draft, pod, endedMs(pod, world.endedSeen), succeeded)
  }
}

function loseAfterDeadline(
  world: World,
  draft: Draft,
  pod: PodView,
  sinceMs: number,
  succeeded = true,
): void {
  const deadlineMs = sinceMs + secondsMs(world.settings.times.drainDeadlineSeconds)
  if (world.nowMs < deadlineMs) {
    draft.wakeAt(deadlineMs)
    return
  }
  if (!succeeded) return
  const note =
    `${pod.ref.name} could not ship what it holds since ${timeText(sinceMs)} and is deleted with ` +
    `${bytesText(pod)}: ${pod.end?.reason ?? 'no report'}`
  const event = eventOf(pod, { type: 'Warning', reason: 'BacklogLost', action: 'Delete', note }, 'lost')
  draft.actions.push({ ...deletion(pod, 'drain_deadline', note), event })
}

function bytesText({ end }: PodView): string {
  const bytes = end?.report?.unshippedBytes ?? -1
  return bytes < 0 ? 'an unknown number of unshipped bytes' : `${bytes} unshipped bytes`
}

function remove(draft: Draft, pod: PodView, cause: RemovalCause, why: string, needs: Needs = {}): void {
  if (pod.ref.uid === '') return
  const note = `${pod.ref.name} is deleted: ${why}`
  const event = eventOf(pod, { type: 'Normal', reason: 'PodDeleted', action: 'Delete', note }, 'delete')
  draft.actions.push({ ...deletion(pod, cause, note), needs, event })
}

function deletion(pod: PodView, cause: RemovalCause, why: string): DeleteAction {
  return { kind: 'delete', pod: pod.ref, symbol: pod.symbol, cause, why }
}
