import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Book, type BookFault, Decoder, Encoder, hashBytes, levelsProven } from '../../capture/book/mod.ts'
import { DepthEvent, LevelBuffer, Snapshot } from '../../capture/exchange/mod.ts'
import { SEED } from '../exchange/seed.ts'

type Level = readonly [price: number, qty: number]

function levels(side: readonly Level[]): LevelBuffer {
  const buffer = new LevelBuffer()
  for (const [price, qty] of side) buffer.push(price, qty)
  return buffer
}

function snapshot(bids: readonly Level[], asks: readonly Level[], limit: number, id = 7n): Snapshot {
  const result = new Snapshot(levels(bids), levels(asks))
  result.id = id
  result.limit = limit
  return result
}

function event(bids: readonly Level[], asks: readonly Level[], finalId = 8n): DepthEvent {
  const result = new DepthEvent(levels(bids), levels(asks))
  result.finalId = finalId
  return result
}

function loaded(bids: readonly Level[], asks: readonly Level[], limit: number): Book {
  const book = new Book()
  book.load(snapshot(bids, asks, limit))
  return book
}

function encoded(book: Book): Uint8Array {
  const out = new Encoder(16)
  book.encode(out)
  return out.bytes()
}

const BIDS = [
  [99, 1],
  [98, 2],
] as const
const ASKS = [
  [101, 1],
  [102, 2],
] as const

test('book: a snapshot as long as its limit bounds the side, a shorter one is the whole side', () => {
  const book = loaded(BIDS, ASKS.slice(0, 1), 2)
  assert.equal(book.id, 7n)
  assert.equal(book.bids.reach, 98)
  assert.equal(book.asks.unlimited, true)
  book.apply(
    event(
      [[97, 5]],
      [
        [500, 5],
        [103, 1],
      ],
    ),
  )
  assert.equal(book.id, 8n)
  assert.equal(book.bids.size, 2)
  assert.deepEqual([book.asks.price(1), book.asks.price(2)], [103, 500])
})

test('book: unbounded on demand, as books were that are never pruned', () => {
  const book = new Book()
  book.load(snapshot(BIDS, ASKS, 2), false)
  assert.ok(book.bids.unlimited && book.asks.unlimited)
})

test('invariants: a crossed book is found, at equality too', () => {
  const cases: readonly (readonly [Level, BookFault | undefined])[] = [
    [[100.9, 1], undefined],
    [[101, 1], 'crossed'],
    [[101.1, 1], 'crossed'],
  ]
  for (const [bid, fault] of cases) {
    const book = loaded(BIDS, ASKS, 1000)
    book.apply(event([bid], []))
    assert.equal(book.fault(), fault, `bid at ${bid[0]}`)
  }
  assert.equal(loaded(BIDS, [[99, 1]], 1000).fault(), 'crossed', 'in a snapshot too')
})

test('invariants: a bounded side that runs out has left its horizon, an unbounded one is empty', () => {
  const none = BIDS.map(([price]) => [price, 0] as const)
  const noAsks = ASKS.map(([price]) => [price, 0] as const)
  const cases: readonly (readonly [
    limit: number,
    bids: readonly Level[],
    asks: readonly Level[],
    BookFault,
  ])[] = [
    [2, none, [], 'horizon'],
    [2, [], noAsks, 'horizon'],
    [2, none, noAsks, 'horizon'],
    [3, none, [], 'empty_side'],
    [3, [], noAsks, 'empty_side'],
    [3, none, noAsks, 'empty_side'],
  ]
  for (const [limit, bids, asks, fault] of cases) {
    const book = loaded(BIDS, ASKS, limit)
    assert.equal(book.fault(), undefined)
    book.apply(event(bids, asks))
    assert.equal(book.fault(), fault)
  }
  assert.equal(loaded([], ASKS, 2).fault(), 'empty_side', 'an empty side of a snapshot is known to be empty')
  assert.equal(new Book().fault(), 'empty_side')
  const mixed = loaded(BIDS, ASKS.slice(0, 1), 2)
  mixed.apply(event(none, [[101, 0]]))
  assert.equal(mixed.fault(), 'horizon', 'one side of each kind: nothing says that the bounded one is empty')
})

test('horizon: slots are proven as far as levels exist within the reach, and all of them without one', () => {
  const book = loaded(BIDS, ASKS.slice(0, 1), 2)
  assert.equal(levelsProven(book.bids, 20), 2)
  assert.equal(levelsProven(book.bids, 1), 1)
  assert.equal(levelsProven(book.asks, 20), 20)
})

test('book: levels come out best first, cleared books are as new', () => {
  const book = loaded(BIDS, ASKS, 2)
  const bids = levels([[1, 1]])
  const asks = levels([])
  book.levels(bids, asks)
  assert.deepEqual([...bids.copy().data], BIDS.flat())
  assert.deepEqual([...asks.copy().data], ASKS.flat())
  book.clear()
  assert.deepEqual(encoded(book), encoded(new Book()))
})

/** A side's levels by price, and the reach that a snapshot would have given it. */
const side = (from: number) =>
  fc.record({
    levels: fc.uniqueArray(
      fc.tuple(fc.integer({ min: from, max: from + 3000 }), fc.integer({ min: 1, max: 999 })),
      {
        selector: ([price]) => price,
        maxLength: 60,
      },
    ),
    full: fc.boolean(),
  })
const state = fc.record({ bids: side(1), asks: side(4000), id: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }) })

/** The book at a state, by way of a snapshot and a last event, or of `detours` that undo themselves. */
function reach(
  { bids, asks, id }: typeof state extends fc.Arbitrary<infer T> ? T : never,
  detours: number,
): Book {
  const book = new Book()
  const best = [
    bids.levels.toSorted(([one], [other]) => other - one),
    asks.levels.toSorted(([one], [other]) => one - other),
  ]
  const first = snapshot(best[0], best[1], 0)
  book.bids.load(first.bids, bids.full)
  book.asks.load(first.asks, asks.full)
  for (let i = 0; i < detours; i++) {
    // inside the reach all is deleted and comes back in another order; beyond it nothing is kept
    const again = (of: readonly Level[]): Level[] => [
      ...of.map(([price]) => [price, 0] as const),
      ...of.toReversed(),
    ]
    book.apply(event(again(bids.levels), again(asks.levels)))
    book.apply(
      event(
        [
          [3500, 5],
          [3500, 0],
        ],
        [
          [3500.5, 5],
          [3500.5, 0],
        ],
      ),
    ) // better than the best
  }
  book.id = id
  return book
}

test('canonical bytes: books read back as they were, and equal books are equal however they were reached', () => {
  fc.assert(
    fc.property(state, fc.integer({ min: 1, max: 3 }), (at, detours) => {
      const book = reach(at, 0)
      const bytes = encoded(book)
      const other = new Book()
      other.load(snapshot(BIDS, ASKS, 2)) // what was there before must not show
      const from = new Decoder(bytes)
      other.decode(from)
      from.finish()
      assert.deepEqual(encoded(other), bytes)
      assert.equal(other.id, at.id)
      assert.equal(other.bids.reach, book.bids.reach)
      assert.equal(other.asks.unlimited, book.asks.unlimited)
      assert.equal(hashBytes(encoded(reach(at, detours))), hashBytes(bytes))
    }),
    { seed: SEED, numRuns: 300 },
  )
})

test('canonical bytes: one changed level, id or reach is another hash', () => {
  const hash = (change: (book: Book) => void): string => {
    const book = loaded(BIDS, ASKS, 2)
    change(book)
    return hashBytes(encoded(book))
  }
  const hashes = [
    hash(() => {}),
    hash((book) => book.bids.set(98, 2.5)),
    hash((book) => book.bids.set(98, 0)),
    hash((book) => book.asks.set(100.5, 2)),
    hash((book) => {
      book.id = 8n
    }),
    hash((book) => {
      book.bids.reach = 97
    }),
    hash((book) => book.load(snapshot(BIDS, ASKS, 2), false)),
  ]
  assert.equal(new Set(hashes).size, hashes.length)
})
