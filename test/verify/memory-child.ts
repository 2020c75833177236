/**
 * Verifies the bucket at a path and prints what it holds before every so many windows, as JSON. A process of its own:
 * a test runner keeps a record of every promise that runs under it, and would be measured along.
 */
import { argv, memoryUsage, resourceUsage, stdout } from 'node:process'
import { setImmediate } from 'node:timers/promises'
import { LocalBucket, parseManifestKey } from '../../capture/ship/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'

/** What was held before a window was read; bytes. */
export interface Sample {
  readonly windows: number
  readonly heap: number
  readonly buffers: number
  readonly resident: number
}

export interface Measured {
  readonly ok: boolean
  readonly manifests: number
  readonly samples: readonly Sample[]
  readonly residentMax: number
  readonly cpuSeconds: number
}

/** Measured between two windows, where no object is open. */
class MeasuredBucket extends LocalBucket {
  readonly samples: Sample[] = []
  readonly #collect: () => void
  readonly #every: number
  readonly #keptBytes: number
  readonly #kept: number[][] = []
  #windows = 0

  constructor(root: string, { collect, every, keptBytes }: Measure) {
    super(root)
    this.#collect = collect
    this.#every = every
    this.#keptBytes = keptBytes
  }

  override async get(key: string): Promise<Buffer | undefined> {
    if (parseManifestKey(key) !== undefined) {
      if (this.#windows % this.#every === 0) await this.#measure()
      this.#windows++
      if (this.#keptBytes > 0) this.#kept.push(new Array<number>(this.#keptBytes / 8).fill(0.5))
    }
    return await super.get(key)
  }

  async #measure(): Promise<void> {
    for (let pass = 0; pass < PASSES; pass++) {
      this.#collect()
      // finalizers run between two turns; what they let go is for the next pass
      await setImmediate()
    }
    const { heapUsed, arrayBuffers, rss } = memoryUsage()
    this.samples.push({ windows: this.#windows, heap: heapUsed, buffers: arrayBuffers, resident: rss })
  }
}

interface Measure {
  readonly collect: () => void
  /** Windows between two samples. */
  readonly every: number
  /** What is kept on purpose for each window: would the measure tell? */
  readonly keptBytes: number
}

const PASSES = 3
const [, , root = '', every = '', keptBytes = '0'] = argv
const collect = globalThis.gc
if (collect === undefined) throw new Error('start it with --expose-gc')
const bucket = new MeasuredBucket(root, { collect, every: Number(every), keptBytes: Number(keptBytes) })
const { ok, checked } = await verifyBucket(bucket)
const { maxRSS, userCPUTime, systemCPUTime } = resourceUsage()
const measured: Measured = {
  ok,
  manifests: checked.manifests,
  samples: bucket.samples,
  residentMax: maxRSS * 1024,
  cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
}
stdout.write(JSON.stringify(measured))
