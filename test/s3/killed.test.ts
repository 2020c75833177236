/** A capture is killed in the middle of an outage, and once more while the backlog of it drains. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { journalled } from '../crash/journalled.ts'
import { startSim } from '../sim/mod.ts'
import { type Journalled, judgeBuckets } from '../support/judge.ts'
import {
  assertInOrder,
  committedIn,
  coverageIn,
  eventually,
  OutageScene,
  PATIENCE_MS,
} from './outage-scene.ts'
import { serverProblem } from './store.ts'
import { Way } from './way.ts'

const SYMBOL = 'BTCUSDT'
const ROTATION_SECONDS = 2
/** Closed windows of each process that wait when the store is away. */
const WAITING_MIN = 3

const skip = serverProblem()

describe('kill -9', skip ? { skip } : {}, () => {
  test('in an outage, and in the drain after it: all that was journalled arrives once, oldest first', {
    timeout: 1_800_000,
  }, async (t) => {
    const scene = await OutageScene.open()
    const place = await scene.place('killed')
    const { server } = scene.store
    const spool = join(place.dir, 'spool', SYMBOL)
    const sim = await startSim({ seed: 41, symbols: [SYMBOL] })
    // what drains must not get further while this process is late to kill it
    const way = await Way.to(server.port)
    const start = () =>
      place.capture({
        ...{ symbol: SYMBOL, endpoints: sim.endpoints, rotationSeconds: ROTATION_SECONDS },
        storeEndpoint: way.endpoint,
      })
    try {
      const first = await start()
      await first.until('the first commit', ({ ship }) => ship.lastCommit !== null, PATIENCE_MS)
      await server.kill()
      const before = await first.until(
        'windows that wait for the store, and one that is open',
        ({ ship, state, spool }) =>
          ship.state === 'waiting' && state === 'live' && spool.windowsWaiting >= WAITING_MIN,
        PATIENCE_MS,
      )
      await eventually('journalled depth and trades', async () => {
        const { depth, trades } = await journalled(spool)
        return depth.length > 0 && trades.length > 0
      })
      await first.kill()
      const inOutage = await journalled(spool)

      const second = await start()
      await second.until(
        'more of them, of both runs',
        ({ run, state, ship, spool }) =>
          run !== before.run &&
          state === 'live' &&
          ship.state === 'waiting' &&
          spool.windowsWaiting >= before.spool.windowsWaiting + WAITING_MIN,
        PATIENCE_MS,
      )
      let ofBoth = inOutage
      await eventually('journalled depth of both runs', async () => {
        ofBoth = await journalled(spool)
        return ofBoth.depth.length > inOutage.depth.length
      })
      await server.start()
      await eventually('the first windows of the backlog', () => second.output.includes('"window shipped"'))
      await second.kill()
      const left = await readdir(join(spool, 'sealed'))
      t.diagnostic(`killed while ${left.length} sealed windows waited`)
      assert.ok(left.length >= WAITING_MIN, 'it was in the middle of the drain')
      const inDrain = await journalled(spool)

      const third = await start()
      await third.until(
        'nothing waits any more, and a book',
        ({ state, ship, spool }) => state === 'live' && ship.lastCommit !== null && spool.windowsWaiting <= 1,
        PATIENCE_MS,
      )
      await third.drain()
      await place.assertSpoolEmpty(SYMBOL)
      await place.verified()
      assertCommittedInOrder(await committedIn(place.store), place.shipped)

      const data = await place.mirror()
      const crashes = (await coverageIn(data)).filter((row) => row.ended_by === 'crash')
      const crashed = new Set(crashes.map(({ run }) => run))
      assert.equal(crashed.size, 2, 'both kills show in the coverage')
      const truth = join(place.dir, 'truth.json')
      const all = union(union(inOutage, ofBoth), inDrain)
      assert.ok(
        inOutage.depth.length > 0 && inOutage.trades.length > 0 && all.depth.length > inOutage.depth.length,
      )
      const [summary] = await judgeBuckets(sim, SYMBOL, truth, [{ path: data, journalled: all }])
      t.diagnostic(JSON.stringify(summary))
      assert.equal(summary?.runs, 3)
    } finally {
      await scene.close()
      way.close()
      await sim.stop()
    }
  })
})

/** By the store's own clock, and by what the processes told: a kill may come between a commit and the word of it. */
function assertCommittedInOrder(
  committed: readonly [name: string, atMs: number][],
  told: readonly string[],
): void {
  const times = committed.map(([, atMs]) => atMs)
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  )
  assertInOrder(told)
  const untold = committed.map(([name]) => name).filter((name) => !told.includes(name))
  assert.ok(untold.length <= 1 && told.length + untold.length === committed.length, `${untold}`)
}

function union(a: Journalled, b: Journalled): Journalled {
  const of = (key: keyof Journalled) => [...new Set([...a[key], ...b[key]])]
  return { depth: of('depth'), trades: of('trades') }
}
