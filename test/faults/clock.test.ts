import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { HALT_EXIT_CODES } from '../../api/reasons.ts'
import { CAPTURES_AT_ONCE, ends, flowing, inScene, live, type Scene } from './scene.ts'
import { buildWallClock, type WallClock, wallClock } from './wall-clock.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
/** What a probe's way there and back may add to what it says of the clock, under load. */
const BEHIND_MS_MAX = 1000
/** A capture that starts so long before midnight is live then. */
const BEFORE_MIDNIGHT_MS = 30_000

describe("a process whose machine's clock is moved", { concurrency: CAPTURES_AT_ONCE }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'l2cap-clock-'))
  const problem = buildWallClock(dir)
  const options = problem === '' ? {} : { skip: `no clock can be moved here: ${problem}` }
  // not a hook: those of a suite in which every test is filtered out are not called
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))

  it(
    'an hour forwards: the same run goes on without a gap; an hour or 400 ms back: one new run, and no halt',
    options,
    (t) =>
      inScene(async (scene) => {
        const clock = wallClock(mkdtempSync(join(dir, 'steps-')), dir)
        const capture = scene.capture({ env: clock.env })
        const first = await flowing(capture)
        stepBoth(scene, clock, HOUR_MS)
        const ahead = new Date(Date.now() + HOUR_MS - 60_000).toISOString()
        const forwards = await capture.until(
          'rows an hour later',
          ({ streams }) => (streams['depth']?.lastReceived ?? '') > ahead,
        )
        assert.deepEqual([forwards.run, forwards.gaps], [first.run, 0])
        assert.equal(forwards.state, 'live')

        stepBoth(scene, clock, 0)
        await capture.until('another run', ({ run }) => run !== first.run)
        const back = await flowing(capture)
        clock.set(-400)
        const again = await capture.until(
          'a third run',
          ({ run, state }) => run !== back.run && state === 'live',
        )
        assert.deepEqual(
          [first.run, back.run, again.run],
          [first.run, back.run, again.run].sort(),
          'ids sort by their begin',
        )
        await capture.drain()
        assert.equal((await scene.report()).reason, 'Drained')
        const summary = await scene.judge()
        const endings = await scene.endings()
        t.diagnostic(`${[...endings].join(', ')}; ${JSON.stringify(summary)}`)
        assert.equal(summary.runs, 3)
        for (const stream of ['depth', 'books20', 'trades', 'mark_price'])
          assert.ok(endings.has(`${stream} clock_step`), stream)
        assert.deepEqual(
          [...endings].filter((ended) => !/ (clock_step|stopped)$/.test(ended)),
          [],
        )
      }),
  )

  it('an hour back, and the exchange does not agree: ClockSkew', options, (t) =>
    inScene(async (scene) => {
      const clock = wallClock(mkdtempSync(join(dir, 'skew-')), dir)
      const capture = scene.capture({ env: clock.env })
      await live(capture)
      clock.set(-HOUR_MS)
      assert.equal(await ends(capture), HALT_EXIT_CODES.ClockSkew)
      const { reason, message } = await scene.report()
      assert.equal(reason, 'ClockSkew')
      const [, behindMs] = /(\d+) ms behind/.exec(message) ?? []
      assert.ok(Math.abs(Number(behindMs) - HOUR_MS) < BEHIND_MS_MAX, message)
      t.diagnostic(JSON.stringify(await scene.judge()))
      assert.ok((await scene.endings()).has('depth clock_step'))
    }),
  )

  it('midnight: the window is cut there, and each row lies below the date of its day', options, (t) => {
    const midnight = (Math.floor(Date.now() / DAY_MS) + 1) * DAY_MS
    const offsetMs = midnight - BEFORE_MIDNIGHT_MS - Date.now()
    return inScene(
      async (scene) => {
        const clock = wallClock(mkdtempSync(join(dir, 'midnight-')), dir)
        clock.set(offsetMs)
        const capture = scene.capture({ env: clock.env, rotationSeconds: 3600 })
        const first = await live(capture)
        assert.ok(Date.parse(first.since) < midnight, 'it is live before midnight')
        const later = new Date(midnight + 2000).toISOString()
        const next = await capture.until(
          'rows of the next day',
          ({ streams }) => (streams['mark_price']?.lastReceived ?? '') > later,
        )
        assert.deepEqual([next.run, next.gaps], [first.run, 0])
        await capture.drain()
        const summary = await scene.judge()
        t.diagnostic(JSON.stringify(summary))
        const [before, after] = await scene.manifests()
        assert.equal(summary.windows, 2)
        const text = new Date(midnight).toISOString().slice(0, 10)
        assert.equal(Math.trunc(Date.parse(after?.opened ?? '') / 1000), midnight / 1000)
        assert.ok((before?.closed ?? '') <= `${text}T00:00:00.999999Z`)
        for (const manifest of [before, after]) {
          for (const { key, first_time, last_time } of manifest?.objects ?? []) {
            const [, date = ''] = /\/date=([^/]+)\//.exec(key) ?? []
            assert.equal(date < text, manifest === before, key)
            for (const time of [first_time, last_time])
              if (time !== null) assert.equal(time.slice(0, 10), date, key)
          }
        }
      },
      { skewMs: offsetMs },
    )
  })
})

/** The machine and the exchange go by the same clock. */
function stepBoth(scene: Scene, clock: WallClock, offsetMs: number): void {
  clock.set(offsetMs)
  scene.sim.inject(`skew:*=${offsetMs}@0`)
}
