/**
 * The notebooks and the SQL of examples/, executed against a bucket that the product wrote, in a folder and on S3. Their
 * figures are held against `l2cap verify`, against manifests, against the story that was captured, and against each other.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Manifest } from '../../capture/ship/mod.ts'
import type { VerifyReport } from '../../capture/verify/mod.ts'
import { manifestsOf } from '../cli/l2cap.ts'
import { CHINESE } from '../pipeline/made/bucket.ts'
import { DATA_MD } from '../pipeline/made/data-doc.ts'
import { runL2cap } from '../s3/cli.ts'
import { givenStore, OwnStore, storeProblem, TestStore } from '../s3/store.ts'
import { ExampleBucket } from './bucket.ts'
import {
  executeNotebooks,
  executeS3Snippets,
  executeSql,
  notebooks,
  type Settings,
  type SqlResult,
  sqlFiles,
} from './execute.ts'
import type { FullBook, Seconds, Shown } from './figures.ts'
import { EVENTS } from './story.ts'
import { trueBookAt } from './traffic.ts'

const NO_STORE = storeProblem()
const ON_S3 = NO_STORE === '' ? {} : { skip: NO_STORE }
/** A time that is proven, in a window that opens with a live book. */
const PROVEN_INSTANT = '2023-04-05T00:03:00Z'
/** Holes of a book: the lost event, the lost connection, what the lie withdrew, and the two ends without a word. */
const BOOK_HOLES = [EVENTS.loseEvent, EVENTS.loseConnections, EVENTS.lie, EVENTS.killFirst, EVENTS.killSecond]
const TRADE_HOLES = [EVENTS.killFirst, EVENTS.killSecond]
const near = (have: number, want: number, what: string, within = 1e-6) =>
  assert.ok(Math.abs(have - want) <= within, `${what}: ${have}, expected ${want}`)

/** Sums of doubles depend on the order of threads in their last digits: numbers with a fraction are cut to 9 digits. */
function rounded(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rounded)
  if (typeof value === 'number') return Number(value.toPrecision(9))
  if (typeof value === 'string') return /^-?\d+\.\d+$/.test(value) ? Number(value).toPrecision(9) : value
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, rounded(one)]))
}

async function verified(address: string, env: Settings): Promise<VerifyReport> {
  const { code, stdout, stderr } = await runL2cap(['verify', address, '--json'], env)
  assert.equal(code, 0, `l2cap verify ${address}: ${stderr}${stdout.slice(0, 2000)}`)
  return JSON.parse(stdout)
}

/** Seconds of a stream over all days. */
function secondsOf(report: VerifyReport, symbol: string, stream: string): Seconds {
  const days = report.coverage.filter((day) => day.symbol === symbol && day.stream === stream)
  assert.ok(days.length > 0, `verify reports ${stream} of ${symbol}`)
  const sum = (name: keyof Seconds) => days.reduce((all, { seconds }) => all + seconds[name], 0)
  return {
    proven: sum('proven'),
    observed: sum('observed'),
    suspect: sum('suspect'),
    missing: sum('missing'),
  }
}

/** Rows by stream, as the manifests count them. */
function rowsOf(manifests: readonly Manifest[]): Record<string, number> {
  const rows: Record<string, number> = {}
  for (const { stream, rows: count } of manifests.flatMap(({ objects }) => objects))
    rows[stream] = (rows[stream] ?? 0) + count
  return rows
}

function assertPictures(shown: Shown): void {
  const wanted = {
    '01_first_look': ['tab:blue', 'white'],
    '02_only_what_is_proven': ['tab:blue', 'tab:green', 'tab:orange', 'tab:red', 'white'],
    '03_full_depth_book': ['white'],
  } as const
  for (const [name, colours] of Object.entries(wanted)) {
    const { pictures, warnings } = shown[name as keyof Shown]
    assert.deepEqual(warnings, [], `${name} warns of nothing`)
    assert.equal(pictures.length, 1, `${name} shows a picture`)
    for (const picture of pictures) {
      assert.ok(picture.width > 800 && picture.height > 400, `${name}: ${picture.width} × ${picture.height}`)
      for (const colour of colours)
        assert.ok((picture.colours[colour] ?? 0) > 0.0005, `${name} has something ${colour}`)
      assert.ok((picture.colours['white'] ?? 1) < 0.97, `${name} is not blank`)
    }
  }
}

/** The book that was rebuilt is the exchange's own, wherever it is known. */
async function assertTrueBook(figures: FullBook): Promise<void> {
  const { bids, asks } = await trueBookAt(figures.update_id)
  const [low, high] = figures.reach
  const inside = [[...bids].filter(([price]) => price >= low), [...asks].filter(([price]) => price <= high)]
  const [bidsInside = [], asksInside = []] = inside
  assert.deepEqual([figures.bids, figures.asks], [bidsInside.length, asksInside.length])
  assert.deepEqual(figures.best, [Math.max(...bids.keys()), Math.min(...asks.keys())])
  const total = (side: readonly (readonly [number, number])[]) => side.reduce((sum, [, qty]) => sum + qty, 0)
  near(figures.bid_quantity, total(bidsInside), 'quantity bid')
  near(figures.ask_quantity, total(asksInside), 'quantity offered')
}

describe('examples', () => {
  let dir: string
  let made: ExampleBucket
  let report: VerifyReport
  let btc: Manifest[]
  let shown: Shown
  let sql: Record<string, SqlResult[]>

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'l2cap-examples-'))
    made = await ExampleBucket.make(dir)
    const place = join(dir, 'folder')
    // two processes at a time, as the machine has cores
    const [executed, [ran, found]] = await Promise.all([
      executeNotebooks(place, await notebooks(), { L2CAP_BUCKET: made.root }),
      executeSql(dir, made.root, {}).then(async (ran) => [ran, await verified(made.root, {})] as const),
    ])
    shown = executed as unknown as Shown
    sql = ran
    report = found
    btc = (await manifestsOf(made.root)).filter(({ symbol }) => symbol === 'BTCUSDT')
  })
  after(async () => {
    await rm(dir, { recursive: true, force: true })
  })

  it('the notebooks are checked in without outputs, and begin alike', async () => {
    const openings = new Set<string>()
    for (const path of await notebooks()) {
      const text = await readFile(path, 'utf8')
      const { cells, nbformat } = JSON.parse(text)
      assert.equal(nbformat, 4)
      const code = cells.filter((cell: { cell_type: string }) => cell.cell_type === 'code')
      for (const cell of code) assert.deepEqual([cell.outputs, cell.execution_count], [[], null], path)
      openings.add(JSON.stringify(code.slice(0, 2).map((cell: { source: string[] }) => cell.source)))
      for (const reader of ['polars', 'duckdb', 'pandas'])
        assert.ok(text.includes(`import ${reader}`) || path.includes('03_'), `${path} uses ${reader}`)
    }
    assert.equal(openings.size, 1, 'settings and opening are the same cells')
  })

  it('readers are pinned to the versions that DATA.md was tried with', async () => {
    const pins = async (folder: string) =>
      (await readFile(join(import.meta.dirname, '../..', folder, 'requirements.txt'), 'utf8'))
        .trim()
        .split('\n')
    const pinned = await pins('examples')
    assert.deepEqual(
      (await pins('test/readers')).filter((pin) => !pinned.includes(pin)),
      [],
    )
  })

  it('first look: rows, volume and gaps are those of manifests and story', () => {
    const { figures } = shown['01_first_look']
    assert.equal(figures.windows, btc.length)
    assert.deepEqual(figures.rows, rowsOf(btc))
    assert.deepEqual([figures.books, figures.trades], [figures.rows['books20'], figures.rows['trades']])
    assert.ok(figures.books > 3000 && figures.trades > 10_000)
    assert.equal(figures.gaps, BOOK_HOLES.length + 1, 'the first row, and the first after each hole')
    near(figures.bar_volume, figures.volume, 'volume in DuckDB and in pandas', 1e-6)
    assert.ok(figures.spread_bps > 0.03 && figures.spread_bps < 0.1, 'BTCUSDT trades at a tick')
    const minutes = sql['01_what_is_there']?.at(-2)
    const volume = minutes?.columns.indexOf('volume') ?? -1
    const inSql = minutes?.rows.reduce((sum, row) => sum + Number(row[volume]), 0) ?? 0
    near(inSql, figures.volume, 'volume in plain SQL', 1e-6)
  })

  it('only what is proven: seconds are those of l2cap verify, and each hole has its event', () => {
    const { figures } = shown['02_only_what_is_proven']
    assert.deepEqual([figures.altered, figures.damaged, figures.windows_missing], [0, 0, 0])
    assert.deepEqual(
      [figures.manifests, figures.objects],
      [btc.length, btc.flatMap((one) => one.objects).length],
    )
    assert.equal(figures.uncommitted, made.uncommitted.length)
    assert.deepEqual(Object.keys(figures.seconds), ['books20', 'depth', 'mark_price', 'trades'])
    for (const [stream, seconds] of Object.entries(figures.seconds)) {
      const expected = secondsOf(report, 'BTCUSDT', stream)
      for (const name of ['proven', 'observed', 'suspect', 'missing'] as const)
        near(seconds[name], expected[name], `${stream}, ${name}`)
    }
    assert.ok(
      (figures.seconds['depth']?.suspect ?? 0) > 20,
      'the lie withdrew what came since the audit before',
    )
    const holes = (stream: string) => figures.missing.filter(([of]) => of === stream).length
    assert.deepEqual(['books20', 'depth', 'trades'].map(holes), [
      BOOK_HOLES.length,
      BOOK_HOLES.length,
      TRADE_HOLES.length,
    ])
    assert.equal(figures.unobserved, TRADE_HOLES.length + 1, 'prices stop with the market connection, too')
    assert.equal(figures.stretches, BOOK_HOLES.length + 1)
  })

  it('only what is proven: SQL finds the same holes, at the times of the story', () => {
    const [chained, unchained] = sql['03_what_is_missing'] ?? []
    const { figures } = shown['02_only_what_is_proven']
    const ids = chained?.rows.map((row) => [row[2], Number(row[5]), Number(row[6])])
    assert.deepEqual(ids, figures.missing)
    assert.equal(unchained?.rows.length, figures.unobserved)
    const startMs = Date.parse(btc.map(({ opened }) => opened).sort()[0] ?? '')
    const books = chained?.rows.filter((row) => row[2] === 'books20') ?? []
    for (const [i, seconds] of BOOK_HOLES.entries()) {
      const [from, to] = [3, 4].map((at) => Date.parse((books[i]?.[at] ?? '').replace(' ', 'T')) - startMs)
      assert.ok(
        (from ?? 0) / 1000 < seconds + 1 && (to ?? 0) / 1000 > seconds,
        `hole ${i} holds second ${seconds}`,
      )
    }
  })

  it('one clean series: Polars and SQL agree on rows, stretches and seconds', () => {
    const { figures } = shown['02_only_what_is_proven']
    const [stretches, series] = sql['04_clean_series'] ?? []
    const rows = stretches?.rows.map((row) => Number(row[1])) ?? []
    assert.equal(rows.length, figures.stretches)
    assert.equal(
      rows.reduce((sum, count) => sum + count, 0),
      figures.clean_rows,
    )
    assert.equal(series?.rows.length, figures.grid_seconds)
    const withdrawn = btc.flatMap(({ coverage }) => coverage).filter((row) => row.state === 'suspect')
    assert.ok(withdrawn.length === 2 && figures.clean_rows < (rowsOf(btc)['books20'] ?? 0))
    assert.ok(figures.volatility_bps > 0.1 && figures.volatility_bps < 10)
  })

  it('the full-depth book is the exchange’s own at that id, in Python and in SQL', async () => {
    const { figures } = shown['03_full_depth_book']
    const [summary, coverage, differences] = sql['05_book_at_an_instant'] ?? []
    const cells = Object.fromEntries(summary?.columns.map((name, i) => [name, summary.rows[0]?.[i]]) ?? [])
    assert.deepEqual(
      [cells['run'], cells['update_id'], cells['bids'], cells['asks']].map(String),
      [figures.run, figures.update_id, figures.bids, figures.asks].map(String),
    )
    assert.deepEqual(differences?.rows, [], 'SQL finds no level that differs from books20')
    assert.equal(figures.withdrawn, true, 'the middle of the story lies in what was withdrawn')
    assert.equal(coverage?.rows.length, 1, 'and SQL says so, too')
    assert.equal(figures.starts_from, 'book')
    assert.ok(figures.changes > 10 && figures.compared > 400 && figures.bids > 500)
    await assertTrueBook(figures)
  })

  it('what is proven in SQL: what nothing commits is named, and seconds are those of l2cap verify', () => {
    const [uncommitted, , withdrawn, seconds] = sql['02_what_is_proven'] ?? []
    const expected = made.uncommitted.map((key) => join(made.root, key)).sort()
    assert.deepEqual(uncommitted?.rows.flat(), expected)
    assert.equal(withdrawn?.rows.length, 2)
    const days = Map.groupBy(report.coverage, ({ symbol, stream }) => `${symbol} ${stream}`)
    assert.equal(seconds?.rows.length, days.size, 'every stream of every symbol')
    for (const [symbol = '', stream = '', , , counted, missing] of seconds?.rows ?? []) {
      const { proven, observed, missing: gone } = secondsOf(report, String(symbol), String(stream))
      near(Number(counted), proven + observed, `${symbol} ${stream}`)
      near(Number(missing), gone, `${symbol} ${stream}, missing`)
    }
  })

  it('pictures are there, and not blank', () => assertPictures(shown))

  it('what is missing is asked in one way: the queries are those of DATA.md', async () => {
    const plain = (text: string) => text.replaceAll(/\s+/g, ' ')
    const [page, ...files] = await Promise.all(
      [DATA_MD, ...(await sqlFiles())].map(async (path) => [path, await readFile(path, 'utf8')] as const),
    )
    const section =
      page?.[1].slice(page[1].indexOf('### What is missing'), page[1].indexOf('### Only rows')) ?? ''
    const [, byId = '', byTime = ''] = [...section.matchAll(/```sql\n(.*?);\n```/gs)].map(
      (match) => match[1] ?? '',
    )
    assert.ok(byId.length > 500 && byTime.length > 300)
    const missing = plain(files.find(([path]) => path.includes('03_'))?.[1] ?? '')
    const [, second = ''] = await notebooks()
    const cells = JSON.parse(await readFile(second, 'utf8')).cells as { source: string[] }[]
    const notebook = plain(cells.map(({ source }) => source.join('')).join('\n'))
    for (const query of [byId, byTime]) {
      assert.ok(missing.includes(plain(query)), 'examples/sql has it')
      assert.ok(notebook.includes(plain(query)), 'the notebook has it')
    }
  })

  it('on S3 everything is the same, behind a prefix, with a private authority', ON_S3, async () => {
    const given = givenStore()
    const store = given === undefined ? await OwnStore.start({ tls: true }) : new TestStore(given)
    try {
      const objects = await made.copyTo(store.bucket())
      assert.ok(objects > 60)
      const settings = { ...store.env, L2CAP_BUCKET: store.url }
      const paths = await notebooks()
      const chinese = { ...settings, L2CAP_SYMBOL: CHINESE, PYTHONWARNINGS: 'ignore' }
      const [all, [some, ran, found]] = await Promise.all([
        executeNotebooks(join(dir, 's3'), paths, { ...settings, L2CAP_INSTANT: PROVEN_INSTANT }),
        (async () =>
          [
            await executeNotebooks(join(dir, 's3-encoded'), paths.slice(1, 2), chinese),
            await executeSql(dir, store.url, store.env),
            await verified(store.url, store.env),
          ] as const)(),
      ])
      assert.deepEqual(found, report)
      const onS3 = all as unknown as Shown
      for (const name of ['01_first_look', '02_only_what_is_proven'] as const)
        assert.deepEqual(rounded(onS3[name].figures), rounded(shown[name].figures))
      assertPictures(onS3)
      const { figures } = onS3['03_full_depth_book']
      assert.equal(figures.withdrawn, false)
      await assertTrueBook(figures)
      const encoded = (some as unknown as Shown)['02_only_what_is_proven'].figures
      near(encoded.seconds['depth']?.proven ?? 0, secondsOf(report, CHINESE, 'depth').proven, CHINESE)
      for (const [name, results] of Object.entries(sql)) {
        const same = name === '02_what_is_proven' ? results.slice(1) : results
        assert.deepEqual(rounded(ran[name]?.slice(-same.length)), rounded(same), name)
      }
      const trades = rowsOf(await manifestsOf(made.root))['trades']
      // polars knows a private authority from here alone
      const authority = store.env['AWS_CA_BUNDLE']
      const trust = authority === undefined ? {} : { SSL_CERT_FILE: authority }
      assert.deepEqual(await executeS3Snippets(dir, { ...settings, ...trust }), [
        `${trades} ${trades} ${trades}`,
      ])
    } finally {
      await store.empty()
      store.client.destroy()
      if (store instanceof OwnStore) store.server.remove()
    }
  })
})
