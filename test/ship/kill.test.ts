import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { windowName } from '../../api/names.ts'
import type { CommitStep } from '../../capture/ship/commit.ts'
import { LocalBucket, type LocalPutStep } from '../../capture/ship/local.ts'
import { keyOfManifest } from '../../capture/ship/manifest.ts'
import { type DropStep, openSpool, type Spool } from '../../capture/ship/spool.ts'
import { isWholeIn, RUN, temporary, windowManifest } from './fixture.ts'

const STEPS: Readonly<Record<CommitStep | DropStep | LocalPutStep | 'sealed', true>> = {
  sealed: true,
  manifest_looked_up: true,
  local_checked: true,
  temporary_written: true,
  renamed: true,
  directory_synced: true,
  object_put: true,
  object_proven: true,
  manifest_put: true,
  manifest_proven: true,
  parquet_removed: true,
  unsealed: true,
  sealed_removed: true,
  segment_removed: true,
}
const WINDOWS = [0, 1]
/** A window has three puts (two objects and the manifest): a fourth death would hit none of another kind. */
const DEATHS_MAX = 3

/** One life of the child; resolves to the signal that ended it, or null if it came to its end. */
async function live(directory: string, step: string, occurrence: number, version: string) {
  const child = spawn(
    process.execPath,
    [path.join(import.meta.dirname, 'kill-child.ts'), directory, step, String(occurrence), version],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let complaints = ''
  child.stderr.on('data', (chunk) => {
    complaints += chunk
  })
  const [code, signal] = await once(child, 'close')
  assert.ok(signal === 'SIGKILL' || code === 0, `the child failed by itself: ${complaints}`)
  return signal
}

interface Committed {
  readonly inode: number
  readonly bytes: string
}

/** The manifest of a window as it lies in the bucket's directory, if it does. */
async function committedOf(root: string, key: string): Promise<Committed | undefined> {
  try {
    const file = path.join(root, key)
    return { inode: (await fs.stat(file)).ino, bytes: await fs.readFile(file, 'utf8') }
  } catch (error) {
    assert.equal(error instanceof Error && 'code' in error && error.code, 'ENOENT')
    return undefined
  }
}

/** After each death: a window is whole in the bucket, or its segment is still here; commits never change. */
async function assertNothingLost(spool: Spool, root: string, seen: Map<number, Committed>): Promise<void> {
  const bucket = new LocalBucket(root)
  for (const window of WINDOWS) {
    const key = keyOfManifest(windowManifest({ window, streams: ['books20', 'coverage'] }))
    const committed = await committedOf(root, key)
    const before = seen.get(window)
    if (before !== undefined) assert.deepEqual(committed, before, `window ${window} was written again`)
    if (committed === undefined) {
      await fs.access(spool.segmentPath(windowName(RUN, window)))
      continue
    }
    seen.set(window, committed)
    assert.ok(
      await isWholeIn((each) => bucket.get(each), key),
      `window ${window} is committed, but not whole`,
    )
  }
}

for (const step of Object.keys(STEPS)) {
  test(`kill -9 after ${step}, again and again: every window is committed once, whole, and nothing stays`, async (context) => {
    const directory = await temporary(context)
    const root = path.join(directory, 'bucket')
    const spool = await openSpool(path.join(directory, 'spool'))
    for (const window of WINDOWS) await fs.writeFile(spool.segmentPath(windowName(RUN, window)), 'inputs')
    const seen = new Map<number, Committed>()
    let deaths = 0
    // Each life dies one occurrence later than the one before; each is of another version of the recorder, so
    // that a window recorded twice has two contents and a mixture of them shows.
    while ((await live(directory, step, deaths + 1, `0.${deaths}.0`)) === 'SIGKILL') {
      deaths += 1
      await assertNothingLost(spool, root, seen)
      if (deaths === DEATHS_MAX) {
        assert.equal(await live(directory, 'none', 0, '1.0.0'), null)
        break
      }
    }
    assert.ok(deaths > 0, 'the step was reached')
    await assertNothingLost(spool, root, seen)
    assert.equal(seen.size, WINDOWS.length)
    assert.deepEqual(await spool.listWindows(), [])
    assert.deepEqual(await fs.readdir(spool.paths.tmp), [])
  })
}
