/** What a verification keeps does not grow with the number of windows. Slow by nature: the bucket must be long. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { LocalBucket } from '../../capture/ship/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'
import { useScenario } from './scenario.ts'
import { Scribe } from './scribe.ts'
import { RUN_A } from './world.ts'

const s = useScenario({ made: false })
/** Windows of an hour: more than three weeks. From MEMORY_WINDOWS for a longer look. */
const WINDOWS = Number(process.env['MEMORY_WINDOWS'] ?? 600)
/** By then all code is loaded and warm. */
const WARM_WINDOWS = 150
/** A manifest that is kept, as text or parsed, is more; what the collector leaves for later is less. */
const BYTES_PER_WINDOW_MAX = 3_000

/** Writes as a bucket does, but for the syncs: what is written here need not survive anything. */
class QuickBucket extends LocalBucket {
  readonly #path: (key: string) => string

  constructor(root: string, path: (key: string) => string) {
    super(root)
    this.#path = path
  }

  override async put(key: string, body: Buffer): Promise<void> {
    await mkdir(dirname(this.#path(key)), { recursive: true })
    await writeFile(this.#path(key), body)
  }
}

test('memory: bounded, however many windows there are', async (t) => {
  const place = await s.fresh()
  const bucket = new QuickBucket(place.root, (key) => place.path(key))
  const scribe = new Scribe({ bucket }, RUN_A)
  scribe.snapshot(100n, [[99, 1]], [[101, 1]])
  for (let window = 1; window < WINDOWS; window++) {
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
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const heap: number[] = []
  const rss: number[] = []
  const { ok, checked } = await verifyBucket(bucket, {
    onProgress: ({ windowsDone }) => {
      if (windowsDone !== WARM_WINDOWS && windowsDone !== WINDOWS - 1) return
      // the first pass frees what only finalizers of the second one let go
      collect()
      collect()
      heap.push(process.memoryUsage().heapUsed)
      rss.push(process.memoryUsage().rss)
    },
  })
  assert.equal(ok, true)
  assert.equal(checked.manifests, WINDOWS)
  const [before = 0, after = 0] = heap
  const perWindow = (after - before) / (WINDOWS - 1 - WARM_WINDOWS)
  const mib = (bytes: number | undefined) => `${((bytes ?? 0) / 2 ** 20).toFixed(1)} MiB`
  t.diagnostic(
    `${WINDOWS} windows, ${checked.rows} rows: heap ${mib(before)} to ${mib(after)}, ${perWindow.toFixed(0)} bytes a window`,
  )
  t.diagnostic(
    `resident ${mib(rss[0])} to ${mib(rss[1])}, at most ${mib(process.resourceUsage().maxRSS * 1024)}`,
  )
  assert.ok(perWindow < BYTES_PER_WINDOW_MAX, `${perWindow} bytes a window`)
})
