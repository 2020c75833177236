import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { WebSocket } from 'ws'
import { Client, rest, until } from './client.ts'
import { ManualTime } from './core/mod.ts'
import { WEIGHT_A_MINUTE_MAX, WeightCounter } from './core/weight.ts'
import { type Sim, startSim } from './mod.ts'
import { VIRTUAL_START_MS } from './rig.ts'
import { parseStream } from './streams.ts'

const SYMBOLS = ['BTCUSDT', 'ETHUSDT', 'DENTUSDT']
let sim: Sim

before(async () => {
  sim = await startSim({ seed: 1, symbols: SYMBOLS, rate: 400 })
})
after(() => sim.stop())

test('combined frames carry the name under which the client subscribed; bare ones only the payload', async () => {
  const combined = await Client.combined(sim.endpoints, 'public', [
    'btcusdt@depth@100ms',
    'ethusdt@depth@0ms',
  ])
  const bare = await Client.open(sim.endpoints, '/public/ws/btcusdt@depth@100ms')
  await until('both flow', () => combined.frames.length > 20 && bare.frames.length > 2)
  assert.ok(combined.data('btcusdt@depth@100ms').length > 0)
  assert.ok(combined.data('ethusdt@depth@0ms').length > 0)
  for (const frame of bare.data()) assert.equal(frame.e, 'depthUpdate')
})

test('each stream flows on its own route and is accepted in silence on the other', async () => {
  const names = {
    public: ['btcusdt@depth@100ms', 'btcusdt@bookTicker'],
    market: ['btcusdt@aggTrade', 'btcusdt@markPrice@1s'],
  }
  const right = await Promise.all([
    Client.combined(sim.endpoints, 'public', names.public),
    Client.combined(sim.endpoints, 'market', names.market),
  ])
  const wrong = await Promise.all([
    Client.combined(sim.endpoints, 'public', names.market),
    Client.combined(sim.endpoints, 'market', names.public),
    Client.combined(sim.endpoints, 'public', ['xyzusdt@depth@100ms', 'BTCUSDT@depth@100ms', 'nonsense']),
  ])
  await until('all four flow', () =>
    right.every((client, index) =>
      (index === 0 ? names.public : names.market).every((name) => client.data(name).length > 0),
    ),
  )
  for (const client of wrong) {
    await client.settled()
    assert.equal(client.frames.length, 0)
    assert.equal(client.code, undefined)
  }
})

test('SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS are answered and obeyed', async () => {
  const client = await Client.open(sim.endpoints, '/market/stream')
  const names = ['btcusdt@aggTrade', 'btcusdt@depth@100ms']
  assert.deepEqual(await client.ask({ method: 'SUBSCRIBE', params: names, id: 1 }), { result: null, id: 1 })
  await until('trades flow', () => client.data('btcusdt@aggTrade').length > 0)
  assert.equal(client.data('btcusdt@depth@100ms').length, 0, 'acknowledged on the wrong route, and silent')
  assert.deepEqual(await client.ask({ method: 'LIST_SUBSCRIPTIONS', id: 2 }), { result: names, id: 2 })
  const answer = await client.ask({ method: 'UNSUBSCRIBE', params: names, id: 3 })
  assert.deepEqual(answer, { result: null, id: 3 })
  const count = client.data('btcusdt@aggTrade').length
  const other = await Client.combined(sim.endpoints, 'market', ['btcusdt@aggTrade'])
  await until('others still get trades', () => other.frames.length > 3)
  await client.settled()
  assert.equal(client.data('btcusdt@aggTrade').length, count)
})

test('wrong messages are refused with an error, an eleventh in a second ends the connection', async () => {
  const client = await Client.open(sim.endpoints, '/public/stream')
  client.socket.send('{')
  await until('a refusal', () => client.frames.length === 1)
  assert.deepEqual(
    client.data().map((frame) => (frame.error as { code: number }).code),
    [3],
  )
  const odd = (await client.ask({ method: 'SING', id: 5 })) as { error: { code: number } }
  assert.equal(odd.error.code, 2)
  for (let count = 0; count < 25; count++) client.socket.send('{"method":"LIST_SUBSCRIPTIONS","id":9}')
  await until('the connection ends', () => client.code !== undefined)
  assert.equal(client.code, 1008)
})

test('a path that does not exist is refused at the handshake', async () => {
  for (const path of ['/ws/btcusdt@depth', '/private/ws/x', '/public/stream/x', '/public/ws/%E0%A4%A']) {
    const socket = new WebSocket(sim.endpoints.replace('http', 'ws') + path)
    const status = await new Promise((done) => {
      socket.once('unexpected-response', (_request, response) => done(response.statusCode))
      socket.once('error', done)
      socket.once('open', () => done('open'))
    })
    assert.equal(status, 404, path)
  }
})

test('the server pings, ends a mute connection, and ends every one after its lifetime', async () => {
  const time = new ManualTime(VIRTUAL_START_MS)
  const sockets = { pingEveryMs: 180_000, pongWithinMs: 600_000, lifetimeMs: 3_500_000 }
  const short = await startSim({ time, seed: 1, symbols: ['BTCUSDT'], rate: 1, sockets })
  const client = await Client.open(short.endpoints, '/public/ws/btcusdt@depth')
  const mute = await Client.open(short.endpoints, '/public/stream', { autoPong: false })
  const pingsMax = Math.floor(sockets.lifetimeMs / sockets.pingEveryMs)
  const pingsInVain = Math.floor(sockets.pongWithinMs / sockets.pingEveryMs)
  for (let pings = 1; pings <= pingsMax; pings++) {
    time.advance(sockets.pingEveryMs)
    await until(`ping ${pings}`, () => client.pings === pings)
    // what the client sends now comes behind its pong
    await client.settled()
    if (pings <= pingsInVain) await until(`ping ${pings} in vain`, () => mute.pings === pings)
    else await until('the end of the mute one', () => mute.code !== undefined)
    assert.equal(client.code, undefined)
  }
  assert.deepEqual([mute.code, mute.pings], [1006, pingsInVain])
  time.advance(sockets.lifetimeMs - pingsMax * sockets.pingEveryMs - 1)
  await client.settled()
  assert.equal(client.code, undefined)
  time.advance(1)
  await until('its end', () => client.code !== undefined)
  assert.deepEqual([client.code, client.pings], [1001, pingsMax])
  await short.stop()
})

test('REST: limits, symbols and paths are checked with the exchange’s own errors', async () => {
  const cases: [string, number, number][] = [
    ['/fapi/v1/depth?symbol=BTCUSDT&limit=7', 400, -4021],
    ['/fapi/v1/depth?symbol=NOPEUSDT&limit=5', 400, -1121],
    ['/fapi/v1/depth?limit=5', 400, -1102],
    ['/fapi/v1/aggTrades?symbol=NOPEUSDT', 400, -1121],
    ['/fapi/v1/aggTrades?symbol=BTCUSDT&limit=x', 400, -1130],
    ['/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=x', 400, -1130],
    ['/fapi/v1/nothing', 404, -1000],
  ]
  for (const [path, status, code] of cases) {
    const answer = await rest(sim.endpoints, path)
    assert.equal(answer.status, status, path)
    assert.equal(answer.body.code, code, path)
    assert.equal(typeof answer.body.msg, 'string')
  }
})

test('REST: each limit gives so many levels a side and costs its weight', async () => {
  const weights = { 5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20 }
  const used = (answer: { headers: Headers }) => Number(answer.headers.get('x-mbx-used-weight-1m'))
  // its minute does not turn
  const still = await startSim({ time: new ManualTime(VIRTUAL_START_MS), seed: 1, symbols: ['ETHUSDT'] })
  for (const [limit, weight] of Object.entries(weights)) {
    const before = used(await rest(still.endpoints, '/fapi/v1/time'))
    const answer = await rest(still.endpoints, `/fapi/v1/depth?symbol=ETHUSDT&limit=${limit}`)
    assert.equal((answer.body.bids as unknown[]).length, Number(limit))
    assert.equal((answer.body.asks as unknown[]).length, Number(limit))
    assert.equal(used(answer) - before, weight, `limit ${limit}`)
  }
  await still.stop()
})

test('REST: hosts whose address begins with what is named are told another time, the others are not', async (context) => {
  const one = await startSim({ seed: 1, symbols: SYMBOLS })
  context.after(() => one.stop())
  const offsetMs = async () => {
    const { body } = await rest(one.endpoints, '/fapi/v1/time')
    return Number(body['serverTime']) - Date.now()
  }
  one.skewFor('127.0.1.', 60_000)
  assert.ok(Math.abs(await offsetMs()) < 10_000)
  one.skewFor('127.0.0.', 60_000)
  assert.ok(Math.abs((await offsetMs()) - 60_000) < 10_000)
  one.skewFor('127.0.0.', 0)
  assert.ok(Math.abs(await offsetMs()) < 10_000)
})

test('REST: time is the machine’s clock plus the skew; exchangeInfo lists the symbols and the limit', async () => {
  const skewMs = 90_000
  const skewed = await startSim({ seed: 1, symbols: SYMBOLS, skewMs })
  const before = Date.now()
  const { body } = await rest(skewed.endpoints, '/fapi/v1/time')
  const serverTime = Number(body.serverTime)
  assert.ok(serverTime >= before + skewMs && serverTime <= Date.now() + skewMs)
  const info = (await rest(skewed.endpoints, '/fapi/v1/exchangeInfo')).body
  const symbols = info.symbols as Record<string, unknown>[]
  assert.deepEqual(
    symbols.map(({ symbol, status, contractType, pricePrecision }) => [
      symbol,
      status,
      contractType,
      pricePrecision,
    ]),
    [
      ['BTCUSDT', 'TRADING', 'PERPETUAL', 2],
      ['ETHUSDT', 'TRADING', 'PERPETUAL', 2],
      ['DENTUSDT', 'TRADING', 'PERPETUAL', 6],
    ],
  )
  const limit = (info.rateLimits as Record<string, unknown>[]).find(
    (row) => row.rateLimitType === 'REQUEST_WEIGHT',
  )
  assert.deepEqual(limit, {
    rateLimitType: 'REQUEST_WEIGHT',
    interval: 'MINUTE',
    intervalNum: 1,
    limit: 2400,
  })
  await skewed.stop()
})

test('REST: beyond the weight of a minute the answer is 429 with Retry-After', async () => {
  const busy = await startSim({ time: new ManualTime(VIRTUAL_START_MS), seed: 1, symbols: ['BTCUSDT'] })
  const asks = Array.from({ length: 130 }, () => rest(busy.endpoints, '/fapi/v1/aggTrades?symbol=BTCUSDT'))
  const statuses = (await Promise.all(asks)).map((answer) => answer.status)
  assert.equal(statuses.filter((status) => status === 200).length, 120)
  const refused = await rest(busy.endpoints, '/fapi/v1/time')
  assert.equal(refused.status, 429)
  assert.equal(refused.body.code, -1003)
  const retry = Number(refused.headers.get('retry-after'))
  assert.ok(retry >= 1 && retry <= 60)
  await busy.stop()
})

test('weight: counted by minutes of the clock, refused ones too', () => {
  let now = 60_000 * 1000 + 15_000
  const counter = new WeightCounter(() => now)
  assert.deepEqual(counter.take(WEIGHT_A_MINUTE_MAX), { used: 2400, retryAfterSeconds: 0 })
  assert.deepEqual(counter.take(1), { used: 2401, retryAfterSeconds: 45 })
  now += 45_000
  assert.equal(counter.used(), 0)
  assert.deepEqual(counter.take(20), { used: 20, retryAfterSeconds: 0 })
})

test('stream names: symbol, channel, interval and route', () => {
  const stream = parseStream('btcusdt@depth@500ms')
  assert.deepEqual(
    [stream?.symbol, stream?.channel, stream?.everyMs, stream?.route],
    ['BTCUSDT', 'depth', 500, 'public'],
  )
  assert.equal(parseStream('btcusdt@depth')?.everyMs, 250)
  assert.equal(parseStream('btcusdt@markPrice')?.everyMs, 3000)
  assert.equal(parseStream('币安人生usdt@aggTrade')?.symbol, '币安人生USDT')
  assert.equal(parseStream('btcusdt@constructor')?.channel, 'other')
  assert.equal(parseStream('BTCUSDT@depth'), undefined)
  assert.equal(parseStream('depth'), undefined)
})
