import assert from 'node:assert/strict'
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { keyOfManifest, LocalBucket, type Manifest, objectKey, parseTimeUs } from '../../capture/ship/mod.ts'
import { listCoverage, verifyBucket } from '../../capture/verify/mod.ts'
import { objectOf, reseal, rewrite, rowsOf, there } from './damage.ts'
import { changeRow, keyIn, useScenario, windowOf } from './scenario.ts'
import { Capture, Market, type Place, play, RUN_A, RUN_B } from './world.ts'

const s = useScenario()

describe('a bucket as it was written', () => {
  test('sound: gaps, a reconnect, quiet windows, a crash and a second run are no problems', async () => {
    const report = await s.verify(s.origin)
    assert.deepEqual(report.problems, [])
    assert.equal(report.ok, true)
    const all = [...s.runA, ...s.runB]
    const objects = all.flatMap((manifest) => manifest.objects)
    assert.deepEqual(report.checked, {
      manifests: all.length,
      objects: objects.length,
      bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0),
      rows: objects.reduce((sum, { rows }) => sum + rows, 0),
    })
    // the scenario holds what it promises
    const ends = new Set<string | null>(all.flatMap(({ coverage }) => coverage.map((row) => row.ended_by)))
    for (const end of ['sequence', 'reconnect', 'crash', 'stopped', null])
      assert.ok(ends.has(end), String(end))
    assert.equal(there(s.runA.at(-1)).witness, 'none')
    assert.ok(
      all.some(({ objects }) => !objects.some(({ stream }) => stream === 'books5')),
      'a window without books',
    )
  })

  test('coverage: proven and missing add up to the time from first to last evidence', async () => {
    const report = await s.verify(s.origin)
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

  test('listing: manifests alone tell the same coverage of a right bucket, and no object is read', async () => {
    const listed = await listCoverage(s.origin.bucket)
    assert.deepEqual(listed.coverage, (await s.verify(s.origin)).coverage)
    assert.deepEqual(listed.problems, [])
    const manifests = s.runA.length + s.runB.length
    assert.deepEqual(listed.checked, { manifests, objects: 0, bytes: 0, rows: 0 })
  })

  test('progress: told after each window, with what was read so far', async () => {
    const seen: number[] = []
    const { checked } = await verifyBucket(s.origin.bucket, {
      onProgress: ({ windowsDone, windows, checked: { rows } }) => {
        assert.equal(windows, s.runA.length + s.runB.length)
        seen.push(windowsDone, rows)
      },
    })
    assert.equal(seen.at(-2), s.runA.length + s.runB.length)
    assert.equal(seen.at(-1), checked.rows)
  })

  test('empty: a bucket without anything is right, and nothing was checked', async () => {
    const place = await s.fresh()
    const report = await s.verify(place)
    assert.deepEqual(report, {
      ok: true,
      checked: { manifests: 0, objects: 0, bytes: 0, rows: 0 },
      problems: [],
      coverage: [],
    })
  })

  test('copied: data under another prefix is verified beside its manifests', async () => {
    const place = await s.fresh()
    await cp(s.origin.root, join(place.root, 'archive/2026'), { recursive: true })
    const report = await s.verify(place)
    assert.deepEqual(report.problems, [])
    assert.equal(report.checked.manifests, s.runA.length + s.runB.length)
  })

  test('left alone: cuts, quarantine, foreign files and what is in flight are no problems', async () => {
    const place = await s.copy()
    const { exchange, symbol, run, window, opened } = there(s.runB.at(-1))
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
      `${keyOfManifest(windowOf(s.runB, 0)).replace(/[^/]+$/, '')}${run}.cut.json`,
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
    assert.deepEqual((await s.verify(place)).problems, [])
  })
})

describe('two runs', () => {
  async function twoRuns(): Promise<{ place: Place; a: Manifest[]; b: Manifest[] }> {
    const place = await s.fresh()
    const market = new Market()
    const a = new Capture(market, place.dir, RUN_A)
    a.connect()
    play(market, [a], 13)
    const b = new Capture(market, place.dir, RUN_B)
    b.connect()
    play(market, [a, b], 4)
    const first = await a.stop(place.bucket)
    play(market, [b], 8)
    return { place, a: first, b: await b.stop(place.bucket) }
  }

  test('overlap: the rows of both, told at the later run’s objects of chained streams', async () => {
    const { place, b } = await twoRuns()
    const { problems, coverage } = await s.verify(place)
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
    assert.deepEqual((await s.verify(place)).problems, [])
  })
})

describe('other lives of a run', () => {
  test('a halt: what a crossed book withdraws is suspect and missing, and no problem', async () => {
    const place = await s.fresh()
    const market = new Market()
    const capture = new Capture(market, place.dir, RUN_A, { halts: 'CrossedBook' })
    capture.connect()
    play(market, [capture], 25)
    capture.depth(market.crossing())
    assert.equal(capture.run.session.over, true)
    const manifests = await capture.stop(place.bucket)
    const suspects = manifests.flatMap(({ coverage }) => coverage.filter(({ state }) => state === 'suspect'))
    assert.deepEqual(suspects.map((row) => row.of_stream).sort(), ['books5', 'depth'])
    const report = await s.verify(place)
    assert.deepEqual(report.problems, [])
    for (const { stream, from, to, seconds } of report.coverage) {
      const span = (parseTimeUs(to) - parseTimeUs(from)) / 1e6
      if (stream === 'trades') assert.deepEqual([seconds.proven, seconds.missing], [span, 0])
      // nothing was audited since the join: all of it, over three windows, is withdrawn
      if (stream === 'depth')
        assert.deepEqual([seconds.proven, seconds.suspect, seconds.missing], [0, span, span])
    }
  })

  test('audits and a proven silence of a real session: its book rows stand in mid-window, and are compared', async () => {
    const place = await s.fresh()
    const market = new Market(undefined, 1100)
    const capture = new Capture(market, place.dir, RUN_A, { rotationSeconds: 300, bookLevels: 20 })
    capture.connect()
    play(market, [capture], 660)
    play(market, [capture], 40, ['depth'])
    play(market, [capture], 10)
    const manifests = await capture.stop(place.bucket)
    const { problems, coverage } = await s.verify(place)
    assert.deepEqual(problems, [])
    const depth = coverage.filter(({ stream }) => stream === 'depth')
    assert.deepEqual(
      depth.map(({ seconds }) => seconds.missing),
      [0],
    )
    const files = manifests.map((manifest) => place.path(objectOf(manifest, 'depth').key))
    const rows = await Promise.all(files.map(async (file) => rowsOf(await readFile(file), 'depth')))
    const audits = rows.map((window) => window.slice(1).filter(({ kind }) => kind === 'book').length)
    assert.ok(Math.max(...audits) > 0, `audits by window: ${audits}`)
    // a level of the audit that is another one is told
    const window = audits.findIndex((count) => count > 0)
    const at = rows[window]?.findIndex(({ kind }, i) => i > 0 && kind === 'book') ?? 0
    const worse = changeRow(at, (row) => {
      return { ...row, bid_qtys: (row.bid_qtys as number[]).map((qty, i) => (i === 25 ? qty + 1 : qty)) }
    })
    await rewrite(place, windowOf(manifests, window), 'depth', worse)
    await s.expectOnly(place, 'book_mismatch', keyIn(manifests, window, 'depth'), /bid at .* the row has/)
  })

  test('midnight: a run over two days has a row of coverage for each', async () => {
    const place = await s.fresh()
    const market = new Market(parseTimeUs('2026-11-22T23:59:45.000000Z'))
    const capture = new Capture(market, place.dir, RUN_A)
    capture.connect()
    play(market, [capture], 30)
    await capture.stop(place.bucket)
    const { problems, coverage } = await s.verify(place)
    assert.deepEqual(problems, [])
    const trades = coverage.filter(({ stream }) => stream === 'trades')
    assert.deepEqual(
      trades.map(({ date, seconds }) => [date, seconds.missing]),
      [
        ['2026-11-22', 0],
        ['2026-11-23', 0],
      ],
    )
    assert.equal(trades[0]?.to, '2026-11-23T00:00:00.000000Z')
    assert.equal(trades[1]?.from, trades[0]?.to)
  })

  test('clocks of two nodes differ: runs that join by id leave nothing missing', async () => {
    const place = await s.fresh()
    const market = new Market()
    const a = new Capture(market, place.dir, RUN_A, { streams: ['trades'] })
    a.connect()
    play(market, [a], 12)
    await a.stop(place.bucket)
    const b = new Capture(market, place.dir, RUN_B, { streams: ['trades'], skewUs: -600_000 })
    b.connect()
    play(market, [b], 12)
    await b.stop(place.bucket)
    const { problems, coverage } = await s.verify(place)
    assert.deepEqual(problems, [])
    assert.deepEqual(
      coverage.map(({ seconds }) => seconds.missing),
      [0],
    )
  })
})

test('a bucket that cannot be read is an error, not a problem of its data', async () => {
  const place = await s.copy()
  const key = keyOfManifest(windowOf(s.runA, 0))
  class Broken extends LocalBucket {
    override async get(asked: string): Promise<Buffer | undefined> {
      if (asked === key) throw new Error('the store does not answer')
      return await super.get(asked)
    }
  }
  await assert.rejects(verifyBucket(new Broken(place.root)), /does not answer/)
})
