import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { Allowance } from '../../capture/feed/allowance.ts'
import { Attempts } from '../../capture/feed/attempts.ts'
import { nodeSocket } from '../../capture/feed/mod.ts'
import { RouteSocket } from '../../capture/feed/socket.ts'
import { randomPort } from '../s3/ports.ts'
import { keptLog, type LocalExchange, startExchange, until } from './local-exchange.ts'
import { ManualTime } from './manual-time.ts'

const MESSAGE_BYTES_MAX = 1_000

let exchange: LocalExchange
let time: ManualTime
let route: RouteSocket
let seen: string[]
let pausedMs: number

beforeEach(async () => {
  exchange = await startExchange()
  time = new ManualTime()
  seen = []
  pausedMs = 0
  route = makeRoute(exchange.base)
})

afterEach(async () => {
  const left = route.stop()
  await until(() => {
    time.advance(1_000)
    return time.waiting === 0
  }, 'no timer left after stop')
  await left
  await exchange.close()
})

function makeRoute(base: string, hello: string[] = []): RouteSocket {
  let last = 0
  return new RouteSocket({
    route: 'public',
    url: `${base.replace('http', 'ws')}/public/stream?streams=btcusdt@depth@100ms`,
    hello,
    messageBytesMax: MESSAGE_BYTES_MAX,
    clock: time,
    timers: time,
    random: () => 1,
    openSocket: nodeSocket,
    carriesBook: true,
    attempts: new Attempts(time, () => 2, new Allowance({ clock: time })),
    log: keptLog(),
    nowUs: () => time.wallUs(),
    share: () => 2,
    nextConnection: () => ++last,
    pausedMs: () => pausedMs,
    events: {
      opened: (connection, name) => seen.push(`opened ${connection} ${name}`),
      message: (connection, payload) => seen.push(`message ${connection} ${Buffer.from(payload).toString()}`),
      closed: (connection, { code, reason, silent }) =>
        seen.push(`closed ${connection} ${code} ${reason}${silent ? ' (silent)' : ''}`),
      limited: (status, retryAfterMs) => {
        seen.push(`limited ${status} ${retryAfterMs}`)
        pausedMs = retryAfterMs
      },
    },
  })
}

const isOpen = (connection: number) => route.status().open.some((own) => own.connection === connection)
const opened = (connection: number) => until(() => isOpen(connection), `connection ${connection}`)

test('socket: opened, then every message as sent, text and binary, then closed once with code and reason', async () => {
  exchange.onSocket = (socket, path) => {
    socket.send(path)
    socket.send(Buffer.from('binary'))
    socket.close(1001, 'going away')
  }
  route.start()
  await until(() => seen.length >= 4, 'the end of the connection')
  assert.deepEqual(seen.slice(0, 4), [
    'opened 1 public',
    'message 1 /public/stream?streams=btcusdt@depth@100ms',
    'message 1 binary',
    'closed 1 1001 going away',
  ])
})

test('socket: messages of greeting go out once it is open', async () => {
  const heard: string[] = []
  exchange.onSocket = (socket) => socket.on('message', (data) => heard.push(String(data)))
  route = makeRoute(exchange.base, ['{"op":"subscribe"}'])
  route.start()
  await until(() => heard.length === 1, 'the greeting')
  assert.deepEqual(heard, ['{"op":"subscribe"}'])
})

test('back-off: a loss after data is followed by a try at once', async () => {
  exchange.onSocket = (socket) => socket.send('data')
  route.start()
  await until(() => seen.includes('message 1 data'), 'data')
  time.advance(9_000)
  exchange.sockets[0].terminate()
  await opened(2)
  assert.equal(time.monotonicUs(), 9_000_000)
  assert.equal(seen.filter((line) => line.startsWith('closed 1 1006')).length, 1)
})

test('back-off: it grows while connects succeed without data, and data resets it', async () => {
  const waits: number[] = []
  route.start()
  for (let connection = 1; connection <= 4; connection++) {
    await opened(connection)
    exchange.sockets[connection - 1].terminate()
    await until(() => route.status().state === 'connecting', 'the loss')
    waits.push(time.nextMs)
    time.advance(time.nextMs)
  }
  // bound: 1 s doubling, plus 2.5 s for each of two symbols; the test's random number takes all of it
  assert.deepEqual(waits, [6_000, 7_000, 9_000, 13_000])
  await opened(5)
  exchange.sockets[4].send('data')
  await until(() => seen.includes('message 5 data'), 'data')
  time.advance(6_000)
  exchange.sockets[4].terminate()
  await opened(6)
  exchange.sockets[5].terminate()
  await until(() => route.status().state === 'connecting', 'the loss')
  assert.equal(time.nextMs, 6_000)
})

test('ping: a peer that answers stays connected', async () => {
  route.start()
  await opened(1)
  for (let pings = 1; pings <= 3; pings++) {
    const answered = new Promise((resolve) => exchange.sockets[0].once('ping', resolve))
    time.advance(10_000)
    await answered
    // the answer was sent before this message, so it is there when the message is
    exchange.sockets[0].send(`after ping ${pings}`)
    await until(() => seen.includes(`message 1 after ping ${pings}`), 'the message')
  }
  assert.ok(isOpen(1))
})

test('ping: a half-open socket is dropped when its pong does not come within 10 s', async () => {
  route.start()
  await opened(1)
  exchange.freeze()
  time.advance(10_000)
  assert.deepEqual(seen, ['opened 1 public'])
  time.advance(10_000)
  assert.deepEqual(seen, ['opened 1 public', 'closed 1 1006 no pong (silent)'])
  assert.equal(route.status().why, 'no pong')
  time.advance(time.nextMs)
  await opened(2)
})

test('ping: our own stall is no evidence against the peer', async () => {
  route.start()
  await opened(1)
  exchange.freeze()
  time.advance(10_000)
  time.stall(25_000)
  time.advance(0)
  assert.ok(isOpen(1))
  time.advance(10_000)
  assert.equal(seen[1], 'closed 1 1006 no pong (silent)')
})

test('oversized: a message beyond the limit ends its connection, with the reason, and a new one opens', async () => {
  route.start()
  await opened(1)
  exchange.sockets[0].send('x'.repeat(MESSAGE_BYTES_MAX + 1))
  await until(() => seen.length === 2, 'the end of the connection')
  assert.match(seen[1], /^closed 1 1006 .*payload/i)
  time.advance(time.nextMs)
  await opened(2)
  exchange.sockets[1].send('x'.repeat(MESSAGE_BYTES_MAX))
  await until(() => seen.length === 4, 'a message at the limit')
})

test('refused: it is counted and tried for ever, and opens when the exchange is back', async () => {
  await exchange.close()
  const port = randomPort()
  route = makeRoute(`http://127.0.0.1:${port}`)
  route.start()
  for (let failures = 1; failures <= 8; failures++) {
    await until(() => route.status().failures === failures, `failure ${failures}`)
    assert.ok(time.nextMs <= 65_000)
    time.advance(time.nextMs)
  }
  await until(() => route.status().failures === 9, 'the last failure')
  assert.match(route.status().why, /ECONNREFUSED/)
  assert.equal(route.status().state, 'connecting')
  assert.deepEqual(seen, [])
  exchange = await startExchange(port)
  time.advance(time.nextMs)
  await opened(1)
})

test('limited: a handshake answered with 429 tells Retry-After, and no try comes before it', async () => {
  exchange.refusal = 'HTTP/1.1 429 Too Many Requests\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n'
  route.start()
  await until(() => seen.length === 1, 'the refusal')
  assert.deepEqual(seen, ['limited 429 30000'])
  assert.match(route.status().why, /429/)
  assert.ok(time.nextMs >= 30_000)
  pausedMs = 0
  exchange.refusal = ''
  time.advance(time.nextMs)
  await opened(1)
})

test('no address: an unusable URL is a failure like any other', () => {
  route = makeRoute('nonsense')
  route.start()
  assert.equal(route.status().failures, 1)
  assert.notEqual(route.status().why, '')
})

test('reconnect: closes the named connection in order and opens another; a name that is gone does nothing', async () => {
  const codes: number[] = []
  exchange.onSocket = (socket) => socket.on('close', (code) => codes.push(code))
  route.start()
  await opened(1)
  assert.equal(route.close(7, 'stale'), false)
  assert.equal(route.close(1, 'stale'), true)
  assert.equal(route.close(1, 'stale'), false)
  assert.deepEqual(seen, ['opened 1 public', 'closed 1 1000 stale'])
  await until(() => codes.length === 1, 'the close on the other side')
  assert.deepEqual(codes, [1000])
  time.advance(time.nextMs)
  time.advance(10_000)
  await opened(2)
})

test('reconnect: what the old socket still says is dropped', async () => {
  route.start()
  await opened(1)
  exchange.sockets[0].send('late')
  route.close(1, 'stale')
  await until(() => exchange.sockets[0].readyState === exchange.sockets[0].CLOSED, 'the old socket to end')
  assert.deepEqual(seen, ['opened 1 public', 'closed 1 1000 stale'])
})

test('stop: says closed at once and once, and drops a peer that does not answer the close', async () => {
  route.start()
  await opened(1)
  exchange.freeze()
  let left = false
  const stopped = route.stop().then(() => {
    left = true
  })
  assert.deepEqual(seen, ['opened 1 public', 'closed 1 1000 stopped'])
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(left, false)
  time.advance(1_000)
  await stopped
  assert.equal(seen.length, 2)
})

test('stop: while connecting it leaves without a word', async () => {
  route.start()
  await route.stop()
  assert.deepEqual(seen, [])
  assert.equal(exchange.sockets.length, 0)
})
