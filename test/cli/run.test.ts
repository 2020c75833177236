import assert from 'node:assert/strict'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import type { Report } from '../../api/report.ts'
import { journalled } from '../crash/journalled.ts'
import type { Sim } from '../sim/mod.ts'
import { waitFor } from '../support/wait.ts'
import { call, isAlive, L2cap, manifestsOf, simulated, type TestContext, temporary, until } from './l2cap.ts'

/** From the start of the command on: on a busy machine captures take some of it to begin. */
const DURATION = '15s'
/** Signals that follow each other within half a second are one. */
const ANOTHER_SIGNAL_MS = 1000

interface Place {
  readonly sim: Sim
  readonly directory: string
  readonly data: string
  readonly args: readonly string[]
}

async function place(t: TestContext, symbols: readonly string[], wanted = symbols): Promise<Place> {
  const [sim, directory] = [await simulated(t, symbols), await temporary(t)]
  const data = join(directory, 'data')
  const what = ['run', '--exchange', 'BinanceUsdm', '--symbols', wanted.join(','), '--rotation-seconds', '2']
  const where = ['--out', data, '--spool', join(directory, 'spool'), '--endpoints', sim.endpoints]
  return { sim, directory, data, args: [...what, ...where] }
}

async function assertVerified(t: TestContext, data: string): Promise<{ rows: number }> {
  const { code, stdout, stderr } = await call(t, ['verify', data, '--json'])
  assert.equal(code, 0, stdout + stderr)
  const report = JSON.parse(stdout) as { ok: boolean; checked: { rows: number } }
  assert.equal(report.ok, true)
  return report.checked
}

/** Of depth: what its journal holds, and what was published of it. */
async function lastIdOnDisk(spool: string, data: string): Promise<bigint> {
  const { depth } = await journalled(spool)
  const coverage = (await manifestsOf(data)).flatMap((manifest) => manifest.coverage)
  const published = coverage.filter((row) => row.of_stream === 'depth').map((row) => BigInt(row.last_id))
  return [...depth, ...published].reduce((last, id) => (id > last ? id : last), 0n)
}

// most of each is waiting for a market to go on
suite('l2cap run', { concurrency: 3 }, () => {
  test('run: two symbols for a few seconds end in order with exit code 0, and all that they wrote is proven', async (t) => {
    const { data, args } = await place(t, ['BTCUSDT', 'ETHUSDT'])
    const run = new L2cap(t, [...args, '--duration', DURATION])
    const startedMs = performance.now()
    assert.equal(await run.ended, 0, run.stdout + run.stderr)
    const [done] = run.events('done')
    assert.deepEqual(
      done?.symbols.map(({ symbol, restarts }) => [symbol, restarts]),
      [
        ['BTCUSDT', 0],
        ['ETHUSDT', 0],
      ],
    )
    const seconds = (performance.now() - startedMs) / 1000
    const statuses = run.events('status').filter(({ symbol }) => symbol === 'ETHUSDT').length
    assert.ok(
      statuses >= 1 && statuses <= seconds + 1,
      `${statuses} status lines of a symbol in ${seconds} s`,
    )
    assert.equal(run.events('stopping')[0]?.why, 'the duration is over')
    const manifests = await manifestsOf(data)
    assert.equal(manifests.length, run.events('committed').length)
    const live = done?.symbols.reduce((sum, { rows }) => sum + (rows['trades'] ?? 0), 0) ?? 0
    const written = manifests.flatMap(({ objects }) => objects).filter(({ stream }) => stream === 'trades')
    assert.ok(
      live > 0 && written.reduce((sum, { rows }) => sum + rows, 0) >= live,
      'what was counted live was written',
    )
    assert.ok((await assertVerified(t, data)).rows > 0)
    const { code, stdout } = await call(t, ['ls', data])
    assert.equal(code, 0)
    for (const name of ['BTCUSDT  books20', 'ETHUSDT  trades']) assert.ok(stdout.includes(name), stdout)
  })

  test('crash: a capture killed by SIGKILL is started again, nothing it had told of is lost, coverage says crash', async (t) => {
    const { data, directory, sim } = await place(t, ['BTCUSDT'])
    const file = join(directory, 'capture.yaml')
    const storage = `{local: {path: ${JSON.stringify(data)}}}`
    const head = 'apiVersion: l2cap.dev/v1alpha1\nkind: L2Capture\nmetadata: {name: majors}\n'
    await writeFile(
      file,
      `${head}spec: {exchange: BinanceUsdm, symbols: [BTCUSDT], rotationSeconds: 10, storage: ${storage}}\n`,
    )
    const run = new L2cap(t, ['run', file, '--spool', join(directory, 'spool'), '--endpoints', sim.endpoints])
    const rows = () => run.events('status').at(-1)?.rows ?? { none: 0 }
    const flows = () => (rows()['depth'] ?? 0) > 5 && Object.values(rows()).every((count) => count > 0)
    await run.until('rows of every stream', flows)
    const told = BigInt(run.events('status').at(-1)?.lastId ?? '0')
    // told from memory: the disk gets it in its own time
    const spool = join(directory, 'spool', 'BinanceUsdm', 'BTCUSDT')
    await waitFor('what was told is on disk', async () => (await lastIdOnDisk(spool, data)) >= told)
    const [first] = run.events('started')
    process.kill(first?.pid ?? 0, 'SIGKILL')
    await run.until('the second process is live', () => run.events('live').length > 1)
    run.child.kill('SIGTERM')
    assert.equal(await run.ended, 0, run.stdout + run.stderr)

    const [death] = run.events('ended')
    assert.deepEqual([death?.next, death?.reason, death?.delayMs], ['restart', 'Killed', 0])
    assert.equal(run.events('started')[1]?.attempt, 2)
    assert.equal(run.events('done')[0]?.symbols[0]?.restarts, 1)
    await assertVerified(t, data)
    const crashes = run.events('gap').filter(({ reason }) => reason === 'crash')
    assert.deepEqual(crashes.map(({ stream }) => stream).sort(), ['books20', 'depth', 'mark_price', 'trades'])
    assert.equal(run.events('done')[0]?.symbols[0]?.gaps, run.events('gap').length)
    const fell = crashes.find(({ stream }) => stream === 'depth')
    const closed = run
      .events('gap_closed')
      .find(({ stream, from }) => stream === 'depth' && from === fell?.from)
    assert.ok(closed !== undefined && closed.from < closed.to, JSON.stringify(closed))
    const report = JSON.parse(await readFile(join(spool, 'report.json'), 'utf8')) as Report
    assert.deepEqual([report.reason, report.previous?.reason], ['Drained', 'Killed'])
    const coverage = (await manifestsOf(data)).flatMap((manifest) => manifest.coverage)
    const crash = coverage.find((row) => row.ended_by === 'crash' && row.of_stream === 'depth')
    assert.ok(
      crash !== undefined && BigInt(crash.last_id) >= told,
      `${JSON.stringify(crash)} reaches ${told}`,
    )
  })

  test('gaps: each event is a gap that coverage holds, with its reason, from and to; of every stream', async (t) => {
    const { data, args, sim } = await place(t, ['BTCUSDT'])
    const run = new L2cap(t, args)
    const flows = () =>
      Object.values(run.events('status').at(-1)?.rows ?? { none: 0 }).every((rows) => rows > 2)
    await run.until('every stream flows', () => run.events('live').length > 0 && flows())
    sim.inject('drop:BTCUSDT@0')
    const fell = (stream: string) => run.events('gap').filter((gap) => gap.stream === stream).length
    const rose = (stream: string) => run.events('gap_closed').filter((gap) => gap.stream === stream).length
    // on a busy machine there may be more of them
    await run.until('the book fell and rose', () => fell('depth') > 0 && rose('depth') === fell('depth'))
    sim.inject('cut:BTCUSDT/market@0')
    const allRose = () => run.events('gap').every(({ stream }) => rose(stream) === fell(stream))
    await run.until(
      'the others fell and rose',
      () => rose('trades') > 0 && rose('mark_price') > 0 && allRose(),
    )
    run.child.kill('SIGTERM')
    assert.equal(await run.ended, 0, run.stdout + run.stderr)
    const coverage = (await manifestsOf(data)).flatMap((manifest) => manifest.coverage)
    const ends = coverage.filter(({ ended_by }) => ended_by !== null && ended_by !== 'stopped')
    assert.deepEqual(
      run
        .events('gap')
        .map(({ stream, reason, from }) => `${stream} ${reason} ${from}`)
        .sort(),
      ends.map(({ of_stream, ended_by, to }) => `${of_stream} ${ended_by} ${to}`).sort(),
    )
    for (const { stream, to } of run.events('gap_closed'))
      assert.ok(
        coverage.some((row) => row.of_stream === stream && row.from === to),
        `${stream} from ${to}`,
      )
    const goOn = ends.filter(({ of_stream, to }) =>
      coverage.some((row) => row.of_stream === of_stream && row.from > to),
    )
    assert.equal(goOn.length, run.events('gap_closed').length)
  })

  test('pauses: told when they begin, with why, and when they end', async (t) => {
    const { args, sim } = await place(t, ['BTCUSDT'])
    const run = new L2cap(t, args)
    await run.until('the book is live', () => run.events('live').length > 0)
    // longer than a busy machine lets a capture stand still: what ends meanwhile is not told
    sim.inject('rest_429:BTCUSDT/depth=15@0,drop:BTCUSDT@0')
    await run.until('the pause is over', () => run.events('resumed').length > 0)
    const [[paused], [resumed]] = [run.events('paused'), run.events('resumed')]
    assert.deepEqual([paused?.reason, resumed?.reason], ['rate_limited', 'rate_limited'])
    assert.match(paused?.why ?? '', /^the exchange wants no request before 20\d\d-/)
    assert.equal(resumed?.since, paused?.since)
    assert.equal(run.events('paused').length, 1)
    run.child.kill('SIGTERM')
    assert.equal(await run.ended, 0, run.stdout + run.stderr)
  })

  test('spool: a second run on the same one is refused with the holder named, and the first goes on', async (t) => {
    const { args } = await place(t, ['BTCUSDT', 'ETHUSDT'])
    const run = new L2cap(t, args)
    await run.until(
      'both hold their spools',
      () => new Set(run.events('status').map(({ symbol }) => symbol)).size === 2,
    )
    const pids = run.events('started').map(({ pid }) => pid)
    const second = await call(t, args)
    assert.equal(second.code, 2)
    assert.match(
      second.stderr,
      /^l2cap: Spool .* is in use by process (\d+) on .* Stop that process, or give this one another spool directory\n$/,
    )
    assert.ok(pids.includes(Number(/process (\d+)/.exec(second.stderr)?.[1])), second.stderr)
    assert.equal(run.events('ended').length, 0)
    run.child.kill('SIGINT')
    assert.equal(await run.ended, 0, run.stderr)
  })

  test('symbols: one that the exchange does not list ends for good, the others go on, and the exit code is 1', async (t) => {
    const { data, args } = await place(t, ['BTCUSDT'], ['BTCUSDT', 'NOSUCHUSDT'])
    const run = new L2cap(t, args)
    await run.until('the unknown one has ended', () => run.events('ended').length > 0)
    await run.until('the known one is live', () => run.events('live').length > 0)
    run.child.kill('SIGTERM')
    assert.equal(await run.ended, 1, run.stderr)
    const [ended] = run.events('ended')
    assert.deepEqual([ended?.symbol, ended?.next, ended?.reason], ['NOSUCHUSDT', 'terminal', 'SymbolUnknown'])
    assert.match(ended?.message ?? '', /BinanceUsdm lists no symbol NOSUCHUSDT/)
    await assertVerified(t, data)
  })

  test('parent: captures whose parent is killed end by themselves, in order', async (t) => {
    const { data, args } = await place(t, ['BTCUSDT'])
    const run = new L2cap(t, args)
    await run.until('rows of the book', () => (run.events('status').at(-1)?.rows['depth'] ?? 0) > 0)
    const pid = run.events('started')[0]?.pid ?? 0
    assert.ok(isAlive(pid))
    run.child.kill('SIGKILL')
    await run.ended
    await until(
      'the capture has ended',
      () => !isAlive(pid),
      () => `process ${pid}`,
    )
    await assertVerified(t, data)
    const coverage = (await manifestsOf(data)).flatMap((manifest) => manifest.coverage)
    assert.ok(coverage.some((row) => row.ended_by === 'stopped'))
    assert.ok(!coverage.some((row) => row.ended_by === 'crash'))
  })

  test('signals: the first drains, however long the store is away; a second leaves, and the next run publishes the rest', async (t) => {
    const { data, args } = await place(t, ['BTCUSDT'])
    await mkdir(data)
    // a store that takes data and no manifest: nothing can be committed
    await writeFile(join(data, 'manifest'), '')
    const run = new L2cap(t, args)
    await run.until('windows wait', () => run.events('shipping').length > 0)
    assert.match(run.events('shipping')[0]?.reason ?? '', /not_a_directory/)
    run.child.kill('SIGTERM')
    // the same again at once is one signal: a terminal's Ctrl-C may arrive twice
    run.child.kill('SIGTERM')
    await run.until('it was heard', () => run.events('stopping').length > 0)
    const heardMs = performance.now()
    await run.until('a while', () => performance.now() - heardMs > ANOTHER_SIGNAL_MS)
    assert.deepEqual([run.events('stopping').length, run.events('ended').length], [1, 0])
    run.child.kill('SIGTERM')
    assert.equal(await run.ended, 0, run.stderr)
    const [ended] = run.events('ended')
    assert.deepEqual([ended?.next, ended?.reason], ['ended', 'Stopped'])
    assert.ok((ended?.unshippedBytes ?? 0) > 0)

    await rm(join(data, 'manifest'))
    const next = new L2cap(t, args)
    await next.until('a window of the run before is committed', () => next.events('committed').length > 0)
    next.child.kill('SIGTERM')
    assert.equal(await next.ended, 0, next.stderr)
    await assertVerified(t, data)
    assert.equal(new Set((await manifestsOf(data)).map((manifest) => manifest.run)).size, 2)
  })
})
