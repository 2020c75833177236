import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { objectOf, type Row, reseal, rewrite, rewriteCoverage, rowsOf, there } from './damage.ts'
import { changeRow, keyIn, missing, useScenario, windowOf } from './scenario.ts'
import { Capture, Market, play, RUN_A, RUN_B } from './world.ts'

const s = useScenario()

describe('rows', () => {
  test('rows_mismatch: the manifest counts another number of rows', async () => {
    const place = await s.copy()
    await rewrite(place, windowOf(s.runA, 1), 'mark_price', (rows) => rows, { rows: 99 })
    await s.expectOnly(place, 'rows_mismatch', keyIn(s.runA, 1, 'mark_price'), /99/)
  })

  for (const fact of ['first_seq', 'last_seq', 'first_id', 'last_id'] as const) {
    test(`rows_mismatch: the manifest says another ${fact}`, async () => {
      const place = await s.copy()
      await rewrite(place, windowOf(s.runA, 1), 'trades', (rows) => rows, { [fact]: '7' })
      await s.expectOnly(place, 'rows_mismatch', keyIn(s.runA, 1, 'trades'))
    })
  }

  test('rows_mismatch: seq does not increase', async () => {
    const place = await s.copy()
    const swap = (rows: Row[]) =>
      rows.map((row, i) => ({ ...row, seq: there(rows[i === 3 ? 4 : i === 4 ? 3 : i]).seq ?? 0n }))
    await rewrite(place, windowOf(s.runA, 1), 'trades', swap)
    await s.expectOnly(place, 'rows_mismatch', keyIn(s.runA, 1, 'trades'), /seq/)
  })

  test('rows_mismatch: a row of another run', async () => {
    const place = await s.copy()
    await rewrite(
      place,
      windowOf(s.runA, 1),
      'depth',
      changeRow(2, (row) => ({ ...row, run: RUN_B })),
    )
    await s.expectOnly(place, 'rows_mismatch', keyIn(s.runA, 1, 'depth'))
  })

  for (const stream of ['trades', 'books5']) {
    test(`chain_broken: a row of ${stream} is gone`, async () => {
      const place = await s.copy()
      await rewrite(place, windowOf(s.runA, 1), stream, (rows) => rows.filter((_, i) => i !== 4))
      await s.expectOnly(place, 'chain_broken', keyIn(s.runA, 1, stream), /no gap is told/)
    })
  }

  test('chain_broken: a delta of depth is gone, and books are not blamed', async () => {
    const place = await s.copy()
    await rewrite(place, windowOf(s.runA, 1), 'depth', (rows) => rows.filter((_, i) => i !== 4))
    await s.expectOnly(place, 'chain_broken', keyIn(s.runA, 1, 'depth'))
  })

  test('chain_broken: the first row of a window does not follow the window before', async () => {
    const place = await s.copy()
    await rewrite(place, windowOf(s.runA, 1), 'trades', (rows) => rows.slice(1))
    await s.expectOnly(place, 'chain_broken', keyIn(s.runA, 1, 'trades'))
  })

  test('chain_broken: a gap is told that coverage knows nothing of', async () => {
    const place = await s.copy()
    await rewrite(
      place,
      windowOf(s.runA, 1),
      'books5',
      changeRow(5, (row) => ({ ...row, gap_before: true })),
    )
    await s.expectOnly(place, 'chain_broken', keyIn(s.runA, 1, 'books5'), /coverage calls unbroken/)
  })

  test('chain_broken: a gap that is there is not told', async () => {
    const place = await s.copy()
    const unsay = (rows: Row[]) => {
      assert.ok(rows.some((row) => row.gap_before === true && row.kind === 'snapshot'))
      return rows.map((row) => ({ ...row, gap_before: false }))
    }
    await rewrite(place, windowOf(s.runA, 2), 'depth', unsay)
    await s.expectOnly(place, 'chain_broken', keyIn(s.runA, 2, 'depth'))
  })
})

describe('books', () => {
  test('book_crossed: a row of books', async () => {
    const place = await s.copy()
    const cross = (row: Row) => ({
      ...row,
      best_bid_price: there(row.best_ask_price),
      bid_price_0: there(row.best_ask_price),
    })
    await rewrite(place, windowOf(s.runA, 1), 'books5', changeRow(6, cross))
    await s.expectOnly(place, 'book_crossed', keyIn(s.runA, 1, 'books5'))
  })

  test('book_crossed: the book rebuilt from depth, and books are not blamed', async () => {
    const place = await s.copy()
    const cross = (row: Row) => ({ ...row, bid_prices: [99_999], bid_qtys: [1] })
    await rewrite(place, windowOf(s.runA, 1), 'depth', changeRow(6, cross))
    await s.expectOnly(place, 'book_crossed', keyIn(s.runA, 1, 'depth'))
  })

  for (const column of [
    'ask_qty_3',
    'bid_price_4',
    'mid',
    'spread',
    'microprice',
    'imbalance',
    'best_bid_qty',
  ]) {
    test(`book_mismatch: ${column} is not that of the rebuilt book`, async () => {
      const place = await s.copy()
      const change = changeRow(6, (row) => ({ ...row, [column]: Number(row[column]) + 0.25 }))
      await rewrite(place, windowOf(s.runA, 1), 'books5', change)
      await s.expectOnly(place, 'book_mismatch', keyIn(s.runA, 1, 'books5'), new RegExp(column))
    })
  }

  test('book_mismatch: a level is null, or said to be unproven, that the book has', async () => {
    for (const change of [{ bid_price_2: null, bid_qty_2: null }, { ask_levels_proven: 3 }]) {
      const place = await s.copy()
      await rewrite(
        place,
        windowOf(s.runA, 1),
        'books5',
        changeRow(3, (row) => ({ ...row, ...change })),
      )
      await s.expectOnly(place, 'book_mismatch', keyIn(s.runA, 1, 'books5'))
    }
  })

  test('book_mismatch: the book at the start of a window is not the one that the window before ended with', async () => {
    const place = await s.copy()
    const change = changeRow(0, (row) => {
      assert.equal(row.kind, 'book')
      // far from the touch: no row of books shows it
      return {
        ...row,
        bid_qtys: (row.bid_qtys as number[]).map((qty, i, all) => (i === all.length - 1 ? qty + 1 : qty)),
      }
    })
    await rewrite(place, windowOf(s.runA, 1), 'depth', change)
    // the window after compares with what was rebuilt from the damaged one, which is not trusted any more
    await s.expectOnly(place, 'book_mismatch', keyIn(s.runA, 1, 'depth'), /rebuilt so far/)
  })

  test('book_mismatch: a file whose book is not whole', async () => {
    const place = await s.copy()
    await rewrite(place, windowOf(s.runA, 1), 'depth', (rows) => rows.slice(1))
    await s.expectOnly(place, 'book_mismatch', keyIn(s.runA, 1, 'depth'), /before any whole book/)
  })

  test('finite reach: a book deeper than its snapshot is verified, unproven levels and all', async () => {
    const place = await s.fresh()
    const market = new Market(undefined, 1100)
    const capture = new Capture(market, place.dir, RUN_A, { bookLevels: 20 })
    capture.connect()
    play(market, [capture], 22)
    const manifests = await capture.stop(place.bucket)
    const depth = rowsOf(await readFile(place.path(objectOf(windowOf(manifests, 1), 'depth').key)), 'depth')
    assert.ok(Number(depth[0]?.bid_reach) > 0 && Number.isFinite(depth[0]?.ask_reach))
    assert.deepEqual((await s.verify(place)).problems, [])
    const change = changeRow(3, (row) => ({ ...row, bid_reach: Number(row.bid_reach) - 1 }))
    await rewrite(place, windowOf(manifests, 1), 'depth', change)
    await s.expectOnly(place, 'book_mismatch', keyIn(manifests, 1, 'depth'), /reach/)
  })

  test('without depth: books are verified by themselves', async () => {
    const place = await s.fresh()
    const market = new Market()
    const capture = new Capture(market, place.dir, RUN_A, { streams: ['books'] })
    capture.connect()
    play(market, [capture], 12)
    const manifests = await capture.stop(place.bucket)
    assert.deepEqual((await s.verify(place)).problems, [])
    await rewrite(
      place,
      windowOf(manifests, 1),
      'books5',
      changeRow(1, (row) => ({ ...row, mid: 1 })),
    )
    await s.expectOnly(place, 'book_mismatch', keyIn(manifests, 1, 'books5'))
  })
})

describe('coverage', () => {
  test('coverage_mismatch: the coverage object says something else than the manifest', async () => {
    const place = await s.copy()
    const changed = changeRow(0, (row) => ({ ...row, rows: 77n }))
    await rewrite(place, windowOf(s.runA, 1), 'coverage', changed)
    await s.expectOnly(place, 'coverage_mismatch', keyIn(s.runA, 1, 'coverage'), /77/)
  })

  test('coverage_mismatch: an interval counts rows that are not there, and is not proven then', async () => {
    const place = await s.copy()
    await rewriteCoverage(place, windowOf(s.runA, 1), (row) => row.of_stream === 'trades', { rows: 77 })
    const report = await s.expectOnly(place, 'coverage_mismatch', keyIn(s.runA, 1, 'coverage'), /trades.*77/)
    assert.ok(missing(report, 'trades') > missing(await s.verify(s.origin), 'trades') + 8)
  })

  test('coverage_mismatch: an interval reaches beyond its last row’s id', async () => {
    const place = await s.copy()
    const pick = (row: { of_stream: string }) => row.of_stream === 'depth'
    await rewriteCoverage(place, there(s.runA.at(-1)), pick, { last_id: '999999' })
    await s.expectOnly(place, 'coverage_mismatch', keyIn(s.runA, s.runA.length - 1, 'coverage'), /999999/)
  })

  test('coverage_mismatch: an interval ends before its last row', async () => {
    const place = await s.copy()
    const last = there(s.runB.at(-1))
    const pick = (row: { of_stream: string }) => row.of_stream === 'mark_price'
    await rewriteCoverage(place, last, pick, { to: there(last.coverage.find(pick)).from })
    await s.expectOnly(
      place,
      'coverage_mismatch',
      keyIn(s.runB, s.runB.length - 1, 'coverage'),
      /its rows are from/,
    )
  })

  test('coverage_mismatch: rows that no interval speaks of', async () => {
    const place = await s.copy()
    const manifest = windowOf(s.runA, 1)
    const without = await reseal(place, manifest, (fields) => ({
      ...fields,
      coverage: fields.coverage.filter((row) => row.of_stream !== 'mark_price'),
    }))
    await rewrite(place, without, 'coverage', (rows) => rows.filter((row) => row.of_stream !== 'mark_price'))
    await s.expectOnly(place, 'coverage_mismatch', keyIn(s.runA, 1, 'coverage'), /mark_price/)
  })
})
