import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, it } from 'node:test'
import { pino } from 'pino'
import { windowName } from '../../api/names.ts'
import { recoverSegments } from '../../capture/journal/mod.ts'
import { Windows } from '../../capture/process/windows.ts'
import { Recorder } from '../../capture/record/mod.ts'
import type { RecordOptions, RecordOutcome } from '../../capture/record/record.ts'
import { Shipper } from '../../capture/ship/shipper.ts'
import { openSpool, type Spool } from '../../capture/ship/spool.ts'
import { EvilBucket, RUN } from '../ship/fixture.ts'
import { lineageIn } from '../support/lineage.ts'
import { withDirectory } from '../support/run.ts'

/** Finds a mismatch in one window, and nothing worth a row in the others. */
class LyingRecorder extends Recorder {
  /** Segments that it was given, in order. */
  readonly recorded: string[] = []
  readonly #victim: string

  constructor(victim: string) {
    super()
    this.#victim = victim
  }

  override async record({ segmentPath }: RecordOptions): Promise<RecordOutcome> {
    const name = basename(segmentPath)
    this.recorded.push(name)
    return name === this.#victim
      ? { outcome: 'mismatch', detail: `${name} lies` }
      : { outcome: 'empty', detail: `${name} is empty`, damaged: false }
  }
}

/** One process over the spool: takes up what lies there, as after a start. Returns what its recorder saw. */
async function start(spool: Spool, victim: string): Promise<{ recorded: string[]; mismatches: string[] }> {
  const log = pino({ level: 'silent' })
  const recorder = new LyingRecorder(victim)
  const mismatches: string[] = []
  const windows = new Windows({
    lineage: await lineageIn(spool),
    spool,
    recorder,
    shipper: new Shipper({
      bucket: new EvilBucket(),
      spool,
      timers: { nowMs: () => 0, setTimer: () => () => undefined },
      random: () => 0,
      log,
    }),
    log,
    wait: () => new Promise(() => undefined),
    onMismatch: (_run, detail) => mismatches.push(detail),
    onUnrecordable: (_run, detail) => assert.fail(detail),
  })
  await windows.recover(await recoverSegments(spool.paths.journal))
  await windows.settled()
  return { recorded: recorder.recorded, mismatches }
}

async function layDown(spool: Spool, windows: readonly number[]): Promise<string[]> {
  const names = windows.map((window) => `${windowName(RUN, window)}.journal`)
  for (const name of names) await writeFile(join(spool.paths.journal, name), '')
  return names
}

describe('a window whose replay is not vouched for', () => {
  it('ends its run: the windows after it follow it into quarantine, unread, and it halts once', () =>
    withDirectory(async (dir) => {
      const spool = await openSpool(dir)
      const names = await layDown(spool, [0, 1, 2, 3])
      const { recorded, mismatches } = await start(spool, names[1])
      assert.deepEqual(recorded, names.slice(0, 2))
      assert.deepEqual(mismatches, [`${names[1]} lies`])
      assert.deepEqual((await readdir(spool.paths.quarantine)).sort(), names.slice(1))
      assert.deepEqual(await readdir(spool.paths.journal), [])
    }))

  it('is remembered by the next start: what is left of its run goes the same way', () =>
    withDirectory(async (dir) => {
      const spool = await openSpool(dir)
      const names = await layDown(spool, [0, 2, 3])
      // its bytes are shipped; the name alone tells
      const quarantined = `${windowName(RUN, 1)}.journal`
      await writeFile(join(spool.paths.quarantine, quarantined), '')
      const { recorded, mismatches } = await start(spool, '')
      assert.deepEqual([recorded, mismatches], [names.slice(0, 1), []])
      assert.deepEqual((await readdir(spool.paths.quarantine)).sort(), [quarantined, ...names.slice(1)])
    }))
})
