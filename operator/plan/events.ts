import type { CaptureStatus, Condition } from '../../api/resource.ts'
import { isDrained } from './ends.ts'
import type { Crowd, Member } from './fleet.ts'
import type { EventIntent, MemoryView } from './observed.ts'
import { endedMs, neverRan, type PodView } from './pods.ts'
import { conditionOf } from './status.ts'
import { cutAt } from './text.ts'
import { timeText } from './time.ts'

/**
 * Events: one for each change. A change is what the status before does not say, so that an operator that has just
 * started does not tell everything again; what a status cannot hold is told once in an operator's life.
 */

const NOTE_LENGTH_MAX = 900

/** Each halt that a pod shows, once. */
export function haltEvents(
  pods: readonly PodView[],
  before: CaptureStatus | undefined,
  { startedAtMs, told }: MemoryView,
): EventIntent[] {
  return pods.flatMap((pod) => {
    const { end, symbol, ref, live, stopped } = pod
    if (end?.halt === undefined) return []
    const key = haltKey(pod)
    const known = before?.attention?.some(
      (entry) => entry.symbol === symbol && entry.since === timeText(end.finishedMs),
    )
    const old = end.finishedMs < startedAtMs && (live || stopped !== undefined || known === true)
    if (told.has(key) || old) return []
    const note = cut(`${symbol} halted: ${end.message}`)
    return [{ type: 'Warning', reason: end.halt, action: 'Capture', note, pod: ref, key }]
  })
}

/** One halt of one pod. */
export function haltKey({ ref, end }: PodView): string {
  return `${ref.uid}/halt/${end?.finishedAt ?? ''}`
}

/** Pods that were ended with something unshipped: it went with them. */
export function lossEvents(
  pods: readonly PodView[],
  { startedAtMs, endedSeen, told }: MemoryView,
  nowMs: number,
): EventIntent[] {
  return pods.flatMap((pod) => {
    const { ended, end, ref, symbol } = pod
    if (!ended || neverRan(pod, nowMs) || isDrained(end)) return []
    const key = `${ref.uid}/ended`
    if (told.has(key) || endedMs(pod, endedSeen) < startedAtMs) return []
    const bytes = end?.report?.unshippedBytes ?? -1
    const held = bytes < 0 ? 'an unknown number of' : bytes
    const note = cut(
      `${ref.name} (${symbol}) was ended with ${held} unshipped bytes: ${end?.reason ?? 'no report'}`,
    )
    return [{ type: 'Warning', reason: 'BacklogLost', action: 'Capture', note, pod: ref, key }]
  })
}

/** Pods with our labels that belong to someone else. */
export function foreignEvents(foreign: readonly PodView[], { told }: MemoryView): EventIntent[] {
  return foreign.flatMap(({ ref, owner, deleting }) => {
    const key = `${ref.uid}/foreign`
    // those of a capture that was deleted and made anew still drain
    if (deleting || told.has(key)) return []
    const whose = owner === '' ? 'and is no capture pod' : 'and another owner'
    const note = `${ref.name} has the labels of this capture ${whose}; it is let alone`
    return [{ type: 'Warning', reason: 'ForeignPod', action: 'Adopt', note, pod: ref, key }]
  })
}

export function crowdEvents(
  { uid }: Member,
  { symbolsPerAddress, share }: Crowd,
  symbolsMax: number,
  { told }: MemoryView,
): EventIntent[] {
  const key = `${uid}/crowded/${share}`
  if (symbolsPerAddress <= symbolsMax || told.has(key)) return []
  const note =
    `${symbolsPerAddress} symbols share one address; above ${symbolsMax} joins and audits take long. ` +
    'Give the exchange more addresses'
  return [{ type: 'Warning', reason: 'AddressCrowded', action: 'Capture', note, key }]
}

/** Conditions that say something else than before. */
export function conditionEvents(
  uid: string,
  before: CaptureStatus | undefined,
  now: CaptureStatus,
): EventIntent[] {
  return (now.conditions ?? []).flatMap((condition) => {
    const old = conditionOf(before, condition.type)
    if (old?.status === condition.status && old.reason === condition.reason) return []
    if (!worthTelling(condition, old)) return []
    const { type, status, reason, message, lastTransitionTime } = condition
    const key = `${uid}/${type}/${status}/${reason}/${lastTransitionTime}`
    const note = cut(`${type} is ${status}: ${message}`)
    return [{ type: isTrouble(condition) ? 'Warning' : 'Normal', reason, action: 'Reconcile', note, key }]
  })
}

function isTrouble({ type, status, reason }: Condition): boolean {
  if (type === 'Stalled') return status === 'True'
  if (type === 'Halted') return reason === 'ExchangeSuspect'
  return type === 'Uploading' && status === 'False'
}

/** Gaps come and go, and halts have events of their own: of those conditions only the rare words are told. */
function worthTelling(condition: Condition, old: Condition | undefined): boolean {
  const { type, status, reason } = condition
  if (isTrouble(condition)) return true
  switch (type) {
    case 'Ready':
      return status === 'True' && old !== undefined && old.reason !== 'SymbolsNotLive'
    case 'Uploading':
      return status === 'True' && old?.status === 'False'
    case 'Suspended':
      return status === 'True' || old?.status === 'True'
    case 'Stalled':
      return old?.status === 'True'
    case 'Halted':
      return old?.reason === 'ExchangeSuspect' && reason !== 'ExchangeSuspect'
    default:
      return false
  }
}

function cut(note: string): string {
  return cutAt(note, NOTE_LENGTH_MAX)
}
