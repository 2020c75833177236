/** What tests of halts share: symbols that halt on demand, and all that must then be told of it. */
import assert from 'node:assert/strict'
import type { V1Pod } from '@kubernetes/client-node'
import { HALT_EXIT_CODES, type HaltReason } from '../../api/reasons.ts'
import { parseReport, type Report } from '../../api/report.ts'
import type { StandInKubelet } from '../cluster/kubelet/mod.ts'
import { waitFor } from '../support/wait.ts'
import { CALM, type Captures, nameOf, type Spec } from './captures.ts'
import { attentionOf, conditionText, type Told } from './told.ts'

const WITHIN_MS = 180_000

/** A symbol, in an L2Capture of its own, that is about to halt. */
export interface Halting {
  readonly capture: string
  readonly symbol: string
  readonly reason: HaltReason
  readonly spec?: Spec
}

/** A symbol whose capture is named after the reason it is to halt for; no guard but that one is to be touched. */
export function halting(symbol: string, reason: HaltReason, spec: Spec = {}): Halting {
  return { capture: reason.toLowerCase(), symbol, reason, spec: { guards: CALM, ...spec } }
}

export interface Guard extends Halting {
  readonly name: string
  /** Of the simulated exchange; it lasts until the guard has halted. */
  readonly fault: string
  /** Why coverage ended, where it was not the halt alone. */
  readonly after?: string
}

/** Guards that a fault of the exchange has halt, each with a symbol of its own, so that no fault is felt by another. The longest first. */
export const GUARD_HALTS: readonly Guard[] = [
  {
    name: 'three frozen connections in a row',
    ...halting('XRPUSDT', 'StaleFeed', { guards: { staleAfterSeconds: 3 } }),
    fault: 'silence_depth:XRPUSDT@0+600',
    after: 'stale',
  },
  {
    name: 'more gaps than a book may have in ten minutes',
    ...halting('BTCUSDT', 'ResyncStorm'),
    fault: 'wrong_pu:BTCUSDT@0+600',
    after: 'sequence',
  },
  {
    name: 'three joins in a row with an empty side',
    ...halting('SOLUSDT', 'EmptyBook'),
    fault: 'empty_side:SOLUSDT@0+600',
    after: 'empty_side',
  },
  {
    name: 'ten unreadable frames in a minute',
    ...halting('DOGEUSDT', 'ProtocolChanged'),
    fault: 'garbage:DOGEUSDT@0+600',
    after: 'parse',
  },
  { name: 'a bid at the best ask', ...halting('ETHUSDT', 'CrossedBook'), fault: 'crossed:ETHUSDT@0' },
]

/** A market in which each of them fires soon. */
export const GUARD_MARKET = { rate: 100, profiles: { SOLUSDT: { rate: 20, levels: 12 } } }

export async function applyFor(scene: Captures, { capture, symbol, spec }: Halting): Promise<void> {
  await scene.apply(capture, { ...spec, symbols: [symbol] })
}

/** Resolves with the symbol's one pod, once it is live and every stream of it delivers. */
export async function flowing(scene: Captures, symbol: string): Promise<string> {
  const pod = nameOf(await scene.live(symbol, { deadlineMs: WITHIN_MS }))
  await waitFor(
    `rows of every stream of ${symbol}`,
    async () => {
      const { state, streams } = (await scene.status(pod)) as {
        state: string
        streams: Record<string, { state: string }>
      }
      return (
        state === 'live' && Object.values(streams).every((one) => ['live', 'flowing'].includes(one.state))
      )
    },
    { deadlineMs: WITHIN_MS, everyMs: 100, show: async () => (await scene.outputOf(pod)).slice(-3000) },
  )
  return pod
}

/** How the container of a pod ended last: its exit code, and its termination message. Throws where it never did. */
export function lastEnd(pod: V1Pod): { readonly exitCode: number; readonly report: Report } {
  const [container] = pod.status?.containerStatuses ?? []
  const ended = container?.state?.terminated ?? container?.lastState?.terminated
  const report = parseReport(ended?.message ?? '')
  assert.ok(ended !== undefined && report !== undefined, `${nameOf(pod)} left no report: ${ended?.message}`)
  return { exitCode: ended.exitCode, report }
}

/** From its halt on the pod's container stays down, until `release`: so nobody is too late to see it. */
export function hold(
  { kubelet }: { readonly kubelet: Pick<StandInKubelet, 'hold'> },
  { reason }: Halting,
  pod: string,
): void {
  kubelet.hold(pod, HALT_EXIT_CODES[reason])
}

/** The halt stands in the condition, in attention, in an event and in the figures. */
export async function assertTold(told: Told, halting: Halting, pod: string): Promise<void> {
  const { capture, symbol, reason } = halting
  const status = await told.first(
    capture,
    `that ${symbol} halted with ${reason}`,
    (one) =>
      conditionText(one, 'Halted') === `Halted=True ${reason}` && attentionOf(one, symbol)?.reason === reason,
  )
  const attention = attentionOf(status, symbol)
  assert.equal(attention?.pod, pod)
  assert.ok(attention.message.length > 10 && attention.since !== undefined, JSON.stringify(attention))
  assert.deepEqual(status.symbols, { desired: 1, live: 0, halted: 1 })
  await told.event(reason, symbol)
  await waitFor(
    `the figure of ${reason}`,
    async () => (await told.figure('l2cap_operator_halts_total', { exchange: 'BinanceUsdm', reason })) >= 1,
  )
}

/**
 * The same pod is live again, after one restart; its container ended with the halt's exit code and report, the first
 * of its spool; and all that was told of it is taken back.
 */
export async function assertRestarted(
  scene: Captures,
  told: Told,
  { capture, symbol, reason }: Halting,
  pod: string,
): Promise<void> {
  const again = await scene.live(symbol, { deadlineMs: WITHIN_MS })
  assert.equal(nameOf(again), pod)
  assert.equal(again.status?.containerStatuses?.[0]?.restartCount, 1)
  const { exitCode, report } = lastEnd(again)
  assert.equal(exitCode, HALT_EXIT_CODES[reason])
  const { haltsInARow, previous } = report
  assert.deepEqual(
    { reason: report.reason, symbol: report.symbol, exitCode: report.exitCode, haltsInARow, previous },
    { reason, symbol, exitCode, haltsInARow: 1, previous: null },
  )
  const healed = await scene.until(capture, 'Halted', 'False', 'NoneHalted', WITHIN_MS)
  assert.deepEqual(healed.status?.attention ?? [], [])
  assert.equal(await told.figure('l2cap_operator_halts_total', { exchange: 'BinanceUsdm', reason }), 1)
  await flowing(scene, symbol)
}

/** All captures are deleted, and their pods drain and go: from now on nothing changes in the bucket. */
export async function leave(
  scene: Captures,
  captures: readonly { readonly capture: string }[],
): Promise<void> {
  for (const { capture } of captures) await scene.delete(capture)
  await scene.gone(WITHIN_MS)
}

/** The cause of a replacement stands in the operator's log, in its figures and in the event of the successor's creation. */
export async function assertReplaced(
  scene: Captures,
  told: Told,
  cause: string,
  successor: string,
  why: string,
): Promise<void> {
  const created = linesOf(await scene.operatorOutput()).filter(
    (line) => line['action'] === 'create' && line['cause'] === cause,
  )
  assert.deepEqual(
    created.map((line) => line['pod']),
    [successor],
  )
  assert.match(String(created[0]?.['msg']), new RegExp(why))
  assert.match(await told.event('PodCreated', successor), new RegExp(why))
  assert.equal(await told.figure('l2cap_operator_pods_created_total', { cause }), 1)
}

/** Lines of a log that are JSON objects. */
export function linesOf(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line))
}
