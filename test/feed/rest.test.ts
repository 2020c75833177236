import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { type Http, nodeHttp } from '../../capture/feed/mod.ts'
import { Rest } from '../../capture/feed/rest.ts'
import { type LocalExchange, reply, startExchange, until } from './local-exchange.ts'
import { ManualTime } from './manual-time.ts'

let exchange: LocalExchange
let time: ManualTime
let stop: AbortController

beforeEach(async () => {
  exchange = await startExchange()
  time = new ManualTime()
  stop = new AbortController()
})

afterEach(() => exchange.close())

function makeRest(http: Http = nodeHttp): Rest {
  const usedWeightHeader = 'x-mbx-used-weight-1m'
  return new Rest({ base: exchange.base, usedWeightHeader, http, clock: time, timers: time })
}

const never: Http = () => new Promise(() => {})

test('rest: an answer comes with its body and its weight', async () => {
  exchange.answers.set('/depth', (_, response) => reply(response, '{"bids":[]}', 321))
  const result = await makeRest().get('/depth?limit=5', stop.signal)
  assert.equal(Buffer.from(result.body).toString(), '{"bids":[]}')
  assert.deepEqual(
    { ...result, body: null },
    { status: 200, usedWeight: 321, retryAfterMs: 0, body: null, error: '' },
  )
  assert.deepEqual(exchange.asked, ['/depth?limit=5'])
  assert.equal(time.waiting, 0)
})

test('rest: a refusal keeps status, weight, Retry-After and what the exchange said', async () => {
  exchange.answers.set('/depth', (_, response) => {
    response.setHeader('retry-after', '9')
    reply(response, '{"code":-1003}', 2_401, 429)
  })
  const result = await makeRest().get('/depth', stop.signal)
  assert.deepEqual(
    [result.status, result.usedWeight, result.retryAfterMs, result.error],
    [429, 2_401, 9_000, 'HTTP 429: {"code":-1003}'],
  )
})

test('rest: an answer without the weight header says so', async () => {
  exchange.answers.set('/depth', (_, response) => response.end('{}'))
  assert.equal((await makeRest().get('/depth', stop.signal)).usedWeight, -1)
})

test('deadline: a server that never answers is given up after 10 s', async () => {
  exchange.answers.set('/depth', () => {})
  const pending = makeRest().get('/depth', stop.signal)
  await until(() => exchange.asked.length === 1, 'the request')
  time.advance(10_000)
  const result = await pending
  assert.deepEqual([result.status, result.error], [0, 'no answer within 10 s'])
})

test('deadline: it holds where the transport ignores its signal', async () => {
  const pending = makeRest(never).get('/depth', stop.signal)
  time.advance(10_000)
  assert.equal((await pending).error, 'no answer within 10 s')
  assert.equal(time.waiting, 0)
})

test('deadline: a body that trickles is given up 10 s after its head; a part of it is no answer', async () => {
  let ended = false
  exchange.answers.set('/depth', (_, response) => {
    response.writeHead(200, { 'x-mbx-used-weight-1m': '40' })
    response.write('{"lastUpdateId":1')
    response.on('close', () => {
      ended = true
    })
  })
  let headCame = false
  const watched: Http = async (url, signal) => {
    const answer = await nodeHttp(url, signal)
    headCame = true
    return answer
  }
  const pending = makeRest(watched).get('/depth', stop.signal)
  await until(() => headCame, 'the head of the answer')
  await new Promise((resolve) => setImmediate(resolve))
  time.advance(9_999)
  time.advance(1)
  const result = await pending
  assert.deepEqual(
    [result.status, result.usedWeight, result.error, result.body.length],
    [0, 40, 'no whole body within 10 s', 0],
  )
  await until(() => ended, 'the request to be dropped on the other side')
})

test('body: one cut short is no answer', async () => {
  exchange.answers.set('/depth', (_, response) => {
    response.writeHead(200, { 'content-length': '100' })
    response.write('{"lastUpdateId":1', () => response.destroy())
  })
  const result = await makeRest().get('/depth', stop.signal)
  assert.equal(result.status, 0)
  assert.notEqual(result.error, '')
})

test('body: beyond the limit it is given up', async () => {
  const chunk = new Uint8Array(1024 * 1024)
  let pulled = 0
  const endless: Http = async () => ({
    status: 200,
    header: () => null,
    body: (async function* () {
      for (;;) {
        pulled++
        yield chunk
      }
    })(),
  })
  const result = await makeRest(endless).get('/depth', stop.signal)
  assert.equal(result.status, 0)
  assert.match(result.error, /more than/)
  assert.equal(pulled, 32)
})

test('rest: a refusal is heard at its head, before its body has come', async () => {
  const rest: { finish?: () => void } = {}
  exchange.answers.set('/slow', (_, response) => {
    response.setHeader('retry-after', '9')
    response.writeHead(429)
    response.write('{')
    rest.finish = () => response.end('}')
  })
  const heard = Promise.withResolvers<readonly number[]>()
  let answered = false
  const result = makeRest()
    .get('/slow', stop.signal, (status, retryAfterMs) => heard.resolve([status, retryAfterMs]))
    .finally(() => {
      answered = true
    })
  assert.deepEqual(await heard.promise, [429, 9_000])
  assert.equal(answered, false)
  rest.finish?.()
  assert.equal((await result).status, 429)
})

test('rest: a refused connection says why, and a redirect is not followed', async () => {
  exchange.answers.set('/moved', (_, response) => {
    response.writeHead(302, { location: `${exchange.base}/elsewhere` })
    response.end()
  })
  const moved = await makeRest().get('/moved', stop.signal)
  assert.equal(moved.status, 0)
  assert.match(moved.error, /redirect/)
  assert.deepEqual(exchange.asked, ['/moved'])
  await exchange.close()
  const refused = await makeRest().get('/depth', stop.signal)
  assert.equal(refused.status, 0)
  assert.match(refused.error, /ECONNREFUSED|other side closed|ECONNRESET/)
  exchange = await startExchange()
})

test('stop: ends a request that is on its way, and one that was not', async () => {
  exchange.answers.set('/depth', () => {})
  const pending = makeRest().get('/depth', stop.signal)
  await until(() => exchange.asked.length === 1, 'the request')
  stop.abort()
  assert.equal((await pending).error, 'stopped')
  assert.equal((await makeRest().get('/depth', stop.signal)).error, 'stopped')
  assert.equal(exchange.asked.length, 1)
  assert.equal(time.waiting, 0)
})
