import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nodeClock, ReceiveClock } from '../../capture/feed/mod.ts'
import { Ticker } from '../../capture/feed/ticker.ts'
import { ManualTime } from './manual-time.ts'

const MOVE = fc.oneof(
  fc.record({ kind: fc.constant('advance' as const), ms: fc.double({ min: 0, max: 5_000, noNaN: true }) }),
  fc.record({
    kind: fc.constant('step' as const),
    ms: fc.double({ min: -10_000, max: 10_000, noNaN: true }),
  }),
  fc.record({ kind: fc.constant('anchor' as const), ms: fc.constant(0) }),
)

test('receive time: whole microseconds that never run backwards, whatever the wall clock does', () => {
  fc.assert(
    fc.property(fc.array(MOVE, { maxLength: 60 }), (moves) => {
      const time = new ManualTime()
      const clock = new ReceiveClock(time)
      let last = clock.now()
      for (const move of moves) {
        if (move.kind === 'advance') time.advance(move.ms)
        else if (move.kind === 'step') time.stepWall(move.ms)
        else clock.anchor()
        const now = clock.now()
        assert.ok(Number.isSafeInteger(now) && now >= last)
        assert.equal(clock.wallDistance(), time.wallUs() - now)
        last = now
      }
    }),
    { verbose: 1 }, // a failure prints its seed
  )
})

test('receive time: a step of the wall clock shows in the distance until the next anchor', () => {
  const time = new ManualTime()
  const clock = new ReceiveClock(time)
  time.stepWall(400)
  assert.equal(clock.wallDistance(), 400_000)
  clock.anchor()
  assert.equal(clock.wallDistance(), 0)
})

test('receive time: after a step back it stands still until the wall clock has caught up', () => {
  const time = new ManualTime()
  const clock = new ReceiveClock(time)
  const start = clock.now()
  time.stepWall(-200)
  clock.anchor()
  time.advance(150)
  assert.equal(clock.now(), start)
  assert.equal(clock.wallDistance(), -50_000)
  time.advance(80)
  assert.equal(clock.now(), start + 30_000)
})

test("receive time: this process's clocks give whole microseconds near the wall clock", () => {
  const clock = new ReceiveClock(nodeClock)
  assert.ok(Number.isSafeInteger(clock.now()) && Number.isSafeInteger(nodeClock.monotonicUs()))
  const before = Date.now()
  const nowMs = clock.now() / 1000
  assert.ok(nowMs > before - 250 && nowMs < Date.now() + 250)
})

function startTicker(time: ManualTime): string[] {
  const seen: string[] = []
  new Ticker(
    time,
    time,
    () => seen.push(`tick ${time.monotonicUs() / 1000}`),
    (ms) => seen.push(`stalled ${ms}`),
  ).start()
  return seen
}

test('ticks: one a second on the beat, also when each is a little late', () => {
  const time = new ManualTime()
  const seen = startTicker(time)
  time.advance(900)
  time.stall(130)
  time.advance(0)
  time.advance(970)
  assert.deepEqual(seen, ['tick 1030', 'tick 2000'])
})

test('overload: a loop that stood still for more than 2 s is told before its late tick, and no tick is made up for', () => {
  const time = new ManualTime()
  const seen = startTicker(time)
  time.stall(4_500)
  time.advance(0)
  time.advance(1_000)
  assert.deepEqual(seen, ['stalled 3500', 'tick 4500', 'tick 5500'])
})

test('overload: a tick that is 2 s late is late, not lost', () => {
  const time = new ManualTime()
  const seen = startTicker(time)
  time.stall(3_000)
  time.advance(0)
  assert.deepEqual(seen, ['tick 3000'])
})
