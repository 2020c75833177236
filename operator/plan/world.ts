import type { Settings } from '../settings.ts'
import type { Suspect } from './breaker.ts'
import type { Crowd, Member } from './fleet.ts'
import type { Action, AnnotateAction, Cause, EventIntent, Needs } from './observed.ts'
import type { PodView } from './pods.ts'

/** What every rule of a plan looks at. */
export interface World {
  readonly capture: Member
  readonly generation: number
  readonly settings: Settings
  readonly nowMs: number
  /** All capture pods that are seen, of every capture. */
  readonly pods: readonly PodView[]
  /** By UID, when a pod's end was first seen, ms since the epoch. */
  readonly endedSeen: ReadonlyMap<string, number>
  readonly suspect: Suspect | undefined
  readonly crowd: Crowd
}

/** A pod that a rule asks for; it comes when its turn has come. */
export interface Wish {
  readonly symbol: string
  readonly hash: string
  readonly cause: Cause
  readonly why: string
  readonly avoidNodes: readonly string[]
}

/** What an action needs that rests on the spec alone. */
export function specOf({ capture, generation }: World): Needs {
  return { generation, captureUid: capture.uid }
}

/** What the rules have decided so far. */
export class Draft {
  readonly actions: Action[] = []
  readonly wishes: Wish[] = []
  readonly events: EventIntent[] = []
  #wakeMs = Number.POSITIVE_INFINITY

  /** Something may follow at this time without anything being heard before. */
  wakeAt(atMs: number): void {
    this.#wakeMs = Math.min(this.#wakeMs, atMs)
  }

  /** From now to the next such time, at least 1 ms; undefined where there is none. */
  wakeAfterMs(nowMs: number): number | undefined {
    return Number.isFinite(this.#wakeMs) ? Math.max(1, this.#wakeMs - nowMs) : undefined
  }
}

type Said = Omit<EventIntent, 'pod' | 'key'>

/** An annotation on a pod that the operator itself knows; none on one whose creation is only expected. */
export function annotate(
  draft: Draft,
  pod: PodView,
  what: Pick<AnnotateAction, 'set' | 'why' | 'needs'>,
  said?: Said,
): void {
  if (pod.ref.uid === '') return
  const event =
    said === undefined ? {} : { event: eventOf(pod, said, `annotate/${JSON.stringify(what.set)}`) }
  draft.actions.push({ kind: 'annotate', pod: pod.ref, symbol: pod.symbol, ...what, ...event })
}

/** An event about one pod. `what` tells it from others about the same pod. */
export function eventOf(pod: PodView, said: Said, what: string): EventIntent {
  return { ...said, pod: pod.ref, key: `${pod.ref.uid}/${what}` }
}
