import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { parseFaults, startSim } from '../sim/mod.ts'
import { CaptureProcess } from '../support/capture.ts'
import { runReader } from '../support/python.ts'
import { goldenFiles, recordingsDir } from '../support/recordings.ts'

/** What recording_check.py tells of one symbol. */
interface Checked {
  readonly rows: number
  readonly files: number
  /** Rows that were compared with golden checkpoints, and with the exchange's own best bid and ask. */
  readonly golden: number
  readonly tickers: number
  /** Whole books that the files were replayed to; rows of kind `snapshot` and `book`. */
  readonly whole: number
  readonly snapshots: number
  readonly books: number
  /** How many by reason; each has shown its cause. */
  readonly gaps: Readonly<Record<string, number>>
  readonly audits: Readonly<Record<'clean' | 'mismatch' | 'void', number>>
  readonly events: number
}

const LEVELS = 20
/** A recording is played this fast, but not in less time than this: joining it must not take half of it. */
const SPEED_MAX = 50
const PLAYS_MS_MIN = 5_000
const PATIENCE_MS = 60_000
/** A recording of some minutes, whose book is far deeper than a narrow join. */
const LONG = 'binance-usdm/btcusdt-2023-04-04.frames.gz'

const byRecording = Map.groupBy(goldenFiles(), (golden) => golden.recording)

/** By how much a recording's gaps are divided. Its checkpoints tell how long it is. */
function speedOf(recording: string): number {
  const times = (byRecording.get(recording) ?? []).flatMap(({ checkpoints }) => checkpoints.map(({ E }) => E))
  return Math.min(SPEED_MAX, (Math.max(...times) - Math.min(...times)) / PLAYS_MS_MIN)
}

/** Captures every symbol of a recording with real processes over real sockets, and has Python check the bucket. */
async function captureAndCheck(recording: string, faults = ''): Promise<Map<string, Checked>> {
  const dir = await mkdtemp(join(tmpdir(), 'l2cap-recording-'))
  const goldens = byRecording.get(recording) ?? []
  const sim = await startSim({
    recording: join(recordingsDir(), recording),
    speed: speedOf(recording),
    faults: parseFaults(faults),
  })
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
  const lastId = (symbol: string) => String(sim.emitted(symbol).depthIds.at(-1)?.[1] ?? '')
  try {
    const checked = new Map<string, Checked>()
    for (const { symbol, process } of captures) {
      await process.until(
        `the last event of ${symbol}`,
        (status) => ended.has(symbol) && status.streams['depth']?.lastId === lastId(symbol),
        PATIENCE_MS,
      )
      await process.drain()
    }
    for (const { symbol, file } of goldens) {
      const lost = sim.emitted(symbol).batches.filter((batch) => !batch.sent)
      const paths = [join(recordingsDir(), recording), join(recordingsDir(), 'golden', file)]
      const ids = lost.map((batch) => batch.lastId).join(',')
      const args = [join(dir, 'data'), symbol, ...paths, String(LEVELS), ids]
      checked.set(symbol, (await runReader('recording_check.py', args)) as Checked)
    }
    return checked
  } finally {
    for (const { process } of captures) await process.kill()
    await sim.stop()
    await rm(dir, { recursive: true, force: true })
  }
}

/** What holds of every recording, whatever becomes of it on its way. */
function assertSound(t: TestContext, symbol: string, checked: Checked): void {
  const { rows, golden, tickers, whole, audits, events } = checked
  t.diagnostic(`${symbol}: ${JSON.stringify(checked)}`)
  // joining takes a few milliseconds, which are a second or so of the recording
  assert.ok(rows > events / 2, `${symbol}: ${rows} of ${events} events`)
  assert.ok(golden > 0 && tickers > 0 && whole > 0)
  assert.equal(audits.mismatch, 0, `${symbol}: an audit of a true book found fault`)
}

describe('recorded traffic over real sockets becomes Parquet that Python finds equal to the recording', () => {
  for (const recording of byRecording.keys()) {
    it(`${recording} at speed ${speedOf(recording).toFixed(0)}`, async (t) => {
      for (const [symbol, checked] of await captureAndCheck(recording)) {
        assertSound(t, symbol, checked)
        // the clock ticks as it always does: at this speed a price can leave the reach between two ticks
        const { horizon = 0, ...others } = checked.gaps
        assert.deepEqual(others, {}, `${symbol}: the recording has no gap`)
        assert.equal(checked.snapshots, 1 + horizon)
      }
    })
  }

  it('an event that is lost costs a gap, a narrow join, and a clean audit that widens it', async (t) => {
    for (const [symbol, checked] of await captureAndCheck(LONG, 'drop:BTCUSDT@2')) {
      assertSound(t, symbol, checked)
      assert.equal(checked.gaps['sequence'], 1)
      assert.ok(checked.audits.clean > 0, 'the narrow join was audited')
    }
  })
})
