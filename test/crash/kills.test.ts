import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as moment } from 'node:timers/promises'
import { Random } from '../sim/market/mod.ts'
import type { Journalled } from '../support/judge.ts'
import { journalled } from './journalled.ts'
import { crashPoints, crashSeed, World } from './world.ts'

const KILLS = crashPoints(12)
const RATE = 2000
const ROTATION_SECONDS = 1
/** A kill comes this long after the start, or after the book went live, at most. */
const EARLY_MS_MAX = 1500
const LIVE_MS_MAX = 2500

describe('killed at any instant, again and again', () => {
  const seed = crashSeed()
  let world: World
  before(async () => {
    world = await World.start(seed, RATE)
  })
  after(() => world.stop())

  it(`${KILLS} kills: nothing that was on disk is lost, nothing is there twice, no row is wrong`, async (t) => {
    t.diagnostic(`CRASH_SEED=${seed}`)
    const random = new Random(seed, 'kills')
    const place = world.place('killed')
    const onDisk: Journalled = { depth: [], trades: [] }
    const instants: string[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      const capture = world.capture(place, ROTATION_SECONDS)
      // a third dies while it starts and takes up what the one before left, the others while they capture
      const early = kill % 3 === 2
      if (!early) await capture.until('the live book', ({ state }) => state === 'live')
      const waitMs = random.below(early ? EARLY_MS_MAX : LIVE_MS_MAX)
      await moment(waitMs)
      await capture.kill()
      instants.push(`${early ? 'start' : 'live'}+${waitMs}`)
      const left = await journalled(place.spool)
      onDisk.depth.push(...left.depth)
      onDisk.trades.push(...left.trades)
    }
    t.diagnostic(`killed at (ms) ${instants.join(', ')}`)
    t.diagnostic(
      `in the last drain: ${(await world.recover(place)).match(/"window shipped"/g)?.length ?? 0} windows`,
    )
    await place.assertEmptied()
    const [summary] = await world.judge([{ place, journalled: onDisk }])
    t.diagnostic(JSON.stringify(summary))
    await place.assertVerified()
    assert.ok(summary.runs > KILLS / 2 && summary.windows > KILLS, 'it captured between the kills')
    assert.ok(
      summary.compared > KILLS && (summary.journalled['depth'] ?? 0) > KILLS,
      'there was something to compare',
    )
    assert.ok((summary.ended['crash'] ?? 0) > 0, 'coverage says that the process was killed')
  })
})
