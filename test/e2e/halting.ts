/** What tests of halts share: symbols that halt on demand, and all that must then be told of it. */
import assert from 'node:assert/strict'
import type { V1Pod } from '@kubernetes/client-node'
import { HALT_EXIT_CODES, type HaltReason } from '../../api/reasons.ts'
import { parseReport, type Report } from '../../api/report.ts'
import { waitFor } from '../support/wait.ts'
import { CALM, nameOf, type Scene, type Spec } from './scene.ts'
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

export async function applyFor(scene: Scene, { capture, symbol, spec }: Halting): Promise<void> {
  await scene.apply(capture, { ...spec, symbols: [symbol] })
}

/** Resolves with the symbol's one pod, once it is live and every stream of it delivers. */
export async function flowing(scene: Scene, symbol: string): Promise<string> {
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
    { deadlineMs: WITHIN_MS, everyMs: 100, show: () => scene.kubelet.output(pod).slice(-3000) },
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
  scene: Scene,
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
export async function leave(scene: Scene, captures: readonly { readonly capture: string }[]): Promise<void> {
  for (const { capture } of captures) await scene.delete(capture)
  await scene.gone(WITHIN_MS)
}
