import assert from 'node:assert/strict'
import { copyFileSync, existsSync } from 'node:fs'
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { type RecordOutcome, recordSegment } from '../../capture/record/mod.ts'
import { MANIFEST_FILE } from '../../capture/ship/mod.ts'
import { alterStateHash } from '../crash/segments.ts'
import { tradeFrame } from '../support/frames.ts'
import { type DrivenRun, driveRun, withDirectory } from '../support/run.ts'

const START_US = 1_795_608_297_000_000

/** A run that took some trades and goes on. */
function runWith(dir: string, trades: readonly number[]): DrivenRun {
  const driven = driveRun(dir, { startUs: START_US, rotationSeconds: 300 })
  driven.input({ kind: 'opened', connection: 1, route: 'market' })
  for (let i = 0; i < 5; i++) driven.input({ kind: 'clock', offset: 0, rtt: 1000 })
  for (const id of trades) driven.input({ kind: 'message', connection: 1, payload: tradeFrame(id) })
  return driven
}

/** Records the run's first segment into a directory of that name. */
async function record(driven: DrivenRun, name: string): Promise<{ outcome: RecordOutcome; outDir: string }> {
  const outDir = join(driven.journalDir, name)
  await mkdir(outDir)
  return { outcome: await recordSegment({ segmentPath: driven.segment(0), outDir, prefix: '' }), outDir }
}

it('mismatch: a replay that ends in another state than its trailer says is told, and gets no manifest', () =>
  withDirectory(async (dir) => {
    const driven = runWith(dir, [7])
    await driven.run.end('stopped')
    const sound = await record(driven, 'sound')
    assert.ok(sound.outcome.outcome === 'recorded')
    assert.deepEqual(
      [sound.outcome.manifest.witness, sound.outcome.manifest.counts['trades']],
      ['replayed', 1],
    )

    await alterStateHash(driven.segment(0))
    const { outcome, outDir } = await record(driven, 'lying')
    assert.ok(outcome.outcome === 'mismatch')
    assert.match(outcome.detail, /window 0 ends in state [0-9a-f]{64}, its trailer says f+$/)
    assert.ok(!(await readdir(outDir)).includes(MANIFEST_FILE))
  }))

it('crash: a segment without a trailer ends coverage as a crash, and nothing witnesses it', () =>
  withDirectory(async (dir) => {
    const driven = runWith(dir, [7, 8])
    await driven.run.abandon()
    const { outcome } = await record(driven, 'crashed')
    assert.ok(outcome.outcome === 'recorded')
    const { witness, coverage } = outcome.manifest
    assert.deepEqual(
      [witness, ...coverage.map((row) => [row.of_stream, row.last_id, row.ended_by])],
      ['none', ['trades', '8', 'crash']],
    )
  }))

it('read back: a file that does not hold what was written is not sealed', (t) =>
  withDirectory(async (dir) => {
    const fewer = runWith(dir, [7])
    await fewer.run.end('stopped')
    const sound = join((await record(fewer, 'sound')).outDir, 'trades.parquet')

    const more = runWith(dir, [7, 8])
    await more.run.end('stopped')
    const victim = join(dir, 'swapped', 'trades.parquet')
    const file = await open(sound)
    const handles: FileHandle = Object.getPrototypeOf(file)
    await file.close()
    // as if the disk had kept something else: a whole file, with fewer rows
    t.mock.method(handles, 'sync', async () => {
      if (existsSync(victim)) copyFileSync(sound, victim)
    })
    await assert.rejects(record(more, 'swapped'), {
      code: 'SealFailed',
      message: /trades\.parquet holds 1 rows, 2 were written/,
    })
  }))
