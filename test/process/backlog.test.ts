/** What a thousand waiting windows cost: counted in calls to the file system, which no machine makes faster or slower. */
import assert from 'node:assert/strict'
import fs from 'node:fs/promises'
import path from 'node:path'
import { after, afterEach, before, describe, it, mock } from 'node:test'
import { windowName } from '../../api/names.ts'
import { DiskRoom } from '../../capture/process/room.ts'
import { MANIFEST_FILE, openSpool, Shipper, type Spool, serialiseManifest } from '../../capture/ship/mod.ts'
import { contents, EvilBucket, RUN, recordWindow, temporary, windowManifest } from '../ship/fixture.ts'
import { until } from '../ship/shipper-fixture.ts'
import { HandTimers } from '../support/hand-timers.ts'

const WINDOWS = 1_000
const STREAMS = ['books20', 'depth', 'trades', 'coverage']
/** Parquet files and the manifest. */
const FILES = STREAMS.length + 1
/** Of the spool's own folders and files, whatever waits in them. */
const FIXED_CALLS_MAX = 30
/** Tries that fail, and windows that are shipped after them. */
const FAILURES = 20
const SHIPPED = 40
/** A window comes after so many that were shipped. */
const FRESH_EVERY = 10

/** Far more timers than any step needs: what turns for ever must fail. */
const MOVES_MAX = 10_000

/** Looks at files and directories; what reads, writes and syncs is counted by nobody. */
const LOOKS = ['readdir', 'lstat', 'stat'] as const

let calls = 0
/** Names that were read with directories: the bytes that a listing moves. */
let listed = 0

function count(): void {
  calls = 0
  listed = 0
  for (const name of LOOKS) {
    const own = fs[name] as (...args: unknown[]) => Promise<unknown>
    mock.method(fs, name, async (...args: unknown[]) => {
      calls++
      const found = await own.apply(fs, args)
      if (Array.isArray(found)) listed += found.length
      return found
    })
  }
}

/** Calls of one piece of work. */
async function callsOf(work: () => Promise<unknown>): Promise<number> {
  const before = calls
  await work()
  return calls - before
}

/** Sealed windows as the recorder leaves them, without its syncs. */
async function lay(spool: Spool, windows: number): Promise<void> {
  for (let window = 0; window < windows; window++) {
    const name = windowName(RUN, window)
    await fs.writeFile(spool.segmentPath(name), `journal of window ${window}`)
    const directory = spool.sealedPath(name)
    await fs.mkdir(directory)
    for (const stream of STREAMS) {
      await fs.writeFile(path.join(directory, `${stream}.parquet`), contents(window, stream, '0.1.0'))
    }
    const manifest = serialiseManifest(windowManifest({ window, streams: STREAMS }))
    await fs.writeFile(path.join(directory, MANIFEST_FILE), manifest)
  }
}

describe(`a backlog of ${WINDOWS} windows`, () => {
  let spool: Spool
  const cleanups: (() => Promise<void>)[] = []

  before(async () => {
    spool = await openSpool(await temporary({ after: (work) => void cleanups.push(work) }))
    await lay(spool, WINDOWS)
  })
  after(async () => {
    for (const work of cleanups) await work()
  })
  afterEach(() => mock.restoreAll())

  it('usage looks at each file once, and from then on at no file of a window that did not change', async (t) => {
    count()
    let usage = await spool.usage()
    const first = calls
    assert.ok(first <= WINDOWS * (FILES + 4) + FIXED_CALLS_MAX, `${first} calls`)
    const again = await callsOf(() => spool.usage())
    assert.ok(again <= WINDOWS * 2 + FIXED_CALLS_MAX, `${again} calls: one for a segment, one for a seal`)
    await fs.rm(spool.parquetPath(windowName(RUN, 500), 'depth'))
    const { unshippedBytes } = usage
    const changed = await callsOf(async () => {
      usage = await spool.usage()
    })
    assert.ok(changed <= again + FILES + 2, `${changed} calls, ${again} before one directory changed`)
    assert.equal(unshippedBytes - usage.unshippedBytes, contents(500, 'depth', '0.1.0').byteLength)
    assert.equal(usage.windows, WINDOWS)
    t.diagnostic(`${first} calls, then ${again}, with one changed directory ${changed}`)
    await fs.writeFile(spool.parquetPath(windowName(RUN, 500), 'depth'), contents(500, 'depth', '0.1.0'))
    await spool.usage()
  })

  it('twenty who ask for /status and metrics at once cost one walk', async (t) => {
    count()
    const one = await callsOf(() => spool.usage())
    const twenty = await callsOf(() => Promise.all(Array.from({ length: 20 }, () => spool.usage())))
    assert.equal(twenty, one)
    t.diagnostic(`${twenty} calls for twenty`)
  })

  it('a minute of ticks walks the spool six times', async (t) => {
    let nowMs = 0
    const room = new DiskRoom({
      directory: spool.directory,
      sizeLimitBytes: 2 ** 30,
      reserve: { allocate: async () => true, release: async () => true },
      usage: () => spool.usage(),
      rotationSeconds: 300,
      onHalfFull: () => assert.fail('the spool is far from half full'),
      nowMs: () => nowMs,
      statfs: async () => ({ bsize: 4096, blocks: 2 ** 30, bfree: 2 ** 29, bavail: 2 ** 29 }),
    })
    count()
    const minute = await callsOf(async () => {
      for (; nowMs < 60_000; nowMs += 1_000) assert.equal((await room.look(0)).full, '')
    })
    assert.ok(minute <= 6 * (WINDOWS * 2 + FIXED_CALLS_MAX), `${minute} calls`)
    t.diagnostic(`${minute} calls a minute`)
  })

  it('a try of the shipper costs the same with a thousand windows behind it, and order stays oldest first', async (t) => {
    const bucket = new EvilBucket()
    bucket.fault = () => 'throw'
    const timers = new HandTimers()
    const log = { info: () => undefined, warn: () => undefined }
    const shipper = new Shipper({ bucket, spool, timers, random: () => 0.5, log })
    const goOn = async (what: string, isDone: () => boolean) => {
      for (let moves = 0; !isDone(); moves++) {
        assert.ok(moves < MOVES_MAX, `${what} did not come within ${MOVES_MAX} timers`)
        await until(what, () => timers.pending > 0)
        timers.next()
      }
      await until(what, () => timers.pending > 0)
    }
    count()
    shipper.start()
    await goOn('failures', () => shipper.counts.failures >= FAILURES)
    const perTry = calls / shipper.counts.failures
    assert.ok(perTry <= 4, `${perTry} calls a try`)
    assert.ok(listed / shipper.counts.failures <= 2 * WINDOWS, 'two listings a try')

    bucket.fault = () => 'none'
    calls = 0
    for (let shipped = FRESH_EVERY; shipped <= SHIPPED; shipped += FRESH_EVERY) {
      await recordWindow(spool, { window: WINDOWS + shipped, streams: STREAMS })
      shipper.notify()
      await goOn('a commit', () => shipper.counts.committed >= shipped)
    }
    const { committed } = shipper.counts
    const perWindow = calls / committed
    await shipper.stop()
    const put = bucket.calls.filter((call) => call.startsWith('put manifest/'))
    const numbers = put.map((call) => Number(call.slice(-'000000.json'.length, -'.json'.length)))
    assert.deepEqual(
      numbers,
      Array.from({ length: committed }, (_, window) => window),
    )
    assert.ok(perWindow <= FIXED_CALLS_MAX, `${perWindow} calls a window`)
    const left = (await spool.listWindows()).map(({ window }) => window)
    assert.deepEqual(
      left,
      [...left].sort((a, b) => a - b),
    )
    assert.equal(left.at(-1), WINDOWS + SHIPPED, 'the freshest is last')
    assert.equal(left.length, WINDOWS - committed + SHIPPED / FRESH_EVERY)
    t.diagnostic(`${perTry} calls a try, ${perWindow.toFixed(1)} a window that is shipped`)
  })
})
