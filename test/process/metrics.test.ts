import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ProcessConfig } from '../../api/config.ts'
import { END_REASONS, HALT_EXIT_CODES } from '../../api/reasons.ts'
import { FileReserve } from '../../capture/journal/mod.ts'
import { Histogram } from '../../capture/process/histogram.ts'
import { METRICS, Metrics } from '../../capture/process/metrics.ts'
import { DiskRoom } from '../../capture/process/room.ts'
import { COUNTER_NAMES } from '../../capture/session/mod.ts'
import { openSpool } from '../../capture/ship/mod.ts'
import { withDirectory } from '../support/run.ts'
import { KeeperWorld } from './keeper-world.ts'

const DOCUMENT = join(import.meta.dirname, '../../docs/OPERATIONS.md')

/** The samples of a scrape: `name{labels}` → value. The labels that every sample has are left out. */
function samplesOf(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    const match = /^(l2cap_[a-z0-9_]+)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (match === null) continue
    const [, name = '', labels = '', value] = match
    const own = labels.split(',').filter((label) => !/^(exchange|symbol)=/.test(label))
    samples.set(`${name}{${own.join(',')}}`, Number(value))
  }
  return samples
}

async function withMetrics(
  body: (world: KeeperWorld, read: () => Promise<string>) => Promise<void>,
): Promise<void> {
  await withDirectory(async (dir) => {
    const world = await (await KeeperWorld.make(join(dir, 'world'))).begun()
    const spool = await openSpool(join(dir, 'spool'))
    const config = ProcessConfig.parse({
      exchange: 'BinanceUsdm',
      symbol: 'BTCUSDT',
      streams: ['books', 'depth', 'trades', 'mark_price'],
      bookLevels: 20,
      spool: { dir: spool.directory },
      storage: { local: { path: join(dir, 'data') } },
    })
    const room = new DiskRoom({
      directory: dir,
      sizeLimitBytes: 1e9,
      reserve: new FileReserve(spool.paths.reserve),
      usage: () => spool.usage(),
      rotationSeconds: 300,
      onHalfFull: () => undefined,
      nowMs: () => performance.now(),
    })
    const metrics = new Metrics(config, async () => ({
      config,
      keeper: world.keeper,
      room,
      usage: await spool.usage(),
      ship: { state: 'idle', reason: null, check: null, since: '', lastCommit: null, waitingWindows: 0 },
      shipped: {
        ...{ attempts: 6, committed: 3, already: 1, failures: 2, quarantined: 0 },
        failuresByClass: { transient: 2, clock: 0, credential: 0, configuration: 0, integrity: 0 },
      },
      asked: {
        ended: {
          put: { ok: 8, absent: 0, error: 1, unanswered: 2 },
          get: { ok: 12, absent: 4, error: 0, unanswered: 0 },
          list: { ok: 1, absent: 0, error: 0, unanswered: 0 },
        },
        ...{ putBytes: 800, gotBytes: 900 },
      },
      commitSeconds: new Histogram([1]),
      halts: [
        { reason: 'Killed', message: '', run: '', at: '2026-11-22T12:00:03.500000Z' },
        { reason: 'CrossedBook', message: '', run: '', at: '2026-11-22T12:00:02.000000Z' },
        { reason: 'CrossedBook', message: '', run: '', at: '2026-11-22T12:00:01.000000Z' },
      ],
      haltsInARow: 2,
      handoverSeconds: 12,
      nowMs: Date.now(),
    }))
    await body(world, async () => (await metrics.read()).text)
    await world.end()
  })
}

describe('metrics', () => {
  it('the table in docs/OPERATIONS.md names each metric, with its type and labels, and no other', async () => {
    const document = await readFile(DOCUMENT, 'utf8')
    // the operator's own table stands in a section before it
    const [, section = ''] = /\n## Metrics\n(.*?)\n## /s.exec(document) ?? []
    const rows = [...section.matchAll(/^\| `(l2cap_[a-z0-9_]+)` \| (\w+) \| ([^|]*) \| (.+) \|$/gm)]
    const documented = rows.map(([, name, type, labels, help]) => [name, type, labels.trim(), help])
    const told = METRICS.map(({ name, type, labels, help }) => [
      name,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      help,
    ])
    assert.deepEqual(documented, told)
  })

  it('/metrics tells each of them, once, and those of the process', () =>
    withMetrics(async (_world, read) => {
      const text = await read()
      for (const { name, type } of METRICS) {
        assert.equal(text.split('\n').filter((line) => line === `# TYPE ${name} ${type}`).length, 1, name)
      }
      assert.match(text, /^process_resident_memory_bytes/m)
      assert.match(text, /^nodejs_eventloop_lag_seconds/m)
      assert.match(text, /l2cap_frames_total\{exchange="BinanceUsdm",symbol="BTCUSDT"\}/)
    }))

  it('figures are those of our own counts, and go on over runs', () =>
    withMetrics(async (world, read) => {
      world.trade(40)
      await world.time.run(1500)
      world.time.stepWall(-1000)
      await world.until('another run', () => world.runs.length === 2)
      await world.until('open sockets', () => world.isOpen)
      world.trade(2)
      const samples = samplesOf(await read())
      const of = (name: string) => samples.get(name) ?? assert.fail(`no ${name}`)
      assert.equal(of('l2cap_rows_total{stream="trades"}'), 42)
      assert.equal(of('l2cap_events_total{stream="trades"}'), 42)
      assert.equal(of('l2cap_gaps_total{stream="trades",reason="clock_step"}'), 1)
      assert.equal(of('l2cap_runs_total{}'), 2)
      assert.equal(of('l2cap_book_state{state="buffering"}') + of('l2cap_book_state{state="connecting"}'), 1)
      assert.equal(of('l2cap_exchange_lag_seconds_count{stream="trades"}'), 42)
      assert.equal(of('l2cap_exchange_lag_seconds_bucket{stream="trades",le="+Inf"}'), 42)
      assert.ok(of('l2cap_journal_delay_seconds_count{}') >= 2)
      assert.equal(of('l2cap_halts_in_a_row{}'), 2)
      const lastHalt = (reason: string) => of(`l2cap_last_halt_timestamp_seconds{reason="${reason}"}`)
      const noon = Date.parse('2026-11-22T12:00:00Z') / 1000
      assert.deepEqual(
        [lastHalt('CrossedBook') - noon, lastHalt('Killed') - noon, lastHalt('ClockSkew')],
        [2, 3.5, 0],
        'the latest of each reason',
      )
      assert.equal(of('l2cap_windows_shipped_total{outcome="committed"}'), 3)
      assert.equal(of('l2cap_ship_failures_total{class="transient"}'), 2)
      assert.equal(of('l2cap_bucket_requests_total{operation="get",outcome="ok"}'), 12)
      assert.equal(of('l2cap_bucket_requests_total{operation="put",outcome="unanswered"}'), 2)
      assert.equal(of('l2cap_take_overs_total{outcome="done"}'), 0)
      assert.ok(of('l2cap_journal_written_bytes_total{}') > 0)
      assert.ok(of('l2cap_connection_age_seconds{route="market"}') > 0)
      const clockAge = of('l2cap_clock_age_seconds{}')
      assert.ok(clockAge > 0 && clockAge < 60, `${clockAge} s`)
      assert.deepEqual(samplesOf(await read()).get('l2cap_rows_total{stream="trades"}'), 42, 'read twice')
    }))

  it('every pair of a stream and a reason is there at 0 before its first gap, so that a rate sees the first', () =>
    withMetrics(async (_world, read) => {
      const samples = samplesOf(await read())
      for (const stream of ['books', 'depth', 'trades', 'mark_price']) {
        for (const reason of [...END_REASONS, ...Object.keys(HALT_EXIT_CODES)]) {
          const name = `l2cap_gaps_total{stream="${stream}",reason="${reason}"}`
          assert.equal(samples.get(name), 0, name)
        }
      }
    }))

  it('every counter of a session shows in some metric', () =>
    withMetrics(async (_world, read) => {
      const text = await read()
      const shown = [...text.matchAll(/(?:outcome|what)="([a-z_]+)"/g)].map(([, word]) => word)
      for (const name of COUNTER_NAMES) {
        const isOwn = ['messages', 'depth_events', 'trades', 'mark_prices', 'joins', 'gaps', 'take_overs']
          .concat('parse_errors', 'unknown_fields')
          .includes(name)
        const word = name.replace(/^(audits|proofs|snapshots|take_overs)_/, '')
        assert.ok(isOwn || shown.includes(word), name)
      }
    }))
})
