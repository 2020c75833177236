import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { HALT_EXIT_CODES } from '../../api/reasons.ts'
import { journalled } from '../crash/journalled.ts'
import { failCalls, mountAgain, mountFile, mountMemory, mountProblem, straceProblem } from './machine.ts'
import { CAPTURES_AT_ONCE, ends, flowing, inScene, live, type Scene, synced, waitFor } from './scene.ts'

const MIB = 1024 * 1024
const memoryProblem = mountProblem((dir) => mountMemory(dir, MIB))
const fileProblem = mountProblem((dir) => mountFile(dir, `${dir}.image`, 16 * MIB))
const traceProblem = straceProblem()
const onMemory =
  memoryProblem === '' ? {} : { skip: `no file system can be mounted in memory here: ${memoryProblem}` }
const onFile = fileProblem === '' ? {} : { skip: `no loop device can be mounted here: ${fileProblem}` }
const traced = traceProblem === '' ? {} : { skip: `no system call can be made to fail here: ${traceProblem}` }

/** What the kubelet reads, on another file system than the spool. */
async function lastWords(scene: Scene): Promise<{ reason: string; message: string; exitCode: number }> {
  return JSON.parse(await readFile(terminationLog(scene), 'utf8'))
}

function terminationLog(scene: Scene): string {
  return join(scene.dir, 'termination-log')
}

describe('the disk below the spool fails or fills', { concurrency: CAPTURES_AT_ONCE }, () => {
  it(
    'a full file system: paused, shipping goes on, then another run; all that was written is published',
    onMemory,
    (t) =>
      inScene(async (scene) => {
        const disk = mountMemory(scene.spool, 8 * MIB)
        try {
          await closeBucket(scene)
          const capture = scene.capture({ rotationSeconds: 2 })
          const { run } = await flowing(capture)
          await capture.until('windows that wait', ({ spool }) => spool.windowsWaiting >= 2)
          const ballast = join(scene.spool, 'ballast')
          await fill(ballast)
          const paused = await capture.until('the pause', ({ state }) => state === 'paused')
          assert.deepEqual([paused.reason, paused.run], ['disk_full', run])
          const written = await journalled(scene.spool)
          assert.ok(written.depth.length > 0 && written.trades.length > 0)
          await openBucket(scene)
          await capture.until('commits during the pause', ({ ship }) => ship.lastCommit !== null)
          assert.equal(capture.status?.state, 'paused')
          await rm(ballast)
          await capture.until('another run', (status) => status.run !== run && status.state === 'live')
          await capture.drain()
          const summary = await scene.judge(written)
          t.diagnostic(JSON.stringify(summary))
          assert.equal(summary.runs, 2)
          const endings = await scene.endings()
          for (const stream of ['depth', 'books20', 'trades', 'mark_price'])
            assert.ok(endings.has(`${stream} disk_full`), stream)
          assert.ok(!endings.has('depth crash'))
        } finally {
          await scene.stopCaptures()
          disk.unmount()
        }
      }),
  )

  it('a start on a full file system: paused until there is room, then live', onMemory, (t) =>
    inScene(async (scene) => {
      const disk = mountMemory(scene.spool, 8 * MIB)
      try {
        const ballast = join(scene.spool, 'ballast')
        await fill(ballast)
        const capture = scene.capture()
        const paused = await capture.until('the pause', ({ state }) => state === 'paused')
        assert.deepEqual([paused.reason, paused.run], ['disk_full', ''])
        await rm(ballast)
        await live(capture)
        await capture.drain()
        const summary = await scene.judge()
        t.diagnostic(JSON.stringify(summary))
        assert.equal(summary.runs, 1)
      } finally {
        await scene.stopCaptures()
        disk.unmount()
      }
    }),
  )

  it('a spool at its own cap pauses alike, long before the disk is full', (t) =>
    inScene(async (scene) => {
      const capture = scene.capture({ spoolSizeLimitBytes: 16 * MIB })
      const { run } = await flowing(capture)
      const ballast = join(scene.spool, 'ballast')
      await writeFile(ballast, Buffer.alloc(13 * MIB))
      const paused = await capture.until('the pause', ({ state }) => state === 'paused')
      assert.equal(paused.reason, 'disk_full')
      await rm(ballast)
      await capture.until('another run', (status) => status.run !== run && status.state === 'live')
      await capture.drain()
      const summary = await scene.judge()
      t.diagnostic(JSON.stringify(summary))
      assert.equal(summary.runs, 2)
      assert.ok((await scene.endings()).has('depth disk_full'))
      assert.match(capture.output, /the spool holds \d+ bytes, its cap is 13421772/)
    }))

  it(
    'a file system that turns read-only: DiskFailed, told where it can be; a start on it says why; nothing is lost',
    onFile,
    (t) =>
      inScene(async (scene) => {
        const image = join(scene.dir, 'image')
        let disk = mountFile(scene.spool, image, 32 * MIB)
        try {
          const capture = scene.capture({ rotationSeconds: 3600, terminationLog: terminationLog(scene) })
          await flowing(capture)
          const written = await synced(scene, capture)
          // what the kernel does by itself where it finds a disk damaged
          disk.remount('abort')
          assert.equal(await ends(capture), HALT_EXIT_CODES.DiskFailed, capture.output.slice(-3000))
          const { reason, message, exitCode } = await lastWords(scene)
          t.diagnostic(message)
          assert.deepEqual([reason, exitCode], ['DiskFailed', HALT_EXIT_CODES.DiskFailed])
          const next = scene.capture({ terminationLog: terminationLog(scene) })
          assert.equal(await ends(next), HALT_EXIT_CODES.DiskFailed, next.output)
          t.diagnostic(next.output.trim())
          assert.match((await lastWords(scene)).message, /cannot be used/, 'the report of the start')
          assert.match(next.output, /^l2cap: .*spool.*(read-only|cannot be written)/im)
          assert.doesNotMatch(next.output, /^\s+at /m, 'a sentence for a person, no trace')
          disk.unmount()
          disk = mountAgain(scene.spool, image)
          const healed = scene.capture()
          await live(healed)
          await healed.drain()
          t.diagnostic(JSON.stringify(await scene.judge(written)))
        } finally {
          await scene.stopCaptures()
          disk.unmount()
        }
      }),
  )

  for (const [call, what] of [
    ['fdatasync', 'a sync of the journal fails'],
    ['write', 'a write to the journal fails'],
  ] as const) {
    it(`${what}: DiskFailed; what was written before is published`, traced, (t) =>
      inScene(async (scene) => {
        await closeBucket(scene)
        const first = scene.capture({ rotationSeconds: 3600, terminationLog: terminationLog(scene) })
        await flowing(first)
        const [segment = ''] = await readdir(join(scene.spool, 'journal'))
        const written = await synced(scene, first)
        await failCalls(first.child.pid ?? 0, call, join(scene.spool, 'journal', segment))
        await waitFor('the halt', () => first.output.includes('halt DiskFailed'))
        await openBucket(scene)
        assert.equal(await ends(first), HALT_EXIT_CODES.DiskFailed, first.output.slice(-3000))
        const { reason, message } = await lastWords(scene)
        t.diagnostic(message)
        assert.equal(reason, 'DiskFailed')
        assert.match(message, /EIO/)
        const next = scene.capture()
        await live(next)
        await next.drain()
        const summary = await scene.judge(written)
        t.diagnostic(JSON.stringify(summary))
        assert.equal(summary.runs, 2)
      }),
    )
  }
})

/** A file where the bucket's directory is to be: nothing can be shipped, and what is written stays in the spool. */
async function closeBucket(scene: Scene): Promise<void> {
  await writeFile(scene.bucket, 'closed')
}

async function openBucket(scene: Scene): Promise<void> {
  await rm(scene.bucket)
  await mkdir(scene.bucket)
}

/** Writes until nothing more fits. */
async function fill(path: string): Promise<void> {
  const block = Buffer.alloc(64 * 1024)
  await waitFor('a full disk', () =>
    writeFile(path, block, { flag: 'a' }).then(
      () => false,
      () => true, // no room: that is what was wanted
    ),
  )
}
