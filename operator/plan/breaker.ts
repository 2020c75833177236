import type { HaltReason } from '../../api/reasons.ts'
import type { Settings } from '../settings.ts'
import { NODE_HALTS } from './halts.ts'
import type { PodView } from './pods.ts'
import { secondsMs } from './time.ts'

/**
 * Many pods of one exchange that halt alike at the same time are not broken: the exchange or the network is.
 * Replacing them would be a storm of starts on top, so nothing is replaced while it lasts.
 */
export interface Suspect {
  readonly reason: HaltReason
  readonly halting: number
  readonly of: number
}

/**
 * A pod in its restart back-off halts only every few minutes. Until it is live again it counts with its last halt
 * for so many windows, or the breaker would open between two tries.
 */
const REMEMBERED_WINDOWS = 3

interface Halted {
  readonly node: string
  readonly atMs: number
}

/** The reason that an exchange's pods halt for together, where they do. `pods`: all of the exchange, of every capture. */
export function suspectOf(pods: readonly PodView[], settings: Settings, nowMs: number): Suspect | undefined {
  const capturing = pods.filter(({ active }) => active)
  const nodes = new Set(capturing.map(({ node }) => node).filter((node) => node !== '')).size
  const { breakerPodsMin, breakerFraction } = settings.limits
  const enough = Math.max(breakerPodsMin, Math.ceil(capturing.length * breakerFraction - 1e-9))
  const windowMs = secondsMs(settings.times.breakerWindowSeconds)
  let worst: Suspect | undefined
  for (const [reason, halted] of haltedAlike(capturing, windowMs, nowMs)) {
    const halting = largestCluster(halted, windowMs, nodesNeeded(reason, nodes))
    if (halting >= enough && halting > (worst?.halting ?? 0))
      worst = { reason, halting, of: capturing.length }
  }
  return worst
}

function haltedAlike(
  capturing: readonly PodView[],
  windowMs: number,
  nowMs: number,
): ReadonlyMap<HaltReason, Halted[]> {
  const alike = new Map<HaltReason, Halted[]>()
  for (const { end, live, node } of capturing) {
    if (end?.halt === undefined) continue
    const atMs = end.finishedMs
    if (nowMs - atMs > windowMs * (live ? 1 : REMEMBERED_WINDOWS)) continue
    const halted = alike.get(end.halt) ?? []
    halted.push({ node, atMs })
    alike.set(end.halt, halted)
  }
  return alike
}

/** One machine with a bad clock or disk must not look like a bad exchange: half of the machines must. */
function nodesNeeded(reason: HaltReason, nodes: number): number {
  if (nodes <= 1) return 0
  return NODE_HALTS.includes(reason) ? Math.max(2, Math.ceil(nodes / 2)) : 2
}

/** Pods in the largest group whose halts lie within one window, on so many machines. */
function largestCluster(halted: readonly Halted[], windowMs: number, nodesMin: number): number {
  const sorted = halted.toSorted((a, b) => a.atMs - b.atMs)
  let largest = 0
  let first = 0
  for (let last = 0; last < sorted.length; last++) {
    while ((sorted[last]?.atMs ?? 0) - (sorted[first]?.atMs ?? 0) > windowMs) first++
    const group = sorted.slice(first, last + 1)
    if (group.length <= largest) continue
    if (new Set(group.map(({ node }) => node)).size >= nodesMin) largest = group.length
  }
  return largest
}
