import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { Client, RECORDINGS, recordingPath, rest, until, withoutRecordings } from './client.ts'
import { ManualTime } from './core/mod.ts'
import { type RecordingOptions, type Sim, startSim, type TrueBook } from './mod.ts'
import { midOf } from './recording/derive.ts'
import { VIRTUAL_START_MS } from './rig.ts'

const skip = withoutRecordings()
const FAST = 1e6
const NAMES = [
  'btcusdt-2024-07-18',
  'btcusdt-2023-04-04',
  'alts-2021-04-05',
  'alts-2021-04-17',
  'alts-2021-07-22',
]

interface Line {
  readonly atNs: bigint
  readonly via: string
  readonly payload: Buffer
  readonly stream: string
  readonly symbol: string
}

/** An independent reading of a recording: plain strings and JSON, nothing of the simulator's. */
function readLines(name: string): Line[] {
  const text = gunzipSync(readFileSync(recordingPath(name))).toString('latin1')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [ns = '', via = '', payload = ''] = line.split('\t')
      const stream = via === 'ws' ? (/^\{"stream":"([^"]+)"/.exec(payload)?.[1] ?? '') : ''
      const symbol = via === 'ws' ? stream.split('@')[0]?.toUpperCase() : /symbol=(\w+)/.exec(via)?.[1]
      return { atNs: BigInt(ns), via, payload: Buffer.from(payload, 'latin1'), stream, symbol: symbol ?? '' }
    })
}

const cache = new Map<string, Line[]>()
function lines(name: string): Line[] {
  const known = cache.get(name) ?? readLines(name)
  cache.set(name, known)
  return known
}

const sims: Sim[] = []
async function play(name: string, options: Partial<RecordingOptions> = {}): Promise<Sim> {
  const sim = await startSim({ recording: recordingPath(name), speed: FAST, ...options })
  sims.push(sim)
  return sim
}
after(async () => {
  for (const sim of sims) await sim.stop()
})

function ended(sim: Sim): Promise<void> {
  const ends = () => sim.events.filter((event) => event.event === 'end').length
  return until('every timeline ends', () => ends() === sim.symbols.length)
}

function equalFrames(got: readonly Buffer[], wanted: readonly Buffer[]): void {
  assert.equal(got.length, wanted.length)
  const wrong = got.findIndex((frame, index) => !frame.equals(wanted[index] ?? Buffer.alloc(0)))
  assert.equal(wrong, -1, `frame ${wrong} is ${got[wrong]?.toString().slice(0, 200)}`)
}

for (const name of NAMES) {
  test(`${name}: every recorded frame goes out byte for byte, in order, wrapped`, { skip }, async () => {
    const sim = await play(name)
    const all = lines(name)
    const symbols = [...new Set(all.map((line) => line.symbol))]
    assert.deepEqual(sim.symbols, symbols)
    assert.equal(sim.frames, all.length)
    const span = Number((all.at(-1)?.atNs ?? 0n) - (all[0]?.atNs ?? 0n)) / 1e9
    assert.ok(Math.abs(sim.seconds - span) < 0.001)
    const recorded = [...new Set(all.map((line) => line.stream))].filter((stream) => stream !== '')
    const market = recorded.filter((stream) => /aggTrade|markPrice|kline/.test(stream))
    const onMarket = await Client.combined(sim.endpoints, 'market', market)
    // One socket a symbol: symbols have timelines of their own, so only within one is there an order.
    const onPublic = await Promise.all(
      symbols.map((symbol) => {
        const lower = symbol.toLowerCase()
        return Client.combined(sim.endpoints, 'public', [`${lower}@depth@100ms`, `${lower}@bookTicker`])
      }),
    )
    await ended(sim)
    for (const client of [onMarket, ...onPublic]) await client.settled()
    for (const [index, client] of onPublic.entries()) {
      const wanted = all.filter(
        (line) => line.symbol === symbols[index] && /@(depth|bookTicker)/.test(line.stream),
      )
      equalFrames(
        client.frames,
        wanted.map((line) => line.payload),
      )
    }
    for (const stream of market) {
      const prefix = `{"stream":"${stream}"`
      equalFrames(
        onMarket.frames.filter((frame) => frame.toString('latin1', 0, prefix.length) === prefix),
        all.filter((line) => line.stream === stream).map((line) => line.payload),
      )
    }
    const depth = all.filter((line) => line.stream.includes('@depth'))
    for (const symbol of symbols) {
      const wanted = depth.filter((line) => line.symbol === symbol).map((line) => idsOf(line.payload))
      assert.deepEqual(sim.emitted(symbol).depthIds, wanted)
    }
  })
}

function idsOf(payload: Buffer): [bigint, bigint] {
  const { data } = JSON.parse(payload.toString()) as { data: { pu: number; u: number } }
  return [BigInt(data.pu), BigInt(data.u)]
}

test('bare sockets get the value of data, cut out of the same bytes', { skip }, async () => {
  const name = 'alts-2021-07-22'
  const sim = await play(name)
  const client = await Client.open(sim.endpoints, '/public/ws/sushiusdt@depth')
  await until('the timeline ends', () => sim.events.some((event) => event.event === 'end'))
  await client.settled()
  const depth = lines(name).filter((line) => line.stream === 'sushiusdt@depth@100ms')
  const prefix = '{"stream":"sushiusdt@depth@100ms","data":'
  equalFrames(
    client.frames,
    depth.map((line) => line.payload.subarray(prefix.length, -1)),
  )
})

test('a timeline waits for its first depth subscription, and each symbol has its own', { skip }, async () => {
  const sim = await play('alts-2021-04-17')
  const market = await Client.combined(sim.endpoints, 'market', ['yfiusdt@aggTrade', 'ksmusdt@aggTrade'])
  const wrong = await Client.combined(sim.endpoints, 'market', ['yfiusdt@depth@100ms'])
  await Client.combined(sim.endpoints, 'public', ['ksmusdt@depth@100ms'])
  await until('KSM ends', () => sim.events.some((event) => event.event === 'end'))
  for (const client of [market, wrong]) await client.settled()
  assert.equal(market.data('ksmusdt@aggTrade').length, 43)
  assert.equal(market.data('yfiusdt@aggTrade').length, 0)
  assert.equal(wrong.frames.length, 0, 'depth on /market is accepted and silent')
  assert.equal(sim.emitted('YFIUSDT').batches.length, 0)
})

test('a snapshot asked for early waits for the recorded one, byte for byte, and is cut to the limit', {
  skip,
}, async () => {
  const name = 'alts-2021-07-22'
  const sim = await play(name, { speed: 1 })
  const recorded = lines(name).find((line) => line.via.includes('symbol=KEEPUSDT'))?.payload
  assert.ok(recorded !== undefined)
  const early = [1000, 50, 5].map((limit) =>
    rest(sim.endpoints, `/fapi/v1/depth?symbol=KEEPUSDT&limit=${limit}`),
  )
  await rest(sim.endpoints, '/fapi/v1/time') // the others have been received before this one is answered
  assert.equal(sim.emitted('KEEPUSDT').batches.length, 0)
  const client = await Client.combined(sim.endpoints, 'public', ['keepusdt@depth@100ms'])
  const [whole, fifty, five] = await Promise.all(early)
  assert.ok(client.frames.length > 0, 'events older than the snapshot were sent before it')
  assert.ok(whole?.bytes.equals(recorded))
  const { bids, asks, lastUpdateId, E, T } = JSON.parse(recorded.toString())
  for (const [answer, limit] of [
    [fifty, 50],
    [five, 5],
  ] as const) {
    assert.deepEqual(answer?.body, {
      lastUpdateId,
      E,
      T,
      bids: bids.slice(0, limit),
      asks: asks.slice(0, limit),
    })
  }
})

test('a snapshot without a timeline is answered with 503 once its wait is over', { skip }, async () => {
  const sim = await play('alts-2021-07-22', { snapshotWaitMs: 30 })
  const answer = await rest(sim.endpoints, '/fapi/v1/depth?symbol=KEEPUSDT&limit=1000')
  assert.equal(answer.status, 503)
})

interface Golden {
  readonly symbol: string
  readonly checkpoints: readonly { readonly u: number; readonly sha256: string }[]
}

const GOLDEN: Readonly<Record<string, readonly string[]>> = {
  'btcusdt-2024-07-18': ['hft_202407_btcusdt'],
  'btcusdt-2023-04-04': ['hft_202304_btcusdt'],
  'alts-2021-04-05': ['batusdt', 'ctkusdt', 'neousdt', 'sandusdt', 'chrusdt'].map(
    (name) => `cf_20210405_${name}`,
  ),
  'alts-2021-04-17': ['dentusdt', 'ksmusdt', 'xmrusdt', 'yfiusdt'].map((name) => `cf_20210417_${name}`),
  'alts-2021-07-22': ['akrousdt', 'ctkusdt', 'keepusdt', 'sushiusdt'].map((name) => `cf_20210722_${name}`),
}

for (const [name, files] of Object.entries(GOLDEN)) {
  test(`${name}: the simulator's own book is the golden one, and REST serves it`, { skip }, async () => {
    const sim = await play(name)
    await Client.combined(
      sim.endpoints,
      'public',
      sim.symbols.map((symbol) => `${symbol.toLowerCase()}@depth`),
    )
    await ended(sim)
    for (const file of files) {
      const golden = JSON.parse(readFileSync(`${RECORDINGS}/golden/${file}.json`, 'utf8')) as Golden
      // Rebuilding is from the start each time: the first, a middle and the last one are enough for the long ones.
      const { checkpoints } = golden
      const chosen = [checkpoints[0], checkpoints[checkpoints.length >> 1], checkpoints.at(-1)]
      for (const checkpoint of chosen) {
        assert.ok(checkpoint !== undefined)
        assert.equal(
          hashOf(sim.bookAt(golden.symbol, BigInt(checkpoint.u))),
          checkpoint.sha256,
          `${file} at ${checkpoint.u}`,
        )
      }
      const lastId = sim.emitted(golden.symbol).depthIds.at(-1)?.[1] ?? 0n
      const truth = sim.bookAt(golden.symbol, lastId)
      const served = await rest(sim.endpoints, `/fapi/v1/depth?symbol=${golden.symbol}&limit=1000`)
      assert.equal(BigInt(String(served.body.lastUpdateId)), lastId)
      assert.deepEqual(served.body.bids, truth.bids.slice(0, 1000))
      assert.deepEqual(served.body.asks, truth.asks.slice(0, 1000))
    }
  })
}

/** The hash that the golden files define: canonical decimals, best first, the whole book. */
function hashOf(book: TrueBook): string {
  const hash = createHash('sha256')
  const canonical = (text: string) => (text.includes('.') ? text.replace(/\.?0+$/, '') : text)
  for (const [price, qty] of book.bids) hash.update(`b ${canonical(price)} ${canonical(qty)}\n`)
  for (const [price, qty] of book.asks) hash.update(`a ${canonical(price)} ${canonical(qty)}\n`)
  return hash.digest('hex')
}

test('aggTrade is derived from single trades, contiguous, and named in derived', { skip }, async () => {
  const name = 'btcusdt-2023-04-04'
  const sim = await play(name)
  assert.deepEqual(sim.derived, ['btcusdt@aggTrade'])
  assert.deepEqual(sim.streams, ['btcusdt@bookTicker', 'btcusdt@depth@0ms', 'btcusdt@markPrice@1s'])
  const market = await Client.combined(sim.endpoints, 'market', ['btcusdt@aggTrade', 'btcusdt@trade'])
  await Client.combined(sim.endpoints, 'public', ['btcusdt@depth@100ms'])
  await ended(sim)
  await market.settled()
  const trades = lines(name)
    .filter((line) => line.stream === 'btcusdt@trade')
    .map((line) => JSON.parse(line.payload.toString()).data)
  const wanted = trades.map(({ E, s, t, p, q, T, m }) => ({
    e: 'aggTrade',
    E,
    a: t,
    s,
    p,
    q,
    f: t,
    l: t,
    T,
    m,
  }))
  assert.deepEqual(market.data('btcusdt@aggTrade'), wanted)
  assert.equal(market.frames.length, wanted.length, 'single trades are not sent as such')
  assert.deepEqual(
    sim.emitted('BTCUSDT').tradeIds,
    wanted.map((trade) => BigInt(trade.a)),
  )
  const last = await rest(sim.endpoints, '/fapi/v1/aggTrades?symbol=BTCUSDT&limit=2')
  assert.deepEqual(last.body, wanted.slice(-2).map(row))
  const from = await rest(
    sim.endpoints,
    `/fapi/v1/aggTrades?symbol=BTCUSDT&limit=1&fromId=${wanted[9000]?.a}`,
  )
  assert.deepEqual(from.body, wanted.slice(9000, 9001).map(row))
})

/** A trade as REST spells it. */
function row({ a, p, q, f, l, T, m }: Record<string, unknown>) {
  return { a, p, q, f, l, T, m }
}

test('markPrice is derived each second from the mid of the recorded bookTicker', { skip }, async () => {
  const name = 'alts-2021-04-17'
  const sim = await play(name)
  assert.ok(sim.derived.includes('dentusdt@markPrice@1s'))
  assert.ok(!sim.derived.some((stream) => stream.includes('aggTrade')), 'it was recorded')
  const market = await Client.combined(sim.endpoints, 'market', ['dentusdt@markPrice'])
  await Client.combined(sim.endpoints, 'public', ['dentusdt@depth@100ms'])
  await until('DENT ends', () => sim.events.some((event) => event.event === 'end'))
  await market.settled()
  const marks = market.data('dentusdt@markPrice@1s')
  assert.ok(marks.length >= 28 && marks.length <= 30, `${marks.length} marks in 29 s`)
  const tickers = lines(name)
    .filter((line) => line.stream === 'dentusdt@bookTicker')
    .map((line) => JSON.parse(line.payload.toString()).data)
  const mids = new Set(tickers.map(({ b, a }) => midOf(b, a)))
  for (const [index, mark] of marks.entries()) {
    assert.equal(Number(mark.E) % 1000, 0)
    if (index > 0) assert.equal(Number(mark.E) - Number(marks[index - 1]?.E), 1000)
    assert.ok(mids.has(String(mark.p)), `${mark.p} is no mid of a recorded bookTicker`)
  }
})

test('mid: exact at eight digits', () => {
  assert.equal(midOf('63943.90', '63944.00'), '63943.95000000')
  assert.equal(midOf('0.012341', '0.012342'), '0.01234150')
  assert.equal(midOf('7', '8'), '7.50000000')
})

test('--only-recorded leaves silent what the recording does not hold', { skip }, async () => {
  const sim = await play('alts-2021-07-22', { onlyRecorded: true })
  assert.deepEqual(sim.derived, [])
  const market = await Client.combined(sim.endpoints, 'market', [
    'sushiusdt@markPrice@1s',
    'sushiusdt@aggTrade',
  ])
  await Client.combined(sim.endpoints, 'public', ['sushiusdt@depth@100ms'])
  await until('SUSHI ends', () => sim.events.some((event) => event.event === 'end'))
  await market.settled()
  assert.equal(market.data('sushiusdt@markPrice@1s').length, 0)
  assert.equal(market.data('sushiusdt@aggTrade').length, 40)
})

test('a speed scales the gaps: recorded frames keep their distance', { skip }, async () => {
  const name = 'alts-2021-07-22'
  const speed = 20
  const sim = await play(name, { speed })
  const begin = performance.now()
  await Client.combined(sim.endpoints, 'public', ['akrousdt@depth@100ms'])
  await until('AKRO ends', () => sim.events.some((event) => event.event === 'end'))
  const took = performance.now() - begin
  const own = lines(name).filter((line) => line.symbol === 'AKROUSDT')
  const span = Number((own.at(-1)?.atNs ?? 0n) - (own[0]?.atNs ?? 0n)) / 1e6 / speed
  assert.ok(took >= span - 5, `${took} ms for a span of ${span} ms`)
})

test('a speed may change on the way: each gap is divided by the speed at its beginning', {
  skip,
}, async () => {
  const name = 'alts-2021-07-22'
  const time = new ManualTime(VIRTUAL_START_MS)
  let speed = 1
  const sim = await play(name, { time, speed: () => speed })
  await Client.combined(sim.endpoints, 'public', ['akrousdt@depth@100ms'])
  const own = lines(name).filter((line) => line.symbol === 'AKROUSDT')
  const atsMs = own.map((line) => Number(line.atNs - (own[0]?.atNs ?? 0n)) / 1e6)
  const depthBefore = (ms: number) =>
    own.filter((line, i) => line.stream.includes('@depth') && (atsMs[i] ?? 0) < ms).length
  const sent = () => sim.emitted('AKROUSDT').batches.length
  time.advance(10_000)
  assert.equal(sent(), depthBefore(10_000))
  speed = 100
  // the gap that has begun lasts as long as it would have; whatever follows takes a hundredth
  const nextMs = atsMs.find((ms) => ms > 10_000) ?? 0
  time.advance(nextMs - 10_000 + 50)
  const reachedMs = nextMs + 50 * speed
  assert.ok(Math.abs(sent() - depthBefore(reachedMs)) <= 1, `${sent()} of ${depthBefore(reachedMs)} events`)
  assert.ok(sent() > depthBefore(10_000) && sent() < depthBefore(Number.POSITIVE_INFINITY))
  time.advance(1000)
  assert.equal(sent(), depthBefore(Number.POSITIVE_INFINITY))
})
