import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { Client, recordingPath, until, withoutRecordings } from './client.ts'
import { SimError, startSim } from './mod.ts'
import { parseOptions } from './options.ts'

const skip = withoutRecordings()
const MAIN = join(import.meta.dirname, 'main.ts')
const directory = mkdtempSync(join(tmpdir(), 'sim-'))
const started: ChildProcess[] = []
after(() => {
  for (const child of started) child.kill('SIGKILL')
  rmSync(directory, { recursive: true })
})

class Run {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  code: number | null | undefined

  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, [MAIN, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
    started.push(this.child)
    this.child.stdout?.on('data', (data) => {
      this.stdout += data
    })
    this.child.stderr?.on('data', (data) => {
      this.stderr += data
    })
    this.child.on('close', (code) => {
      this.code = code
    })
  }

  lines(): Record<string, unknown>[] {
    return this.stdout
      .slice(0, this.stdout.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }
}

function file(name: string, content: Buffer): string {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}

test('stdout: the first line, then a line an event; SIGTERM ends in order', { skip }, async () => {
  const run = new Run([
    '--recording',
    recordingPath('alts-2021-07-22'),
    '--speed',
    '1000',
    '--faults',
    'drop:KEEPUSDT@0',
  ])
  await until('the first line', () => run.stdout.includes('\n'))
  const [first] = run.lines()
  assert.deepEqual(Object.keys(first ?? {}), [
    'endpoints',
    'symbols',
    'streams',
    'derived',
    'frames',
    'seconds',
  ])
  assert.equal(first?.frames, 1539)
  const client = await Client.combined(String(first?.endpoints), 'public', ['keepusdt@depth@100ms'])
  await until('the end', () => run.lines().some(({ event }) => event === 'end'))
  const [fault, end, ...more] = run.lines().slice(1)
  assert.deepEqual(more, [])
  assert.deepEqual(Object.keys(fault ?? {}), ['event', 'kind', 'symbol', 'id'])
  assert.deepEqual(end, { event: 'end', symbol: 'KEEPUSDT', lastUpdateId: '600860420312' })
  assert.equal(client.code, undefined, 'sockets stay open after the end')
  run.child.kill('SIGTERM')
  await until('the exit', () => run.code !== undefined)
  assert.equal(run.code, 0)
  assert.equal(run.stderr, '')
})

test('generated: SIGINT ends in order', async () => {
  const run = new Run([
    ...'--seed 4 --symbols BTCUSDT,ETHUSDT --rate 50 --profile thin,ETHUSDT=tiny'.split(' '),
  ])
  await until('the first line', () => run.stdout.includes('\n'))
  const [first] = run.lines()
  assert.deepEqual(first?.symbols, ['BTCUSDT', 'ETHUSDT'])
  assert.deepEqual([first?.derived, first?.frames, first?.seconds], [[], 0, 0])
  run.child.kill('SIGINT')
  await until('the exit', () => run.code !== undefined)
  assert.equal(run.code, 0)
})

test('stdin: inject fires a fault now; a mistake is told, and the exchange goes on', async () => {
  const run = new Run(['--seed', '4', '--symbols', 'BTCUSDT'])
  await until('the first line', () => run.stdout.includes('\n'))
  const client = await Client.combined(String(run.lines()[0]?.endpoints), 'public', ['btcusdt@depth@100ms'])
  run.child.stdin?.write('dance\ninject melt:BTCUSDT@0\ninject drop:BTCUSDT@0\n')
  await until('the fault', () => run.lines().length > 1)
  assert.equal(run.lines()[1]?.kind, 'drop')
  await until('both mistakes', () => /"dance" is no command[\s\S]*no known kind/.test(run.stderr))
  run.child.stdin?.end()
  assert.equal(client.code, undefined, 'the end of its commands is not the end of the exchange')
  run.child.kill('SIGTERM')
  await until('the exit', () => run.code !== undefined)
  assert.equal(run.code, 0)
})

test('--help explains itself and exits 0', async () => {
  const run = new Run(['--help'])
  await until('the exit', () => run.code !== undefined)
  assert.equal(run.code, 0)
  for (const word of ['--recording', '--seed', '--faults', 'drop', 'cut'])
    assert.ok(run.stdout.includes(word))
})

test('wrong calls get one clear sentence and exit 2', async () => {
  const other = await startSim({ seed: 1, symbols: ['BTCUSDT'] })
  const market = ['--seed', '1', '--symbols', 'BTCUSDT']
  const line = (text: string) => gzipSync(Buffer.from(text))
  const cases: [string[], RegExp][] = [
    [[], /Say what to simulate/],
    [['--seed', '1'], /Say what to simulate/],
    [['--sing'], /--sing/],
    [['--seed', 'x', '--symbols', 'BTCUSDT'], /--seed is "x"/],
    [['--seed', '1', '--symbols', 'btcusdt'], /upper case/],
    [[...market, '--faults', 'melt:BTCUSDT@1'], /no known kind/],
    [[...market, '--faults', 'drop:XRPUSDT@1'], /not simulated/],
    [[...market, '--speed', '3'], /makes no sense/],
    [[...market, '--profile', 'huge'], /no market profile "huge"/],
    [[...market, '--profile', 'XRPUSDT=thin'], /not among --symbols/],
    [[...market, '--forget', '0'], /--forget is "0"/],
    [[...market, '--port', '70000'], /--port is "70000"/],
    [[...market, '--port', String(other.port)], /Port \d+ is in use/],
    [['--recording', join(directory, 'none.gz')], /cannot be read/],
    [['--recording', file('text.gz', Buffer.from('no gzip'))], /cannot be read/],
    [['--recording', file('empty.gz', line(''))], /it is empty/],
    [
      ['--recording', file('other.gz', line('1700000000000000000\tws\t{"topic":"x"}\n'))],
      /line 1: its frame/,
    ],
    [['--recording', file('tabs.gz', line('1700000000000000000 ws\n'))], /line 1: it has no two tabs/],
    [['--recording', file('cut.gz', line('1\tws\tx\n').subarray(0, 15))], /cannot be read/],
    [['--recording', 'x', '--speed', '0'], /--speed is "0"/],
    [['--recording', 'x', '--seed', '1'], /makes no sense/],
  ]
  for (const [args, wanted] of cases) {
    // What the program does, without a process for each.
    const call = async () => {
      const options = parseOptions(args)
      if (options !== 'help') await (await startSim(options)).stop()
    }
    await assert.rejects(call, (thrown) => {
      assert.ok(thrown instanceof SimError, String(thrown))
      assert.match(thrown.message, wanted)
      assert.ok(!thrown.message.includes('\n'), 'one sentence')
      return true
    })
  }
  const run = new Run(['--seed', '1'])
  await until('the exit', () => run.code !== undefined)
  assert.deepEqual([run.code, run.stdout], [2, ''])
  assert.match(run.stderr, /^sim: Say what to simulate.*\n$/)
  await other.stop()
})
