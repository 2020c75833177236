import assert from 'node:assert/strict'
import { cp, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { keyOfManifest, LocalBucket, type Manifest, objectKey, parseTimeUs } from '../../capture/ship/mod.ts'
import { type ProblemKind, type VerifyReport, verifyBucket } from '../../capture/verify/mod.ts'
import {
  objectOf,
  type Row,
  remove,
  replaceObject,
  reseal,
  rewrite,
  rewriteCoverage,
  rowsOf,
  there,
} from './damage.ts'
import { Capture, Market, Place, play, RUN_A, RUN_B } from './world.ts'

/**
 * One bucket, made once: run A with a lost event (gap `sequence`), a reconnect, rotations, a quiet window and a crash;
 * then run B, ended in order. Every test damages a copy of it in one place.
 */
let origin: Place
let runA: Manifest[] = []
let runB: Manifest[] = []
const places: Place[] = []

before(async () => {
  origin = await Place.make()
  const market = new Market()
  const a = new Capture(market, origin.dir, RUN_A)
  a.connect()
  play(market, [a], 25)
  market.depth()
  play(market, [a], 8)
  a.disconnect()
  market.trade()
  market.nowUs += 700_000
  a.connect()
  play(market, [a], 5)
  play(market, [a], 22, ['depth', 'trades'])
  play(market, [a], 4)
  runA = await a.crash(origin.bucket)
  market.nowUs += 3_000_000
  const b = new Capture(market, origin.dir, RUN_B)
  b.connect()
  play(market, [b], 15)
  runB = await b.stop(origin.bucket)
})

after(async () => {
  for (const place of [origin, ...places]) await place.remove()
})

async function copy(): Promise<Place> {
  const place = await Place.make()
  places.push(place)
  await cp(origin.root, place.root, { recursive: true })
  return place
}

async function verify(place: Place): Promise<VerifyReport> {
  return await verifyBucket(place.bucket)
}

/** The report has this problem, and no other. */
async function expectOnly(
  place: Place,
  kind: ProblemKind,
  key: string,
  detail?: RegExp,
): Promise<VerifyReport> {
  const report = await verify(place)
  const found = report.problems.map((problem) => `${problem.kind} ${problem.key}`)
  assert.deepEqual(found, [`${kind} ${key}`], report.problems.map((problem) => problem.detail).join('\n'))
  assert.equal(report.ok, false)
  if (detail !== undefined) assert.match(there(report.problems[0]).detail, detail)
  return report
}

function windowOf(manifests: readonly Manifest[], window: number): Manifest {
  return there(manifests[window], `window ${window}`)
}

function keyIn(manifests: readonly Manifest[], window: number, stream: string): string {
  return objectOf(windowOf(manifests, window), stream).key
}

const changeRow = (at: number, change: (row: Row) => Row) => (rows: Row[]) =>
  rows.map((row, i) => (i === at ? change(row) : row))

function missing(report: VerifyReport, stream: string): number {
  const rows = report.coverage.filter((row) => row.stream === stream)
  assert.notEqual(rows.length, 0)
  return rows.reduce((sum, row) => sum + row.seconds.missing, 0)
}

describe('a bucket as it was written', () => {
  test('sound: gaps, a reconnect, quiet windows, a crash and a second run are no problems', async () => {
    const report = await verify(origin)
    assert.deepEqual(report.problems, [])
    assert.equal(report.ok, true)
    const all = [...runA, ...runB]
    const objects = all.flatMap((manifest) => manifest.objects)
    assert.deepEqual(report.checked, {
      manifests: all.length,
      objects: objects.length,
      bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0),
      rows: objects.reduce((sum, { rows }) => sum + rows, 0),
    })
    // the scenario holds what it promises
    const ends = new Set(all.flatMap(({ coverage }) => coverage.map((row) => row.ended_by)))
    for (const end of ['sequence', 'reconnect', 'crash', 'stopped', null])
      assert.ok(ends.has(end), String(end))
    assert.equal(there(runA.at(-1)).witness, 'none')
    assert.ok(
      all.some(({ objects }) => !objects.some(({ stream }) => stream === 'books5')),
      'a window without books',
    )
  })

  test('coverage: proven and missing add up to the time from first to last evidence', async () => {
    const report = await verify(origin)
    assert.deepEqual(
      report.coverage.map(({ stream }) => stream),
      ['books5', 'depth', 'mark_price', 'trades'],
    )
    for (const { from, to, seconds } of report.coverage) {
      const span = (parseTimeUs(to) - parseTimeUs(from)) / 1e6
      assert.ok(Math.abs(seconds.proven + seconds.observed + seconds.missing - span) < 1e-6)
      assert.ok(seconds.missing > 0 && seconds.missing < span)
    }
  })

  test('progress: told after each window, with what was read so far', async () => {
    const seen: number[] = []
    const { checked } = await verifyBucket(origin.bucket, {
      onProgress: ({ windowsDone, windows, checked: { rows } }) => {
        assert.equal(windows, runA.length + runB.length)
        seen.push(windowsDone, rows)
      },
    })
    assert.equal(seen.at(-2), runA.length + runB.length)
    assert.equal(seen.at(-1), checked.rows)
  })

  test('empty: a bucket without anything is right, and nothing was checked', async () => {
    const place = await Place.make()
    places.push(place)
    const report = await verify(place)
    assert.deepEqual(report, {
      ok: true,
      checked: { manifests: 0, objects: 0, bytes: 0, rows: 0 },
      problems: [],
      coverage: [],
    })
  })

  test('copied: data under another prefix is verified beside its manifests', async () => {
    const place = await Place.make()
    places.push(place)
    await cp(origin.root, join(place.root, 'archive/2026'), { recursive: true })
    const report = await verify(place)
    assert.deepEqual(report.problems, [])
    assert.equal(report.checked.manifests, runA.length + runB.length)
  })

  test('left alone: cuts, quarantine, foreign files and what is in flight are no problems', async () => {
    const place = await copy()
    const { exchange, symbol, run, window, opened } = there(runB.at(-1))
    const next = {
      prefix: '',
      exchange,
      symbol,
      run,
      window: window + 1,
      openedUs: parseTimeUs(opened) + 10_000_000,
    }
    const unknownRun = { ...next, run: '20261122T130000000Z-0000000c', window: 0 }
    for (const key of [
      objectKey({ ...next, stream: 'books5' }),
      objectKey({ ...unknownRun, stream: 'trades' }),
      `${keyOfManifest(windowOf(runB, 0)).replace(/[^/]+$/, '')}${run}.cut.json`,
      `quarantine/parquet/exchange=${exchange}/symbol=${symbol}/${run}.parquet`,
      'notes.txt',
      'parquet/_SUCCESS',
    ]) {
      await place.bucket.put(
        key,
        Buffer.from('x'),
        '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881',
      )
    }
    assert.deepEqual((await verify(place)).problems, [])
  })
})

describe('manifests', () => {
  test('manifest_unreadable: bytes that are no manifest', async () => {
    const place = await copy()
    const key = keyOfManifest(windowOf(runA, 1))
    await writeFile(place.path(key), '{"format":1,')
    const whole = await verify(origin)
    const report = await expectOnly(place, 'manifest_unreadable', key)
    // a window whose manifest cannot be read is missing by itself
    for (const stream of ['books5', 'depth', 'trades', 'mark_price']) {
      assert.ok(missing(report, stream) > missing(whole, stream) + 8, stream)
    }
  })

  test('manifest_unreadable: JSON among the manifests that has no manifest’s name', async () => {
    const place = await copy()
    const key = keyOfManifest(windowOf(runA, 1)).replace(/[^/]+$/, 'notes.json')
    await writeFile(place.path(key), '{}')
    await expectOnly(place, 'manifest_unreadable', key)
  })

  test('manifest_altered: one digit is another one', async () => {
    const place = await copy()
    const key = keyOfManifest(windowOf(runA, 2))
    const text = await readFile(place.path(key), 'utf8')
    await writeFile(place.path(key), text.replace('"window":2', '"window":7'))
    await expectOnly(place, 'manifest_altered', key)
  })

  test('manifest_altered: a manifest under the key of another window', async () => {
    const place = await copy()
    const key = keyOfManifest(windowOf(runA, 2))
    await writeFile(place.path(key), await readFile(place.path(keyOfManifest(windowOf(runA, 3)))))
    await expectOnly(place, 'manifest_altered', key, /key of another/)
  })

  for (const window of [0, 2]) {
    test(`manifest_missing: window ${window} of a run is not there`, async () => {
      const place = await copy()
      const key = keyOfManifest(windowOf(runA, window))
      await remove(place, key)
      await expectOnly(place, 'manifest_missing', key, new RegExp(`window ${window} is not there`))
    })
  }

  test('manifest_missing: a hole of several windows is one problem, at its first window', async () => {
    const place = await copy()
    for (const window of [1, 2, 3]) await remove(place, keyOfManifest(windowOf(runA, window)))
    await expectOnly(
      place,
      'manifest_missing',
      keyOfManifest(windowOf(runA, 1)),
      /windows 1 to 3 are not there/,
    )
  })
})

describe('objects', () => {
  test('object_missing: and its time is missing', async () => {
    const place = await copy()
    const key = keyIn(runA, 1, 'trades')
    await remove(place, key)
    const whole = await verify(origin)
    const report = await expectOnly(place, 'object_missing', key)
    assert.ok(missing(report, 'trades') > missing(whole, 'trades') + 8)
    assert.equal(missing(report, 'depth'), missing(whole, 'depth'))
  })

  for (const stream of ['depth', 'coverage']) {
    test(`object_missing: ${stream}, and nothing that follows from it`, async () => {
      const place = await copy()
      await remove(place, keyIn(runA, 1, stream))
      await expectOnly(place, 'object_missing', keyIn(runA, 1, stream))
    })
  }

  test('object_size: cut short', async () => {
    const place = await copy()
    const object = objectOf(windowOf(runA, 1), 'books5')
    await truncate(place.path(object.key), object.bytes - 1)
    await expectOnly(place, 'object_size', object.key)
  })

  test('object_altered: one bit', async () => {
    const place = await copy()
    const key = keyIn(runA, 1, 'depth')
    const bytes = await readFile(place.path(key))
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
    await writeFile(place.path(key), bytes)
    await expectOnly(place, 'object_altered', key)
  })

  test('object_unreadable: no Parquet, though its hash agrees', async () => {
    const place = await copy()
    await replaceObject(place, windowOf(runA, 1), 'trades', Buffer.from('PAR1 it is not PAR1'))
    await expectOnly(place, 'object_unreadable', keyIn(runA, 1, 'trades'))
  })

  test('object_unreadable: the rows of another stream', async () => {
    const place = await copy()
    const other = await readFile(place.path(keyIn(runA, 1, 'trades')))
    await replaceObject(place, windowOf(runA, 1), 'mark_price', other)
    await expectOnly(place, 'object_unreadable', keyIn(runA, 1, 'mark_price'))
  })

  test('object_unreadable: bytes that trap the decoder are told, and what follows is still read', async () => {
    const place = await copy()
    const key = keyIn(runA, 1, 'books5')
    const bytes = await readFile(place.path(key))
    let traps = 0
    for (let at = 4; at < bytes.length - 8 && traps < 2; at += 211) {
      const bad = Buffer.from(bytes)
      bad.fill(0xff, at, at + 4)
      await replaceObject(place, windowOf(runA, 1), 'books5', bad)
      const { problems } = await verify(place)
      if (problems.length === 0) continue
      assert.deepEqual(
        problems.map((problem) => problem.key),
        [key],
      )
      if (/decoder failed/.test(there(problems[0]).detail)) traps++
    }
    assert.equal(traps, 2)
  })

  test('object_orphan: of a committed window that does not name it', async () => {
    const place = await copy()
    const { exchange, symbol, run, window, opened } = windowOf(runB, 0)
    const id = { prefix: '', exchange, symbol, run, window, openedUs: parseTimeUs(opened) }
    const key = objectKey({ ...id, stream: 'books20' })
    await cp(place.path(keyIn(runB, 0, 'books5')), place.path(key))
    await expectOnly(place, 'object_orphan', key)
  })

  test('object_orphan: a Parquet file of nobody', async () => {
    const place = await copy()
    await cp(place.path(keyIn(runB, 0, 'books5')), place.path('parquet/exchange=BinanceUsdm/mine.parquet'))
    await expectOnly(place, 'object_orphan', 'parquet/exchange=BinanceUsdm/mine.parquet')
  })
})

describe('rows', () => {
  test('rows_mismatch: the manifest counts another number of rows', async () => {
    const place = await copy()
    await rewrite(place, windowOf(runA, 1), 'mark_price', (rows) => rows, { rows: 99 })
    await expectOnly(place, 'rows_mismatch', keyIn(runA, 1, 'mark_price'), /99/)
  })

  for (const fact of ['first_seq', 'last_seq', 'first_id', 'last_id'] as const) {
    test(`rows_mismatch: the manifest says another ${fact}`, async () => {
      const place = await copy()
      await rewrite(place, windowOf(runA, 1), 'trades', (rows) => rows, { [fact]: '7' })
      await expectOnly(place, 'rows_mismatch', keyIn(runA, 1, 'trades'))
    })
  }

  test('rows_mismatch: seq does not increase', async () => {
    const place = await copy()
    const swap = (rows: Row[]) =>
      rows.map((row, i) => ({ ...row, seq: there(rows[i === 3 ? 4 : i === 4 ? 3 : i]).seq ?? 0n }))
    await rewrite(place, windowOf(runA, 1), 'trades', swap)
    await expectOnly(place, 'rows_mismatch', keyIn(runA, 1, 'trades'), /seq/)
  })

  test('rows_mismatch: a row of another run', async () => {
    const place = await copy()
    await rewrite(
      place,
      windowOf(runA, 1),
      'depth',
      changeRow(2, (row) => ({ ...row, run: RUN_B })),
    )
    await expectOnly(place, 'rows_mismatch', keyIn(runA, 1, 'depth'))
  })

  for (const stream of ['trades', 'books5']) {
    test(`chain_broken: a row of ${stream} is gone`, async () => {
      const place = await copy()
      await rewrite(place, windowOf(runA, 1), stream, (rows) => rows.filter((_, i) => i !== 4))
      await expectOnly(place, 'chain_broken', keyIn(runA, 1, stream), /no gap is told/)
    })
  }

  test('chain_broken: a delta of depth is gone, and books are not blamed', async () => {
    const place = await copy()
    await rewrite(place, windowOf(runA, 1), 'depth', (rows) => rows.filter((_, i) => i !== 4))
    await expectOnly(place, 'chain_broken', keyIn(runA, 1, 'depth'))
  })

  test('chain_broken: the first row of a window does not follow the window before', async () => {
    const place = await copy()
    await rewrite(place, windowOf(runA, 1), 'trades', (rows) => rows.slice(1))
    await expectOnly(place, 'chain_broken', keyIn(runA, 1, 'trades'))
  })

  test('chain_broken: a gap is told that coverage knows nothing of', async () => {
    const place = await copy()
    await rewrite(
      place,
      windowOf(runA, 1),
      'books5',
      changeRow(5, (row) => ({ ...row, gap_before: true })),
    )
    await expectOnly(place, 'chain_broken', keyIn(runA, 1, 'books5'), /coverage calls unbroken/)
  })

  test('chain_broken: a gap that is there is not told', async () => {
    const place = await copy()
    const unsay = (rows: Row[]) => {
      assert.ok(rows.some((row) => row.gap_before === true && row.kind === 'snapshot'))
      return rows.map((row) => ({ ...row, gap_before: false }))
    }
    await rewrite(place, windowOf(runA, 2), 'depth', unsay)
    await expectOnly(place, 'chain_broken', keyIn(runA, 2, 'depth'))
  })
})

describe('books', () => {
  test('book_crossed: a row of books', async () => {
    const place = await copy()
    const cross = (row: Row) => ({
      ...row,
      best_bid_price: there(row.best_ask_price),
      bid_price_0: there(row.best_ask_price),
    })
    await rewrite(place, windowOf(runA, 1), 'books5', changeRow(6, cross))
    await expectOnly(place, 'book_crossed', keyIn(runA, 1, 'books5'))
  })

  test('book_crossed: the book rebuilt from depth, and books are not blamed', async () => {
    const place = await copy()
    const cross = (row: Row) => ({ ...row, bid_prices: [99_999], bid_qtys: [1] })
    await rewrite(place, windowOf(runA, 1), 'depth', changeRow(6, cross))
    await expectOnly(place, 'book_crossed', keyIn(runA, 1, 'depth'))
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
      const place = await copy()
      const change = changeRow(6, (row) => ({ ...row, [column]: Number(row[column]) + 0.25 }))
      await rewrite(place, windowOf(runA, 1), 'books5', change)
      await expectOnly(place, 'book_mismatch', keyIn(runA, 1, 'books5'), new RegExp(column))
    })
  }

  test('book_mismatch: a level is null, or said to be unproven, that the book has', async () => {
    for (const change of [{ bid_price_2: null, bid_qty_2: null }, { ask_levels_proven: 3 }]) {
      const place = await copy()
      await rewrite(
        place,
        windowOf(runA, 1),
        'books5',
        changeRow(3, (row) => ({ ...row, ...change })),
      )
      await expectOnly(place, 'book_mismatch', keyIn(runA, 1, 'books5'))
    }
  })

  test('book_mismatch: the book at the start of a window is not the one that the window before ended with', async () => {
    const place = await copy()
    const change = changeRow(0, (row) => {
      assert.equal(row.kind, 'book')
      // far from the touch: no row of books shows it
      return {
        ...row,
        bid_qtys: (row.bid_qtys as number[]).map((qty, i, all) => (i === all.length - 1 ? qty + 1 : qty)),
      }
    })
    await rewrite(place, windowOf(runA, 1), 'depth', change)
    // the window after compares with what was rebuilt from the damaged one, which is not trusted any more
    await expectOnly(place, 'book_mismatch', keyIn(runA, 1, 'depth'), /rebuilt so far/)
  })

  test('book_mismatch: a file whose book is not whole', async () => {
    const place = await copy()
    await rewrite(place, windowOf(runA, 1), 'depth', (rows) => rows.slice(1))
    await expectOnly(place, 'book_mismatch', keyIn(runA, 1, 'depth'), /before any whole book/)
  })

  test('finite reach: a book deeper than its snapshot is verified, unproven levels and all', async () => {
    const place = await Place.make()
    places.push(place)
    const market = new Market(undefined, 1100)
    const capture = new Capture(market, place.dir, RUN_A, { bookLevels: 20 })
    capture.connect()
    play(market, [capture], 22)
    const manifests = await capture.stop(place.bucket)
    const depth = rowsOf(await readFile(place.path(objectOf(windowOf(manifests, 1), 'depth').key)), 'depth')
    assert.ok(Number(depth[0]?.bid_reach) > 0 && Number.isFinite(depth[0]?.ask_reach))
    assert.deepEqual((await verify(place)).problems, [])
    const change = changeRow(3, (row) => ({ ...row, bid_reach: Number(row.bid_reach) - 1 }))
    await rewrite(place, windowOf(manifests, 1), 'depth', change)
    await expectOnly(place, 'book_mismatch', keyIn(manifests, 1, 'depth'), /reach/)
  })

  test('without depth: books are verified by themselves', async () => {
    const place = await Place.make()
    places.push(place)
    const market = new Market()
    const capture = new Capture(market, place.dir, RUN_A, { streams: ['books'] })
    capture.connect()
    play(market, [capture], 12)
    const manifests = await capture.stop(place.bucket)
    assert.deepEqual((await verify(place)).problems, [])
    await rewrite(
      place,
      windowOf(manifests, 1),
      'books5',
      changeRow(1, (row) => ({ ...row, mid: 1 })),
    )
    await expectOnly(place, 'book_mismatch', keyIn(manifests, 1, 'books5'))
  })
})

describe('coverage', () => {
  test('coverage_mismatch: the coverage object says something else than the manifest', async () => {
    const place = await copy()
    const changed = changeRow(0, (row) => ({ ...row, rows: 77n }))
    await rewrite(place, windowOf(runA, 1), 'coverage', changed)
    await expectOnly(place, 'coverage_mismatch', keyIn(runA, 1, 'coverage'), /77/)
  })

  test('coverage_mismatch: an interval counts rows that are not there, and is not proven then', async () => {
    const place = await copy()
    await rewriteCoverage(place, windowOf(runA, 1), (row) => row.of_stream === 'trades', { rows: 77 })
    const report = await expectOnly(place, 'coverage_mismatch', keyIn(runA, 1, 'coverage'), /trades.*77/)
    assert.ok(missing(report, 'trades') > missing(await verify(origin), 'trades') + 8)
  })

  test('coverage_mismatch: an interval reaches beyond its last row’s id', async () => {
    const place = await copy()
    const pick = (row: { of_stream: string }) => row.of_stream === 'depth'
    await rewriteCoverage(place, there(runA.at(-1)), pick, { last_id: '999999' })
    await expectOnly(place, 'coverage_mismatch', keyIn(runA, runA.length - 1, 'coverage'), /999999/)
  })

  test('coverage_mismatch: an interval ends before its last row', async () => {
    const place = await copy()
    const last = there(runB.at(-1))
    const pick = (row: { of_stream: string }) => row.of_stream === 'mark_price'
    await rewriteCoverage(place, last, pick, { to: there(last.coverage.find(pick)).from })
    await expectOnly(
      place,
      'coverage_mismatch',
      keyIn(runB, runB.length - 1, 'coverage'),
      /its rows are from/,
    )
  })

  test('coverage_mismatch: rows that no interval speaks of', async () => {
    const place = await copy()
    const manifest = windowOf(runA, 1)
    const without = await reseal(place, manifest, (fields) => ({
      ...fields,
      coverage: fields.coverage.filter((row) => row.of_stream !== 'mark_price'),
    }))
    await rewrite(place, without, 'coverage', (rows) => rows.filter((row) => row.of_stream !== 'mark_price'))
    await expectOnly(place, 'coverage_mismatch', keyIn(runA, 1, 'coverage'), /mark_price/)
  })
})

describe('two runs', () => {
  async function twoRuns(): Promise<{ place: Place; a: Manifest[]; b: Manifest[] }> {
    const place = await Place.make()
    places.push(place)
    const market = new Market()
    const a = new Capture(market, place.dir, RUN_A)
    const b = new Capture(market, place.dir, RUN_B)
    a.connect()
    play(market, [a], 13)
    b.connect()
    play(market, [a, b], 4)
    const first = await a.stop(place.bucket)
    play(market, [b], 8)
    return { place, a: first, b: await b.stop(place.bucket) }
  }

  test('overlap: the rows of both, told at the later run’s objects of chained streams', async () => {
    const { place, b } = await twoRuns()
    const { problems, coverage } = await verify(place)
    assert.deepEqual(
      problems.map(({ kind, key }) => `${kind} ${key}`),
      ['books5', 'depth', 'trades'].map((stream) => `overlap ${keyIn(b, 0, stream)}`),
    )
    // doubled, and still whole
    for (const { seconds } of coverage) assert.equal(seconds.missing, 0)
  })

  test('overlap: none where a manifest tells of it', async () => {
    const { place, b } = await twoRuns()
    for (const manifest of b) await reseal(place, manifest, (fields) => ({ ...fields, overlaps: true }))
    assert.deepEqual((await verify(place)).problems, [])
  })
})

test('a bucket that cannot be read is an error, not a problem of its data', async () => {
  const place = await copy()
  const key = keyOfManifest(windowOf(runA, 0))
  class Broken extends LocalBucket {
    override async get(asked: string): Promise<Buffer | undefined> {
      if (asked === key) throw new Error('the store does not answer')
      return await super.get(asked)
    }
  }
  await assert.rejects(verifyBucket(new Broken(place.root)), /does not answer/)
})
