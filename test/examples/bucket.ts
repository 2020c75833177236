/**
 * The bucket that the examples are executed against, written by the product's own recorder and commit: the three runs
 * of story.ts, and two symbols whose names hurt readers. The last window has no manifest: its files lie there, and
 * nothing commits them.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { recordSegment } from '../../capture/record/mod.ts'
import {
  type Bucket,
  commitWindow,
  LocalBucket,
  openSpool,
  parseManifest,
  parseTimeUs,
  type Spool,
  windowName,
} from '../../capture/ship/mod.ts'
import { CHINESE, DIGITS, makeDigits, makeThin } from '../pipeline/made/bucket.ts'
import { MadeCapture } from '../pipeline/made/capture.ts'
import { playStory, type StoryRun } from './story.ts'

const SMALL_RUN = '20230405T000130000Z-0000000'
/** Lies beside the manifests and is none: whoever reads them must not stumble over it. */
const CUT_KEY = `manifest/exchange=BinanceUsdm/symbol=BTCUSDT/date=2023-04-05/${SMALL_RUN}c.cut.json`
const CUT = Buffer.from('{"window":[1]}')

export class ExampleBucket {
  readonly bucket: LocalBucket
  /** The directory that a reader is given as its address. */
  readonly root: string
  /** Keys of the files that no manifest names. */
  readonly uncommitted: string[] = []
  readonly #dir: string

  private constructor(dir: string) {
    this.#dir = dir
    this.root = join(dir, 'bucket')
    this.bucket = new LocalBucket(this.root)
  }

  /** Makes it below `dir`. */
  static async make(dir: string): Promise<ExampleBucket> {
    const made = new ExampleBucket(dir)
    const runs = await playStory(dir)
    for (const run of runs) await made.#publish(run, run === runs.at(-1))
    await made.#publish(await made.#small(`${SMALL_RUN}a`, CHINESE, makeThin), false)
    await made.#publish(await made.#small(`${SMALL_RUN}b`, DIGITS, makeDigits), false)
    await made.bucket.put(CUT_KEY, CUT, sha256(CUT))
    return made
  }

  /** Copies everything to another bucket, key by key; returns how many objects that were. */
  async copyTo(other: Bucket): Promise<number> {
    let objects = 0
    for await (const { key } of this.bucket.list('')) {
      const body = await this.bucket.get(key)
      assert.ok(body !== undefined, `${key} was listed`)
      await other.put(key, body, sha256(body))
      objects++
    }
    return objects
  }

  async #small(
    run: string,
    symbol: string,
    play: (capture: MadeCapture) => Promise<void>,
  ): Promise<StoryRun> {
    const spool = await openSpool(join(this.#dir, 'spool', run))
    const startUs = parseTimeUs('2023-04-05T00:01:30.000000Z')
    const capture = new MadeCapture({ spool, run, symbol, levels: 5, startUs })
    await play(capture)
    return { run, spool, windows: capture.window + 1 }
  }

  async #publish({ run, spool, windows }: StoryRun, lastOnItsWay: boolean): Promise<void> {
    for (let window = 0; window < windows; window++) {
      const name = windowName(run, window)
      const outDir = await spool.makeTmp(name)
      const outcome = await recordSegment({ segmentPath: spool.segmentPath(name), outDir, prefix: '' })
      if (outcome.outcome !== 'recorded') assert.fail(`${outcome.outcome}: ${outcome.detail}`)
      await spool.sealWindow(outDir, name)
      if (lastOnItsWay && window === windows - 1) await this.#putObjects(spool, name)
      else assert.equal(await commitWindow(this.bucket, spool, name), 'committed')
    }
  }

  /** The first half of a commit: what a killed process leaves behind. */
  async #putObjects(spool: Spool, name: string): Promise<void> {
    const sealed = spool.sealedPath(name)
    for (const { stream, key } of parseManifest(await readFile(join(sealed, 'manifest.json'))).objects) {
      const body = await readFile(join(sealed, `${stream}.parquet`))
      await this.bucket.put(key, body, sha256(body))
      this.uncommitted.push(key)
    }
  }
}

function sha256(body: Buffer): string {
  return createHash('sha256').update(body).digest('hex')
}
