import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Fleet } from './fleet.ts'

const MINUTE = 60_000
/** Attempts of 256 symbols are spread over share × 2.5 s, joins of weight 20 over share × 20 / 20 s; a wait grows to 60 s. */
const AGAIN_WITHIN_MS = 256 * 2_500 + 256 * 1_000 + 60_000
const NOTHING = { attempts: 0, messages: 0, weight: 0, early: 0 }

describe('many captures behind one address, whose limits the simulator holds them to', () => {
  it('200 lose all their connections at once: no limit is passed, and all are live again in time', async (t) => {
    const fleet = new Fleet({
      seed: 11,
      symbols: 200,
      share: 256,
      startsAMinute: 20,
      streams: ['books', 'trades'],
      market: { rate: 0.1, levels: 30, tradeShare: 0.1 },
    })
    const started = await fleet.untilAllLive(40 * MINUTE)
    assert.equal(fleet.live, 200, 'all are live after a paced start')
    await fleet.time.runUntil(fleet.time.elapsedMs + MINUTE)
    fleet.sim.inject('maintenance:*@0+20')
    await fleet.time.runUntil(fleet.time.elapsedMs + 25_000)
    assert.equal(fleet.live, 0, 'the disconnect is a mass disconnect')
    const again = await fleet.untilAllLive(AGAIN_WITHIN_MS)
    t.diagnostic(
      `live after ${started / 1000} s of paced starts, again ${again / 1000} s after the disconnect`,
    )
    assert.equal(fleet.live, 200)
    assert.deepEqual(fleet.sim.violations, NOTHING)
    assert.equal(
      fleet.captures.reduce((sum, { impatient }) => sum + impatient, 0),
      0,
    )
    assert.deepEqual(fleet.halts, [])
  })

  it('300 quiet symbols ask for proofs: the weights hold, and all silence is proven', async (t) => {
    const fleet = new Fleet({
      seed: 12,
      symbols: 300,
      share: 512,
      // an address may open 300 connections in five minutes; these take one each
      startsAMinute: 55,
      streams: ['books'],
      market: { rate: 0.02, levels: 30, tradeShare: 0 },
    })
    await fleet.untilAllLive(40 * MINUTE)
    assert.equal(fleet.live, 300)
    await fleet.time.runUntil(fleet.time.elapsedMs + 5 * MINUTE)
    t.diagnostic(`${fleet.counted('proofs_asked')} proofs asked, ${fleet.counted('proofs_quiet')} quiet`)
    assert.equal(fleet.live, 300)
    assert.deepEqual(fleet.sim.violations, NOTHING)
    assert.equal(fleet.counted('proofs_frozen'), 0)
    assert.equal(fleet.counted('gaps'), 0)
    for (const { keeper } of fleet.captures) {
      const quiet = keeper?.counters.proofs_quiet ?? 0
      assert.ok(quiet > 0, `${keeper?.runId} has proven its silence`)
    }
    assert.deepEqual(fleet.halts, [])
  })
})
