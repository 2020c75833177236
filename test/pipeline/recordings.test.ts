import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { startSim } from '../sim/mod.ts'
import { CaptureProcess } from '../support/capture.ts'
import { runReader } from '../support/python.ts'
import { goldenFiles, recordingsDir } from '../support/recordings.ts'

/** What recording_check.py tells of one symbol. */
interface Checked {
  readonly rows: number
  readonly files: number
  readonly golden: number
  readonly whole: number
  readonly gaps: number
  readonly events: number
}

const LEVELS = 20
const SPEED = 50
const PATIENCE_MS = 60_000

const byRecording = Map.groupBy(goldenFiles(), (golden) => golden.recording)

/** Captures every symbol of a recording with real processes over real sockets, and has Python check the bucket. */
async function captureAndCheck(recording: string, speed: number): Promise<Map<string, Checked>> {
  const dir = await mkdtemp(join(tmpdir(), 'l2cap-recording-'))
  const goldens = byRecording.get(recording) ?? []
  const sim = await startSim({ recording: join(recordingsDir(), recording), speed })
  const ended = new Set<string>()
  sim.on((event) => {
    if (event.event === 'end') ended.add(event.symbol)
  })
  const captures = goldens.map(({ symbol }) => ({
    symbol,
    process: new CaptureProcess({
      dir,
      symbol,
      endpoints: sim.endpoints,
      rotationSeconds: 3,
      bookLevels: LEVELS,
    }),
  }))
  try {
    const checked = new Map<string, Checked>()
    for (const { symbol, process } of captures) {
      const last = String(sim.emitted(symbol).depthIds.at(-1)?.[1] ?? '')
      await process.until(
        `the last event of ${symbol}`,
        (status) =>
          ended.has(symbol) &&
          status.streams['depth']?.lastId === String(sim.emitted(symbol).depthIds.at(-1)?.[1] ?? last),
        PATIENCE_MS,
      )
      await process.drain()
    }
    for (const golden of goldens) {
      const path = join(recordingsDir(), 'golden', golden.file)
      const args = [join(dir, 'data'), golden.symbol, join(recordingsDir(), recording), path, String(LEVELS)]
      checked.set(golden.symbol, (await runReader('recording_check.py', args)) as Checked)
    }
    return checked
  } finally {
    for (const { process } of captures) await process.kill()
    await sim.stop()
    await rm(dir, { recursive: true, force: true })
  }
}

describe('recorded traffic over real sockets becomes Parquet that Python finds equal to the recording', () => {
  for (const recording of byRecording.keys()) {
    it(`${recording} at speed ${SPEED}`, async (t) => {
      for (const [symbol, checked] of await captureAndCheck(recording, SPEED)) {
        const { rows, files, golden, whole, gaps, events } = checked
        t.diagnostic(
          `${symbol}: ${rows} of ${events} events, ${files} files, ${golden} golden, ${whole} whole books`,
        )
        // joining takes a few milliseconds, which are a second or so of the recording
        assert.ok(rows > events / 2, `${symbol}: ${rows} of ${events} events`)
        assert.ok(golden > 0 && whole > 0)
        assert.equal(gaps, 0, 'the recording has no gap')
      }
    })
  }
})
