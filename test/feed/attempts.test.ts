import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Allowance } from '../../capture/feed/allowance.ts'
import { Attempts } from '../../capture/feed/attempts.ts'
import { ManualTime } from './manual-time.ts'
import { MemoryFeed } from './memory-feed.ts'

const FIVE_MINUTES_MS = 300_000

interface Route {
  readonly carriesBook: boolean
  isOpen: boolean
  lastTryUs: number
}

function setUp(share: number): { time: ManualTime; attempts: Attempts; book: Route; other: Route } {
  const time = new ManualTime()
  const attempts = new Attempts(time, () => share, new Allowance({ clock: time }))
  const book = { carriesBook: true, isOpen: true, lastTryUs: 0 }
  const other = { carriesBook: false, isOpen: true, lastTryUs: 0 }
  attempts.add(other)
  attempts.add(book)
  return { time, attempts, book, other }
}

test('attempts: whatever captures do, all that one share allows stay below 300 in any five minutes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 10 }).map((power) => 2 ** power),
      fc.array(fc.double({ min: 0, max: 400_000, noNaN: true }), { maxLength: 400 }),
      (share, waits) => {
        const { time, attempts, book } = setUp(share)
        const made: number[] = []
        for (const wait of waits) {
          time.advance(share <= 64 ? wait / 100 : wait)
          if (attempts.barredMs(book) > 0) continue
          attempts.made()
          made.push(time.monotonicUs() / 1000)
          // long shares: one attempt in a time that is longer than five minutes
          const windowMs = Math.max(FIVE_MINUTES_MS, FIVE_MINUTES_MS * (share / 300))
          const inWindow = made.filter((at) => made[made.length - 1] - at <= windowMs).length
          assert.ok(inWindow * share <= Math.max(300, share))
        }
      },
    ),
    { verbose: 1 }, // a failure prints its seed
  )
})

test('attempts: the bar is told to the millisecond', () => {
  const { time, attempts, book } = setUp(150)
  attempts.made()
  assert.equal(attempts.barredMs(book), 0)
  time.advance(1_000)
  attempts.made()
  assert.equal(attempts.barredMs(book), 304_000)
  time.advance(304_000)
  assert.equal(attempts.barredMs(book), 0)
})

test("attempts: the last one is the book's while its route is down, but routes take turns", () => {
  const { attempts, book, other } = setUp(256)
  book.isOpen = false
  assert.ok(attempts.barredMs(other) > 0)
  assert.equal(attempts.barredMs(book), 0)
  book.lastTryUs = 1
  assert.equal(attempts.barredMs(other), 0)
  book.isOpen = true
  book.lastTryUs = 0
  assert.equal(attempts.barredMs(other), 0)
})

test("attempts: another route holds back before the last one, and where one is left for the book's it does not", () => {
  const { attempts, book, other } = setUp(256)
  assert.equal(attempts.holdMs(book), 0)
  assert.ok(attempts.holdMs(other) > 10_000)
  assert.equal(setUp(128).attempts.holdMs(other), 0)
})

test("depth first: where one attempt is left and both routes are cut, the book's is tried, whichever was cut first", async () => {
  for (const order of [
    ['/market/', '/public/'],
    ['/public/', '/market/'],
  ]) {
    const live = await new MemoryFeed({ share: 256 }).started()
    await live.time.run(FIVE_MINUTES_MS)
    for (const route of order) {
      const socket = live.exchange.sockets.find(({ url }) => url.includes(route))
      assert.ok(socket !== undefined)
      live.exchange.cut(socket)
      await live.time.run(1_000)
    }
    assert.deepEqual(
      live.exchange.open.map(({ url }) => url.includes('/public/')),
      [true],
    )
    await live.time.run(420_000)
    assert.equal(live.exchange.open.length, 2)
    assert.equal(live.exchange.attemptsAtMs.length, 4)
    void live.feed.stop()
  }
})

test('depth first: a route that is lost alone in a crowd is back once the time for a common cause is over', async () => {
  const live = await new MemoryFeed({ share: 256 }).started()
  await live.time.run(FIVE_MINUTES_MS)
  live.exchange.cut(live.exchange.sockets[1])
  await live.time.run(10_000)
  assert.equal(live.exchange.open.length, 1)
  await live.time.run(1_500)
  assert.equal(live.exchange.open.length, 2)
  void live.feed.stop()
})

test("clock: a step of the wall clock leaves our idea of the exchange's minute alone", async () => {
  const live = await new MemoryFeed().started()
  await live.time.run(35_000)
  live.exchange.use(1_000)
  await live.time.run(6_000) // a minute after the start a probe tells the weight
  const used = live.feed.status().usedWeight
  assert.ok(used > 1_000)
  live.time.stepWall(3_600_000)
  live.feed.receiveClock.anchor()
  assert.equal(live.feed.status().usedWeight, used)
  void live.feed.stop()
})
