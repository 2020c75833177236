import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { HALT_EXIT_CODES } from '../../api/reasons.ts'
import { journalled } from './journalled.ts'
import { crashSeed, type Place, World } from './world.ts'

const RATE = 5000
const DISK_BYTES = 4 * 1024 * 1024
/** Room for a second or so of journal. */
const FREE_BYTES = 256 * 1024

describe('a disk that fills up while journalling', () => {
  let world: World
  let place: Place
  let mounted = ''
  before(async () => {
    world = await World.start(crashSeed(), RATE)
    place = world.place('full')
    await mkdir(place.spool, { recursive: true })
    mounted = mountTmpfs(place.spool)
  })
  after(async () => {
    for (const capture of world.captures) await capture.kill()
    if (mounted === '') spawnSync('umount', [place.spool])
    await world.stop()
  })

  it('the process ends as DiskFailed, a start on the full disk too; with room again all that was written is published', async (t) => {
    if (mounted !== '') return t.skip(`no small file system can be mounted here: ${mounted}`)
    const ballast = join(place.spool, 'ballast')
    const first = world.capture(place, 3600)
    await first.until('the live book', ({ state }) => state === 'live')
    await fill(place.spool, ballast)
    await assertDiskFailed(first)
    const onDisk = await journalled(place.spool)
    assert.ok(onDisk.depth.length > 0 && onDisk.trades.length > 0)

    await assertDiskFailed(world.capture(place, 3600))
    assert.deepEqual(await place.published(), [], 'there is no room to record in')

    await rm(ballast)
    await world.recover(place)
    await place.assertEmptied()
    const [summary] = await world.judge([{ place, journalled: onDisk }])
    t.diagnostic(JSON.stringify(summary))
    assert.ok((summary.ended['crash'] ?? 0) >= 3)
  })

  async function assertDiskFailed(capture: ReturnType<World['capture']>): Promise<void> {
    const { code } = await capture.exit
    assert.equal(code, HALT_EXIT_CODES.DiskFailed, capture.output.slice(-3000))
    assert.match(
      capture.output,
      /"report":\{"reason":"DiskFailed","message":"Journal segment .*free room for the spool/,
    )
  }
})

/** Returns why it was not possible, or nothing. */
function mountTmpfs(dir: string): string {
  const { status, stderr, error } = spawnSync('mount', [
    '-t',
    'tmpfs',
    '-o',
    `size=${DISK_BYTES}`,
    'tmpfs',
    dir,
  ])
  if (error !== undefined) return error.message
  return status === 0 ? '' : String(stderr).trim()
}

/** Leaves little room on the file system of a directory. */
async function fill(dir: string, ballast: string): Promise<void> {
  const { bavail, bsize } = await statfs(dir)
  await writeFile(ballast, Buffer.alloc(bavail * bsize - FREE_BYTES))
}
