/**
 * What a stranger gets to see: Python readers against a bucket whose values are chosen to hurt, the examples of
 * docs/DATA.md, and the same capture recorded in different ways.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { END_REASONS, HALT_EXIT_CODES } from '../../api/reasons.ts'
import { keyOfManifest, parseManifest } from '../../capture/ship/mod.ts'
import { runReader } from '../support/python.ts'
import { BURST_EVENTS, CHINESE, DIGITS, MadeBucket } from './made/bucket.ts'
import { DATA_MD, documentedColumns, README_MD } from './made/data-doc.ts'
import { writeExpected } from './made/expected.ts'
import { captureInputs, recordedInputs } from './made/recorded-run.ts'

/** What types_check.py found equal: rows and values by reader. */
interface TypesChecked {
  readonly readers: Readonly<Record<string, readonly [rows: number, values: number]>>
  readonly files: number
  readonly rowGroupsMax: number
}

/** One block of a page that was executed. */
interface Snippet {
  readonly heading: string
  readonly language: 'sql' | 'python'
  readonly columns?: readonly string[]
  readonly rows?: readonly (readonly (string | null)[])[]
  /** Rows of each statement that asks for some. */
  readonly counts?: readonly number[]
  readonly output?: string
}

/** What missing_check.py made up: intervals, withdrawals, and the holes that both found. */
type MissingChecked = Readonly<Record<'intervals' | 'suspects' | 'byId' | 'byTime', number>>

interface RotationChecked {
  readonly rows: Readonly<Record<string, number>>
  readonly windows: readonly number[]
  readonly books: number
  readonly intervals: number
}

const READERS = ['pyarrow', 'pandas', 'pandas, one file', 'polars', 'duckdb']

/** Every file of a directory, by name. */
async function filesOf(dir: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(dir)).sort()
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(dir, name))] as const)),
  )
}

/** As DuckDB prints a time in UTC. */
function duckTime(us: number): string {
  const text = new Date(Math.floor(us / 1000)).toISOString().replace('T', ' ').slice(0, 19)
  const micros = us % 1_000_000
  return `${text}${micros === 0 ? '' : `.${String(micros).padStart(6, '0')}`}+00:00`
}

describe('readers', () => {
  let made: MadeBucket
  let snippets: readonly Snippet[]

  before(async () => {
    made = await MadeBucket.make()
    snippets = (await runReader('snippets_check.py', [DATA_MD, made.dir])) as Snippet[]
  })
  after(() => made?.remove())

  it('columns, types and values are the documented and the sent ones in pandas, Polars, DuckDB and pyarrow', async (t) => {
    const path = join(made.dir, 'expected.json')
    const rows = await writeExpected(made, documentedColumns(), path)
    const checked = (await runReader('types_check.py', [path])) as TypesChecked
    assert.deepEqual(Object.keys(checked.readers).sort(), [...READERS].sort())
    for (const [reader, [read, values]] of Object.entries(checked.readers)) {
      assert.equal(read, rows, `${reader} saw every row`)
      t.diagnostic(`${reader}: ${read} rows, ${values} values`)
    }
    assert.ok(rows > 2 * BURST_EVENTS)
    assert.equal(checked.rowGroupsMax, 2, 'a file has more rows than a row group')
  })

  it('filters on symbol and date open their own files alone, and the documented pitfalls are still there', async () => {
    const path = join(made.dir, 'expected.json')
    await writeExpected(made, documentedColumns(), path)
    assert.deepEqual(await runReader('paths_check.py', [path]), { pruned: 7, pitfalls: 8 })
  })

  it('the bucket holds what it is meant to hold', () => {
    const ends = new Set(
      made.captures.flatMap((capture) =>
        capture.files
          .filter((file) => file.stream === 'coverage')
          .flatMap((file) => file.rows.map((row) => row['ended_by'])),
      ),
    )
    assert.deepEqual(
      ends,
      new Set([null, 'sequence', 'reconnect', 'no_data', 'stopped', 'crash', 'CrossedBook']),
    )
    const dates = new Set(
      made.captures.flatMap(({ files }) => files.map((file) => Math.floor(file.openedUs / 86_400e6))),
    )
    assert.equal(dates.size, 2)
    const rows = made.captures.flatMap(({ files }) => files.flatMap((file) => file.rows))
    const unproven = rows.filter((row) => row['bid_levels_proven'] === '3')
    assert.ok(unproven.length > 0 && unproven.every((row) => row['bid_price_3'] === null))
    const thin = rows.filter((row) => row['bid_levels_proven'] === '5' && row['bid_price_4'] === null)
    assert.ok(thin.length > 0, 'levels that are proven not to exist')
    assert.ok(rows.some((row) => row['ask_reach'] === 'inf' && row['bid_reach'] === 0))
    assert.ok(rows.some((row) => row['kind'] === 'delta' && String(row['bid_prices']) === ''))
    assert.ok(rows.some((row) => row['kind'] === 'delta' && row['bid_reach'] === 59_900.4))
    assert.ok(rows.some((row) => row['funding_rate'] === null))
    assert.ok(rows.some((row) => row['update_id'] === String(2n ** 53n + 4n)))
  })

  it('every example of DATA.md runs against the bucket', () => {
    for (const { heading, language, columns, rows, output } of snippets) {
      if (language === 'python') assert.notEqual(output, '', `the Python under ${heading} prints something`)
      else if (columns?.[0] !== 'Count')
        assert.ok((rows ?? []).length > 0, `the SQL under ${heading} gives rows`)
    }
    assert.ok(snippets.length >= 14, `${snippets.length} examples`)
  })

  it('every example of README.md runs against the bucket as it stands there, and finds something', async () => {
    const readme = (await runReader('snippets_check.py', [README_MD, made.dir])) as Snippet[]
    const blocks = (await readFile(README_MD, 'utf8')).match(/^```(sql|python)$/gm) ?? []
    assert.ok(blocks.length >= 2 && readme.length === blocks.length, `${readme.length} examples`)
    for (const { heading, language, counts = [], output } of readme) {
      if (language === 'python') assert.notEqual(output, '', `the Python under ${heading} prints something`)
      else
        assert.ok(
          counts.length > 0 && counts.every((count) => count > 0),
          `the SQL under ${heading}: ${counts}`,
        )
    }
  })

  it('what is missing: the documented SQL finds each hole, and no other', () => {
    const [, byId, byTime] = snippets.filter(({ heading }) => heading === 'What is missing')
    const symbols = ['BTCUSDT', 'ETHUSDT', CHINESE, DIGITS]
    const expected = symbols.flatMap((symbol) =>
      ['books20', 'books5', 'depth', 'trades'].flatMap((stream) =>
        made.holes(symbol, stream).map(({ before, after }) => {
          const times = [duckTime(before.to), duckTime(after.from)]
          return ['BinanceUsdm', symbol, stream, ...times, String(before.last), String(after.prev)]
        }),
      ),
    )
    assert.equal(expected.length, 8)
    assert.deepEqual(byId?.rows, expected)
    const observed = symbols.flatMap((symbol) =>
      made.holes(symbol, 'mark_price').map(({ before, after }) => {
        return ['BinanceUsdm', symbol, 'mark_price', duckTime(before.to), duckTime(after.from)]
      }),
    )
    assert.equal(observed.length, 3)
    assert.deepEqual(byTime?.rows, observed)
  })

  it('what is missing: the documented SQL agrees with brute force on made-up days', async (t) => {
    const seed = process.env['MISSING_SEED'] ?? String(Math.floor(Math.random() * 1e9))
    t.diagnostic(`MISSING_SEED=${seed}`)
    const found = (await runReader('missing_check.py', [DATA_MD, seed, '500'])) as MissingChecked
    t.diagnostic(JSON.stringify(found))
    assert.ok(Math.min(...Object.values(found)) > 100, 'each kind of thing came up')
  })

  it('only proven rows: the documented SQL drops what a suspect row withdraws', () => {
    const found = snippets.find(({ heading }) => heading === 'Only rows that are still proven')
    const symbol = found?.columns?.indexOf('symbol') ?? -1
    const counts = Map.groupBy(found?.rows ?? [], (row) => row[symbol])
    const depthRows = (name: string) =>
      made.captures
        .filter((capture) => capture.options.symbol === name)
        .flatMap((capture) => capture.files.filter((file) => file.stream === 'depth'))
        .reduce((sum, file) => sum + file.rows.length, 0)
    assert.deepEqual(
      [...counts].map(([name, rows]) => [name, rows.length]).sort(),
      [
        ['BTCUSDT', depthRows('BTCUSDT')],
        [CHINESE, depthRows(CHINESE)],
      ],
      'nothing is left of the symbol whose book showed crossed',
    )
  })

  it('DATA.md explains every reason, every field of a manifest, and every count', async () => {
    const text = await readFile(DATA_MD, 'utf8')
    for (const reason of [...END_REASONS, ...Object.keys(HALT_EXIT_CODES)]) {
      assert.ok(text.includes(`| \`${reason}\` |`), `ended_by ${reason} has a line of its own`)
    }
    const sealed = join(
      made.captures[0]?.options.spool.sealedPath(made.windows[0]?.name ?? '') ?? '',
      'manifest.json',
    )
    const manifest = parseManifest(await readFile(sealed))
    const { counts, writer } = manifest
    const names = [manifest, manifest.objects[0], manifest.coverage[0], writer, counts].flatMap((part) =>
      Object.keys(part ?? {}),
    )
    assert.ok(Object.keys(counts).length > 20)
    for (const name of names) assert.ok(text.includes(`\`${name}\``), `the manifest's field ${name}`)
  })

  it('recorded again, in this thread and in the worker, a segment gives the same bytes', async () => {
    for (const { segmentPath, name, capture } of made.windows) {
      const outDir = join(made.dir, `again-${name}`)
      await mkdir(outDir)
      await made.recordAgain({ segmentPath, outDir, prefix: '' })
      const [here, worker] = [await filesOf(outDir), await filesOf(capture.options.spool.sealedPath(name))]
      assert.deepEqual([...here.keys()], [...worker.keys()])
      for (const [file, bytes] of here) assert.ok(worker.get(file)?.equals(bytes), `${name} ${file} differs`)
      const manifest = parseManifest(here.get('manifest.json') ?? Buffer.alloc(0))
      const committed = await readFile(join(made.root, keyOfManifest(manifest)))
      assert.ok(
        committed.equals(here.get('manifest.json') ?? Buffer.alloc(0)),
        `${name} was committed as it is`,
      )
    }
  })
})

describe('random rotation points on recorded BTCUSDT traffic', () => {
  it('rows are the same wherever the windows are cut', async (t) => {
    const seed = Number(process.env['ROTATION_SEED'] ?? Math.floor(Math.random() * 1e9))
    t.diagnostic(`ROTATION_SEED=${seed}`)
    const inputs = await recordedInputs()
    const dir = await mkdtemp(join(tmpdir(), 'l2cap-rotations-'))
    try {
      // a window's length that is no round number puts its boundaries anywhere
      const lengths = [3600, 5 + (seed % 7919) / 1000, 15 + (seed % 15_013) / 1000]
      const buckets: string[] = []
      for (const [i, seconds] of lengths.entries()) {
        const place = join(dir, String(i))
        await mkdir(place)
        buckets.push(await captureInputs(inputs, place, seconds))
      }
      const { rows, windows, books, intervals } = (await runReader(
        'rotation_check.py',
        buckets,
      )) as RotationChecked
      t.diagnostic(
        `${inputs.length} inputs, windows ${windows.join(', ')}, ${books} whole books, rows ${JSON.stringify(rows)}`,
      )
      assert.ok((rows['depth'] ?? 0) > 4700 && (rows['trades'] ?? 0) > 1000 && (rows['mark_price'] ?? 0) > 50)
      assert.equal(windows[0], 2, 'cut at midnight alone')
      assert.ok(Math.min(...windows.slice(1)) > 3, 'cut within the stretch')
      assert.ok(books > 5)
      assert.equal(intervals, 2 * 3 + 2 * 2, 'a break and a cut for the book, a cut for the others')
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })
})
