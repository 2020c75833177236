import { setTimeout as moment } from 'node:timers/promises'
import { pino } from 'pino'
import { FileReserve } from '../../capture/journal/mod.ts'
import type { Lineage } from '../../capture/process/lineage.ts'
import { DiskRoom } from '../../capture/process/room.ts'
import { Windows } from '../../capture/process/windows.ts'
import { Recorder } from '../../capture/record/mod.ts'
import {
  type Bucket,
  checkBucket,
  Shipper,
  type Spool,
  type SpoolUsage,
  windowName,
} from '../../capture/ship/mod.ts'
import { Random } from '../sim/market/mod.ts'
import type { Spooling } from './capture.ts'
import type { Plan } from './plan.ts'
import { segmentFiles } from './segment-files.ts'
import type { WorldTime } from './time.ts'

/** A real file system is 90 % full sooner or later; how that is met has tests of its own. */
const EMPTY_DISK = { bsize: 4096, blocks: 2 ** 30, bfree: 2 ** 30, bavail: 2 ** 30 }

/** What is left is shipped in steps of so long. */
const STEP_MS = 1_000

export interface ShippingOptions {
  readonly plan: Plan
  readonly time: WorldTime
  readonly spool: Spool
  readonly lineage: Lineage
  readonly bucket: Bucket
  readonly sizeLimitBytes: number
}

/** When a window was closed, and when its last local file went, in milliseconds of the world. */
export interface Shipped {
  readonly name: string
  readonly closedMs: number
  readonly droppedMs: number
}

/**
 * All that comes behind the journal of a capture in virtual time, as the process has it: segments in a real directory,
 * recorded in a worker, shipped to a bucket. Files, threads and sockets take no time of the world; waits between tries
 * and between windows do.
 */
export class VirtualShipping {
  readonly spooling: Spooling
  readonly shipper: Shipper
  readonly room: DiskRoom
  /** In the order in which their last local file went. */
  readonly shipped: Shipped[] = []
  /** Names of closed windows, in order. */
  readonly closed: string[] = []
  /** Whatever replay could not vouch for; must stay empty. */
  readonly unproven: string[] = []
  /** Every delay before a new try, milliseconds. */
  readonly delays: number[] = []
  /** What each request of the bucket takes, milliseconds of the world. */
  latencyMs = 0
  readonly #time: WorldTime
  readonly #spool: Spool
  readonly #recorder = new Recorder()
  readonly #windows: Windows
  readonly #closedMs = new Map<string, number>()
  /** What the shipper and its bucket wait for in the world's time. */
  #waits = 0
  #rested: (() => void)[] = []
  #usage: { readonly windows: number; readonly counted: Promise<SpoolUsage> } | undefined

  constructor({ plan, time, spool, lineage, bucket, sizeLimitBytes }: ShippingOptions) {
    this.#time = time
    this.#spool = spool
    const random = new Random(plan.seed, 'shipping')
    const warn = (fields: object) => void ('delayMs' in fields && this.delays.push(Number(fields.delayMs)))
    const slow = this.#slowed(bucket)
    this.shipper = new Shipper({
      bucket: slow,
      spool,
      quarantineTo: { prefix: '', exchange: plan.config.exchange, symbol: plan.config.symbol },
      timers: { nowMs: () => time.nowMs(), setTimer: (ms, fire) => this.#wait(ms, fire) },
      random: () => random.next(),
      log: { info: () => undefined, warn },
      onState: () => this.#look(),
      windowEveryMs: plan.rotationSeconds * 1000,
      spreadBy: `${plan.config.exchange}/${plan.config.symbol}`,
      check: () => checkBucket(slow),
      onDamaged: (name, why) => this.#windows.remake(name, why),
    })
    this.#windows = new Windows({
      spool,
      recorder: this.#recorder,
      shipper: this.shipper,
      lineage,
      log: pino({ level: 'error' }),
      // a recording that fails holds the world's time up
      wait: (ms) => moment(ms, undefined),
      onMismatch: (_run, detail) => void this.unproven.push(detail),
      onUnrecordable: (_run, detail) => void this.unproven.push(detail),
    })
    this.room = this.#makeRoom(sizeLimitBytes, plan.rotationSeconds)
    this.#noteDrops()
    this.spooling = {
      journalDir: spool.paths.journal,
      fs: segmentFiles,
      room: {
        look: (bytes) => time.hold(this.room.look(bytes)),
        allocate: () => time.hold(this.room.allocate()),
        release: () => time.hold(this.room.release()),
      },
      onWindow: (run, window) => this.#onWindow(windowName(run, window), run, window),
    }
  }

  /** Windows that are closed and not gone. */
  get waiting(): number {
    return this.closed.length - this.shipped.length
  }

  start(): void {
    this.shipper.start()
    this.#holdUntilAtRest()
  }

  /** Ships all that is left. Throws where that takes longer than this. */
  async drain(withinMs: number): Promise<void> {
    const drained = this.shipper.drain()
    this.#holdUntilAtRest()
    const untilMs = this.#time.elapsedMs + withinMs
    while (this.waiting > 0) {
      if (this.#time.elapsedMs > untilMs) {
        throw new Error(`${this.waiting} windows wait still: ${JSON.stringify(this.shipper.state)}`)
      }
      await this.#time.runUntil(this.#time.elapsedMs + STEP_MS)
    }
    await drained
  }

  async stop(): Promise<void> {
    this.#windows.stop()
    await this.shipper.stop()
    await this.#recorder.close()
  }

  #onWindow(name: string, run: string, window: number): void {
    this.closed.push(name)
    this.#closedMs.set(name, this.#time.elapsedMs)
    this.#windows.add(run, window)
    // its seal tells the shipper
    this.#time.hold(this.#windows.settled().then(() => this.#atRest()))
  }

  #makeRoom(sizeLimitBytes: number, rotationSeconds: number): DiskRoom {
    return new DiskRoom({
      directory: this.#spool.directory,
      sizeLimitBytes,
      reserve: new FileReserve(this.#spool.paths.reserve),
      usage: () => this.#countedOnce(),
      rotationSeconds,
      onHalfFull: (bytes) => this.#windows.thin(bytes),
      nowMs: () => this.#time.elapsedMs,
      statfs: async () => EMPTY_DISK,
    })
  }

  /** The spool is walked when a window came or went: each ten seconds would be eleven thousand times in a day. */
  #countedOnce(): Promise<SpoolUsage> {
    const windows = this.closed.length + this.shipped.length
    if (this.#usage?.windows !== windows) this.#usage = { windows, counted: this.#spool.usage() }
    return this.#usage.counted
  }

  /** A bucket whose requests take time of the world before they take time of the machine. */
  #slowed(bucket: Bucket): Bucket {
    const pass = () =>
      new Promise<void>((done) => {
        if (this.latencyMs === 0) done()
        else this.#wait(this.latencyMs, done)
      })
    return {
      description: bucket.description,
      put: (key, body, hash) => pass().then(() => this.#time.hold(bucket.put(key, body, hash))),
      get: (key, bytesMax) => pass().then(() => this.#time.hold(bucket.get(key, bytesMax))),
      list: (prefix) => bucket.list(prefix),
    }
  }

  #wait(ms: number, fire: () => void): () => void {
    this.#waits++
    let over = false
    const end = () => {
      if (!over) this.#waits--
      over = true
    }
    const cancel = this.#time.after(ms, () => {
      end()
      fire()
      this.#holdUntilAtRest()
    })
    this.#look()
    return () => {
      end()
      cancel()
    }
  }

  #holdUntilAtRest(): void {
    void this.#time.hold(this.#atRest())
  }

  /** Resolves when the shipper waits for time to go on, or for another window. */
  #atRest(): Promise<void> {
    return new Promise((done) => {
      this.#rested.push(done)
      this.#look()
    })
  }

  #look(): void {
    const nothingLeft = this.shipper.state.state === 'idle' && this.waiting === 0
    // what was put aside is never shipped: the test ends, and says so
    if (this.#waits === 0 && !nothingLeft && this.unproven.length === 0) return
    for (const done of this.#rested.splice(0)) done()
  }

  #noteDrops(): void {
    const drop = this.#spool.dropWindow.bind(this.#spool)
    this.#spool.dropWindow = async (name, onStep) => {
      await drop(name, onStep)
      const closedMs = this.#closedMs.get(name) ?? Number.NaN
      this.shipped.push({ name, closedMs, droppedMs: this.#time.elapsedMs })
    }
  }
}
