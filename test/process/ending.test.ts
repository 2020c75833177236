import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { SEGMENT_FORMAT, SegmentWriter } from '../../capture/journal/mod.ts'
import { type Sim, startSim } from '../sim/mod.ts'
import { CaptureProcess } from '../support/capture.ts'
import { SESSION, withDirectory } from '../support/run.ts'

const OLD_RUN = '20260101T000000000Z-00000001'
/** A drain that hangs is the failure looked for: far above what an end takes on a busy machine. */
const ENDS_WITHIN_MS = 120_000

async function exitWithin(capture: CaptureProcess, ms: number): Promise<number | null> {
  let late = false
  const timer = setTimeout(() => {
    late = true
    capture.child.kill('SIGKILL')
  }, ms)
  const { code } = await capture.exit
  clearTimeout(timer)
  assert.equal(late, false, `it did not end within ${ms} ms:\n${capture.output.slice(-2000)}`)
  return code
}

async function reportOf(dir: string, symbol: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(dir, 'spool', symbol, 'report.json'), 'utf8')) as Record<
    string,
    unknown
  >
}

/** A segment of an earlier run whose state is of a version that nobody reads. */
async function writeForeignSegment(journalDir: string): Promise<void> {
  await mkdir(journalDir, { recursive: true })
  const writer = SegmentWriter.open({
    dir: journalDir,
    header: {
      format: SEGMENT_FORMAT,
      run: OLD_RUN,
      window: 0,
      exchange: SESSION.exchange,
      symbol: SESSION.symbol,
      session: SESSION,
      writtenBy: '99.0.0',
      writer: { capture: '', uid: '', pod: '', node: '' },
      openedAt: Date.UTC(2026, 0, 1) * 1000,
    },
    checkpoint: Buffer.from([99, 0, 0, 0]),
    onError: (error) => assert.fail(error.message),
  })
  writer.append({ kind: 'tick', received: Date.UTC(2026, 0, 1) * 1000 + 1, wallDistance: 0, share: 1 })
  await writer.seal({ closedAt: Date.UTC(2026, 0, 1) * 1000 + 2, stateHash: '00', reason: 'rotation' })
}

describe('how a capture ends', () => {
  let sim: Sim
  before(async () => {
    sim = await startSim({ seed: 11, symbols: ['BTCUSDT'] })
  })
  after(() => sim.stop())

  it('a segment that cannot be replayed is kept aside, and everything else goes on', () =>
    withDirectory(async (dir) => {
      const spool = join(dir, 'spool', 'BTCUSDT')
      await writeForeignSegment(join(spool, 'journal'))
      const capture = new CaptureProcess({
        dir,
        symbol: 'BTCUSDT',
        endpoints: sim.endpoints,
        rotationSeconds: 1,
      })
      await capture.until('a commit', (status) => status.ship.lastCommit !== null)
      capture.child.kill('SIGTERM')
      assert.equal(await exitWithin(capture, ENDS_WITHIN_MS), 0)
      assert.deepEqual(await readdir(join(spool, 'quarantine')), [`${OLD_RUN}-000000.journal`])
      assert.match(capture.output, /quarantined, it cannot be recorded: state version 99 is not/)
      const report = await reportOf(dir, 'BTCUSDT')
      assert.deepEqual([report['reason'], report['unshippedBytes']], ['Drained', 0])
      assert.equal(report['quarantinedBytes'], 0, 'it is shipped as it is, and an empty file stays')
      const folder = join(dir, 'data/quarantine/exchange=BinanceUsdm/symbol=BTCUSDT')
      assert.deepEqual(await readdir(folder), [`${OLD_RUN}-000000.journal`])
      assert.equal((await stat(join(spool, 'quarantine', `${OLD_RUN}-000000.journal`))).size, 0)
      assert.ok((await stat(join(folder, `${OLD_RUN}-000000.journal`))).size > 0)
    }))

  it('a second signal during a halt leaves with the code of the halt', () =>
    withDirectory(async (dir) => {
      await writeFile(join(dir, 'data'), 'a file where the bucket should be')
      const capture = new CaptureProcess({ dir, symbol: 'NOPEUSDT', endpoints: sim.endpoints })
      while (!capture.output.includes('halt SymbolUnknown')) await new Promise((wake) => setTimeout(wake, 20))
      capture.child.kill('SIGTERM')
      while (capture.child.exitCode === null) {
        capture.child.kill('SIGTERM')
        await new Promise((wake) => setTimeout(wake, 50))
      }
      assert.equal(await exitWithin(capture, ENDS_WITHIN_MS), 17)
      const report = await reportOf(dir, 'NOPEUSDT')
      assert.deepEqual(
        [report['reason'], report['exitCode'], report['haltsInARow']],
        ['SymbolUnknown', 17, 1],
      )
    }))

  it('a spool that was deleted under it: it ends, and not as if in order', () =>
    withDirectory(async (dir) => {
      const capture = new CaptureProcess({ dir, symbol: 'BTCUSDT', endpoints: sim.endpoints })
      await capture.until('a live book', (status) => status.state === 'live')
      await rm(join(dir, 'spool'), { recursive: true })
      capture.child.kill('SIGTERM')
      assert.equal(await exitWithin(capture, ENDS_WITHIN_MS), 1)
      assert.match(capture.output, /"reason":"InternalError"/)
    }))

  for (const [when, rotationSeconds, signal] of [
    ['the seal of the last window', 300, 'SIGTERM'],
    ['the seal of a window while it goes on', 1, undefined],
  ] as const) {
    it(`a sync that fails at ${when}: DiskFailed, once, with its exit code`, () =>
      withDirectory(async (dir) => {
        const env = { NODE_OPTIONS: `--import=${new URL('./failing-sync.ts', import.meta.url).href}` }
        const capture = new CaptureProcess({
          dir,
          symbol: 'BTCUSDT',
          endpoints: sim.endpoints,
          rotationSeconds,
          env,
        })
        await capture.until('a live book', (status) => status.state === 'live')
        capture.child.kill('SIGUSR2')
        while (!capture.output.includes('from here on syncs fail'))
          await new Promise((wake) => setTimeout(wake, 5))
        if (signal !== undefined) capture.child.kill(signal)
        assert.equal(await exitWithin(capture, ENDS_WITHIN_MS), 18)
        assert.equal((await reportOf(dir, 'BTCUSDT'))['reason'], 'DiskFailed')
        assert.doesNotMatch(capture.output, /an error that nothing expected/)
      }))
  }

  it('a capture whose parent dies before it has begun ends by itself', () =>
    withDirectory(async (dir) => {
      const config = {
        exchange: 'BinanceUsdm',
        symbol: 'BTCUSDT',
        spool: { dir: join(dir, 'spool') },
        storage: { local: { path: join(dir, 'data') } },
        endpoints: sim.endpoints,
      }
      const main = join(import.meta.dirname, '../../capture/main.ts')
      const script = `
        const { spawn } = require('node:child_process')
        const child = spawn(process.execPath, [${JSON.stringify(main)}], {
          env: { ...process.env, L2CAP_CONFIG: ${JSON.stringify(JSON.stringify(config))} },
          stdio: ['ignore', 'ignore', 'ignore', 'ipc'], detached: true,
        })
        process.stdout.write(String(child.pid))
        setTimeout(() => process.exit(0), 100)`
      const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
      let pid = ''
      parent.stdout.on('data', (text) => {
        pid += text
      })
      await once(parent, 'close')
      const deadline = performance.now() + ENDS_WITHIN_MS
      while (isAlive(Number(pid))) {
        if (performance.now() > deadline) {
          process.kill(Number(pid), 'SIGKILL')
          assert.fail('the orphan went on capturing')
        }
        await new Promise((wake) => setTimeout(wake, 50))
      }
    }))
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false // no such process: it has ended
  }
}
