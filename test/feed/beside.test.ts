import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { FeedError } from '../../capture/feed/mod.ts'
import { MemoryFeed } from './memory-feed.ts'

const STARTED = ['opened 1 public', 'opened 2 market']

let live: MemoryFeed

beforeEach(async () => {
  live = await new MemoryFeed().started()
})

afterEach(async () => {
  const left = live.feed.stop()
  await live.time.run(2_000)
  await left
  assert.equal(live.time.waiting, 0)
})

const since = () => live.connections.slice(STARTED.length)

/** The exchange's side of the public sockets, in order of opening. */
const publics = () => live.exchange.sockets.filter((socket) => socket.url.includes('/public/'))

async function besideOpened(): Promise<void> {
  live.feed.openBeside('public')
  await live.time.run(100)
  assert.deepEqual(since(), ['opened 3 public'])
}

test('beside: a second connection opens under a new number, both carry messages, and status tells their ages', async () => {
  assert.deepEqual(live.connections, STARTED)
  const before = live.feed.status().routes[0]
  await live.time.run(5_000)
  await besideOpened()
  for (const socket of publics()) socket.events.message(Buffer.from('frame'))
  assert.deepEqual(
    live
      .of('message')
      .slice(-2)
      .map((message) => message.connection),
    [1, 3],
  )
  const [route] = live.feed.status().routes
  assert.deepEqual(
    route.open.map(({ connection }) => connection),
    [1, 3],
  )
  assert.ok(route.open[1].since - route.open[0].since > 5_000_000)
  assert.deepEqual([route.state, route.since], ['open', before.since])
})

test('beside: at most two, and none where none is open', async () => {
  await besideOpened()
  live.feed.openBeside('public')
  await live.time.run(100)
  assert.equal(publics().length, 2)
  live.exchange.isUp = false
  for (const socket of publics()) live.exchange.cut(socket)
  const attempts = live.exchange.attemptsAtMs.length
  live.feed.openBeside('public')
  assert.equal(live.exchange.attemptsAtMs.length, attempts)
  assert.equal(live.log.lines.filter((line) => line.includes('no second connection is opened')).length, 2)
  assert.throws(
    () => live.feed.openBeside('spot'),
    (error: unknown) => error instanceof FeedError && error.code === 'RouteUnknown',
  )
})

test('beside: one that cannot be opened gives a line in the log, no input, and no further try', async () => {
  live.exchange.isUp = false
  live.feed.openBeside('public')
  await live.time.run(600_000)
  assert.deepEqual(since(), [])
  assert.equal(live.exchange.attemptsAtMs.length, 3)
  assert.ok(live.log.lines.some((line) => line.includes('not tried again by itself')))
  live.exchange.isUp = true
  await besideOpened()
})

test('beside: none is opened during a pause, and a refusal for coming too often begins one', async () => {
  live.exchange.opensByHand = true
  live.feed.openBeside('public')
  live.exchange.refuse(publics()[1], 'too many', 429, 90_000)
  assert.notEqual(live.feed.status().pausedUntil, 0)
  live.feed.openBeside('public')
  assert.equal(live.exchange.attemptsAtMs.length, 3)
})

test('beside: when the first is lost the second is the only one, and none is opened', async () => {
  await besideOpened()
  live.exchange.cut(publics()[0], 1001, 'a day is over')
  await live.time.run(60_000)
  assert.deepEqual(since(), ['opened 3 public', 'closed 1 1001 a day is over'])
  assert.deepEqual(
    live.feed.status().routes[0].open.map(({ connection }) => connection),
    [3],
  )
  live.exchange.cut(publics()[0])
  await live.time.run(60_000)
  assert.deepEqual(since().slice(2), ['closed 3 1006', 'opened 4 public'])
})

test('beside: when the first is lost while the second connects, that one is the route’s ordinary try, for ever', async () => {
  live.exchange.opensByHand = true
  live.feed.openBeside('public')
  live.exchange.cut(publics()[0])
  assert.deepEqual(since(), ['closed 1 1006'])
  assert.equal(live.exchange.attemptsAtMs.length, 3)
  live.exchange.refuse(publics()[0])
  live.exchange.opensByHand = false
  await live.time.run(60_000)
  assert.deepEqual(since(), ['closed 1 1006', 'opened 3 public'])
})

test('beside: when the second is lost the first goes on, and none is opened', async () => {
  await besideOpened()
  live.exchange.cut(publics()[1])
  await live.time.run(600_000)
  assert.deepEqual(since(), ['opened 3 public', 'closed 3 1006'])
  assert.equal(publics().length, 1)
})

for (const [method, connection, left] of [
  ['closeOne', 1, 3],
  ['closeOne', 3, 1],
  ['reconnect', 1, 3],
  ['reconnect', 3, 1],
] as const) {
  test(`beside: ${method} of connection ${connection} leaves ${left} alone on its route`, async () => {
    await besideOpened()
    live.feed[method](connection, 'taken over')
    live.feed[method](connection, 'taken over')
    await live.time.run(600_000)
    assert.deepEqual(since(), ['opened 3 public', `closed ${connection} 1000 taken over`])
    assert.deepEqual(
      live.feed.status().routes[0].open.map((own) => own.connection),
      [left],
    )
  })
}

test('beside: a route is never left without a connection, whichever way its last one is closed', async () => {
  live.feed.closeOne(1, 'taken over')
  await live.time.run(60_000)
  assert.deepEqual(since(), ['closed 1 1000 taken over', 'opened 3 public'])
})

test('beside: each has its own pings; the silent one alone is dropped, and said to be silent', async () => {
  await besideOpened()
  publics()[0].answers = false
  await live.time.run(60_000)
  assert.deepEqual(since(), ['opened 3 public', 'closed 1 1006 no pong silent'])
})

test('beside: stop closes both', async () => {
  await besideOpened()
  void live.feed.stop()
  assert.deepEqual(since().slice(1).sort(), [
    'closed 1 1000 stopped',
    'closed 2 1000 stopped',
    'closed 3 1000 stopped',
  ])
  live.feed.openBeside('public')
  await live.time.run(5_000)
  assert.equal(live.exchange.sockets.length, 0)
})
