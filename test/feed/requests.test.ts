import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Allowance } from '../../capture/feed/mod.ts'
import { ManualTime } from './manual-time.ts'
import { ask, MemoryFeed } from './memory-feed.ts'

const DEPTH = '/fapi/v1/depth'

/** What became of requests, in short. */
function outcomes(live: MemoryFeed): string[] {
  return live.inputs.flatMap((input) => {
    if (input.kind === 'sent') return [`sent ${input.request} ${input.limit}`]
    if (input.kind === 'response') return [`response ${input.request} ${input.status}`]
    return input.kind === 'refused' ? [`refused ${input.request} ${input.why}`] : []
  })
}

test('fetch: `sent` carries the limit that was asked for, the smaller one from a quarter of the weight on', async () => {
  const live = await new MemoryFeed().started()
  live.feed.fetch(ask({ id: 1, limit: 1000, limitWhenBusy: 100 }))
  await live.time.run(100)
  live.exchange.use(600)
  await live.time.run(3_000) // the header grows old: it is renewed, and decides
  live.feed.fetch(ask({ id: 2, limit: 1000, limitWhenBusy: 100 }))
  await live.time.run(100)
  assert.deepEqual(outcomes(live), ['sent 1 1000', 'response 1 200', 'sent 2 100', 'response 2 200'])
  assert.deepEqual(
    live.asked(DEPTH).map((path) => path.split('limit=')[1]),
    ['1000', '100'],
  )
})

test('fetch: the limit is chosen as the request leaves, not as it is asked for', async () => {
  const live = await new MemoryFeed().started()
  live.feed.setShare(2)
  live.feed.fetch(ask({ id: 1, limit: 1000, limitWhenBusy: 100, wait: 'widen' }))
  await live.time.run(9_900)
  live.exchange.use(700)
  await live.time.run(200)
  assert.deepEqual(outcomes(live), ['sent 1 100', 'response 1 200'])
})

test('fetch: the last trade is asked for by its own path and weight, with no limit', async () => {
  const live = await new MemoryFeed().started()
  const before = live.feed.status().usedWeight
  live.feed.fetch(ask({ id: 1, what: 'last_trade', limit: 0, rank: 'audit' }))
  await live.time.run(100)
  assert.deepEqual(outcomes(live), ['sent 1 0', 'response 1 200'])
  assert.deepEqual(live.asked('/fapi/v1/aggTrades'), ['/fapi/v1/aggTrades?symbol=BTCUSDT&limit=1'])
  assert.equal(live.feed.status().usedWeight, before + 21) // and a look at the clock before it
})

test('fetch: a widening waits ten seconds also where nobody shares the address', async () => {
  const live = await new MemoryFeed().started()
  live.feed.fetch(ask({ id: 1, wait: 'widen' }))
  await live.time.run(9_980)
  assert.deepEqual(outcomes(live), [])
  await live.time.run(100)
  assert.deepEqual(outcomes(live), ['sent 1 50', 'response 1 200'])
})

test('fetch: in a crowd nothing leaves unseen: without any header a costly request makes do with less, then waits', async () => {
  const live = await new MemoryFeed({ share: 128, random: () => 0 }).started()
  live.exchange.isIll = true
  live.exchange.isMute = true
  await live.time.run(3_000)
  live.feed.fetch(ask({ id: 1, limit: 1000, limitWhenBusy: 100 }))
  await live.time.run(100)
  live.feed.fetch(ask({ id: 2, limit: 1000, limitWhenBusy: 1000 }))
  await live.time.run(100)
  assert.deepEqual(outcomes(live), ['sent 1 100', 'response 1 500', 'refused 2 weight'])
})

test('forget: a request that waits is dropped without a word, and its place is free', async () => {
  const live = await new MemoryFeed().started()
  const waiting = live.time.waiting
  for (let id = 1; id <= 33; id++) live.feed.fetch(ask({ id, wait: 'widen' }))
  assert.deepEqual(outcomes(live), ['refused 33 weight'])
  for (let id = 1; id <= 32; id++) live.feed.forget(id)
  assert.equal(live.time.waiting, waiting)
  live.feed.fetch(ask({ id: 34, wait: 'widen' }))
  await live.time.run(11_000)
  assert.deepEqual(outcomes(live), ['refused 33 weight', 'sent 34 50', 'response 34 200'])
})

test('forget: also while the weight is being renewed for it', async () => {
  const live = await new MemoryFeed().started()
  live.feed.fetch(ask({ id: 1, limit: 1000 }))
  live.feed.forget(1)
  await live.time.run(1_000)
  assert.deepEqual(outcomes(live), [])
  assert.deepEqual(live.asked(DEPTH), [])
})

test('forget: one that is on its way is still answered; an unknown one is nothing', async () => {
  const live = await new MemoryFeed().started()
  live.feed.fetch(ask({ id: 1 }))
  live.feed.forget(1)
  live.feed.forget(7)
  await live.time.run(100)
  assert.deepEqual(outcomes(live), ['sent 1 50', 'response 1 200'])
})

test('pause: what one feed was told holds for the next one, which tells until when, and is not told again', async () => {
  const remembered: number[] = []
  const time = new ManualTime()
  const remember = (until: number) => remembered.push(until)
  const first = new MemoryFeed({ allowance: new Allowance({ clock: time, remember }) }, time)
  await first.started()
  first.exchange.use(2_400)
  first.feed.fetch(ask({ id: 1 }))
  await time.run(100)
  assert.deepEqual(outcomes(first), ['sent 1 50', 'response 1 429'])
  void first.feed.stop()
  await time.run(1_000)
  const [pausedUntilMs] = remembered
  assert.ok(pausedUntilMs > time.wallUs() / 1000 + 58_000)
  const second = new MemoryFeed({ allowance: new Allowance({ clock: time, pausedUntilMs, remember }) }, time)
  second.feed.start()
  second.feed.fetch(ask({ id: 1 }))
  await new Promise((resolve) => setImmediate(resolve))
  const [refused] = second.of('refused')
  assert.deepEqual([refused.why, refused.until], ['rate_limited', pausedUntilMs * 1000])
  await time.run(58_000)
  assert.deepEqual([second.exchange.asked, second.exchange.attemptsAtMs], [[], []])
  await time.run(60_000)
  assert.deepEqual(second.connections, ['opened 1 public', 'opened 2 market'])
  assert.equal(remembered.length, 1)
})

test('share: ticks carry it, and its changes', async () => {
  const live = await new MemoryFeed({ share: 4 }, new ManualTime()).started()
  live.feed.setShare(16)
  await live.time.run(1_000)
  assert.deepEqual(
    live
      .of('tick')
      .slice(-2)
      .map((tick) => tick.share),
    [4, 16],
  )
  assert.throws(() => live.feed.setShare(2.5), /share/)
})

test('overload: that of the journal is stamped and handed on as such', async () => {
  const live = await new MemoryFeed().started()
  live.feed.overload(2_500, 'journal')
  const received = live.feed.receiveClock.now()
  assert.deepEqual(live.inputs.at(-1), { kind: 'overload', received, stalledMs: 2_500, what: 'journal' })
})

test('clock: five probes follow each other at the start, and one that fails is made up for within five seconds', async () => {
  const live = new MemoryFeed()
  live.feed.start()
  await live.time.run(200)
  assert.equal(live.of('clock').length, 5)
  const late = new MemoryFeed()
  late.exchange.isIll = true
  late.feed.start()
  await late.time.run(300_000)
  late.exchange.isIll = false
  await late.time.run(5_200)
  assert.equal(late.of('clock').length, 5)
})

test('listing: whoever wonders is answered soon, and again no sooner than after five minutes', async () => {
  const live = await new MemoryFeed({ share: 5 }).started()
  const listings = () => live.of('listing').length
  assert.equal(listings(), 1)
  live.feed.checkListing('its trades stopped')
  await live.time.run(150)
  assert.equal(listings(), 1)
  await live.time.run(100) // the share of four others of weight 1
  assert.equal(listings(), 2)
  live.feed.checkListing('its trades stopped')
  await live.time.run(290_000)
  assert.equal(listings(), 2)
  await live.time.run(10_000)
  live.feed.checkListing('its trades stopped')
  await live.time.run(1_000)
  assert.equal(listings(), 3)
})
