/** What a verification keeps does not grow with the number of windows. Slow by nature: the bucket must be long. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Bucket, type BucketEntry, dateOfUs, objectKey } from '../../capture/ship/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'
import { there } from './damage.ts'
import type { Measured, Sample } from './memory-child.ts'
import { useScenario } from './scenario.ts'
import { Scribe } from './scribe.ts'
import { type Place, RUN_A, START_US, SYMBOL } from './world.ts'

const s = useScenario({ made: false })
/** Windows of an hour: seven weeks. From MEMORY_WINDOWS for a longer look, or a shorter one. */
const WINDOWS = Number(process.env['MEMORY_WINDOWS'] ?? 1200)
/** By then most code is loaded and warm. */
const WARM_WINDOWS = 150
const SAMPLE_WINDOWS = 50
/** A manifest that is kept, as text or parsed, is more; code that is still compiled is less. */
const BYTES_PER_WINDOW_MAX = 500
/** Bytes that the measured process keeps on purpose for each window, from MEMORY_KEPT_BYTES: does the test tell? */
const KEPT_BYTES = Number(process.env['MEMORY_KEPT_BYTES'] ?? 0)
const CHILD_MS_MAX = 600_000

/** Writes as a bucket does, but for the syncs: what is written here need not survive anything. */
async function writeWindows(place: Place, windows: number): Promise<void> {
  const put = async (key: string, body: Buffer) => {
    await mkdir(dirname(place.path(key)), { recursive: true })
    await writeFile(place.path(key), body)
  }
  const scribe = new Scribe({ bucket: Object.assign(place.bucket, { put }) }, RUN_A)
  scribe.snapshot(100n, [[99, 1]], [[101, 1]])
  for (let window = 1; window < windows; window++) {
    const id = scribe.id + 5n
    await scribe
      .wait(1800)
      .delta(id, [[99, window]], [])
      .mark()
      .trade()
      .wait(1800)
      .rotate()
  }
  await scribe.stop()
}

async function measure(root: string): Promise<Measured> {
  const child = fileURLToPath(new URL('./memory-child.ts', import.meta.url))
  const args = ['--expose-gc', child, root, String(SAMPLE_WINDOWS), String(KEPT_BYTES)]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: CHILD_MS_MAX })
  return JSON.parse(stdout) as Measured
}

/** Bytes of heap a window, by least squares: one sample that is off moves it little. */
function slopeOf(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number) =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length
  const windows = mean((sample) => sample.windows)
  const heap = mean((sample) => sample.heap)
  const together = mean((sample) => (sample.windows - windows) * (sample.heap - heap))
  return together / mean((sample) => (sample.windows - windows) ** 2)
}

test('memory: bounded, however many windows there are', async (t) => {
  const place = await s.fresh()
  await writeWindows(place, WINDOWS)
  const { ok, manifests, samples, residentMax, cpuSeconds } = await measure(place.root)
  assert.equal(ok, true)
  assert.equal(manifests, WINDOWS)
  const warm = samples.filter(({ windows }) => windows >= WARM_WINDOWS)
  assert.ok(warm.length >= 8, `too few windows to tell: ${warm.length} samples`)
  const [first, last] = [there(warm[0]), there(warm.at(-1))]
  const perWindow = slopeOf(warm)
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(2)} MiB`
  t.diagnostic(
    `${WINDOWS} windows: heap ${mib(first.heap)} to ${mib(last.heap)}, ${perWindow.toFixed(0)} bytes a window`,
  )
  t.diagnostic(`resident ${mib(first.resident)} to ${mib(last.resident)}, at most ${mib(residentMax)}`)
  t.diagnostic(`${((cpuSeconds * 1000) / WINDOWS).toFixed(1)} ms of processor time a window`)
  assert.ok(perWindow < BYTES_PER_WINDOW_MAX, `${perWindow} bytes a window`)
})

const DAY_US = 86_400_000_000
const LOST_DAYS = 100
const LOST_PER_DAY = 144
/** The key of an object alone is more; what a test runner and the compiler keep meanwhile is less. */
const BYTES_PER_OBJECT_MAX = 150

/** Objects of a run whose manifests are all lost, made while they are listed. */
class LostBucket implements Bucket {
  readonly description = 'objects without manifests'
  readonly heap: number[] = []
  readonly #collect: () => void

  constructor(collect: () => void) {
    this.#collect = collect
  }

  put(): Promise<void> {
    throw new Error('a verification writes nothing')
  }

  async get(): Promise<undefined> {
    return undefined
  }

  async *list(prefix: string): AsyncGenerator<BucketEntry> {
    const first = Math.floor(START_US / DAY_US)
    let listed = 0
    for (let day = first; day < first + LOST_DAYS; day++) {
      // a listing of one day makes no other day's keys
      if (prefix.includes('date=') && !prefix.includes(dateOfUs(day * DAY_US))) continue
      for (let i = 0; i < LOST_PER_DAY; i++) {
        const window = (day - first) * LOST_PER_DAY + i
        const openedUs = day * DAY_US + (i * DAY_US) / LOST_PER_DAY
        const parts = { prefix: '', exchange: 'BinanceUsdm', symbol: SYMBOL, run: RUN_A, window, openedUs }
        const key = objectKey({ ...parts, stream: 'trades' })
        if (!key.startsWith(prefix)) continue
        listed++
        yield { key, bytes: 1, modifiedMs: 0 }
      }
    }
    if (listed === 0) return
    this.#collect()
    this.heap.push(process.memoryUsage().heapUsed)
  }
}

test('memory: objects whose manifests are all lost are not kept until the end', async (t) => {
  setFlagsFromString('--expose-gc')
  const bucket = new LostBucket(runInNewContext('gc') as () => void)
  const { problems } = await verifyBucket(bucket)
  assert.deepEqual(problems, [])
  // the first listing is of all keys, then each day's
  const [, before = 0] = bucket.heap
  const after = there(bucket.heap[LOST_DAYS])
  const perObject = (after - before) / (LOST_DAYS * LOST_PER_DAY)
  t.diagnostic(`${bucket.heap.length} listings, ${perObject.toFixed(0)} bytes an object`)
  assert.ok(perObject < BYTES_PER_OBJECT_MAX, `${perObject} bytes an object`)
})
