import { holdsNothing, isDrained } from './ends.ts'
import { podDestination } from './fleet.ts'
import type { PodRef } from './observed.ts'
import { neverRan, newestFirst, type PodView } from './pods.ts'

/** Older than what two machines' clocks and a day's end could make of it. */
const DRAINED_LONG_AGO_MS = 86_400_000

/** A pod that is succeeded, and when it was made, ms since the epoch: it has published nothing of days before. */
export interface Predecessor extends PodRef {
  readonly createdMs: number
}

/**
 * Who recorded a symbol before: the successor waits for that pod's last manifest and cuts there. It may belong to
 * another L2Capture, which is drained or deleted, as long as it writes to the same place.
 */
export function predecessorOf(
  symbol: string,
  exchange: string,
  place: string,
  pods: readonly PodView[],
  nowMs: number,
): Predecessor | undefined {
  const found = pods
    .filter((pod) => pod.symbol === symbol && pod.exchange === exchange && mayHold(pod, nowMs))
    .sort(newestFirst)
    .find((pod) => podDestination(pod) === place)
  return found && { ...found.ref, createdMs: found.createdMs }
}

/**
 * What is discarded is published by another; what never ran has published nothing. Nor does anybody wait for a pod that
 * said long ago that everything is shipped, such as the record of a symbol that was stopped: there is a hole between.
 */
function mayHold(pod: PodView, nowMs: number): boolean {
  if (neverRan(pod, nowMs) || pod.drain?.how === 'discard' || holdsNothing(pod)) return false
  return !isDrained(pod.end) || nowMs - (pod.end?.finishedMs ?? nowMs) < DRAINED_LONG_AGO_MS
}
