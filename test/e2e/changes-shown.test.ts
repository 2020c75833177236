import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { describe, it, type TestContext } from 'node:test'
import { z } from 'zod'
import { CLI } from '../cli/l2cap.ts'
import { ownClusterProblem } from '../cluster/mod.ts'
import { type FaultProxy, ownProxy } from '../cluster/proxy/mod.ts'
import { s3Problem } from '../s3/server.ts'
import { waitFor } from '../support/wait.ts'
import { publishes } from './published.ts'
import { CALM, nameOf, Scene } from './scene.ts'

const problem = ownClusterProblem() || s3Problem()
const options = problem === '' ? {} : { skip: problem }

/** How long ago, for so long as a test may take. */
const AGE = '\\d+ (?:s|min)'

/** What the help says that `l2cap status` needs. */
const READER = [
  { apiGroups: ['l2cap.dev'], resources: ['l2captures'], verbs: ['get', 'list'] },
  { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] },
  { apiGroups: [''], resources: ['pods/proxy'], verbs: ['get'] },
]

const Shown = z.object({
  captures: z.array(z.looseObject({ capture: z.string(), ready: z.string(), reason: z.string() })),
  symbols: z.array(
    z.looseObject({
      symbol: z.string(),
      state: z.string(),
      reason: z.string(),
      lagSeconds: z.number().nullable(),
      backlogBytes: z.number().nullable(),
      lastCommit: z.string().nullable(),
      pod: z.string(),
    }),
  ),
})

describe('l2cap status on a real API server', options, () => {
  it('live symbols exit with 0, one that cannot be captured with 1 and its reason, wrong calls with 2; the rights that the help names suffice', async (context) => {
    const scene = await Scene.open(context)
    const { proxy, token } = await reader(context, scene)
    const kubeconfig = proxy.kubeconfig(token)
    const status = (...args: string[]) =>
      l2capStatus('--kubeconfig', kubeconfig, '-n', scene.namespace, ...args)

    const none = await status()
    assert.deepEqual([none.code, none.stdout, none.stderr], [0, 'there is no L2Capture here\n', ''])

    await scene.apply('majors', { guards: CALM })
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')
    const pod = nameOf(await scene.live('BTCUSDT'))
    await publishes(scene, 'BTCUSDT', pod)
    const told = await waitFor('the commit to be shown', async () => {
      const { code, stdout } = await status('--json')
      const shown = Shown.parse(JSON.parse(stdout))
      const { lastCommit, lagSeconds } = shown.symbols[0] ?? {}
      // a pod that stalls tells nothing
      return lastCommit == null || lagSeconds == null ? undefined : { code, shown }
    })
    assert.equal(told.code, 0)
    const [line] = told.shown.symbols
    assert.deepEqual([line?.symbol, line?.state, line?.reason, line?.pod], ['BTCUSDT', 'Live', '', pod])
    assert.ok((line?.lagSeconds ?? -1) >= 0 && (line?.backlogBytes ?? -1) >= 0, JSON.stringify(line))
    const whole = new RegExp(`^  BTCUSDT  Live +- +${AGE} +\\d+\\.\\d s +\\S+ \\S+ +${AGE} +0 +${pod}$`)
    const { code, lines } = await waitFor('a row that says all', async () => {
      const { code, stdout } = await status('majors')
      const lines = stdout.split('\n')
      return whole.test(lines[2] ?? '') && { code, lines }
    })
    assert.equal(code, 0)
    const [title = '', head = ''] = lines
    assert.equal(title, `${scene.namespace}/majors  BinanceUsdm  Ready=True (AllSymbolsLive)  1 of 1 live`)
    assert.match(head, /^ {2}SYMBOL +STATE +REASON +SINCE +LAG +BACKLOG +LAST COMMIT +RESTARTS +POD$/)

    await scene.apply('majors', { symbols: ['BTCUSDT', 'NO1USDT'], guards: CALM })
    await scene.until('majors', 'Stalled', 'True', 'SymbolStopped')
    const halted = await status('--json')
    assert.equal(halted.code, 1)
    const { captures, symbols } = Shown.parse(JSON.parse(halted.stdout))
    assert.deepEqual([captures[0]?.ready, captures[0]?.reason], ['False', 'Stalled'])
    assert.deepEqual(
      symbols.map(({ symbol, state, reason }) => `${symbol} ${state} ${reason}`),
      ['BTCUSDT Live ', 'NO1USDT Stopped SymbolUnknown'],
    )

    const unknown = await status('minors')
    assert.equal(unknown.code, 2)
    assert.match(unknown.stderr, /there is no L2Capture "minors" in the namespace/)
    const refused = await l2capStatus('--kubeconfig', kubeconfig, '-n', 'kube-system')
    assert.equal(refused.code, 2)
    assert.match(refused.stderr, /these credentials may not \(403\)/)

    await scene.delete('majors')
    await scene.gone()
    await scene.judge('BTCUSDT')
  })
})

async function l2capStatus(...args: string[]) {
  const child = spawn(process.execPath, [CLI, 'status', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ])
  return { code: Number(code), stdout, stderr }
}

async function reader(
  context: TestContext,
  { cluster, namespace }: Scene,
): Promise<{ readonly proxy: FaultProxy; readonly token: string }> {
  const { token } = await cluster.serviceAccount(namespace, 'reader')
  await cluster.grant(namespace, 'reader', READER)
  return { proxy: await ownProxy(context, { target: cluster }), token }
}
