/** The store is away for a minute of real time while recorded traffic flows. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as moment } from 'node:timers/promises'
import type { CaptureStatus } from '../../capture/process/status.ts'
import { parseManifest } from '../../capture/ship/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'
import { recordingPath, withoutRecordings } from '../sim/client.ts'
import { startSim } from '../sim/mod.ts'
import { CaptureProcess } from '../support/capture.ts'
import { runReader } from '../support/python.ts'
import { goldenFiles, recordingsDir } from '../support/recordings.ts'
import { randomPort } from './ports.ts'
import { OwnStore, serverProblem } from './store.ts'

/** 514 seconds of one symbol. */
const RECORDING = 'btcusdt-2023-04-04'
const RECORDED_SECONDS = 514
const SYMBOL = 'BTCUSDT'
const LEVELS = 20
const OUTAGE_SECONDS = Number(process.env['OUTAGE_SECONDS'] ?? 60)
/** Before the outage some windows are committed; after it there are some more. */
const AROUND_SECONDS = 20
const ROTATION_SECONDS = 3
const LOOK_EVERY_MS = 500
/** A busy machine may look late. */
const STALL_MS_MAX = 5_000
/** What a process of Node gives and takes by itself; a backlog that was kept in memory would be more. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024
const PATIENCE_MS = 120_000

/** What was seen of the capture while the store was away. */
interface Look {
  readonly atMs: number
  readonly status: CaptureStatus
  readonly rssBytes: number
  readonly ready: boolean
}

const skip = serverProblem() || withoutRecordings()

describe('an outage', skip ? { skip } : {}, () => {
  test(`${OUTAGE_SECONDS} s without the store: the feed never stops, memory is flat, all is shipped in order`, {
    timeout: 300_000,
  }, async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'l2cap-outage-'))
    const store = await OwnStore.start()
    const speed = RECORDED_SECONDS / (OUTAGE_SECONDS + AROUND_SECONDS)
    const sim = await startSim({ recording: recordingPath(RECORDING), speed })
    const port = randomPort()
    const capture = new CaptureProcess({
      dir,
      symbol: SYMBOL,
      endpoints: sim.endpoints,
      rotationSeconds: ROTATION_SECONDS,
      bookLevels: LEVELS,
      port,
      storage: { s3: await storageOf(store, dir) },
    })
    try {
      let ended = false
      sim.on(({ event }) => {
        ended ||= event === 'end'
      })
      await capture.until('the first commit', ({ ship }) => ship.lastCommit !== null, PATIENCE_MS)
      const looks = await duringOutage(store, () => look(capture, port))
      assertFeedFlowed(looks)
      const grown = growthOf(looks)
      t.diagnostic(
        `${looks.length} looks; ${looks.at(-1)?.status.spool.windowsWaiting} windows waited in the end; resident memory ` +
          `changed by ${(grown / 1024 / 1024).toFixed(1)} MiB`,
      )
      assert.ok(grown < GROWTH_BYTES_MAX, `resident memory grew by ${grown} bytes`)

      const lastId = () => String(sim.emitted(SYMBOL).depthIds.at(-1)?.[1] ?? '')
      await capture.until(
        'the last event',
        ({ streams }) => ended && streams['depth']?.lastId === lastId(),
        PATIENCE_MS,
      )
      await capture.drain()
      assertInOrder(shippedWindows(capture))
      t.diagnostic(`${shippedWindows(capture).length} windows shipped`)

      const bucket = store.bucket()
      const { ok, problems } = await verifyBucket(bucket)
      bucket.close()
      assert.ok(ok, JSON.stringify(problems, null, 1))
      const data = join(dir, 'data')
      await mirror(store, data)
      assert.deepEqual(await breaksIn(data), [], 'coverage is whole from the join to the end')
      t.diagnostic(JSON.stringify(await checkRows(data)))
      for (const folder of ['journal', 'sealed', 'tmp']) {
        assert.deepEqual(await readdir(join(dir, 'spool', SYMBOL, folder)), [], folder)
      }
    } finally {
      await capture.kill()
      await sim.stop()
      store.client.destroy()
      store.server.remove()
      await rm(dir, { recursive: true, force: true })
    }
  })
})

/** First it hears nothing, then there is nobody, then the store is back. */
async function duringOutage(store: OwnStore, look: () => Promise<Look>): Promise<Look[]> {
  const looks: Look[] = []
  const begun = performance.now()
  const passed = () => (performance.now() - begun) / 1000
  store.server.pause()
  let paused = true
  while (passed() < OUTAGE_SECONDS) {
    looks.push(await look())
    await moment(LOOK_EVERY_MS)
    if (paused && passed() > OUTAGE_SECONDS / 2) {
      await store.server.kill()
      paused = false
    }
  }
  await store.server.start()
  return looks
}

async function look(capture: CaptureProcess, port: number): Promise<Look> {
  const status = await capture.until('a status', () => true)
  const resident = await readFile(`/proc/${capture.child.pid}/status`, 'utf8')
  const [, kib = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(resident) ?? []
  const reply = await fetch(`http://127.0.0.1:${port}/readyz`)
  await reply.body?.cancel()
  return { atMs: performance.now(), status, rssBytes: Number(kib) * 1024, ready: reply.ok }
}

/** Rows come all the time, nothing is lost, it is ready, and it says what it waits for. */
function assertFeedFlowed(looks: readonly Look[]): void {
  const rowsOf = ({ status }: Look) => status.streams['depth']?.rows ?? 0
  let movedAtMs = looks[0]?.atMs ?? 0
  for (const [i, now] of looks.entries()) {
    const before = looks[i - 1] ?? now
    if (rowsOf(now) > rowsOf(before)) movedAtMs = now.atMs
    assert.ok(now.atMs - movedAtMs < STALL_MS_MAX, `no row for ${(now.atMs - movedAtMs).toFixed(0)} ms`)
    assert.ok(now.ready, '/readyz does not speak of storage')
    assert.equal(now.status.state, 'live')
    assert.equal(now.status.gaps, looks[0]?.status.gaps)
  }
  const last = looks.at(-1)?.status
  assert.equal(last?.ship.state, 'waiting')
  assert.match(last?.ship.reason ?? '', /^(Timeout|ConnectionFailed): /)
  assert.ok((last?.spool.windowsWaiting ?? 0) > OUTAGE_SECONDS / ROTATION_SECONDS / 2, 'a backlog grew')
}

/** From the middle third of the outage to the last one; the first third may still warm up. Bytes. */
function growthOf(looks: readonly Look[]): number {
  const third = Math.floor(looks.length / 3)
  const median = (some: readonly Look[]) =>
    some.map(({ rssBytes }) => rssBytes).sort((a, b) => a - b)[some.length >> 1] ?? 0
  return median(looks.slice(-third)) - median(looks.slice(third, 2 * third))
}

function shippedWindows(capture: CaptureProcess): string[] {
  const lines = capture.output.split('\n').filter((line) => line.includes('"window shipped"'))
  return lines.map((line) => String((JSON.parse(line) as { window: unknown }).window))
}

function assertInOrder(windows: readonly string[]): void {
  assert.ok(windows.length > OUTAGE_SECONDS / ROTATION_SECONDS)
  assert.deepEqual(windows, [...windows].sort())
  assert.equal(new Set(windows).size, windows.length)
}

async function storageOf(store: OwnStore, dir: string) {
  const { bucket, region, endpoint, accessKey, secretKey } = store.address
  const credentialsDir = join(dir, 'credentials')
  await mkdir(credentialsDir)
  await writeFile(join(credentialsDir, 'AWS_ACCESS_KEY_ID'), accessKey)
  await writeFile(join(credentialsDir, 'AWS_SECRET_ACCESS_KEY'), secretKey)
  return { bucket, prefix: store.prefix, region, endpoint, forcePathStyle: true, credentialsDir }
}

/** Copies what lies in the store into a directory, for readers of directories. */
async function mirror(store: OwnStore, root: string): Promise<void> {
  for (const key of await store.keys()) {
    const file = join(root, key)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, (await store.truth(key)) ?? assert.fail(key))
  }
}

/** Python holds the rows against the recording, its checkpoints and the exchange's own best prices. */
async function checkRows(root: string): Promise<unknown> {
  const golden = goldenFiles().find(
    ({ recording, symbol }) => recording.includes(RECORDING) && symbol === SYMBOL,
  )
  const file = join(recordingsDir(), 'golden', golden?.file ?? assert.fail('no golden file'))
  return await runReader('recording_check.py', [
    root,
    SYMBOL,
    recordingPath(RECORDING),
    file,
    String(LEVELS),
    '',
  ])
}

/** Every end of coverage but the last one, as `window stream reason`. */
async function breaksIn(root: string): Promise<string[]> {
  const files = await readdir(join(root, 'manifest'), { recursive: true })
  const found: string[] = []
  for (const file of files.filter((name) => name.endsWith('.json'))) {
    const manifest = parseManifest(await readFile(join(root, 'manifest', file)))
    for (const { of_stream: stream, ended_by: by } of manifest.coverage) {
      if (by !== null && by !== 'stopped') found.push(`${manifest.window} ${stream} ${by}`)
    }
  }
  return found.sort()
}
