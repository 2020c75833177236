import type { HaltReason } from '../../api/reasons.ts'
import type { Settings } from '../settings.ts'
import { isTerminal } from './ends.ts'
import type { PodView } from './pods.ts'
import { secondsMs, timeMs } from './time.ts'

/**
 * What follows from how a pod ended. The kubelet restarts a halted process in place, and that is all, until its
 * report shows that another pod, another node or another spec is needed.
 */
export type Verdict =
  | { readonly kind: 'leave' }
  /** The same again cannot help: the symbol stays down until its spec changes. */
  | { readonly kind: 'stop'; readonly reason: string; readonly message: string }
  | { readonly kind: 'replace'; readonly cause: 'halts' | 'node'; readonly reason: string }

/** Halts that speak of the machine below the process. */
export const NODE_HALTS: readonly HaltReason[] = ['ClockSkew', 'DiskFailed']

const LEAVE: Verdict = { kind: 'leave' }

/** A pod that is live has recovered, whatever its last report says. */
export function verdictOn(pod: PodView, settings: Settings): Verdict {
  const { end } = pod
  if (pod.live || end === undefined) return LEAVE
  if (isTerminal(end)) return { kind: 'stop', reason: end.reason, message: end.message }
  if (end.halt === undefined) return LEAVE
  if (blamesNode(pod, settings)) return { kind: 'replace', cause: 'node', reason: end.halt }
  const inARow = end.report?.haltsInARow ?? 0
  return inARow >= settings.limits.haltsInARow ? { kind: 'replace', cause: 'halts', reason: end.halt } : LEAVE
}

/** Halts for a fault of the machine, twice within the time that the settings name. */
export function blamesNode({ end }: PodView, settings: Settings): boolean {
  const report = end?.report
  if (report?.previous == null) return false
  const both = [report.reason, report.previous.reason]
  if (!both.every((reason) => NODE_HALTS.some((halt) => halt === reason))) return false
  const [atMs, beforeMs] = [timeMs(report.at), timeMs(report.previous.at)]
  if (atMs === undefined || beforeMs === undefined) return false
  return atMs - beforeMs <= secondsMs(settings.times.nodeHaltsWithinSeconds)
}
