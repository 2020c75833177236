import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Journalled, Summary } from '../support/judge.ts'
import { losePower, mountAgain, mountFile, mountProblem } from './machine.ts'
import { CAPTURES_AT_ONCE, inScene, live, type Scene, type SceneCapture, synced } from './scene.ts'

const MIB = 1024 * 1024
const ROWS_MIN = 10
const problem = mountProblem((dir) => {
  const mounted = mountFile(dir, `${dir}.image`, 16 * MIB)
  losePower(dir)
  return mounted
})
const options =
  problem === '' ? {} : { skip: `no file system of a loop device can lose its power here: ${problem}` }
/** Preloads what makes every sync do nothing. */
const NO_SYNC = { NODE_OPTIONS: `--import=${join(import.meta.dirname, 'no-sync.ts')}` }

describe('a loss of power below the spool', { concurrency: CAPTURES_AT_ONCE }, () => {
  it('everything up to the last sync is published after it, with windows that wait', options, (t) =>
    inScene(async (scene) => {
      await writeFile(scene.bucket, 'closed')
      const written = await loseAndRecover(scene, {}, async () => {
        await rm(scene.bucket)
        await mkdir(scene.bucket)
      })
      t.diagnostic(JSON.stringify(await assertNothingLost(scene, written)))
    }),
  )

  it('everything up to the last sync is published after it, while windows are shipped', options, (t) =>
    inScene(async (scene) => {
      const written = await loseAndRecover(scene)
      t.diagnostic(JSON.stringify(await assertNothingLost(scene, written)))
    }),
  )

  it('with syncs that do nothing something is lost, and that is noticed', options, () =>
    inScene(async (scene) => {
      const written = await loseAndRecover(scene, { env: NO_SYNC, rotationSeconds: 3600 })
      await assert.rejects(assertNothingLost(scene, written), /ids that were on disk are not published/)
    }),
  )
})

/** Captures until the power goes, and once more after it. Returns what was on the disk by the last sync. */
async function loseAndRecover(
  scene: Scene,
  how: SceneCapture = {},
  between: () => Promise<void> = async () => undefined,
): Promise<Journalled> {
  const image = join(scene.dir, 'image')
  let disk = mountFile(scene.spool, image, 48 * MIB)
  try {
    const first = scene.capture({ rotationSeconds: 2, ...how })
    await live(first)
    await first.until('some rows', ({ streams }) => (streams['depth']?.rows ?? 0) > ROWS_MIN)
    const written = await synced(scene, first)
    losePower(scene.spool)
    await first.kill()
    disk.unmount()
    disk = mountAgain(scene.spool, image)
    await between()
    const second = scene.capture()
    await live(second)
    await second.drain()
    return written
  } finally {
    await scene.stopCaptures()
    disk.unmount()
  }
}

async function assertNothingLost(scene: Scene, written: Journalled): Promise<Summary> {
  assert.ok(written.depth.length > 0 && written.trades.length > 0)
  const summary = await scene.judge(written)
  assert.equal(summary.runs, 2)
  // a segment that was begun after the last sync is gone whole: then the coverage just ends
  const other = [...(await scene.endings())].filter((ended) => !/ (crash|stopped)$/.test(ended))
  assert.deepEqual(other, [])
  return summary
}
