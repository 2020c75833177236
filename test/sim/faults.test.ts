import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Client, recordingPath, rest, until, untilLater, withoutRecordings } from './client.ts'
import { ManualTime } from './core/mod.ts'
import { parseFaults } from './faults/mod.ts'
import { type Sim, type SimOptions, startSim } from './mod.ts'
import { VIRTUAL_START_MS } from './rig.ts'

const skip = withoutRecordings()
const sims: Sim[] = []
async function start(options: SimOptions): Promise<Sim> {
  const sim = await startSim(options)
  sims.push(sim)
  return sim
}
after(async () => {
  for (const sim of sims) await sim.stop()
})

const fired = (sim: Sim) => sim.events.filter((event) => event.event === 'fault')
const ids = (client: Client, stream: string) =>
  client.data(stream).map(({ pu, u }) => [BigInt(Number(pu)), BigInt(Number(u))])

test('generated: two connections hold true chains, cut at different ids, and REST is the true book at its id', async () => {
  const time = new ManualTime(VIRTUAL_START_MS)
  const sim = await start({ time, seed: 21, symbols: ['ETHUSDT'], rate: 2000, endAfterMs: 1500 })
  const stream = 'ethusdt@depth@100ms'
  const clients = await Promise.all([1, 2].map(() => Client.combined(sim.endpoints, 'public', [stream])))
  await untilLater(time, 'both flow', () => clients.every((client) => client.frames.length > 2))
  const inside = await rest(sim.endpoints, '/fapi/v1/depth?symbol=ETHUSDT&limit=1000')
  await untilLater(time, 'the market ends', () => sim.events.some((event) => event.event === 'end'))
  for (const client of clients) await client.settled()
  const [one, other] = clients.map((client) => ids(client, stream))
  assert.ok(one !== undefined && other !== undefined)
  for (const chain of [one, other]) {
    assert.ok(chain.length > 10)
    for (let at = 1; at < chain.length; at++) assert.equal(chain[at]?.[0], chain[at - 1]?.[1])
  }
  assert.notDeepEqual(one.slice(0, -1), other.slice(0, -1))
  assert.deepEqual(one.at(-1)?.[1], other.at(-1)?.[1], 'at its end the market sends all that is pending')
  const emitted = sim.emitted('ETHUSDT')
  assert.equal(emitted.batches.length, one.length + other.length)
  const snapshotId = BigInt(Number(inside.body.lastUpdateId))
  assert.ok(snapshotId >= (one[0]?.[0] ?? 0n) && snapshotId <= (one.at(-1)?.[1] ?? 0n))
  const truth = sim.bookAt('ETHUSDT', snapshotId)
  assert.deepEqual(inside.body.bids, truth.bids.slice(0, 1000))
  assert.deepEqual(inside.body.asks, truth.asks.slice(0, 1000))
  joinsToTruth(sim, inside.body, clients[0]?.data(stream) ?? [])
})

/** Replays one connection's events on a snapshot and compares with the truth inside the snapshot's reach. */
function joinsToTruth(sim: Sim, snapshot: Record<string, unknown>, events: Record<string, unknown>[]): void {
  const sides = {
    b: new Map(snapshot.bids as [string, string][]),
    a: new Map(snapshot.asks as [string, string][]),
  }
  const reach = { b: Number([...sides.b].at(-1)?.[0]), a: Number([...sides.a].at(-1)?.[0]) }
  let at = Number(snapshot.lastUpdateId)
  for (const event of events.filter(({ u }) => Number(u) >= at)) {
    assert.ok(Number(event.pu) <= at)
    for (const side of ['b', 'a'] as const) {
      for (const [price, qty] of event[side] as [string, string][]) {
        if (Number(qty) === 0) sides[side].delete(price)
        else sides[side].set(price, qty)
      }
    }
    at = Number(event.u)
  }
  const truth = sim.bookAt('ETHUSDT', BigInt(at))
  const bids = [...sides.b]
    .filter(([price]) => Number(price) >= reach.b)
    .sort((x, y) => Number(y[0]) - Number(x[0]))
  const asks = [...sides.a]
    .filter(([price]) => Number(price) <= reach.a)
    .sort((x, y) => Number(x[0]) - Number(y[0]))
  assert.deepEqual(
    bids,
    truth.bids.filter(([price]) => Number(price) >= reach.b),
  )
  assert.deepEqual(
    asks,
    truth.asks.filter(([price]) => Number(price) <= reach.a),
  )
}

test('generated: trades are contiguous by a, marks fall on whole seconds, bookTicker is the true touch', async () => {
  const time = new ManualTime(VIRTUAL_START_MS)
  const sim = await start({ time, seed: 22, symbols: ['DENTUSDT'], rate: 1000, endAfterMs: 1200 })
  const market = await Client.combined(sim.endpoints, 'market', [
    'dentusdt@aggTrade',
    'dentusdt@markPrice@1s',
  ])
  const open = await Client.combined(sim.endpoints, 'public', ['dentusdt@bookTicker'])
  await untilLater(time, 'the market ends', () => sim.events.some((event) => event.event === 'end'))
  for (const client of [market, open]) await client.settled()
  const trades = market.data('dentusdt@aggTrade').map(({ a }) => Number(a))
  assert.ok(trades.length > 20)
  assert.deepEqual(
    trades,
    trades.map((_, index) => (trades[0] ?? 0) + index),
  )
  const emitted = sim.emitted('DENTUSDT').tradeIds
  assert.deepEqual(emitted.slice(-trades.length), trades.map(BigInt))
  const marks = market.data('dentusdt@markPrice@1s')
  assert.ok(marks.length >= 1)
  for (const mark of marks) assert.equal(Number(mark.E) % 1000, 0)
  const tickers = open.data('dentusdt@bookTicker')
  assert.ok(tickers.length > 10)
  for (const { u, b, B, a, A } of tickers.slice(0, 20)) {
    const { bids, asks } = sim.bookAt('DENTUSDT', BigInt(Number(u)))
    assert.deepEqual(
      [bids[0], asks[0]],
      [
        [b, B],
        [a, A],
      ],
    )
  }
})

test('drop: one batch is not sent, the chain shows it, it is announced with its id, and the truth goes on', async () => {
  const faults = parseFaults('drop:ETHUSDT@0.3')
  const time = new ManualTime(VIRTUAL_START_MS)
  const sim = await start({ time, seed: 23, symbols: ['ETHUSDT'], faults, endAfterMs: 1200 })
  const client = await Client.combined(sim.endpoints, 'public', ['ethusdt@depth@100ms'])
  await untilLater(time, 'the market ends', () => sim.events.some((event) => event.event === 'end'))
  await client.settled()
  const chain = ids(client, 'ethusdt@depth@100ms')
  const breaks = chain.filter(([pu], at) => at > 0 && pu !== chain[at - 1]?.[1])
  assert.equal(breaks.length, 1)
  const [event, ...more] = fired(sim)
  assert.equal(more.length, 0)
  assert.deepEqual(event, { event: 'fault', kind: 'drop', symbol: 'ETHUSDT', id: String(breaks[0]?.[0]) })
  const { batches } = sim.emitted('ETHUSDT')
  assert.deepEqual(
    batches.filter((batch) => !batch.sent).map((batch) => batch.lastId),
    [breaks[0]?.[0]],
  )
  assert.equal(batches.length, chain.length + 1)
})

test('cut: the symbol’s sockets end without a close frame, others stay', async () => {
  const faults = parseFaults('cut:BTCUSDT@0.2,cut:ETHUSDT/market@0.2')
  const time = new ManualTime(VIRTUAL_START_MS)
  const sim = await start({ time, seed: 24, symbols: ['BTCUSDT', 'ETHUSDT'], faults })
  const open = (route: 'public' | 'market', stream: string) => Client.combined(sim.endpoints, route, [stream])
  const [btcDepth, btcTrades, ethDepth, ethTrades] = await Promise.all([
    open('public', 'btcusdt@depth@100ms'),
    open('market', 'btcusdt@aggTrade'),
    open('public', 'ethusdt@depth@100ms'),
    open('market', 'ethusdt@aggTrade'),
  ])
  await untilLater(time, 'both cuts', () => fired(sim).length === 2)
  await until('both sockets are gone', () => btcDepth.code !== undefined && ethTrades.code !== undefined)
  assert.deepEqual([btcDepth.code, ethTrades.code], [1006, 1006])
  const last = ids(btcDepth, 'btcusdt@depth@100ms').at(-1)?.[1]
  const event = fired(sim).find((fault) => fault.symbol === 'BTCUSDT')
  assert.deepEqual(event, { event: 'fault', kind: 'cut', symbol: 'BTCUSDT', id: String(last) })
  const counts = [btcTrades.frames.length, ethDepth.frames.length]
  await untilLater(
    time,
    'the others flow on',
    () => btcTrades.frames.length > (counts[0] ?? 0) && ethDepth.frames.length > (counts[1] ?? 0),
  )
})

test('recorded: a dropped frame is missing, all others are there, and the served book has it', {
  skip,
}, async () => {
  const time = new ManualTime(VIRTUAL_START_MS)
  const sim = await start({
    time,
    recording: recordingPath('alts-2021-07-22'),
    speed: 100,
    faults: parseFaults('drop:SUSHIUSDT@0.1'),
  })
  const client = await Client.combined(sim.endpoints, 'public', ['sushiusdt@depth@100ms'])
  await untilLater(time, 'the timeline ends', () => sim.events.some((event) => event.event === 'end'))
  await client.settled()
  const [event] = fired(sim)
  const all = sim.emitted('SUSHIUSDT').depthIds
  const got = ids(client, 'sushiusdt@depth@100ms')
  assert.deepEqual(
    got,
    all.filter(([, u]) => String(u) !== event?.id),
  )
  assert.equal(got.length, all.length - 1)
  const clean = await start({ recording: recordingPath('alts-2021-07-22'), speed: 1e6 })
  await Client.combined(clean.endpoints, 'public', ['sushiusdt@depth@100ms'])
  await until('the clean one ends', () => clean.events.some((other) => other.event === 'end'))
  const dropped = BigInt(event?.id ?? 0)
  assert.deepEqual(sim.bookAt('SUSHIUSDT', dropped), clean.bookAt('SUSHIUSDT', dropped))
  const served = await rest(sim.endpoints, '/fapi/v1/depth?symbol=SUSHIUSDT&limit=100')
  const truth = clean.bookAt('SUSHIUSDT', all.at(-1)?.[1] ?? 0n)
  assert.deepEqual(served.body.bids, truth.bids.slice(0, 100))
})

test('inject: a fault fires at once, and waits for someone to feel it', async () => {
  const sim = await start({ seed: 25, symbols: ['BTCUSDT'] })
  sim.inject('drop:BTCUSDT@0,cut:BTCUSDT@0')
  assert.equal(fired(sim).length, 0)
  const client = await Client.combined(sim.endpoints, 'public', ['btcusdt@depth@100ms'])
  await until('both fire', () => fired(sim).length === 2)
  await until('the socket is gone', () => client.code === 1006)
  assert.throws(() => sim.inject('drop:XRPUSDT@0'), { code: 'wrong_call' })
})

test('lift: what lasts ends at once, what waits never acts; faults of others stay', async () => {
  const sim = await start({ seed: 27, symbols: ['BTCUSDT', 'ETHUSDT'] })
  const [btc, eth] = ['btcusdt@depth@100ms', 'ethusdt@depth@100ms']
  const client = await Client.combined(sim.endpoints, 'public', [btc, eth])
  sim.inject('silence_depth:BTCUSDT@0+600,empty_side:BTCUSDT@0+600,silence_depth:ETHUSDT@0+600')
  await until('both are silent', () => sim.fired.silence_depth === 2)
  const book = await rest(sim.endpoints, '/fapi/v1/depth?symbol=BTCUSDT&limit=5')
  assert.deepEqual(book.body.asks, [])
  const heard = client.data(eth).length
  sim.inject('cut:BTCUSDT/market@0')
  sim.lift('BTCUSDT')
  const before = client.data(btc).length
  await until('depth flows again', () => client.data(btc).length > before)
  const healed = await rest(sim.endpoints, '/fapi/v1/depth?symbol=BTCUSDT&limit=5')
  assert.notDeepEqual(healed.body.asks, [])
  assert.equal(client.data(eth).length, heard)
  const market = await Client.combined(sim.endpoints, 'market', ['btcusdt@aggTrade'])
  await until('trades flow', () => market.frames.length > 0)
  assert.equal(sim.fired.cut, 0)
})

test('faults: the list is read, and each mistake is named', () => {
  assert.deepEqual(
    parseFaults(
      'drop:ETHUSDT@8, cut:BTCUSDT/market@1.5,skew:*=-750@3,silence:X/market@1+60,rest_5xx:X/any=503@2',
    ),
    [
      { kind: 'drop', symbol: 'ETHUSDT', route: 'public', afterMs: 8000 },
      { kind: 'cut', symbol: 'BTCUSDT', route: 'market', afterMs: 1500 },
      { kind: 'skew', symbol: '*', route: 'any', afterMs: 3000, value: -750 },
      { kind: 'silence', symbol: 'X', route: 'market', afterMs: 1000, durationMs: 60_000 },
      { kind: 'rest_5xx', symbol: 'X', route: 'any', afterMs: 2000, value: 503 },
    ],
  )
  assert.deepEqual(parseFaults(''), [])
  for (const text of [
    'drop',
    'drop:X',
    'drop:X@',
    'melt:X@1',
    'toString:X@1',
    'drop:X/market@1',
    'drop:X=3@1',
    'cut:X/private@1',
    'silence_mark:X/market@1',
    'silence:X@1+',
  ]) {
    assert.throws(() => parseFaults(text), { code: 'wrong_call' }, text)
  }
})

test('faults: what a recording cannot do is refused', { skip }, async () => {
  const sim = await start({ recording: recordingPath('alts-2021-07-22'), speed: 1000 })
  assert.throws(() => sim.inject('empty_side:SUSHIUSDT@0'), { code: 'wrong_call' })
  sim.inject('garbage:SUSHIUSDT@0')
})
