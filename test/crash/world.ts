/**
 * What the crash tests share: a simulated exchange, directories below a temporary one that each hold a capture's
 * spool and bucket, real capture processes on them, and the oracle over what they published.
 */
import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { LocalBucket } from '../../capture/ship/mod.ts'
import { verifyBucket } from '../../capture/verify/mod.ts'
import { type Sim, startSim } from '../sim/mod.ts'
import { CaptureProcess } from '../support/capture.ts'
import { type Journalled, type JudgeOptions, judgeBuckets, type Summary } from '../support/judge.ts'

export const SYMBOL = 'BTCUSDT'
/** Windows that a spool made for tests holds at least. */
const WINDOWS_MIN = 5

/** The seed of this run of the tests: from CRASH_SEED, else anew; print it. */
export function crashSeed(): number {
  const given = process.env['CRASH_SEED']
  return given === undefined ? Date.now() % 1_000_000_000 : Number(given)
}

/** How many crash points are tried where there are more of them, from CRASH_POINTS: a number, or `all`. */
export function crashPoints(byDefault: number): number {
  const given = process.env['CRASH_POINTS']
  if (given === 'all') return Number.POSITIVE_INFINITY
  return given === undefined ? byDefault : Number(given)
}

export class World {
  readonly dir: string
  readonly sim: Sim
  /** All that were started here. */
  readonly captures = new Set<CaptureProcess>()
  /** Calls of the oracle so far, of which several may run at once. */
  #judged = 0

  static async start(seed: number, rate: number): Promise<World> {
    const dir = await mkdtemp(join(tmpdir(), 'l2cap-crash-'))
    return new World(dir, await startSim({ seed, symbols: [SYMBOL], rate }))
  }

  private constructor(dir: string, sim: Sim) {
    this.dir = dir
    this.sim = sim
  }

  /** A place of its own for one capture. */
  place(name: string): Place {
    return new Place(join(this.dir, name))
  }

  capture(place: Place, rotationSeconds: number): CaptureProcess {
    const { endpoints } = this.sim
    const capture = new CaptureProcess({ dir: place.dir, symbol: SYMBOL, endpoints, rotationSeconds })
    this.captures.add(capture)
    return capture
  }

  /** Starts a capture, waits until it says how it is, and ends it in order. Returns what it printed. */
  async recover(place: Place): Promise<string> {
    const capture = this.capture(place, 3600)
    await capture.until('its first status', () => true)
    await capture.drain()
    return capture.output
  }

  /**
   * A spool as a process leaves it that is killed while its bucket is closed: the segments of one run, of which
   * most are sealed and the last one is open.
   */
  async makeSpool(place: Place, windowsMin = WINDOWS_MIN): Promise<void> {
    await mkdir(place.dir, { recursive: true })
    await writeFile(place.bucket, 'closed')
    const capture = this.capture(place, 1)
    await capture.until('windows', ({ spool }) => spool.windowsWaiting > windowsMin)
    await capture.kill()
    await rm(place.bucket)
  }

  /** Has the oracle judge buckets against all that was emitted until now. Throws where it finds fault. */
  async judge(cases: readonly Case[], options: JudgeOptions = {}): Promise<Summary[]> {
    const buckets = cases.map(({ place, journalled }) => ({ path: place.bucket, journalled }))
    this.#judged += 1
    const truth = join(this.dir, `truth-${this.#judged}.json`)
    return await judgeBuckets(this.sim, SYMBOL, truth, buckets, options)
  }

  async stop(): Promise<void> {
    for (const capture of this.captures) await capture.kill()
    await this.sim.stop()
    await rm(this.dir, { recursive: true, force: true })
  }
}

/** A bucket to judge. */
export interface Case {
  readonly place: Place
  /** Ids that were on disk when a process was killed: all of them must be published. */
  readonly journalled?: Journalled
}

/** Spool and bucket of one capture. */
export class Place {
  readonly dir: string
  readonly spool: string
  readonly bucket: string

  constructor(dir: string) {
    this.dir = dir
    this.spool = join(dir, 'spool', SYMBOL)
    this.bucket = join(dir, 'data')
  }

  /** Becomes a copy of another place. */
  async copy(from: Place): Promise<void> {
    await cp(from.dir, this.dir, { recursive: true })
  }

  /** Names in a folder of the spool, sorted. */
  async names(folder: string): Promise<string[]> {
    return (await readdir(join(this.spool, folder))).sort()
  }

  /** Takes every seal away: each window is to be recorded from its segment. */
  async removeSeals(): Promise<void> {
    for (const name of await this.names('sealed'))
      await rm(join(this.spool, 'sealed', name), { recursive: true })
  }

  /** Names of the windows that have a manifest in the bucket, sorted. */
  async published(): Promise<string[]> {
    const files = await readdir(this.bucket, { recursive: true }).catch(() => [])
    return files
      .filter((file) => file.startsWith('manifest/') && file.endsWith('.json'))
      .map((file) => basename(file, '.json'))
      .sort()
  }

  /** `l2cap verify` finds no problem either. */
  async assertVerified(): Promise<void> {
    const { ok, problems } = await verifyBucket(new LocalBucket(this.bucket))
    assert.ok(ok, JSON.stringify(problems, null, 1))
  }

  /** Nothing is left to do: all was shipped, and nothing is half done. */
  async assertEmptied(): Promise<void> {
    for (const folder of ['journal', 'sealed', 'tmp']) assert.deepEqual(await this.names(folder), [], folder)
  }
}
