import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IdChain } from '../../capture/verify/chain.ts'
import { overlapsOf, type RowIds } from '../../capture/verify/overlap.ts'
import { type DepthEntry, Rebuild } from '../../capture/verify/rebuild.ts'

const inside = { begun: true }
const fresh = { begun: false }
const link = (previousId: bigint, id: bigint, connection = 1, gapBefore = false) => ({
  previousId,
  id,
  connection,
  gapBefore,
})

test('chain: inside a connection only equality counts, an overlap is a break', () => {
  const chain = new IdChain()
  assert.equal(chain.follow(link(1n, 10n), inside), undefined)
  assert.equal(chain.follow(link(10n, 20n), inside), undefined)
  assert.match(chain.follow(link(19n, 30n), inside) ?? '', /chains to 19, the row before it is 20/)
})

test('chain: the first event of another connection takes over where it meets the id', () => {
  const chain = new IdChain()
  chain.follow(link(1n, 10n), inside)
  assert.equal(chain.follow(link(8n, 12n, 2), inside), undefined)
  // and only the first one
  assert.notEqual(chain.follow(link(11n, 14n, 2), inside), undefined)
  chain.follow(link(14n, 20n, 2), inside)
  assert.notEqual(chain.follow(link(22n, 25n, 3), inside), undefined)
})

test('chain: what takes over leads on, an event that ends at the id was in the book already', () => {
  const chain = new IdChain()
  chain.follow(link(1n, 10n), inside)
  assert.match(chain.follow(link(8n, 10n, 2), inside) ?? '', /row 10 chains to 8, the row before it is 10/)
})

test('chain: a connection takes over where no event comes; the first one meets the book that was written since', () => {
  const chain = new IdChain()
  chain.follow(link(1n, 10n), inside)
  const book = { previousId: 0n, id: 10n, connection: 2, gapBefore: false }
  assert.equal(chain.replace('book', book, inside), undefined)
  assert.equal(chain.follow(link(8n, 12n, 2), inside), undefined)
  assert.notEqual(chain.follow(link(11n, 14n, 2), inside), undefined)
})

test('chain: an event joins a snapshot that it meets, a second snapshot does not come unannounced', () => {
  const chain = new IdChain()
  assert.equal(
    chain.replace('snapshot', { previousId: 0n, id: 15n, connection: 1, gapBefore: true }, fresh),
    undefined,
  )
  assert.equal(chain.follow(link(12n, 18n), inside), undefined)
  assert.match(
    chain.replace('snapshot', { previousId: 0n, id: 25n, connection: 1, gapBefore: false }, inside) ?? '',
    /no gap is told/,
  )
})

test('chain: a book of our own stands where the chain stands', () => {
  const chain = new IdChain()
  chain.follow(link(1n, 10n), inside)
  assert.equal(
    chain.replace('book', { previousId: 0n, id: 10n, connection: 1, gapBefore: false }, inside),
    undefined,
  )
  assert.match(chain.follow(link(9n, 12n), inside) ?? '', /no gap is told/)
  assert.match(
    chain.replace('book', { previousId: 0n, id: 13n, connection: 1, gapBefore: false }, inside) ?? '',
    /no gap is told/,
  )
})

test('chain: a gap may be told at the first row of an interval, and at no other', () => {
  const chain = new IdChain()
  chain.follow(link(1n, 10n), inside)
  assert.equal(chain.follow(link(50n, 60n, 1, true), fresh), undefined)
  assert.notEqual(chain.follow(link(90n, 95n, 1, true), inside), undefined)
})

test('chain: back to a connection from before nothing takes over', () => {
  const chain = new IdChain()
  chain.follow(link(1n, 10n, 2), inside)
  assert.match(chain.follow(link(8n, 12n, 1), inside) ?? '', /no gap is told/)
})

test('chain: after what is not known anything may follow', () => {
  const chain = new IdChain()
  chain.follow(link(1n, 10n), inside)
  chain.forget()
  assert.equal(chain.follow(link(50n, 60n), inside), undefined)
})

/** Levels as `[price, qty]`, best first. */
function entry(
  kind: DepthEntry['kind'],
  id: bigint,
  bids: [number, number][],
  asks: [number, number][],
  reach: [number, number] = [0, Number.POSITIVE_INFINITY],
): DepthEntry {
  const slice = (levels: [number, number][]) => ({
    prices: Float64Array.from(levels, ([price]) => price),
    qtys: Float64Array.from(levels, ([, qty]) => qty),
    from: 0,
    to: levels.length,
  })
  return { kind, id, bids: slice(bids), asks: slice(asks), bidReach: reach[0], askReach: reach[1] }
}

test('rebuild: an audit’s wider book is compared inside both reaches', () => {
  for (const [qty, expected] of [
    [2, undefined],
    [3, /not the one rebuilt so far/],
  ] as const) {
    const rebuild = new Rebuild()
    rebuild.startFile(false)
    const narrow = entry(
      'snapshot',
      10n,
      [
        [99, 1],
        [98, 2],
      ],
      [[101, 1]],
      [98, 101],
    )
    assert.equal(rebuild.apply(narrow), undefined)
    const wide = entry(
      'book',
      10n,
      [
        [99, 1],
        [98, qty],
        [97, 7],
      ],
      [
        [101, 1],
        [102, 5],
      ],
      [97, 102],
    )
    const fault = rebuild.apply(wide)
    if (expected === undefined) assert.equal(fault, undefined)
    else assert.match(fault?.detail ?? '', expected)
  }
})

test('rebuild: an emptied or a crossed book shows', () => {
  const rebuild = new Rebuild()
  rebuild.startFile(false)
  rebuild.apply(entry('snapshot', 10n, [[99, 1]], [[101, 1]]))
  assert.equal(rebuild.apply(entry('delta', 11n, [[100, 1]], [])), undefined)
  assert.equal(rebuild.apply(entry('delta', 12n, [[101, 1]], []))?.kind, 'book_crossed')
})

test('rebuild: the first book of a file is held against the file before only where that was right', () => {
  for (const follows of [true, false]) {
    const rebuild = new Rebuild()
    rebuild.startFile(false)
    rebuild.apply(entry('snapshot', 10n, [[99, 1]], [[101, 1]]))
    rebuild.startFile(follows)
    const fault = rebuild.apply(entry('book', 10n, [[99, 4]], [[101, 1]]))
    assert.equal(fault?.kind, follows ? 'book_mismatch' : undefined)
  }
})

test('overlap: told once an object, at the later run; runs that only touch or straddle hold nothing twice', () => {
  const rows = (firstId: bigint, lastId: bigint, run: string, key: string, told = false): RowIds => ({
    firstId,
    lastId,
    run,
    key,
    told,
  })
  const keys = (list: RowIds[]) => overlapsOf(list).map(({ key }) => key)
  assert.deepEqual(keys([rows(1n, 10n, 'a', 'a0'), rows(11n, 20n, 'b', 'b0')]), [])
  assert.deepEqual(keys([rows(1n, 10n, 'a', 'a0'), rows(10n, 20n, 'b', 'b0')]), ['b0'])
  assert.deepEqual(keys([rows(5n, 10n, 'a', 'a0'), rows(1n, 20n, 'b', 'b0'), rows(11n, 13n, 'a', 'a1')]), [
    'b0',
  ])
  assert.deepEqual(keys([rows(1n, 10n, 'a', 'a0'), rows(8n, 20n, 'b', 'b0', true)]), [])
  assert.deepEqual(keys([rows(1n, 10n, 'a', 'a0'), rows(8n, 20n, 'a', 'a1')]), [])
})
