import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { Client, rest, until } from './client.ts'
import { startSim } from './mod.ts'
import { RecordedBook } from './recording/book.ts'
import type { WireFrame } from './recording/file.ts'
import { Truth } from './recording/truth.ts'
import { parseStream } from './streams.ts'

const directory = mkdtempSync(join(tmpdir(), 'sim-'))
after(() => rmSync(directory, { recursive: true }))

const SNAPSHOT =
  '{"lastUpdateId":100,"E":5000,"T":4990,"bids":[["9.50","1"],["9.00","2"]],"asks":[["10.00","3"],["11.00","4"]]}'

function event(U: number, u: number, pu: number, b: string[][], a: string[][], E = 6000): string {
  return JSON.stringify({ e: 'depthUpdate', E, T: E - 5, s: 'XUSDT', U, u, pu, b, a })
}

function frame(payload: string): WireFrame {
  const stream = parseStream('xusdt@depth@100ms')
  assert.ok(stream !== undefined)
  const bare = Buffer.from(payload)
  return { kind: 'wire', atUs: 1, stream: { ...stream, single: false }, wrapped: bare, bare }
}

function truth(): Truth {
  return new Truth('XUSDT', { kind: 'snapshot', atUs: 1, body: Buffer.from(SNAPSHOT), limit: 1000 })
}

const text = (body: string | Uint8Array) => Buffer.from(body).toString()

test('truth: the recorded body serves until an event beyond it was sent, then the own book does', () => {
  const own = truth()
  own.pass(frame(event(80, 90, 79, [['9.50', '7']], [])), 90n)
  own.reach()
  assert.equal(text(own.body(1000)), SNAPSHOT)
  own.pass(frame(event(91, 100, 90, [['9.50', '1']], [])), 100n)
  assert.equal(text(own.body(1000)), SNAPSHOT, 'an event that ends at the snapshot brings nothing new')
  own.pass(frame(event(105, 110, 100, [['9.50', '0']], [['10.00', '5.5']], 7000)), 110n)
  assert.equal(
    text(own.body(1000)),
    '{"lastUpdateId":110,"E":7000,"T":6995,"bids":[["9.00","2"]],"asks":[["10.00","5.5"],["11.00","4"]]}',
  )
  assert.equal(text(own.body(5)), text(own.body(1000)), 'a book shorter than the limit is served whole')
})

test('truth: an event sent before the snapshot that reaches beyond it counts once the own book serves', () => {
  const own = truth()
  own.pass(frame(event(90, 103, 89, [['9.00', '8']], [])), 103n)
  own.reach()
  assert.equal(text(own.body(1000)), SNAPSHOT)
  own.pass(frame(event(104, 110, 103, [], [['11.00', '0']])), 110n)
  const served = JSON.parse(text(own.body(1000)))
  assert.deepEqual([served.lastUpdateId, served.bids[1], served.asks], [110, ['9.00', '8'], [['10.00', '3']]])
})

test('truth: the book is known at the snapshot and at each event since, and nowhere else', () => {
  const own = truth()
  own.reach()
  own.pass(frame(event(105, 110, 100, [], [['10.00', '6']])), 110n)
  assert.deepEqual(own.bookAt(100n).asks[0], ['10.00', '3'])
  assert.deepEqual(own.bookAt(110n).asks[0], ['10.00', '6'])
  for (const id of [99n, 105n, 111n]) assert.throws(() => own.bookAt(id), { code: 'book_unknown' })
})

test('book: two spellings of a price are one level, and the last one stands', () => {
  const book = new RecordedBook(Buffer.from(SNAPSHOT))
  book.apply(Buffer.from(event(101, 101, 100, [['9.5', '2']], [['10', '0.000']])))
  assert.deepEqual(book.book().bids[0], ['9.5', '2'])
  assert.deepEqual(book.book().asks, [['11.00', '4']])
})

test('a recording without tickers and trades: marks come from the book, trades from nothing', async () => {
  const symbol = '币安USDT'
  const lower = symbol.toLowerCase()
  const wire = (ns: string, payload: string) =>
    `${ns}\tws\t{"stream":"${lower}@depth@100ms","data":${payload.replaceAll('XUSDT', symbol)}}`
  const lines = [
    wire('1700000000000000000', event(80, 90, 79, [], [], 1_700_000_000_500)),
    `1700000000100000000\thttp /fapi/v1/depth?symbol=${encodeURIComponent(symbol)}&limit=1000\t${SNAPSHOT}`,
    wire('1700000000200000000', event(95, 105, 90, [], [['10.00', '6']], 1_700_000_000_700)),
    wire('1700000002000000000', event(106, 110, 105, [['9.60', '1']], [], 1_700_000_002_500)),
    wire('1700000002900000000', event(111, 120, 110, [], [['9.90', '1']], 1_700_000_003_400)),
  ]
  const path = join(directory, 'own.gz')
  writeFileSync(path, gzipSync(lines.join('\n')))
  const sim = await startSim({ recording: path, speed: 1e6 })
  assert.deepEqual([sim.symbols, sim.streams], [[symbol], [`${lower}@depth@100ms`]])
  assert.deepEqual([sim.derived, sim.frames, sim.seconds], [[`${lower}@markPrice@1s`], 5, 2.9])
  const market = await Client.combined(sim.endpoints, 'market', [
    `${lower}@markPrice@1s`,
    `${lower}@aggTrade`,
  ])
  const open = await Client.combined(sim.endpoints, 'public', [`${lower}@depth@100ms`])
  await until('the end', () => sim.events.some(({ event }) => event === 'end'))
  for (const client of [market, open]) await client.settled()
  const marks = market.data().map(({ data }) => data as Record<string, unknown>)
  // Whole seconds of the exchange's clock, which is half a second ahead of this recorder's.
  assert.deepEqual(
    marks.map(({ E, p }) => [E, p]),
    [
      [1_700_000_001_000, '9.75000000'],
      [1_700_000_002_000, '9.75000000'],
      [1_700_000_003_000, '9.80000000'],
    ],
  )
  assert.equal(open.frames[0]?.toString(), lines[0]?.split('\t')[2])
  const served = await rest(sim.endpoints, `/fapi/v1/depth?symbol=${encodeURIComponent(symbol)}&limit=5`)
  assert.equal(served.body.lastUpdateId, 120)
  await sim.stop()
})
