import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { z } from 'zod'
import { windowName } from '../../capture/ship/mod.ts'
import { alterStateHash } from '../crash/segments.ts'
import { nameOf } from '../e2e/captures.ts'
import { assertTold, flowing, halting, lastEnd } from '../e2e/halting.ts'
import { handedOver, manifestsBy, publishes } from '../e2e/published.ts'
import { Told } from '../e2e/told.ts'
import { waitFor } from '../support/wait.ts'
import { phases } from './phases.ts'
import { ClusterScene } from './scene.ts'
import { faultsProblem } from './target.ts'

const problem = faultsProblem()
const options = problem === '' ? {} : { skip: problem }
const WITHIN_MS = 240_000

const BACKLOG = { capture: 'backlog', symbol: 'BTCUSDT' }
const FULL = { capture: 'full', symbol: 'ETHUSDT' }
const ALTERED = halting('SOLUSDT', 'ReplayMismatch')
/** The smallest that there may be; of it a capture takes 80 %. */
const SPOOL_BYTES = 16 * 2 ** 20
const CAP_BYTES = Math.floor(SPOOL_BYTES * 0.8)

const Spool = z.looseObject({
  state: z.string(),
  reason: z.string().nullish(),
  spool: z.looseObject({ bytes: z.number(), unshippedBytes: z.number(), windowsWaiting: z.number() }),
})

describe('the store is away, on real kubelets', options, () => {
  it('all that was recorded is shipped when it is back; each event once or outside coverage', {
    concurrency: 3,
  }, async (context) => {
    const scene = await ClusterScene.open(context, {
      symbols: [BACKLOG, FULL, ALTERED].map(({ symbol }) => symbol),
    })
    const phase = phases(context)
    const told = await Told.open(context, scene)
    await scene.apply(BACKLOG.capture, { symbols: [BACKLOG.symbol] })
    await scene.apply(FULL.capture, { symbols: [FULL.symbol], spool: { sizeLimit: `${SPOOL_BYTES}` } })
    await scene.apply(ALTERED.capture, { ...ALTERED.spec, symbols: [ALTERED.symbol] })
    const [backlog = '', full = '', altered = ''] = await Promise.all(
      [BACKLOG, FULL, ALTERED].map(async ({ symbol }) => {
        const pod = await flowing(scene, symbol)
        await publishes(scene, symbol, pod)
        return pod
      }),
    )
    phase('published')
    await scene.world.killStore()
    const away = Promise.withResolvers<void>()

    const subtests = [
      context.test('kubectl delete l2c with a backlog: the pod stays until all is shipped', async () => {
        await scene.waiting(backlog, 2)
        await scene.kubectl('delete', 'l2c', BACKLOG.capture)
        await away.promise
        await scene.none(BACKLOG.symbol, WITHIN_MS)
      }),
      context.test(
        'past the mark of the spool: paused and not evicted; shipped, and recording again when there is room',
        async () => {
          await scene.waiting(full, 2)
          const ballast = await fill(scene)
          await spooled(
            scene,
            full,
            'paused for want of room',
            ({ state, reason }) => state === 'paused' && reason === 'disk_full',
          )
          await away.promise
          await spooled(
            scene,
            full,
            'all shipped',
            ({ spool }) => spool.windowsWaiting === 0 && spool.unshippedBytes === 0,
          )
          await rm(ballast)
          assert.equal(await flowing(scene, FULL.symbol), full)
          assert.equal((await scene.pod(FULL.symbol)).status?.containerStatuses?.[0]?.restartCount, 0)
        },
      ),
      context.test(
        'a journal that replays to another state: ReplayMismatch; kept in the store, not published',
        async () => {
          const window = await alter(scene, altered)
          await waitFor(
            'the halt',
            async () => (await scene.outputOf(altered)).includes('halt ReplayMismatch'),
            {
              deadlineMs: WITHIN_MS,
              show: () => scene.outputOf(altered),
            },
          )
          await away.promise
          await assertTold(told, ALTERED, altered)
          await quarantined(scene, altered, window)
        },
      ),
    ]
    await spooled(
      scene,
      full,
      'paused for want of room',
      ({ state, reason }) => state === 'paused' && reason === 'disk_full',
    )
    await waitFor('the halt', async () => (await scene.outputOf(altered)).includes('halt ReplayMismatch'), {
      deadlineMs: WITHIN_MS,
    })
    assert.equal((await scene.pods(BACKLOG.symbol)).length, 1, 'it stays')
    phase('all that is to happen without a store has happened')
    await scene.world.startStore()
    away.resolve()
    await Promise.all(subtests)
    phase('shipped')
    await scene.delete(FULL.capture)
    await scene.delete(ALTERED.capture)
    await scene.gone(WITHIN_MS)
    const settled = await scene.settled()
    await handedOver(settled, BACKLOG.symbol, [backlog])
    const { ended, runs } = await settled.judge(FULL.symbol)
    assert.equal(runs, 2)
    assert.ok((ended['disk_full'] ?? 0) > 0, JSON.stringify(ended))
    await settled.judge(ALTERED.symbol)
    await scene.verify()
    phase('drained and judged')
  })
})

async function spooled(
  scene: ClusterScene,
  pod: string,
  what: string,
  is: (status: z.infer<typeof Spool>) => boolean,
): Promise<void> {
  await waitFor(`${pod} to be ${what}`, async () => is(Spool.parse(await scene.status(pod))), {
    deadlineMs: WITHIN_MS,
    everyMs: 300,
    show: () => scene.status(pod),
  })
}

/** Something else takes what the backlog has left: hours of a real one would take hours. Returns its path. */
async function fill(scene: ClusterScene): Promise<string> {
  const pod = await scene.pod(FULL.symbol)
  const { spool } = Spool.parse(await scene.status(nameOf(pod)))
  const path = join(scene.volume(pod, 'spool'), 'ballast')
  // of random bytes: no file system makes them fewer
  await writeFile(path, randomBytes(CAP_BYTES - spool.bytes))
  return path
}

/**
 * A window that waits says another state in its trailer than its inputs lead to, and the process is killed. Returns the
 * name of the window.
 */
async function alter(scene: ClusterScene, name: string): Promise<string> {
  const pod = await scene.pod(ALTERED.symbol)
  const last = (await manifestsBy(scene, ALTERED.symbol, name)).at(-1)
  const committed = windowName(last?.run ?? '', last?.window ?? 0)
  const spool = scene.volume(pod, 'spool')
  const window = await waitFor(
    'a window that waits',
    async () => (await readdir(join(spool, 'sealed'))).sort().find((one) => one > committed),
    { deadlineMs: WITHIN_MS, show: () => scene.outputOf(name) },
  )
  const pid = await scene.processOf(pod)
  process.kill(pid, 'SIGSTOP')
  await alterStateHash(join(spool, 'journal', `${window}.journal`))
  await rm(join(spool, 'sealed', window), { recursive: true })
  process.kill(pid, 'SIGKILL')
  return window
}

/** The same pod is live again after its report; the store keeps the segment, and has published nothing of it. */
async function quarantined(scene: ClusterScene, pod: string, window: string): Promise<void> {
  const again = await scene.live(ALTERED.symbol, { deadlineMs: WITHIN_MS })
  assert.equal(nameOf(again), pod)
  const { exitCode, report } = lastEnd(again)
  assert.deepEqual([exitCode, report.reason, report.haltsInARow], [19, 'ReplayMismatch', 1])
  assert.match(report.message, new RegExp(window.slice(0, 28)))
  await waitFor(
    'what cannot be vouched for to be kept in the store',
    async () => {
      const kept = join(await scene.bucket(), 'quarantine/exchange=BinanceUsdm', `symbol=${ALTERED.symbol}`)
      return (await readdir(kept)).includes(`${window}.journal`)
    },
    { deadlineMs: WITHIN_MS, everyMs: 500 },
  )
}
