import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type Batch,
  Batcher,
  type Change,
  History,
  Market,
  PROFILES,
  type ProfileName,
  profileOf,
  profileSettings,
  Random,
  wire,
} from './market/mod.ts'
import { decimal } from './market/profile.ts'
import type { TickLevel } from './market/side.ts'

const SYMBOLS = ['BTCUSDT', 'ETHUSDT', 'DENTUSDT']
const RUNS = { numRuns: 12, verbose: true } as const // fast-check prints its seed with a failure

function market(seed: number, symbol = 'BTCUSDT', rate = 400): Market {
  return new Market({ symbol, seed, profile: profileOf(symbol, { rate }) })
}

/** The best level of a side, which a market has. */
function touch(source: Market, side: 'bid' | 'ask'): TickLevel {
  const level = source.touch(side)
  assert.ok(level !== undefined)
  return level
}

/** Drives a market to a time, with batches cut for each connection as a driver would. */
function drive(
  source: Market,
  connections: { batcher: Batcher; batches: Batch[] }[],
  untilMs: number,
): Change[] {
  const changes: Change[] = []
  for (;;) {
    const next = Math.min(source.nextAtMs, ...connections.map(({ batcher }) => batcher.cutAtMs))
    if (next > untilMs) return changes
    const due = connections.find(({ batcher }) => batcher.cutAtMs === next)
    if (due !== undefined) {
      const batch = due.batcher.cut()
      if (batch !== undefined) due.batches.push(batch)
      continue
    }
    const event = source.next()
    if (event.kind !== 'change') continue
    changes.push(event)
    for (const { batcher } of connections) batcher.add(event)
  }
}

function apply(side: Map<number, number>, levels: readonly TickLevel[]): void {
  for (const [price, qty] of levels) {
    if (qty === 0) side.delete(price)
    else side.set(price, qty)
  }
}

test('market: the same seed gives the same events, another seed others', () => {
  const take = (seed: number) => {
    const source = market(seed)
    return Array.from({ length: 2000 }, () => source.next())
  }
  assert.deepEqual(take(7), take(7))
  assert.notDeepEqual(take(7), take(8))
})

test('market: never crossed, ids grow with holes, trades are contiguous and at the touch', () => {
  fc.assert(
    fc.property(fc.integer(), fc.constantFrom(...SYMBOLS), (seed, symbol) => {
      const source = market(seed, symbol)
      let { lastId, lastTradeId } = source
      let holes = 0
      let atMs = 0
      let trades = 0
      for (let count = 0; count < 20_000; count++) {
        const touches = { bid: touch(source, 'bid'), ask: touch(source, 'ask') }
        const event = source.next()
        assert.ok(event.atMs >= atMs, 'time went back')
        atMs = event.atMs
        if (event.kind === 'change') {
          assert.ok(event.id > lastId && event.price > 0 && event.qty >= 0)
          if (event.id > lastId + 1n) holes++
          lastId = event.id
        } else if (event.kind === 'trade') {
          assert.equal(event.id, lastTradeId + 1n)
          assert.ok(event.firstId <= event.lastId)
          const [price, qty] = event.buyerIsMaker ? touches.bid : touches.ask
          assert.ok(event.price === price && event.qty > 0 && event.qty <= qty)
          lastTradeId = event.id
          trades++
        }
        assert.ok(touch(source, 'bid')[0] < touch(source, 'ask')[0], `crossed at ${lastId}`)
      }
      assert.ok(holes > 10_000 && trades > 500)
    }),
    RUNS,
  )
})

test('market: a snapshot of 1,000 levels has a finite reach, also after an hour', () => {
  for (const symbol of SYMBOLS) {
    const source = market(11, symbol, 100)
    while (source.nextAtMs < 3_600_000) source.next()
    const { bids, asks } = source.book()
    for (const side of [bids, asks]) {
      assert.ok(side.length > 1200 && side.length < 1800, `${symbol} holds ${side.length} levels a side`)
      const reach = Math.abs((side[999]?.[0] ?? 0) - (side[0]?.[0] ?? 0))
      assert.ok(reach > 1000 && reach < 3000, `${symbol} reaches ${reach} ticks`)
    }
    const first = { bid: bids[0]?.[0] ?? 0, ask: asks[0]?.[0] ?? 0 }
    assert.ok(first.bid < first.ask && first.bid > 0)
  }
})

test('batch: on connections of any phase pu chains to u, U is inside, and the replay is the true book', () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 100, 250, 500)), {
        minLength: 2,
        maxLength: 4,
      }),
      fc.nat(3000),
      (seed, plans, lookMs) => {
        const source = market(seed, 'ETHUSDT')
        const history = new History(source)
        const connections = plans.map(([phase, everyMs]) => ({
          batcher: new Batcher(source.lastId, everyMs * (1 - phase), everyMs),
          batches: [] as Batch[],
        }))
        const beginId = source.lastId
        const before = drive(source, connections, lookMs)
        const snapshot = source.book(1000)
        const after = drive(source, connections, 5000)
        const truth = market(seed, 'ETHUSDT')
        while (truth.nextAtMs <= 5000) history.record(...changeOf(truth))
        const ids = [...before, ...after].map((change) => change.id)
        for (const { batches } of connections) {
          let last = beginId
          for (const batch of batches) {
            assert.equal(batch.prevId, last, 'pu is the u before')
            assert.ok(batch.prevId < batch.firstId && batch.firstId <= batch.lastId)
            assert.ok(ids.includes(batch.firstId) && ids.includes(batch.lastId))
            last = batch.lastId
          }
          replaysToTruth(snapshot, batches, history)
        }
      },
    ),
    RUNS,
  )
})

/** Takes events until one changes the book, for recording in a history. */
function changeOf(source: Market): [Change, Market] {
  for (;;) {
    const event = source.next()
    if (event.kind === 'change') return [event, source]
  }
}

/** Joins a snapshot with the batches that meet it and compares at the end, inside the snapshot's reach. */
function replaysToTruth(
  snapshot: ReturnType<Market['book']>,
  batches: readonly Batch[],
  history: History,
): void {
  const bids = new Map(snapshot.bids)
  const asks = new Map(snapshot.asks)
  let at = snapshot.id
  for (const batch of batches) {
    if (batch.lastId < at) continue
    assert.ok(batch.prevId <= at, 'a batch beyond the snapshot must meet it or its predecessor')
    apply(bids, batch.bids)
    apply(asks, batch.asks)
    at = batch.lastId
  }
  const truth = history.bookAt(at)
  const bidReach = snapshot.bids.at(-1)?.[0] ?? 0
  const askReach = snapshot.asks.at(-1)?.[0] ?? 0
  const inside = (levels: Iterable<readonly [number, number]>, holds: (price: number) => boolean) =>
    new Map([...levels].filter(([price]) => holds(price)).sort((one, other) => one[0] - other[0]))
  assert.deepEqual(
    inside(bids, (price) => price >= bidReach),
    inside(truth.bids, (price) => price >= bidReach),
  )
  assert.deepEqual(
    inside(asks, (price) => price <= askReach),
    inside(truth.asks, (price) => price <= askReach),
  )
}

test('batch: two phases cut the same changes at different ids', () => {
  const source = market(5)
  const connections = [30, 80].map((firstCutAtMs) => ({
    batcher: new Batcher(source.lastId, firstCutAtMs, 100),
    batches: [] as Batch[],
  }))
  drive(source, connections, 10_000)
  const [one, other] = connections.map(({ batches }) => new Set(batches.map((batch) => batch.lastId)))
  assert.ok(one !== undefined && other !== undefined && one.size > 80 && other.size > 80)
  const shared = [...one].filter((id) => other.has(id))
  assert.ok(shared.length < 5, `${shared.length} cuts fell on the same id`)
})

test('history: the book is known at every id of its memory, and at no other', () => {
  const source = market(9)
  const history = new History(source)
  const begin = source.lastId
  const random = new Random(9, 'looks')
  const looks = []
  for (let count = 0; count < 10_000; count++) {
    history.record(...changeOf(source))
    if (random.chance(0.003)) looks.push(source.book())
  }
  assert.ok(looks.length > 10)
  for (const look of looks) {
    assert.deepEqual(history.bookAt(look.id), look)
  }
  const code = { code: 'book_unknown' }
  assert.throws(() => history.bookAt(begin - 1n), code)
  assert.throws(() => history.bookAt(source.lastId + 1n), code)
  assert.equal(history.bookAt(begin).id, begin)
})

test('history: what exceeds its memory is refused, not guessed', () => {
  const source = market(10)
  const history = new History(source, 20_000)
  const begin = source.lastId
  for (let count = 0; count < 8 * 4096; count++) history.record(...changeOf(source))
  assert.throws(() => history.bookAt(begin), { code: 'book_unknown' })
  assert.deepEqual(history.bookAt(source.lastId), source.book())
})

test('profiles: whatever the profile, never crossed, about as many levels as it says, and all changes are news', () => {
  const names = Object.keys(PROFILES) as ProfileName[]
  fc.assert(
    fc.property(fc.integer(), fc.constantFrom(...names), (seed, name) => {
      const profile = profileOf('XRPUSDT', PROFILES[name])
      const source = new Market({ symbol: 'XRPUSDT', seed, profile })
      let sizes = 0
      for (let count = 1; count <= 10_000; count++) {
        const event = source.next()
        assert.ok(touch(source, 'bid')[0] < touch(source, 'ask')[0], `crossed at ${source.lastId}`)
        if (event.kind === 'change') assert.ok(event.qty >= 0 && event.price > 0)
        if (count % 1000 === 0) sizes += source.book().bids.length + source.book().asks.length
      }
      const levels = sizes / 20
      assert.ok(levels > profile.levels / 2 && levels < profile.levels * 2, `${levels} of ${profile.levels}`)
    }),
    { ...RUNS, numRuns: 20 },
  )
})

test('profiles: quiet stretches hold no change and no trade, bursts many', () => {
  const gaps = (name: ProfileName, untilMs: number) => {
    const source = new Market({ symbol: 'XRPUSDT', seed: 3, profile: profileOf('XRPUSDT', PROFILES[name]) })
    const times: number[] = []
    let marks = 0
    while (source.nextAtMs < untilMs) {
      const event = source.next()
      if (event.kind === 'mark') marks++
      else times.push(event.atMs)
    }
    assert.equal(marks, Math.ceil(untilMs / 1000) - 1, 'mark prices go on')
    return { times, longestMs: Math.max(...times.map((atMs, at) => atMs - (times[at - 1] ?? 0))) }
  }
  assert.ok(gaps('quiet', 24 * 3_600_000).longestMs > 1_800_000)
  assert.ok(gaps('thin', 4 * 3_600_000).longestMs < 60_000)
  const { times } = gaps('bursty', 300_000)
  const seconds = Map.groupBy(times, (atMs) => Math.floor(atMs / 1000))
  const busiest = Math.max(...[...seconds.values()].map((events) => events.length))
  assert.ok(busiest > 1000, `${busiest} in a second`)
})

test('profiles: a small book is made in well under 2 ms', () => {
  const make = (seed: number) =>
    new History(new Market({ symbol: 'XRPUSDT', seed, profile: profileOf('XRPUSDT', PROFILES.thin) }))
  for (let seed = 0; seed < 200; seed++) make(seed)
  // the quickest of many: whatever else the machine does meanwhile is no matter of the book's
  let quickestMs = Number.POSITIVE_INFINITY
  for (let seed = 0; seed < 200; seed++) {
    const begin = performance.now()
    make(seed)
    quickestMs = Math.min(quickestMs, performance.now() - begin)
  }
  assert.ok(quickestMs < 2, `${quickestMs} ms`)
})

test('profiles: what makes no market, or does not exist, is refused', () => {
  for (const settings of [{ rate: 0 }, { levels: 0 }, { levels: 100_000 }]) {
    assert.throws(() => profileOf('XRPUSDT', settings), { code: 'wrong_call' })
  }
  assert.throws(() => profileSettings('huge'), { code: 'wrong_call' })
})

test('a side that is taken away and brought back: changes like any, and the other side lives on', () => {
  const source = new Market({ symbol: 'XRPUSDT', seed: 8, profile: profileOf('XRPUSDT', PROFILES.tiny) })
  const history = new History(source)
  const take = (count: number) => {
    for (let taken = 0; taken < count; taken++) history.record(...changeOf(source))
  }
  take(100)
  source.empty('ask', source.nextAtMs)
  take(source.book().asks.length)
  const emptied = source.lastId
  assert.equal(source.touch('ask'), undefined)
  take(200)
  assert.equal(source.book().asks.length, 0)
  assert.ok(source.book().bids.length > 0)
  source.refill(source.nextAtMs)
  take(100)
  assert.ok(source.book().asks.length > 3)
  assert.ok(touch(source, 'bid')[0] < touch(source, 'ask')[0])
  assert.equal(history.bookAt(emptied).asks.length, 0)
})

test('wire: prices and quantities are spelt with the symbol’s digits, exactly', () => {
  assert.equal(decimal(12_341, 6), '0.012341')
  assert.equal(decimal(0, 3), '0.000')
  assert.equal(decimal(45_277, 0), '45277')
  const level = (symbol: string) =>
    wire.wireLevels(profileOf(symbol), [[profileOf(symbol).startTicks, 1234]])[0]
  assert.deepEqual(level('BTCUSDT'), ['63944.00', '1.234'])
  assert.deepEqual(level('ETHUSDT'), ['3456.78', '1.234'])
  assert.deepEqual(level('DENTUSDT'), ['0.012341', '1234'])
})
