/** What the exchange declares: its sockets, its chain, and the predicate of the join, with examples from recordings. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Stream } from '../../api/streams.ts'
import { BinanceUsdm } from '../../capture/exchange/binance-usdm/mod.ts'
import {
  DepthEvent,
  EXCHANGE_NAMES,
  exchangeByName,
  Message,
  meets,
  Snapshot,
} from '../../capture/exchange/mod.ts'
import { type Recorded, recordedFrames } from './recorded.ts'

const paths = (symbol: string, streams: readonly Stream[]): Record<string, string> =>
  Object.fromEntries(BinanceUsdm.subscriptions(symbol, streams).map(({ route, path }) => [route, path]))

test('subscriptions: books and depth on one route as one stream, trades and prices on the other', () => {
  assert.deepEqual(BinanceUsdm.subscriptions('BTCUSDT', ['mark_price', 'depth', 'trades', 'books']), [
    {
      route: 'public',
      streams: ['books', 'depth'],
      path: '/public/stream?streams=btcusdt@depth@100ms',
      hello: [],
    },
    {
      route: 'market',
      streams: ['trades', 'mark_price'],
      path: '/market/stream?streams=btcusdt@aggTrade/btcusdt@markPrice@1s',
      hello: [],
    },
  ])
})

test('subscriptions: only the sockets that are needed', () => {
  assert.deepEqual(paths('BTCUSDT', ['books']), { public: '/public/stream?streams=btcusdt@depth@100ms' })
  assert.deepEqual(paths('BTCUSDT', ['depth']), { public: '/public/stream?streams=btcusdt@depth@100ms' })
  assert.deepEqual(paths('BTCUSDT', ['trades']), { market: '/market/stream?streams=btcusdt@aggTrade' })
  assert.deepEqual(paths('BTCUSDT', ['mark_price']), {
    market: '/market/stream?streams=btcusdt@markPrice@1s',
  })
  assert.deepEqual(paths('BTCUSDT', []), {})
})

test('subscriptions: a symbol that is not ASCII is percent-encoded, and never ends its part of the address', () => {
  assert.deepEqual(paths('币安人生USDT', ['trades']), {
    market: '/market/stream?streams=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@aggTrade',
  })
  assert.deepEqual(paths('A/B?C&D#E', ['trades']), {
    market: '/market/stream?streams=a%2Fb%3Fc%26d%23e@aggTrade',
  })
})

test('endpoints: one base address serves everything on a simulated exchange', () => {
  const rest = 'http://127.0.0.1:8080'
  assert.deepEqual(BinanceUsdm.endpointsAt(`${rest}//`), { rest, socket: 'ws://127.0.0.1:8080' })
  assert.equal(BinanceUsdm.endpointsAt('https://sim.example/x/').socket, 'wss://sim.example/x')
})

test('registry: exchanges by name, and nothing that every object has', () => {
  assert.deepEqual(EXCHANGE_NAMES, ['BinanceUsdm'])
  for (const name of EXCHANGE_NAMES) assert.equal(exchangeByName(name).name, name)
  for (const name of ['binanceusdm', '', 'constructor', '__proto__']) {
    assert.throws(() => exchangeByName(name), /unknown exchange .* known are BinanceUsdm/)
  }
})

test('predicate: an event meets an id from the one it follows to its own, both included', () => {
  const event = { previousId: 10n, finalId: 20n }
  for (const [id, expected] of [
    [9n, false],
    [10n, true],
    [15n, true],
    [20n, true],
    [21n, false],
  ] as const) {
    assert.equal(meets(event, id), expected, String(id))
  }
  assert.equal(
    meets({ previousId: 2n ** 62n, finalId: 2n ** 62n + 1n }, 2n ** 62n + 2n),
    false,
    'ids beyond 2^53',
  )
})

test('chain: inside a connection only the previous id counts, overlap is a break', () => {
  const event = new DepthEvent()
  event.previousId = 10n
  event.firstId = 15n
  event.finalId = 20n
  assert.equal(BinanceUsdm.link(event, 10n), 'next')
  for (const id of [9n, 11n, 14n, 15n, 20n, 21n])
    assert.equal(BinanceUsdm.link(event, id), 'broken', String(id))
})

/** Depth events and snapshot of each symbol of one recording, in order; frames carry no recording, ids do. */
interface Joined {
  readonly snapshotId: bigint
  readonly events: DepthEvent[]
}

function joinedOf(snapshot: Recorded, depth: readonly Recorded[]): Joined {
  const into = new Snapshot()
  assert.ok(BinanceUsdm.snapshot.kind === 'rest')
  BinanceUsdm.snapshot.decode(snapshot.payload, 1000, into)
  const message = new Message()
  const events = depth
    .filter(({ symbol }) => symbol === snapshot.symbol)
    .map(({ payload, symbol }) => {
      BinanceUsdm.decode(payload, symbol, message)
      return message.depth.copy()
    })
    .filter((event) => event.finalId > into.id - 1_000_000n) // one symbol is in two recordings, months apart
  return { snapshotId: into.id, events }
}

test('join: real snapshots meet exactly one run of events, often by u == lastUpdateId, and U is no continuity', async (t) => {
  const { snapshots, depth } = await recordedFrames()
  const alts = snapshots.filter(({ symbol }) => symbol !== 'BTCUSDT')
  assert.equal(alts.length, 13)
  const count = { atFinal: 0, atPrevious: 0, gapInU: 0, events: 0 }
  for (const each of alts) {
    const { snapshotId, events } = joinedOf(each, depth)
    const first = events.findIndex((event) => event.finalId >= snapshotId)
    assert.ok(meets(events[first], snapshotId), each.symbol)
    assert.equal(first === 0 || !meets(events[first - 1], snapshotId), true)
    if (events[first].finalId === snapshotId) {
      count.atFinal++
      // where that event is dropped, the next one starts above the id by U, and still follows it by pu
      const next = events[first + 1]
      assert.equal(next.previousId, snapshotId)
      assert.equal(meets(next, snapshotId), true)
      assert.equal(BinanceUsdm.link(next, snapshotId), 'next')
      assert.ok(next.firstId > snapshotId, each.symbol)
      if (next.firstId > snapshotId + 1n) count.atPrevious++
    }
    for (let i = first + 1; i < events.length && events[i].finalId - snapshotId < 10n ** 10n; i++) {
      assert.equal(BinanceUsdm.link(events[i], events[i - 1].finalId), 'next', `${each.symbol} ${i}`)
      count.events++
      if (events[i].firstId > events[i].previousId + 1n) count.gapInU++
    }
  }
  t.diagnostic(JSON.stringify(count))
  assert.equal(count.atFinal, 5, 'joins with u == lastUpdateId')
  assert.ok(
    count.atPrevious > 0,
    "the next U is above lastUpdateId + 1: spot's rule would refuse a true join",
  )
  assert.ok(
    count.gapInU > count.events / 2,
    "spot's rule U == previous u + 1 would break most of a true chain",
  )
})
