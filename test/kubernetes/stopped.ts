/** What is to be seen of a symbol that is stopped until its spec changes. */
import assert from 'node:assert/strict'
import { HALT_EXIT_CODES } from '../../api/reasons.ts'
import { parseReport } from '../../api/report.ts'
import { nameOf } from '../e2e/captures.ts'
import { type Halting, lastEnd } from '../e2e/halting.ts'
import type { PodHistory } from '../e2e/history.ts'
import { attentionOf, conditionText, type Told } from '../e2e/told.ts'
import { waitFor } from '../support/wait.ts'
import type { ClusterScene } from './scene.ts'

const WITHIN_MS = 240_000

/**
 * The symbol's one pod halted, with its report as the termination message; it drained, and is kept as the record of
 * why: further restarts capture nothing. All of it is told.
 */
export async function assertStopped(
  {
    scene,
    told,
    history,
  }: { readonly scene: ClusterScene; readonly told: Told; readonly history: PodHistory },
  { capture, symbol, reason }: Halting,
): Promise<void> {
  const halted = await waitFor(
    `${symbol} to end with ${reason}`,
    () =>
      history
        .pods(symbol)
        .flatMap((pod) => history.ends(pod))
        .find(({ message }) => parseReport(message)?.reason === reason),
    { deadlineMs: WITHIN_MS, show: () => scene.state(capture) },
  )
  assert.equal(halted.exitCode, HALT_EXIT_CODES[reason])
  const report = parseReport(halted.message)
  assert.deepEqual([report?.exitCode, report?.symbol], [halted.exitCode, symbol])
  const status = await told.first(
    capture,
    `that ${symbol} is stopped`,
    (one) => attentionOf(one, symbol)?.state === 'Stopped',
  )
  assert.equal(attentionOf(status, symbol)?.reason, reason)
  assert.equal(conditionText(status, 'Halted'), `Halted=True ${reason}`)
  assert.equal(conditionText(status, 'Stalled'), 'Stalled=True SymbolStopped')
  await told.event(reason, symbol)
  await told.event('SymbolStopped', symbol)
  assert.ok((await told.figure('l2cap_operator_halts_total', { exchange: 'BinanceUsdm', reason })) >= 1)

  const pod = nameOf(await scene.pod(symbol))
  assert.equal(attentionOf(status, symbol)?.pod, pod)
  await waitFor(
    `${pod} to have drained`,
    async () => {
      const { exitCode, report } = lastEnd(await scene.pod(symbol))
      return exitCode === 0 && report.reason === 'Drained' && report.unshippedBytes === 0
    },
    { deadlineMs: WITHIN_MS, everyMs: 200, show: () => scene.outputOf(pod) },
  )
  const { restarts } = history.last(pod)
  await waitFor('a further restart in place', () => history.last(pod).restarts > restarts, {
    deadlineMs: WITHIN_MS,
  })
  // asked until it is told: a container that is being made has no output, which would prove nothing
  const { said } = await waitFor('what a restart printed', async () => ({
    said: await scene.api.send<string>('GET', `/api/v1/namespaces/${scene.namespace}/pods/${pod}/log`),
  }))
  assert.ok(!said.includes(' begins"'), 'a restart of a stopped pod captures nothing')
  assert.deepEqual(history.pods(symbol), [pod], 'no other pod was tried')
  assert.equal(history.last(pod).drain, 'true')
}
