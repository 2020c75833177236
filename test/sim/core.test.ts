import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { type GeneratedExchange, ManualTime, type SimAnswer, SimExchange } from './core/mod.ts'
import { parseFaults } from './mod.ts'
import { VIRTUAL_START_MS, VirtualClient } from './rig.ts'

const SYMBOL = 'XRPUSDT'
const DEPTH_PATH = '/public/ws/xrpusdt@depth@100ms'
const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

type Options = Omit<GeneratedExchange, 'time' | 'seed' | 'symbols'>

class World {
  readonly time = new ManualTime(VIRTUAL_START_MS)
  readonly exchange: SimExchange

  constructor(options: Options = {}, seed = 5) {
    this.exchange = new SimExchange({ profile: 'thin', ...options, seed, symbols: [SYMBOL], time: this.time })
  }

  open(path = DEPTH_PATH, address = 'a'): Client {
    const client = new Client()
    const handshake = this.exchange.connect(path, address, client)
    assert.ok(handshake.kind === 'accepted', handshake.kind)
    client.connection = handshake.connection
    return client
  }

  get(path: string, address = 'a'): { answer: SimAnswer; body: Record<string, unknown> } {
    const answer = this.exchange.get(path, address)
    assert.ok(!(answer instanceof Promise), 'a generated market answers at once')
    const text = Buffer.concat(answer.pieces.map((piece) => piece.bytes)).toString('utf8')
    return { answer, body: JSON.parse(text) as Record<string, unknown> }
  }
}

/** Answers pings, unless told not to. */
class Client extends VirtualClient {
  answersPings = true

  override ping(): void {
    this.pings++
    if (this.answersPings) this.connection?.pong()
  }

  events(): Record<string, unknown>[] {
    return this.frames.map((frame) => JSON.parse(frame) as Record<string, unknown>)
  }
}

test('the same seed and the same calls give the same bytes, also with every fault; another seed gives others', () => {
  const faults = parseFaults(
    'garbage:*@5,flip_level:*@9,reorder:*@12,cut:*@19,refuse:*/any@20+5,silence:*@30+3,short_snapshot:*@0,' +
      'maintenance:*@60+10,skew:*=300@80,wrong_pu:*@90+2,empty_side:*@95+3,id_reset:*@100+5',
  )
  const run = (seed: number) => {
    const options: Options = { profile: 'bursty', faults, lagMs: [5, 200], restLatencyMs: [1, 90] }
    const world = new World({ ...options, forgetBeyond: 50 }, seed)
    const hash = createHash('sha256')
    let clients: Client[] = []
    for (let second = 0; second < 120; second++) {
      if (clients.some(({ code }) => code !== undefined)) clients = []
      if (clients.length === 0 && second % 3 === 0) {
        for (const path of [DEPTH_PATH, DEPTH_PATH, '/market/ws/xrpusdt@aggTrade']) {
          const client = new Client()
          const handshake = world.exchange.connect(path, 'a', client)
          hash.update(handshake.kind)
          if (handshake.kind !== 'accepted') continue
          client.connection = handshake.connection
          clients.push(client)
        }
      }
      const { answer, body } = world.get(`/fapi/v1/depth?symbol=${SYMBOL}&limit=100`)
      hash.update(JSON.stringify([answer.status, answer.afterMs, body]))
      world.time.advance(1000)
      for (const client of clients) hash.update(client.frames.splice(0).join('\n'))
    }
    hash.update(JSON.stringify([world.exchange.events, world.exchange.fired]))
    const { fired } = world.exchange
    for (const { kind } of faults) assert.ok(fired[kind] > 0, `${kind} never acted`)
    world.exchange.stop()
    return hash.digest('hex')
  }
  assert.equal(run(5), run(5))
  assert.notEqual(run(5), run(6))
})

test('a day: pings each 3 min, the cut after 24 h, and books of its whole length, cheaply', () => {
  const world = new World({ rate: 1 })
  const client = world.open()
  world.time.advance(24 * HOUR_MS - 1)
  assert.equal(client.pings, 479)
  assert.equal(client.code, undefined)
  world.time.advance(1)
  assert.equal(client.code, 1001)
  const { batches, marks } = world.exchange.emitted(SYMBOL)
  assert.ok(batches.length > 70_000, `${batches.length} events`)
  assert.ok(marks.length >= 86_400 && marks.length <= 86_401)
  for (const batch of [batches[0], batches[40_000], batches.at(-1)]) {
    assert.ok(batch !== undefined)
    assert.ok(world.exchange.bookAt(SYMBOL, batch.lastId).bids.length > 20)
  }
})

test('a connection that does not answer pings is cut after 10 min', () => {
  const world = new World()
  const client = world.open()
  client.answersPings = false
  world.time.advance(10 * 60_000)
  assert.equal(client.code, undefined)
  world.time.advance(5 * 60_000)
  assert.equal(client.code, 1006)
})

test('limits: the 301st attempt of an address in 5 min is refused and counted, others are not', () => {
  const world = new World()
  for (let count = 0; count < 300; count++) world.open('/market/stream')
  assert.equal(world.exchange.violations.attempts, 0)
  world.time.advance(100_000)
  const refused = world.exchange.connect(DEPTH_PATH, 'a', new Client())
  assert.deepEqual(refused, { kind: 'refused', status: 429, retryAfterSeconds: 200 })
  assert.equal(world.exchange.violations.attempts, 1)
  world.open(DEPTH_PATH, 'b')
  world.time.advance(200_000)
  world.open()
  assert.equal(world.exchange.violations.attempts, 1)
})

test('limits: weight is counted by address; whoever goes on after 429 is banned with 418', () => {
  const world = new World()
  const trades = `/fapi/v1/aggTrades?symbol=${SYMBOL}`
  for (let count = 0; count < 120; count++) assert.equal(world.get(trades).answer.status, 200)
  assert.deepEqual({ ...world.exchange.violations }, { attempts: 0, messages: 0, weight: 0, early: 0 })
  const { answer } = world.get(trades)
  assert.equal(answer.status, 429)
  assert.equal(answer.headers['x-mbx-used-weight-1m'], '2420')
  const retryAfter = Number(answer.headers['retry-after'])
  assert.ok(retryAfter >= 1 && retryAfter <= 60)
  assert.equal(world.get(trades, 'b').answer.status, 200, 'another address')
  for (let count = 0; count < 20; count++) world.get(trades)
  assert.equal(world.get(trades).answer.status, 418)
  world.time.advance(60_000)
  assert.equal(world.get(trades).answer.status, 418, 'a new minute does not end a ban')
  assert.deepEqual({ ...world.exchange.violations }, { attempts: 0, messages: 0, weight: 21, early: 2 })
  world.time.advance(60_000)
  assert.equal(world.get(trades).answer.status, 200)
})

test('limits: an eleventh message in a second, pings included, ends the connection and is counted', () => {
  const world = new World()
  const client = world.open('/market/stream')
  for (let count = 0; count < 5; count++) {
    client.say(`{"method":"SUBSCRIBE","params":["xrpusdt@aggTrade"],"id":${count}}`)
    assert.equal(client.connection?.ping(), true)
  }
  assert.equal(client.code, undefined)
  assert.equal(client.connection?.ping(), false)
  assert.equal(client.code, 1008)
  assert.equal(world.exchange.violations.messages, 1)
})

test('lag: frames come late and in order, and a snapshot is ahead of what was sent', () => {
  const world = new World({ lagMs: 700, rate: 30 })
  const client = world.open()
  world.time.advance(5000)
  const { body } = world.get(`/fapi/v1/depth?symbol=${SYMBOL}&limit=5`)
  const events = client.events()
  const id = Number(body.lastUpdateId)
  assert.ok(Number(events.at(-1)?.u) < id)
  for (const event of events) assert.ok(Number(event.E) + 700 <= world.time.nowMs())
  world.time.advance(1000)
  const all = client.events()
  for (const [at, event] of all.entries()) if (at > 0) assert.equal(event.pu, all[at - 1]?.u)
  assert.ok(Number(all.at(-1)?.u) >= id)
})

test('snapshots fall inside batches: some lie between U and u of an event', () => {
  const world = new World({ rate: 100 })
  const client = world.open()
  const ids: number[] = []
  for (let count = 0; count < 40; count++) {
    world.time.advance(137)
    ids.push(Number(world.get(`/fapi/v1/depth?symbol=${SYMBOL}&limit=5`).body.lastUpdateId))
  }
  world.time.advance(1000)
  const inside = (id: number) => client.events().some(({ U, u }) => Number(U) <= id && id < Number(u))
  assert.ok(ids.filter(inside).length > 20)
  const holes = client.events().filter(({ U, pu }) => Number(U) > Number(pu) + 1)
  assert.ok(holes.length > client.frames.length / 2, 'U does not follow pu')
})

test('two connections of one address share nothing but the market: each its own phase and chain', () => {
  const world = new World({ rate: 200 })
  const clients = [world.open(), world.open()]
  world.time.advance(10_000)
  const [one, other] = clients.map((client) => new Set(client.events().map(({ u }) => u)))
  assert.ok(one !== undefined && other !== undefined && one.size > 80)
  assert.ok([...one].filter((u) => other.has(u)).length < 5)
  const { batches } = world.exchange.emitted(SYMBOL)
  assert.deepEqual(
    [1, 2].map((id) => batches.filter(({ connection }) => connection === id).length),
    clients.map((client) => client.frames.length),
  )
})

test('faults: a plan counts from the first depth subscription, waits until it can act, and acts once', () => {
  const world = new World({ faults: parseFaults(`drop:${SYMBOL}@10,drop:${SYMBOL}@10`), rate: 100 })
  world.time.advance(MINUTE_MS)
  const client = world.open()
  world.time.advance(9_900)
  assert.equal(world.exchange.fired.drop, 0)
  world.time.advance(1_000)
  assert.equal(world.exchange.fired.drop, 2, 'each takes an event of its own')
  client.connection?.closed()
  world.exchange.inject(`drop:${SYMBOL}@0`)
  world.time.advance(MINUTE_MS)
  assert.equal(world.exchange.fired.drop, 2, 'nobody was there to feel it')
  world.open()
  world.time.advance(1_000)
  assert.equal(world.exchange.fired.drop, 3)
})

test('faults: one with a duration acts on all within it, and ends unfelt', () => {
  const world = new World({ rate: 100 })
  world.open()
  world.time.advance(1_000)
  world.exchange.inject(`wrong_pu:${SYMBOL}@0+3,refuse:*@0+5`)
  world.time.advance(10_000)
  assert.ok(world.exchange.fired.wrong_pu >= 28 && world.exchange.fired.wrong_pu <= 31)
  assert.equal(world.exchange.fired.refuse, 0)
  world.open()
})

test('faults: cuts with a duration meet those who come back', () => {
  const world = new World()
  world.exchange.inject(`cut:${SYMBOL}@0+60`)
  for (let count = 0; count < 5; count++) {
    const client = world.open()
    world.time.advance(100)
    assert.equal(client.code, 1006)
  }
  assert.equal(world.exchange.fired.cut, 5)
})

test('violations: asking before a Retry-After is over is counted', () => {
  const world = new World()
  world.exchange.inject('rest_429:*/any=10@0')
  assert.equal(world.get('/fapi/v1/time').answer.status, 429)
  world.time.advance(9_000)
  assert.equal(world.get('/fapi/v1/time').answer.headers['retry-after'], '1')
  world.time.advance(1_000)
  assert.equal(world.get('/fapi/v1/time').answer.status, 200)
  assert.equal(world.exchange.violations.early, 1)
})

test('forgetting: no event tells of a level outside the best N at its cut, and all within are told', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 3, max: 30 }), (seed, best) => {
      const world = new World({ forgetBeyond: best, rate: 200 }, seed)
      const client = world.open()
      world.time.advance(4_000)
      const seen = { b: new Map<string, string>(), a: new Map<string, string>() }
      for (const event of client.events()) {
        const book = world.exchange.bookAt(SYMBOL, BigInt(Number(event.u)))
        for (const [side, levels, away] of [
          ['b', book.bids, -1],
          ['a', book.asks, 1],
        ] as const) {
          const last = Number(levels[best - 1]?.[0] ?? away * Infinity)
          for (const [price, qty] of event[side] as [string, string][]) {
            assert.ok((Number(price) - last) * away <= 0, `${price} lies beyond ${last}`)
            const truth = levels.find((level) => level[0] === price)?.[1]
            assert.equal(Number(qty), Number(truth ?? 0))
            seen[side].set(price, qty)
          }
        }
      }
      const events = client.events()
      for (const [at, event] of events.entries()) if (at > 0) assert.equal(event.pu, events[at - 1]?.u)
      assert.ok(seen.b.size + seen.a.size > 10)
    }),
    { numRuns: 8, verbose: true },
  )
})

test('the clock: a skew moves what the exchange says and not what it does', () => {
  const world = new World({ skewMs: 1_250, rate: 50 })
  const client = world.open('/market/ws/xrpusdt@markPrice@1s')
  world.time.advance(5_500)
  for (const { E } of client.events())
    assert.equal(Number(E) % 1000, 0, 'marks on whole seconds of its clock')
  assert.equal(world.get('/fapi/v1/time').body.serverTime, world.time.nowMs() + 1_250)
})

test('stop: all connections end and no timer acts any more', () => {
  const world = new World()
  const clients = [world.open(), world.open()]
  world.exchange.inject(`half_open:${SYMBOL}@0`)
  world.exchange.stop()
  assert.deepEqual(
    clients.map(({ code }) => code),
    [1006, 1006],
  )
  const { length } = world.exchange.events
  world.time.advance(HOUR_MS)
  assert.equal(world.exchange.events.length, length)
  assert.equal(world.exchange.connect(DEPTH_PATH, 'a', new Client()).kind, 'refused')
})
