import type { SymbolState } from '../../api/conditions.ts'
import type { Polled } from './observed.ts'
import type { PodView } from './pods.ts'
import { recordOf, type SymbolPods } from './succession.ts'

/** How each wanted symbol fares, for people: nothing is decided by it. */
export interface SymbolReport {
  readonly symbol: string
  readonly state: SymbolState
  readonly reason: string
  readonly message: string
  /** Since when, ms since the Unix epoch; undefined where nothing tells. */
  readonly sinceMs: number | undefined
  readonly restarts: number
  readonly pod: string
}

/** Reasons to wait that are part of every start. */
const ORDINARY_WAITS = ['ContainerCreating', 'PodInitializing', 'CrashLoopBackOff']

export function reportOn(
  symbol: SymbolPods,
  generation: number,
  statuses: ReadonlyMap<string, Polled>,
  refused: string | undefined,
): SymbolReport {
  const actives = symbol.pods.filter(({ active }) => active)
  const live = actives.find((pod) => pod.live)
  if (live !== undefined) return report(symbol, live, 'Live', 'Live', '', live.liveSinceMs)
  const record = recordOf(symbol, generation)
  if (record?.stopped !== undefined) {
    const { reason, message } = record.stopped
    return report(symbol, record, 'Stopped', reason, message, record.drain?.sinceMs)
  }
  const halted = actives.find(({ end }) => end?.halt !== undefined)
  if (halted?.end !== undefined) {
    const { reason, message, finishedMs } = halted.end
    return report(symbol, halted, 'Halted', reason, message, finishedMs)
  }
  const [pod] = actives
  return pod === undefined ? withoutPod(symbol, refused) : notLive(symbol, pod, statuses.get(pod.ref.uid))
}

function notLive(symbol: SymbolPods, pod: PodView, polled: Polled | undefined): SymbolReport {
  const { waiting, end } = pod
  if (waiting !== undefined && !ORDINARY_WAITS.includes(waiting.reason)) {
    return report(symbol, pod, 'Pending', waiting.reason, waiting.message, pod.createdMs)
  }
  const [reason, message] = toldBy(polled)
  if (pod.neverLive && end === undefined) {
    return report(symbol, pod, 'Starting', reason || 'Starting', message, pod.createdMs)
  }
  if (!pod.running && end !== undefined) {
    return report(symbol, pod, 'Recovering', end.reason, end.message, end.finishedMs)
  }
  return report(symbol, pod, 'Recovering', reason || 'NotReady', message, pod.notLiveSinceMs)
}

/** What the process itself says of its book: a gap's reason, or why it is paused. */
function toldBy(polled: Polled | undefined): [reason: string, message: string] {
  if (polled === undefined || !('status' in polled)) return ['', '']
  const { state, reason, why } = polled.status
  return [reason || state, why]
}

function withoutPod(symbol: SymbolPods, refused: string | undefined): SymbolReport {
  const [last] = symbol.pods
  const message =
    last === undefined
      ? 'its turn to start has not come yet'
      : `${last.ref.name} has ended, and no pod follows yet`
  return {
    symbol: symbol.symbol,
    state: 'Pending',
    reason: refused === undefined ? 'NoPod' : 'PodRefused',
    message: refused ?? message,
    sinceMs: undefined,
    restarts: 0,
    pod: '',
  }
}

function report(
  { symbol }: SymbolPods,
  pod: PodView,
  state: SymbolState,
  reason: string,
  message: string,
  sinceMs: number | undefined,
): SymbolReport {
  return { symbol, state, reason, message, sinceMs, restarts: pod.restarts, pod: pod.ref.name }
}
