import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import type { Logger } from 'pino'
import type { ProcessConfig } from '../../api/config.ts'
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR, HALT_EXIT_CODES, type HaltReason } from '../../api/reasons.ts'
import { exchangeByName } from '../exchange/mod.ts'
import { Feed, nodeClock, nodeTimers } from '../feed/mod.ts'
import {
  acquireSpoolLock,
  makeRunId,
  type RecoveredSegments,
  recoverSegments,
  type SpoolLock,
  SpoolUnusable,
} from '../journal/mod.ts'
import { Recorder } from '../record/mod.ts'
import { formatTimeUs, LocalBucket, openSpool, Shipper, type Spool } from '../ship/mod.ts'
import { VERSION } from '../version.ts'
import { haltsInARow, type Report, readReport, writeReport } from './report.ts'
import { Run } from './run.ts'
import { type CaptureStatus, statusOf } from './status.ts'
import { Windows } from './windows.ts'

/** A halting process ships for at most this long; what is left goes with the next start. */
const HALT_SHIP_MS = 30_000
/** Each last step of a process has so long: what hangs then ends with the process. */
const END_STEP_MS = 5_000

/** How a capture ended. */
export interface Ending {
  readonly exitCode: number
  readonly report: Report
}

/**
 * One capture: feed → journal and session → recorded windows → bucket, in one directory. Made by `start`; ends by
 * `drain`, `leave`, or a halt, and `ended` resolves with how.
 */
export class Capture {
  readonly ended: Promise<Ending>
  readonly #config: ProcessConfig
  readonly #log: Logger
  readonly #lock: SpoolLock
  readonly #spool: Spool
  readonly #shipper: Shipper
  readonly #recorder = new Recorder()
  readonly #windows: Windows
  readonly #feed: Feed
  readonly #run: Run
  readonly #runId: string
  readonly #previous: Report | undefined
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
      const previous = await readReport(spool.paths.report)
      const left = await recoverSegments(spool.paths.journal)
      const capture = new Capture(config, log, lock, spool, previous)
      await capture.#begin(left)
      return capture
    } catch (error) {
      lock.release()
      throw error
    }
  }

  private constructor(
    config: ProcessConfig,
    log: Logger,
    lock: SpoolLock,
    spool: Spool,
    previous: Report | undefined,
  ) {
    const { promise, resolve } = Promise.withResolvers<Ending>()
    this.ended = promise
    this.#resolveEnded = resolve
    this.#config = config
    this.#log = log
    this.#lock = lock
    this.#spool = spool
    this.#previous = previous
    const exchange = exchangeByName(config.exchange)
    const { exchange: exchangeName, symbol, streams, bookLevels } = config
    this.#runId = makeRunId(nodeClock.wallUs(), randomBytes)
    this.#shipper = new Shipper({
      bucket: bucketOf(config),
      spool,
      timers: { nowMs: Date.now, setTimer: nodeTimers.after },
      random: Math.random,
      log,
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
        if (run === this.#runId) void this.#halt('ReplayMismatch', detail)
      },
    })
    this.#feed = new Feed({
      exchange,
      symbol,
      streams,
      ...(config.endpoints === undefined ? {} : { endpoints: config.endpoints }),
      share: config.share,
      onInput: (input) => this.#run.input(input),
      log,
    })
    this.#run = new Run({
      run: this.#runId,
      journalDir: spool.paths.journal,
      config: { exchange: exchangeName, symbol, streams, bookLevels },
      exchange,
      writer: config.writer,
      rotationSeconds: config.rotationSeconds,
      clock: this.#feed.receiveClock,
      requests: this.#feed,
      onHalt: (reason, message) => void this.#halt(reason, message),
      onWindow: (window) => this.#windows.add(this.#runId, window),
      onJournalError: (error) => void this.#halt('DiskFailed', error.message),
    })
  }

  async #begin(left: RecoveredSegments): Promise<void> {
    this.#log.info({ run: this.#runId, spool: this.#spool.directory, version: VERSION }, 'capture starts')
    await this.#windows.recover(left)
    this.#shipper.start()
    // a journal that fails at once (a full disk) has ended this process before it connected
    if (!this.#ending) this.#feed.start()
  }

  /** Ends in order: closes the window, records and ships everything, however long that takes. */
  async drain(): Promise<void> {
    if (this.#ending) return
    this.#ending = true
    this.#log.info({ run: this.#runId }, 'stopping: closes the window, records and ships what is left')
    await this.#end('Drained', 'ended in order', EXIT_DRAINED)
  }

  async #halt(reason: HaltReason, message: string): Promise<void> {
    this.#halted ??= { reason, message }
    this.#log.error({ reason, run: this.#runId }, `halt ${reason}: ${message}`)
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

  /** Ends the run first, so that coverage ends as stopped and not with the sockets. Throws what the journal did. */
  async #close(): Promise<void> {
    const [ended] = await Promise.allSettled([this.#run.end('stopped'), this.#feed.stop()])
    // a journal that failed has halted the capture already, and that decides the report
    if (ended.status === 'rejected' && this.#halted === undefined) throw ended.reason
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
    const [abandoned] = await Promise.allSettled([this.#run.abandon(), this.#feed.stop()])
    if (abandoned.status === 'rejected')
      this.#log.error({ error: String(abandoned.reason) }, 'the last sync failed')
  }

  /** Ends the process, whatever fails on the way: the report says what was asked for, or the halt that came first. */
  async #finish(asked: string, why: string, code: number): Promise<void> {
    if (this.#finished) return
    this.#finished = true
    this.#windows.stop()
    await this.#carryOn('the shipper', () => this.#shipper.stop())
    await this.#carryOn('the recorder', () => this.#recorder.close())
    const unknown = { unshippedBytes: -1, quarantinedBytes: -1 }
    const usage = (await this.#carryOn('the spool', () => this.#spool.usage())) ?? unknown
    const reason = this.#halted?.reason ?? asked
    const exitCode = this.#halted === undefined ? code : HALT_EXIT_CODES[this.#halted.reason]
    const liveForUs = this.#run.session.book.liveForUs(this.#feed.receiveClock.now())
    const report: Report = {
      reason,
      message: this.#halted?.message ?? why,
      symbol: this.#config.symbol,
      run: this.#runId,
      at: formatTimeUs(Date.now() * 1000),
      exitCode,
      haltsInARow: haltsInARow(reason, this.#previous, liveForUs / 1000),
      previous:
        this.#previous === undefined ? null : { reason: this.#previous.reason, at: this.#previous.at },
      unshippedBytes: usage.unshippedBytes,
      quarantinedBytes: usage.quarantinedBytes,
    }
    const { terminationLog } = this.#config
    await this.#carryOn('the report', () => writeReport(report, this.#spool.paths.report, terminationLog))
    this.#log.info({ report }, `ended: ${reason}`)
    await this.#carryOn('the lock', async () => this.#lock.release())
    this.#resolveEnded({ exitCode, report })
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

  /** Live, or where no book is captured: every stream flows. */
  ready(): boolean {
    const { session } = this.#run
    const { streams } = this.#config
    if (this.#ending) return false
    const hasBook = streams.includes('books') || streams.includes('depth')
    return hasBook
      ? session.book.state === 'live'
      : streams.every((stream) => session.streamState(stream) === 'flowing')
  }

  async status(): Promise<CaptureStatus> {
    return statusOf({
      config: this.#config,
      runId: this.#runId,
      run: this.#run,
      ending: this.#ending,
      feed: this.#feed.status(),
      usage: await this.#spool.usage(),
      ship: this.#shipper.state,
      previous: this.#previous,
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

function bucketOf(config: ProcessConfig): LocalBucket {
  const { local } = config.storage
  if (local === undefined)
    throw new Error('this version ships to a local directory only: set storage.local.path')
  return new LocalBucket(local.path)
}
