import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { CaptureStatus } from '../../capture/process/status.ts'
import { manifestsOf } from '../cli/l2cap.ts'
import { waitFor } from '../faults/scene.ts'
import { type Sim, startSim } from '../sim/mod.ts'
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
/** A recording is played this fast while its book is live, but not in less time than this. */
const SPEED_MAX = 50
const PLAYS_MS_MIN = 5_000
/** Far above what anything here takes on a busy machine. */
const PATIENCE_MS = 240_000
/** A recording of some minutes, whose book is far deeper than a narrow join. */
const LONG = 'binance-usdm/btcusdt-2023-04-04.frames.gz'
/** Events after which something is to happen to it: an eighth of them. */
const MIDST_EVENTS = 2_000

const byRecording = Map.groupBy(goldenFiles(), (golden) => golden.recording)

/** By how much a recording's gaps are divided. Its checkpoints tell how long it is. */
function speedOf(recording: string): number {
  const times = (byRecording.get(recording) ?? []).flatMap(({ checkpoints }) => checkpoints.map(({ E }) => E))
  return Math.min(SPEED_MAX, (Math.max(...times) - Math.min(...times)) / PLAYS_MS_MIN)
}

/** One recording as it is played to captures. */
interface Played {
  readonly sim: Sim
  readonly bucket: string
  readonly captures: readonly { readonly symbol: string; readonly process: CaptureProcess }[]
  /** Whether these markets go no faster than they did. */
  atOwnPace: boolean
}

/**
 * Captures every symbol of a recording with real processes over real sockets, and has Python check the bucket.
 * A market goes fast only while its book is live: at fifty times its pace an answer that takes a second, as it may
 * on a busy machine, comes most of a minute late, and what it was asked for is lost by then.
 */
async function captureAndCheck(
  recording: string,
  meanwhile: (played: Played) => Promise<void> = async () => {},
): Promise<Map<string, Checked>> {
  const dir = await mkdtemp(join(tmpdir(), 'l2cap-recording-'))
  const bucket = join(dir, 'data')
  const goldens = byRecording.get(recording) ?? []
  const fast = speedOf(recording)
  const stateOf = (symbol: string) =>
    played.captures.find((capture) => capture.symbol === symbol)?.process.status?.state
  const sim = await startSim({
    recording: join(recordingsDir(), recording),
    speed: (symbol) => (stateOf(symbol) === 'live' && !played.atOwnPace ? fast : 1),
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
  const played: Played = { sim, bucket, captures, atOwnPace: false }
  try {
    await Promise.all([meanwhile(played), ...captures.map((capture) => playedOut(capture, sim))])
    const checked = new Map<string, Checked>()
    for (const { symbol, file } of goldens) {
      const lost = sim.emitted(symbol).batches.filter((batch) => !batch.sent)
      const paths = [join(recordingsDir(), recording), join(recordingsDir(), 'golden', file)]
      const ids = lost.map((batch) => batch.lastId).join(',')
      const args = [bucket, symbol, ...paths, String(LEVELS), ids]
      checked.set(symbol, (await runReader('recording_check.py', args)) as Checked)
    }
    return checked
  } finally {
    for (const { process } of captures) await process.kill()
    await sim.stop()
    await rm(dir, { recursive: true, force: true })
  }
}

const lastIdOf = (sim: Sim, symbol: string) => String(sim.emitted(symbol).depthIds.at(-1)?.[1] ?? '')

/** Resolves when a capture has taken all of its recording, and has ended in order. */
async function playedOut({ symbol, process }: Played['captures'][number], sim: Sim): Promise<void> {
  let ended = false
  sim.on((event) => {
    if (event.event === 'end' && event.symbol === symbol) ended = true
  })
  await process.until(
    `the last event of ${symbol}`,
    ({ streams }) => ended && streams['depth']?.lastId === lastIdOf(sim, symbol),
    PATIENCE_MS,
  )
  await process.drain()
}

/** Loses one event in the midst; the market goes on at its own pace until an audit has vouched for the book again. */
async function loseOne(played: Played): Promise<void> {
  const { sim, bucket, captures } = played
  for (const { symbol, process } of captures) {
    await waitFor('the midst', () => sim.emitted(symbol).depthIds.length > MIDST_EVENTS)
    played.atOwnPace = true
    const sent = BigInt(lastIdOf(sim, symbol))
    const isUpToDate = ({ state, streams }: CaptureStatus) =>
      state === 'live' && BigInt(streams['depth']?.lastId ?? 0) >= sent
    await process.until('a book that is live and up to date', isUpToDate, PATIENCE_MS)
    sim.inject(`drop:${symbol}@0`)
    await waitFor('a clean audit since then', async () => {
      const manifests = await manifestsOf(bucket)
      const lost = manifests.findIndex(({ coverage }) => coverage.some((row) => row.ended_by === 'sequence'))
      return lost >= 0 && manifests.slice(lost).some(({ counts }) => (counts['audits_clean'] ?? 0) > 0)
    })
    played.atOwnPace = false
  }
}

/** What holds of every recording, whatever becomes of it on its way. */
function assertSound(t: TestContext, symbol: string, checked: Checked): void {
  const { rows, golden, tickers, whole, audits, events } = checked
  t.diagnostic(`${symbol}: ${JSON.stringify(checked)}`)
  // joining takes a second or so
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
    for (const [symbol, checked] of await captureAndCheck(LONG, loseOne)) {
      assertSound(t, symbol, checked)
      assert.equal(checked.gaps['sequence'], 1)
      assert.ok(checked.audits.clean > 0, 'the narrow join was audited')
    }
  })
})
