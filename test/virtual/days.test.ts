import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseSegmentName } from '../../capture/journal/mod.ts'
import { formatTimeUs } from '../../capture/ship/mod.ts'
import { fault, type Plan } from './plan.ts'
import { countersOf, gapsOf, judged, scene } from './scene.ts'
import { begin, end, live } from './world.ts'

const SECOND = 1_000
const HOUR = 3_600 * SECOND
const DAY = 24 * HOUR

/** A market in which little happens, so that days pass in seconds. */
function slow(seed: number, changes: Partial<Plan> = {}): Plan {
  const plan = scene(seed)
  return {
    ...plan,
    market: { rate: 0.1, levels: 30, tradeShare: 0.1 },
    config: { ...plan.config, streams: ['books', 'depth', 'trades'] },
    rotationSeconds: 3600,
    journals: false,
    ...changes,
  }
}

describe('days in virtual time', () => {
  it('midnight: the window is cut at 00:00:00 UTC, and nothing is lost across it', async () => {
    const plan = scene(1, {
      startMs: Date.UTC(2026, 10, 22, 23, 58, 40),
      troubleMs: 150 * SECOND,
      rotationSeconds: 3600,
    })
    const outcome = await live(plan)
    const verdict = await judged(outcome)
    assert.deepEqual(verdict.violations, [])
    assert.deepEqual(Object.keys(verdict.ended).sort(), [
      'books/stopped',
      'depth/stopped',
      'mark_price/stopped',
      'trades/stopped',
    ])
    const midnightUs = Date.UTC(2026, 10, 23) * 1000
    for (const entry of verdict.runs[0].entries) {
      const { window, received } =
        'row' in entry ? entry.row : { ...entry.coverage, received: entry.coverage.to }
      const isBoundary = 'coverage' in entry || entry.row.kind === 'book'
      if (!isBoundary) assert.equal(window, received < midnightUs ? 0 : 1, formatTimeUs(received))
    }
    const windows = outcome.capture.disk.paths.map(
      (path) => parseSegmentName(path.split('/').at(-1) ?? '')?.window,
    )
    assert.deepEqual(windows, [0, 1])
  })

  it('two days: both routes are replaced before the 24 h cut, without a gap', async () => {
    const world = begin(slow(2))
    await world.time.runUntil(2 * DAY + 2 * HOUR)
    const counted = countersOf(world)
    assert.deepEqual(gapsOf(world), {})
    assert.equal(counted['take_overs'], 4, 'two routes, twice')
    assert.ok((counted['audits_clean'] ?? 0) > 250, `${counted['audits_clean']} clean audits`)
    assert.equal(counted['audits_mismatch'], 0)
    assert.equal(counted['joins'], 1)
    assert.equal(world.sim.violations.attempts + world.sim.violations.weight, 0)
    await end(world, true)
  })

  it('an outage of six hours: one gap a stream, and the book comes back by itself', async () => {
    const plan = slow(3, { faults: [fault('maintenance', HOUR, { durationMs: 6 * HOUR })] })
    const world = begin(plan)
    await world.time.runUntil(HOUR - SECOND)
    assert.ok(world.capture.isLive)
    await world.time.runUntil(7 * HOUR + 200 * SECOND)
    assert.ok(world.capture.isLive, 'live again within the longest wait')
    assert.deepEqual(world.capture.halts, [])
    assert.deepEqual(gapsOf(world), { 'books/reconnect': 1, 'depth/reconnect': 1, 'trades/reconnect': 1 })
    assert.deepEqual(world.sim.violations, { attempts: 0, messages: 0, weight: 0, early: 0 })
    await end(world, true)
  })

  it('a week of audits on a true book: all clean', async () => {
    const config = { ...slow(4).config, streams: ['books' as const] }
    const world = begin(slow(4, { config, market: { rate: 0.05, levels: 30, tradeShare: 0 } }))
    await world.time.runUntil(7 * DAY)
    const counted = countersOf(world)
    assert.ok((counted['audits_clean'] ?? 0) > 950, `${counted['audits_clean']} clean audits`)
    assert.equal(counted['audits_mismatch'], 0)
    assert.deepEqual(gapsOf(world), {})
    await end(world, true)
  })
})
