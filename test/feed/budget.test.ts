import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Allowance } from '../../capture/feed/allowance.ts'
import {
  connectMs,
  connectsAtOnce,
  fetchMs,
  growthMs,
  retryMs,
  spreadMs,
} from '../../capture/feed/backoff.ts'
import { Budget } from '../../capture/feed/budget.ts'
import type { RestResult } from '../../capture/feed/rest.ts'
import { retryAfterMs } from '../../capture/feed/transport.ts'
import { ManualTime } from './manual-time.ts'

const START_MS = Date.UTC(2026, 10, 22, 12, 0, 10)

function setUp(aheadMs = 0, share = 1): { time: ManualTime; budget: Budget; remembered: number[] } {
  const time = new ManualTime(START_MS)
  const remembered: number[] = []
  const budget = new Budget({
    clock: time,
    weightLimit: 2400,
    share: () => share,
    exchangeNowMs: () => time.wallUs() / 1000 + aheadMs,
    allowance: new Allowance({ clock: time, remember: (until) => remembered.push(until) }),
    onPause: () => {},
  })
  return { time, budget, remembered }
}

function answer(usedWeight: number, status = 200, retryMs = 0): RestResult {
  return { status, usedWeight, retryAfterMs: retryMs, body: new Uint8Array(0), error: '' }
}

test('weight: what the header said plus what is on its way', () => {
  const { budget } = setUp()
  budget.sent(20)
  assert.equal(budget.usedWeight, 20)
  budget.sent(5)
  budget.answered(20, answer(1_000))
  assert.equal(budget.usedWeight, 1_005)
  budget.answered(5, answer(1_007))
  assert.equal(budget.usedWeight, 1_007)
})

test('weight: an answer without the header counts its own weight as used', () => {
  const { budget } = setUp()
  budget.sent(20)
  budget.answered(20, answer(-1, 0))
  assert.equal(budget.usedWeight, 20)
})

test('weight: an answer without the header counts for all behind the address, no answer for this capture alone', () => {
  const { budget } = setUp(0, 64)
  budget.sent(5)
  budget.answered(5, answer(-1, 500))
  assert.equal(budget.usedWeight, 320)
  budget.sent(5)
  budget.answered(5, answer(-1, 0))
  assert.equal(budget.usedWeight, 325)
  budget.sent(1)
  budget.answered(1, answer(44))
  assert.equal(budget.usedWeight, 44)
})

test('weight: at once is for what all behind the address could do at once, besides a look at the clock', () => {
  const { budget } = setUp(0, 64)
  assert.equal(budget.affords(5, 'join'), true)
  budget.sent(1)
  budget.answered(1, answer(2_160 - 64 * 6 + 1))
  assert.equal(budget.affords(5, 'join'), false)
  assert.equal(budget.affords(2, 'proof'), false)
  const alone = setUp().budget
  alone.sent(1)
  alone.answered(1, answer(2_155))
  assert.equal(alone.affords(5, 'join'), true)
})

test('weight: each rank is refused at its share of the limit, its own weight included', () => {
  const { budget } = setUp()
  budget.sent(1)
  budget.answered(1, answer(1_200))
  assert.equal(budget.refuses(1, 'audit')?.why, 'weight')
  assert.equal(budget.refuses(20, 'proof'), undefined)
  budget.sent(1)
  budget.answered(1, answer(1_800))
  assert.equal(budget.refuses(1, 'proof')?.why, 'weight')
  assert.equal(budget.refuses(360, 'join'), undefined)
  assert.equal(budget.refuses(361, 'join')?.why, 'weight')
})

test("weight: forgotten a second after the exchange's minute is over, and a refusal lasts until then", () => {
  const { time, budget } = setUp()
  budget.sent(1)
  budget.answered(1, answer(2_400))
  assert.deepEqual(budget.refuses(20, 'join'), { why: 'weight', waitMs: 51_000 })
  time.advance(50_500)
  assert.deepEqual(budget.refuses(20, 'join'), { why: 'weight', waitMs: 500 })
  time.advance(500)
  assert.equal(budget.refuses(20, 'join'), undefined)
})

test('weight: a header read in the first second of a minute belongs to that minute', () => {
  const { time, budget } = setUp()
  time.advance(50_300)
  budget.sent(1)
  budget.answered(1, answer(700))
  time.advance(5_000)
  assert.equal(budget.usedWeight, 700)
})

test('weight: when a probe moves our idea of the clock by an hour, the wait for the minute stays below two', () => {
  const time = new ManualTime(START_MS)
  let ahead = 3_600_000
  const exchangeNowMs = () => time.wallUs() / 1000 + ahead
  const budget = new Budget({
    clock: time,
    weightLimit: 2400,
    share: () => 1,
    exchangeNowMs,
    allowance: new Allowance({ clock: time }),
    onPause: () => {},
  })
  budget.sent(1)
  budget.answered(1, answer(2_400))
  ahead = 0
  const refusal = budget.refuses(20, 'join')
  assert.ok(refusal !== undefined && refusal.waitMs < 120_000)
})

test('pause: after 429 nothing may leave before Retry-After, and its end is remembered in wall time', () => {
  const { time, budget, remembered } = setUp()
  budget.sent(1)
  budget.limited(429, 7_000)
  budget.answered(1, answer(2_401, 429, 7_000))
  assert.deepEqual(budget.refuses(1, 'clock'), { why: 'rate_limited', waitMs: 7_000 })
  assert.deepEqual(remembered, [START_MS + 7_000])
  time.advance(6_999)
  assert.equal(budget.refuses(1, 'clock')?.why, 'rate_limited')
  time.advance(1)
  assert.equal(budget.pausedMs, 0)
})

test('pause: a step of the wall clock neither shortens nor lengthens it', () => {
  const { time, budget } = setUp()
  budget.limited(429, 7_000)
  time.stepWall(3_600_000)
  assert.equal(budget.pausedMs, 7_000)
})

test('pause: without Retry-After a minute, for a ban two, and a later one never shortens it', () => {
  const { budget } = setUp()
  budget.limited(429, 0)
  assert.equal(budget.pausedMs, 60_000)
  budget.limited(418, 0)
  assert.equal(budget.pausedMs, 120_000)
  budget.limited(429, 5_000)
  assert.equal(budget.pausedMs, 120_000)
  budget.limited(500, 900_000)
  assert.equal(budget.pausedMs, 120_000)
})

test('Retry-After: seconds and dates are read, nonsense is none', () => {
  assert.equal(retryAfterMs('12', START_MS), 12_000)
  assert.equal(retryAfterMs(new Date(START_MS + 30_000).toUTCString(), START_MS), 30_000)
  for (const header of [null, undefined, '', 'soon', '-3', new Date(START_MS - 1_000).toUTCString()]) {
    assert.equal(retryAfterMs(header, START_MS), 0)
  }
})

test('waits: grow from 1 s to 60 s, are spread by share and weight, and the first try after data is immediate', () => {
  assert.deepEqual([0, 1, 2, 6, 7, 1_000].map(growthMs), [0, 1_000, 2_000, 32_000, 60_000, 60_000])
  const half = () => 0.5
  assert.equal(retryMs(3, half), 2_000)
  assert.equal(spreadMs(64, 20, half), 31_500)
  assert.equal(spreadMs(1, 20, half), 0, 'alone behind its address')
  assert.equal(connectsAtOnce(0, 10_000, 1), true)
  assert.equal(connectMs(1, 0, 2, half), (1_000 + 5_000) / 2)
})

test('waits: a request waits for nothing, for its share, or to be widened in ten seconds or its share', () => {
  const whole = () => 1
  assert.equal(fetchMs('none', 256, 20, whole), 0)
  assert.equal(fetchMs('share', 5, 20, whole), 4_000)
  assert.equal(fetchMs('widen', 5, 20, whole), 10_000)
  assert.equal(fetchMs('widen', 256, 20, whole), 255_000)
  assert.equal(
    fetchMs('widen', 1, 20, () => 0.25),
    2_500,
  )
})

test('waits: a peer that sends data and hangs up at once is not called in a tight loop', () => {
  assert.equal(connectsAtOnce(0, 200, 1), false)
  assert.equal(
    connectMs(0, 0, 1, () => 1),
    3_500,
  )
})

test('waits: who may not connect for a while comes after it, spread a little', () => {
  assert.equal(
    connectMs(1, 300_000, 256, () => 0),
    300_000,
  )
  assert.equal(
    connectMs(1, 300_000, 256, () => 1),
    365_000,
  )
})
