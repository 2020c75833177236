import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { Allowance, Feed, FeedError, type FeedOptions } from '../../capture/feed/mod.ts'
import type { Input } from '../../capture/session/mod.ts'
import { keptLog, type LocalExchange, listingBody, reply, startExchange, until } from './local-exchange.ts'
import { ManualTime } from './manual-time.ts'
import { ask } from './memory-feed.ts'

const DEPTH = '/fapi/v1/depth'
const TIME = '/fapi/v1/time'
const LISTING = '/fapi/v1/exchangeInfo'

let exchange: LocalExchange
let time: ManualTime
let inputs: Input[]
let onInput: (input: Input) => void
let feed: Feed

beforeEach(async () => {
  exchange = await startExchange()
  time = new ManualTime()
  inputs = []
  onInput = () => {}
  feed = makeFeed()
})

afterEach(async () => {
  const left = feed.stop()
  await until(() => {
    time.advance(1_000)
    return time.waiting === 0
  }, 'no timer left after stop')
  await left
  await exchange.close()
})

function makeFeed(options: Partial<FeedOptions> = {}): Feed {
  return new Feed({
    exchange: exchangeByName('BinanceUsdm'),
    symbol: 'BTCUSDT',
    streams: ['books', 'trades'],
    endpoints: exchange.base,
    clock: time,
    timers: time,
    random: () => 1,
    log: keptLog(),
    onInput: (input) => {
      inputs.push(input)
      onInput(input)
    },
    ...options,
  })
}

function of<K extends Input['kind']>(kind: K): Extract<Input, { kind: K }>[] {
  return inputs.filter((input): input is Extract<Input, { kind: K }> => input.kind === kind)
}

/** Started: both sockets open, five clock samples, the listing, nothing on its way. */
async function started(): Promise<void> {
  feed.start()
  await until(
    () => of('opened').length === 2 && of('clock').length === 5 && of('listing').length === 1,
    'the start',
  )
}

const answered = (request: number) =>
  until(() => of('response').some((input) => input.request === request), `the response to ${request}`)

test('start: every route opens under a number of its own, the clock is sampled five times, the listing comes', async () => {
  exchange.answers.set(LISTING, (_, response) =>
    reply(response, listingBody('BTCUSDT', 'TRADING', 1_234), 77),
  )
  exchange.answers.set(TIME, (_, response) =>
    reply(response, JSON.stringify({ serverTime: time.wallUs() / 1000 - 40 }), 77),
  )
  await started()
  const opened = of('opened').map(({ connection, route }) => `${connection} ${route}`)
  assert.deepEqual(opened.map((line) => line.slice(0, 1)).sort(), ['1', '2'])
  assert.deepEqual(opened.map((line) => line.slice(2)).sort(), ['market', 'public'])
  assert.deepEqual(
    of('clock').map(({ offset, rtt }) => [offset, rtt]),
    Array(5).fill([40_000, 0]),
  )
  assert.deepEqual([of('listing')[0].status, of('listing')[0].word], ['trading', 'TRADING'])
  const status = feed.status()
  assert.deepEqual(
    [status.usedWeight, status.weightLimit, status.clock],
    [77, 1_234, { offsetMs: 40, ageMs: 0 }],
  )
  assert.deepEqual(
    status.routes.map(({ route, state, why }) => [route, state, why]),
    [
      ['public', 'open', ''],
      ['market', 'open', ''],
    ],
  )
})

test('stamps: receive time is taken as a message comes, and order is the order of coming', async () => {
  await started()
  const socket = exchange.sockets[0]
  const before = inputs.length
  for (let i = 0; i < 3; i++) {
    time.advance(7)
    socket.send(`frame ${i}`)
    await until(() => of('message').length === i + 1, 'the message')
  }
  const messages = of('message')
  assert.deepEqual(
    messages.map(({ payload }) => Buffer.from(payload).toString()),
    ['frame 0', 'frame 1', 'frame 2'],
  )
  assert.deepEqual(
    messages.map(({ received }) => received - messages[0].received),
    [0, 7_000, 14_000],
  )
  assert.deepEqual(inputs.slice(before), messages)
})

test('ticks: once a second with the distance to the wall clock, and a stall is told before its tick', async () => {
  await started()
  time.advance(1_000)
  time.stepWall(400)
  time.stall(4_500)
  time.advance(0)
  const beats = inputs.filter((input) => input.kind === 'tick' || input.kind === 'overload')
  assert.deepEqual(
    beats.map((input) => (input.kind === 'tick' ? input.wallDistance : input)),
    [0, { kind: 'overload', received: beats[1].received, stalledMs: 3_500, what: 'loop' }, 400_000],
  )
})

test('clock: after the start one sample a minute', async () => {
  await started()
  time.advance(60_000)
  await until(() => of('clock').length === 6, 'the sixth sample')
  time.advance(59_000)
  assert.equal(exchange.asked.filter((path) => path === TIME).length, 6)
  time.advance(1_000)
  await until(() => of('clock').length === 7, 'the seventh sample')
})

test('clock and listing: failures and nonsense are asked again, and give no input', async () => {
  let failures = 0
  for (const path of [TIME, LISTING]) {
    exchange.answers.set(path, (_, response) => {
      if (failures++ % 2 === 0) reply(response, 'oops', 1, 500)
      else reply(response, '{"no":"such answer"}')
    })
  }
  feed.start()
  await until(() => {
    time.advance(500)
    return failures >= 6
  }, 'six failures')
  assert.deepEqual([of('clock').length, of('listing').length], [0, 0])
  exchange.answers.clear()
  await until(() => {
    time.advance(500)
    return of('clock').length >= 5 && of('listing').length === 1
  }, 'recovery')
})

test('listing: a symbol that does not trade is asked for again after five minutes', async () => {
  exchange.answers.set(LISTING, (_, response) => reply(response, listingBody('BTCUSDT', 'SETTLING')))
  await started()
  assert.equal(of('listing')[0].status, 'not_trading')
  exchange.answers.delete(LISTING)
  time.advance(299_999)
  assert.equal(exchange.asked.filter((path) => path === LISTING).length, 1)
  time.advance(1)
  await until(() => of('listing').length === 2, 'the second listing')
  assert.equal(of('listing')[1].status, 'trading')
})

test('fetch: sent, then the response with status, weight and body', async () => {
  await started()
  exchange.answers.set(DEPTH, (_, response) => reply(response, '{"lastUpdateId":1}', 120))
  feed.fetch(ask({ id: 3 }))
  await answered(3)
  const [sent, response] = inputs.slice(-2)
  assert.deepEqual([sent.kind, response.kind], ['sent', 'response'])
  assert.ok(response.kind === 'response')
  assert.deepEqual(
    [response.request, response.status, response.usedWeight, response.retryAt, response.error],
    [3, 200, 120, 0, ''],
  )
  assert.equal(Buffer.from(response.body).toString(), '{"lastUpdateId":1}')
  assert.equal(exchange.asked.at(-1), '/fapi/v1/depth?symbol=BTCUSDT&limit=50')
})

test('fetch: a spread request waits for its share of the weight, a failed one the longer the more it failed', async () => {
  await started()
  feed.setShare(4)
  feed.fetch(ask({ id: 1, wait: 'share' }))
  time.advance(299)
  assert.equal(of('sent').length, 0)
  time.advance(1) // 3 others of weight 2 at 20 a second
  assert.equal(of('sent').length, 1)
  feed.fetch(ask({ id: 2, attempt: 4 }))
  time.advance(8_299) // what failed for one may have failed for all: its share again, besides 8 s
  assert.equal(of('sent').length, 1)
  time.advance(1)
  assert.equal(of('sent').length, 2)
  await answered(2)
})

test('weight: a costly request renews an old header first, and the header decides', async () => {
  await started()
  time.advance(3_000)
  const probes = exchange.asked.filter((path) => path === TIME).length
  exchange.answers.set(TIME, (_, response) =>
    reply(response, JSON.stringify({ serverTime: Date.now() }), 2_150),
  )
  feed.fetch(ask({ id: 9, limit: 1000 }))
  await until(() => of('refused').length === 1, 'the refusal')
  const [refused] = of('refused')
  assert.deepEqual([refused.request, refused.why], [9, 'weight'])
  assert.ok(refused.until > refused.received && refused.until < refused.received + 65_000_000)
  assert.equal(exchange.asked.filter((path) => path === TIME).length, probes + 1)
  assert.ok(!exchange.asked.some((path) => path.startsWith(DEPTH)))
  feed.fetch(ask({ id: 10 }))
  await answered(10)
})

test('weight: the rank decides how much may be used', async () => {
  await started()
  exchange.answers.set(DEPTH, (_, response) => reply(response, '{}', 1_500))
  feed.fetch(ask({ id: 1 }))
  await answered(1)
  feed.fetch(ask({ id: 2, rank: 'audit' }))
  await until(() => of('refused').length === 1, 'the refusal')
  assert.equal(of('refused')[0].request, 2)
  feed.fetch(ask({ id: 3, rank: 'proof' }))
  await answered(3)
})

for (const status of [429, 418]) {
  test(`limits: after ${status} nothing at all is sent before Retry-After`, async () => {
    const remembered: number[] = []
    const allowance = new Allowance({ clock: time, remember: (until) => remembered.push(until) })
    feed = makeFeed({ allowance })
    await started()
    exchange.answers.set(DEPTH, (_, response) => {
      response.setHeader('retry-after', '90')
      reply(response, '{}', 2_401, status)
    })
    feed.fetch(ask({ id: 1 }))
    await answered(1)
    const [response] = of('response')
    assert.equal(response.status, status)
    assert.ok(response.retryAt >= response.received + 90_000_000)
    assert.deepEqual(remembered, [time.wallUs() / 1000 + 90_000])
    exchange.answers.clear()
    const asked = exchange.asked.length
    feed.fetch(ask({ id: 2 }))
    await until(() => of('refused').length === 1, 'the refusal')
    assert.deepEqual(
      of('refused').map(({ request, why }) => [request, why]),
      [[2, 'rate_limited']],
    )
    for (const socket of exchange.sockets) socket.terminate()
    await until(() => of('closed').length === 2, 'the losses')
    for (let i = 0; i < 89; i++) {
      time.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal(exchange.asked.length, asked)
    assert.equal(exchange.sockets.length, 2)
    assert.notEqual(feed.status().pausedUntil, 0)
    time.advance(1_000)
    feed.fetch(ask({ id: 3 }))
    await answered(3)
    time.advance(10_000)
    await until(() => of('opened').length === 4, 'both routes again')
  })
}

test('limits: a pause that an earlier process was given holds for this one', async () => {
  const allowance = new Allowance({ clock: time, pausedUntilMs: time.wallUs() / 1000 + 20_000 })
  feed = makeFeed({ allowance })
  feed.start()
  feed.fetch(ask({ id: 1 }))
  await until(() => of('refused').length === 1, 'the refusal')
  assert.equal(of('refused')[0].why, 'rate_limited')
  time.advance(19_999)
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([exchange.asked.length, exchange.sockets.length], [0, 0])
  await until(() => {
    time.advance(100)
    return of('opened').length === 2 && of('listing').length === 1
  }, 'the start after the pause')
})

test('no re-entrance: what is asked for while an input is handled comes out after it', async () => {
  let depth = 0
  let deepest = 0
  feed.start()
  await until(() => of('opened').length === 2 && of('clock').length === 5, 'the start')
  onInput = (input) => {
    depth++
    deepest = Math.max(deepest, depth)
    if (input.kind === 'message') {
      feed.fetch(ask({ id: 1 }))
      feed.reconnect(input.connection, 'stale')
      assert.equal(inputs.at(-1), input)
    }
    depth--
  }
  exchange.sockets[0].send('frame')
  await answered(1)
  assert.equal(deepest, 1)
  const kinds = inputs.map((input) => input.kind)
  const at = kinds.indexOf('message')
  assert.deepEqual(kinds.slice(at, at + 3), ['message', 'sent', 'closed'])
})

test('reconnect: the connection is replaced under a new number', async () => {
  exchange.onSocket = (socket) => socket.send('data')
  await started()
  await until(() => of('message').length === 2, 'data on both')
  time.advance(5_000)
  const lost = of('opened')[0]
  feed.reconnect(lost.connection, 'stale')
  await until(() => of('opened').length === 3, 'the new connection')
  const [closed] = of('closed')
  assert.deepEqual([closed.connection, closed.code, closed.reason], [lost.connection, 1000, 'stale'])
  assert.deepEqual([of('opened')[2].connection, of('opened')[2].route], [3, lost.route])
})

test('stop: the closed of open sockets are the last inputs, also when it is called while one is handled', async () => {
  await started()
  exchange.answers.set(DEPTH, () => {})
  feed.fetch(ask({ id: 1 }))
  await until(() => exchange.asked.at(-1)?.startsWith(DEPTH) === true, 'the request')
  onInput = (input) => {
    if (input.kind !== 'tick') return
    feed.fetch(ask({ id: 2, limit: 5 }))
    void feed.stop()
  }
  time.advance(1_000)
  feed.fetch(ask({ id: 3, limit: 5 }))
  for (const socket of exchange.sockets) socket.send('late')
  const ended = () => exchange.sockets.every((socket) => socket.readyState === socket.CLOSED)
  await until(ended, 'both sockets to end')
  time.advance(600_000)
  const at = inputs.findIndex((input) => input.kind === 'tick')
  assert.deepEqual(
    inputs.slice(at + 1).map((input) => (input.kind === 'closed' ? [input.code, input.reason] : input.kind)),
    [
      [1000, 'stopped'],
      [1000, 'stopped'],
    ],
  )
  assert.equal(of('response').length, 0)
})

test('wrong calls: a share, endpoints or a second start that make no sense are told at once', async () => {
  const code = (wanted: string) => (error: unknown) => error instanceof FeedError && error.code === wanted
  assert.throws(() => makeFeed({ share: 0 }), code('ShareInvalid'))
  assert.throws(() => makeFeed({ endpoints: 'localhost' }), code('EndpointInvalid'))
  await started()
  assert.throws(() => feed.start(), code('FeedStarted'))
})
