import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import type { Logger } from 'pino'
import type { ProcessConfig } from '../../api/config.ts'
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR, HALT_EXIT_CODES, type HaltReason } from '../../api/reasons.ts'
import { exchangeByName } from '../exchange/mod.ts'
import { nodeClock, nodeTimers } from '../feed/mod.ts'
import {
  acquireSpoolLock,
  FileReserve,
  type RecoveredSegments,
  recoverSegments,
  type SpoolLock,
  SpoolUnusable,
} from '../journal/mod.ts'
import { Recorder } from '../record/mod.ts'
import {
  type Bucket,
  checkBucket,
  formatTimeUs,
  openBucket,
  openSpool,
  Requests,
  Shipper,
  type Spool,
} from '../ship/mod.ts'
import { VERSION } from '../version.ts'
import { Histogram } from './histogram.ts'
import { RunKeeper } from './keeper.ts'
import { endsBefore } from './killed.ts'
import type { CoverageNews } from './live-rows.ts'
import type { Metrics } from './metrics.ts'
import { PauseFile, readPausedUntil } from './paused-until.ts'
import {
  type Halts,
  haltsInARow,
  RECOVERED_AFTER_MS,
  type Report,
  rememberHalt,
  writeReport,
} from './report.ts'
import { DiskRoom } from './room.ts'
import { type CaptureStatus, healthyMs, isReady, statusOf } from './status.ts'
import { Windows } from './windows.ts'

/** A halting process ships for at most this long; what is left goes with the next start. */
const HALT_SHIP_MS = 30_000
/** Each last step of a process has so long: what hangs then ends with the process. */
const END_STEP_MS = 5_000
/** A loop that turns handles a tick each second; one that handled none for so long does not turn. */
const BEAT_MS_MAX = 10_000

/** Seconds: a local directory takes milliseconds, a store on another continent half a minute. */
const COMMIT_BOUNDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]

/** How a capture ended. */
export interface Ending {
  readonly exitCode: number
  readonly report: Report
}

/** What earlier processes left in the spool. */
interface Left {
  readonly segments: RecoveredSegments
  readonly report: Report | undefined
  readonly halts: Halts
  readonly pausedUntilMs: number
}

/**
 * One capture: runs → recorded windows → bucket, in one directory. Made by `start`; ends by `drain`, `leave`, or a
 * halt, and `ended` resolves with how. What a run is and when another one follows, the RunKeeper knows.
 */
export class Capture {
  readonly ended: Promise<Ending>
  readonly #config: ProcessConfig
  readonly #log: Logger
  readonly #lock: SpoolLock
  readonly #spool: Spool
  readonly #bucket: Bucket
  readonly #requests = new Requests()
  readonly #shipper: Shipper
  readonly #commitSeconds = new Histogram(COMMIT_BOUNDS)
  readonly #recorder = new Recorder()
  readonly #windows: Windows
  readonly #keeper: RunKeeper
  readonly #room: DiskRoom
  readonly #pauseFile: PauseFile
  readonly #left: Left
  #metrics: Metrics | undefined
  /** Runs of this process: what it writes itself, it must be able to replay. */
  readonly #runs = new Set<string>()
  readonly #resolveEnded: (ending: Ending) => void
  #ending = false
  #finished = false
  #failing = false
  /** The first halt, also one that comes while the process is ending already: it decides the report. */
  #halted: { readonly reason: HaltReason; readonly message: string } | undefined

  /** Locks and opens the spool, takes up what is left in it, and connects. Throws SpoolLocked, SpoolUnusable. */
  static async start(config: ProcessConfig, log: Logger): Promise<Capture> {
    await makeSpoolDirectory(config.spool.dir)
    const lock = acquireSpoolLock(config.spool.dir)
    try {
      const spool = await openSpool(config.spool.dir)
      const ends = await endsBefore(spool.paths, lock, config.symbol, log)
      const capture = new Capture(config, log, lock, spool, {
        ...ends,
        segments: await recoverSegments(spool.paths.journal),
        pausedUntilMs: await readPausedUntil(spool.paths.pausedUntil, log),
      })
      await capture.#begin()
      return capture
    } catch (error) {
      lock.release()
      throw error
    }
  }

  private constructor(config: ProcessConfig, log: Logger, lock: SpoolLock, spool: Spool, left: Left) {
    const { promise, resolve } = Promise.withResolvers<Ending>()
    this.ended = promise
    this.#resolveEnded = resolve
    this.#config = config
    this.#log = log
    this.#lock = lock
    this.#spool = spool
    this.#left = left
    const { exchange, symbol, storage } = config
    this.#bucket = openBucket(storage, process.env, { requests: this.#requests })
    this.#shipper = new Shipper({
      bucket: this.#bucket,
      spool,
      quarantineTo: { prefix: '', exchange, symbol },
      timers: { nowMs: Date.now, setTimer: nodeTimers.after },
      random: Math.random,
      log,
      windowEveryMs: config.rotationSeconds * 1000,
      // a directory of one machine is asked by few
      spreadBy: storage.s3 === undefined ? undefined : `${exchange}/${symbol}`,
      // a directory was looked at by whoever named it, and shows people no object of ours
      check: storage.s3 === undefined ? undefined : () => checkBucket(this.#bucket),
      onCommitted: (seconds) => this.#commitSeconds.observe(seconds),
      onDamaged: (name, why) => this.#windows.remake(name, why),
    })
    this.#windows = new Windows({
      spool,
      recorder: this.#recorder,
      shipper: this.#shipper,
      log,
      wait,
      onMismatch: (_run, detail) => void this.#halt('ReplayMismatch', detail),
      onUnrecordable: (run, detail) => {
        // what another version left is kept aside; what this process writes must be what it can replay
        if (this.#runs.has(run)) void this.#halt('ReplayMismatch', detail)
      },
    })
    this.#room = new DiskRoom({
      directory: spool.directory,
      sizeLimitBytes: config.spool.sizeLimitBytes,
      reserve: new FileReserve(spool.paths.reserve),
      usage: () => spool.usage(),
      rotationSeconds: config.rotationSeconds,
      onHalfFull: (bytesTooMany) => this.#windows.thin(bytesTooMany),
      nowMs: () => performance.now(),
    })
    this.#pauseFile = new PauseFile(spool.paths.pausedUntil, log)
    this.#keeper = this.#makeKeeper()
  }

  #makeKeeper(): RunKeeper {
    const { exchange: exchangeName, symbol, streams, bookLevels, guards } = this.#config
    return new RunKeeper({
      exchange: exchangeByName(exchangeName),
      config: { exchange: exchangeName, symbol, streams, bookLevels, guards },
      writer: this.#config.writer,
      rotationSeconds: this.#config.rotationSeconds,
      journalDir: this.#spool.paths.journal,
      room: this.#room,
      endpoints: this.#config.endpoints,
      share: this.#config.share,
      laterThan: this.#left.segments.segments.at(-1)?.run,
      pausedUntilMs: this.#left.pausedUntilMs,
      remember: (pausedUntilMs) => this.#pauseFile.remember(pausedUntilMs),
      clock: nodeClock,
      timers: nodeTimers,
      random: Math.random,
      randomBytes,
      log: this.#log,
      onHalt: (reason, message) => void this.#halt(reason, message),
      onWindow: (run, window) => this.#windows.add(run, window),
      onRun: (run) => this.#runs.add(run),
    })
  }

  async #begin(): Promise<void> {
    const bucket = this.#bucket.description
    this.#log.info({ spool: this.#spool.directory, bucket, version: VERSION }, 'capture starts')
    // before a run has a segment of its own there: an open one would look torn
    await this.#windows.recover(this.#left.segments)
    this.#shipper.start()
    await this.#keeper.start()
  }

  /** Ends in order: closes the window, records and ships everything, however long that takes. */
  async drain(): Promise<void> {
    if (this.#ending) return
    this.#ending = true
    this.#log.info({ run: this.#keeper.runId }, 'stopping: closes the window, records and ships what is left')
    await this.#end('Drained', 'ended in order', EXIT_DRAINED)
  }

  async #halt(reason: HaltReason, message: string): Promise<void> {
    this.#halted ??= { reason, message }
    this.#log.error({ reason, run: this.#keeper.runId }, `halt ${reason}: ${message}`)
    if (this.#ending) return
    this.#ending = true
    await this.#end(reason, message, HALT_EXIT_CODES[reason])
  }

  /** Closes the run, then records and ships: all of it, or after a halt what fits into its time. */
  async #end(reason: string, message: string, code: number): Promise<void> {
    try {
      await this.#close()
      // a spool that is gone cannot be drained: better an error now than tries for ever
      if (this.#halted === undefined) {
        await this.#windows.settled()
        await this.#spool.listWindows()
      }
      // it may have halted meanwhile: then nobody waits for ever
      if (this.#halted === undefined) await this.#shipper.drain()
      else {
        const deadline = performance.now() + HALT_SHIP_MS
        // a full disk may keep the recorder waiting until somebody makes room: the next start goes on
        await Promise.race([this.#windows.settled(), wait(HALT_SHIP_MS)])
        await this.#shipper.drain(Math.max(0, deadline - performance.now()))
      }
      await this.#finish(reason, message, code)
    } catch (error) {
      await this.fail(error)
    }
  }

  /** Ends the run, so that coverage ends as stopped and not with the sockets. Throws what the journal did. */
  async #close(): Promise<void> {
    try {
      await this.#keeper.end()
    } catch (error) {
      // a journal that failed has halted the capture already, and that decides the report
      if (this.#halted === undefined) throw error
    }
  }

  /** Leaves at once: what was received is synced, the next start takes it up. */
  async leave(): Promise<void> {
    await this.#abandon()
    await this.#finish('Stopped', 'left before everything was shipped; the next start goes on', EXIT_DRAINED)
  }

  /** An error that nothing expected: the journal is the truth, the next start goes on from it. */
  async fail(error: unknown): Promise<void> {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#log.fatal({ error: message }, 'an error that nothing expected')
    if (this.#failing) return
    this.#failing = true
    await this.#abandon()
    await this.#finish('InternalError', message, EXIT_INTERNAL_ERROR)
  }

  async #abandon(): Promise<void> {
    this.#ending = true
    this.#windows.stop()
    try {
      await this.#keeper.abandon()
    } catch (error) {
      this.#log.error({ error: String(error) }, 'the last sync failed')
    }
  }

  /** Ends the process, whatever fails on the way: the report says what was asked for, or the halt that came first. */
  async #finish(asked: string, why: string, code: number): Promise<void> {
    if (this.#finished) return
    this.#finished = true
    this.#windows.stop()
    await this.#carryOn('the shipper', () => this.#shipper.stop())
    await this.#carryOn('the recorder', () => this.#recorder.close())
    await this.#carryOn('the end of the pause', () => this.#pauseFile.settled())
    const report = await this.#makeReport(asked, why, code)
    const { paths } = this.#spool
    // on a full disk the report takes the room of the reserve
    await this.#carryOn('the reserve', () => this.#room.release())
    await this.#carryOn('the report', () => writeReport(report, paths.report, this.#config.terminationLog))
    await this.#carryOn('the list of halts', () => rememberHalt(report, this.#left.halts, paths.halts))
    this.#log.info({ report }, `ended: ${report.reason}`)
    await this.#carryOn('the lock', async () => this.#lock.release())
    this.#resolveEnded({ exitCode: report.exitCode, report })
  }

  async #makeReport(asked: string, why: string, code: number): Promise<Report> {
    const unknown = { unshippedBytes: -1, quarantinedBytes: -1 }
    const usage = (await this.#carryOn('the spool', () => this.#spool.usage())) ?? unknown
    const reason = this.#halted?.reason ?? asked
    const previous = this.#left.report
    return {
      reason,
      message: this.#halted?.message ?? why,
      symbol: this.#config.symbol,
      run: this.#keeper.runId,
      at: formatTimeUs(Date.now() * 1000),
      exitCode: this.#halted === undefined ? code : HALT_EXIT_CODES[this.#halted.reason],
      haltsInARow: haltsInARow(reason, previous, healthyMs(this.#config.streams, this.#keeper)),
      previous: previous === undefined ? null : { reason: previous.reason, at: previous.at },
      unshippedBytes: usage.unshippedBytes,
      quarantinedBytes: usage.quarantinedBytes,
    }
  }

  /** A step of the end that must not keep the others from happening, by failing or by taking for ever. */
  async #carryOn<T>(what: string, step: () => Promise<T>): Promise<T | undefined> {
    try {
      return await Promise.race([step(), wait(END_STEP_MS)])
    } catch (error) {
      this.#log.error({ error: String(error) }, `${what} failed at the end`)
      return undefined
    }
  }

  /** Halts before this process, once they count no more: none. */
  get #haltsInARow(): number {
    const isRecovered = healthyMs(this.#config.streams, this.#keeper) >= RECOVERED_AFTER_MS
    return isRecovered ? 0 : (this.#left.report?.haltsInARow ?? 0)
  }

  /** Tells each gap of a stream as it begins and ends, from here on. */
  onCoverage(listener: (news: CoverageNews) => void): void {
    this.#keeper.rows.onNews = listener
  }

  /** Live, or where no book is captured: every stream flows. */
  ready(): boolean {
    return !this.#ending && isReady(this.#config.streams, this.#keeper)
  }

  /** The loop turns: it handled a tick lately. One that is ending ticks no more; that it answers says enough. */
  alive(): boolean {
    return this.#ending || this.#keeper.sinceBeatMs < BEAT_MS_MAX
  }

  /** What Prometheus reads. */
  async metrics(): Promise<{ readonly type: string; readonly text: string }> {
    // loaded where it is used: a capture without a port never needs it
    const { Metrics } = await import('./metrics.ts')
    this.#metrics ??= new Metrics(this.#config, async () => ({
      config: this.#config,
      keeper: this.#keeper,
      room: this.#room,
      usage: await this.#spool.usage(),
      ship: this.#shipper.state,
      shipped: this.#shipper.counts,
      asked: this.#requests.counts,
      commitSeconds: this.#commitSeconds,
      halts: this.#left.halts,
      haltsInARow: this.#haltsInARow,
      nowMs: Date.now(),
    }))
    return await this.#metrics.read()
  }

  async status(): Promise<CaptureStatus> {
    return statusOf({
      config: this.#config,
      keeper: this.#keeper,
      ending: this.#ending,
      usage: await this.#spool.usage(),
      ship: this.#shipper.state,
      unanswered: this.#requests.unanswered,
      halts: this.#left.halts,
    })
  }
}

function wait(ms: number): Promise<undefined> {
  return new Promise((done) => nodeTimers.after(ms, () => done(undefined)))
}

async function makeSpoolDirectory(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new SpoolUnusable(
      `Spool directory ${dir} cannot be made: ${why}. Give a directory that may be written`,
    )
  }
}
