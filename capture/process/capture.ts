import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import type { ProcessConfig } from '../../api/config.ts'
import { EXIT_DRAINED, EXIT_INTERNAL_ERROR, HALT_EXIT_CODES, type HaltReason } from '../../api/reasons.ts'
import { exchangeByName } from '../exchange/mod.ts'
import { nodeClock, nodeTimers } from '../feed/mod.ts'
import { FileReserve } from '../journal/mod.ts'
import { Recorder } from '../record/mod.ts'
import { type Bucket, checkBucket, type Requests, Shipper, type Spool } from '../ship/mod.ts'
import { VERSION } from '../version.ts'
import { Annotations, type Asked } from './annotations.ts'
import { sealClosing } from './closing.ts'
import { Histogram } from './histogram.ts'
import { RunKeeper } from './keeper.ts'
import { type Ending, sayLastWords } from './last-words.ts'
import type { CoverageNews } from './live-rows.ts'
import type { Metrics } from './metrics.ts'
import { PauseFile } from './paused-until.ts'
import { RECOVERED_AFTER_MS } from './report.ts'
import { DiskRoom } from './room.ts'
import { type CaptureStatus, healthyMs, isReady, statusOf } from './status.ts'
import { type Taken, takeUp } from './take-up.ts'
import { wait } from './wait.ts'
import { Windows } from './windows.ts'
import { isPod, writerOf } from './writer.ts'

/** A halting process ships for at most this long; what is left goes with the next start. */
const HALT_SHIP_MS = 30_000
/** The pod's annotations are looked at this often. */
const LOOK_EVERY_MS = 1_000
/** A loop that turns handles a tick each second; one that handled none for so long does not turn. */
const BEAT_MS_MAX = 10_000

/** Seconds: a local directory takes milliseconds, a store on another continent half a minute. */
const COMMIT_BOUNDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]

/**
 * One capture: runs → recorded windows → bucket, in one directory. Made by `start`; ends by `drain`, `leave`, or a
 * halt, and `ended` resolves with how. What a run is and when another one follows, the RunKeeper knows.
 */
export class Capture {
  readonly ended: Promise<Ending>
  readonly #config: ProcessConfig
  readonly #log: Logger
  readonly #spool: Spool
  readonly #bucket: Bucket
  readonly #requests: Requests
  readonly #shipper: Shipper
  readonly #commitSeconds = new Histogram(COMMIT_BOUNDS)
  readonly #recorder = new Recorder()
  readonly #windows: Windows
  readonly #keeper: RunKeeper
  readonly #room: DiskRoom
  readonly #pauseFile: PauseFile
  readonly #left: Taken
  #metrics: Metrics | undefined
  /** Runs of this process: what it writes itself, it must be able to replay. */
  readonly #runs = new Set<string>()
  readonly #resolveEnded: (ending: Ending) => void
  #ending = false
  #finished = false
  #failing = false
  /** The first halt, also one that comes while the process is ending already: it decides the report. */
  #halted: { readonly reason: HaltReason; readonly message: string } | undefined
  readonly #annotations: Annotations | undefined
  /** Somebody asked this pod to go: whatever happens on the way, nothing of it is left behind. */
  #isLeaving = false

  /** Locks and opens the spool, takes up what is left in it, and connects. Throws SpoolLocked, SpoolUnusable. */
  static async start(config: ProcessConfig, log: Logger): Promise<Capture> {
    const taken = await takeUp(config, log)
    try {
      const capture = new Capture(config, log, taken)
      await capture.#begin()
      return capture
    } catch (error) {
      taken.lock.release()
      throw error
    }
  }

  private constructor(config: ProcessConfig, log: Logger, left: Taken) {
    const { promise, resolve } = Promise.withResolvers<Ending>()
    this.ended = promise
    this.#resolveEnded = resolve
    this.#config = config
    this.#log = log
    const { spool } = left
    this.#spool = spool
    this.#left = left
    const { exchange, symbol, storage } = config
    this.#bucket = left.bucket
    this.#requests = left.requests
    this.#annotations =
      config.annotationsFile === undefined ? undefined : new Annotations(config.annotationsFile, log)
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
      lineage: left.succession.lineage,
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
      writer: writerOf(this.#config),
      rotationSeconds: this.#config.rotationSeconds,
      journalDir: this.#spool.paths.journal,
      room: this.#room,
      endpoints: this.#config.endpoints,
      share: this.#config.share,
      laterThan: [this.#left.segments.segments.at(-1)?.run, this.#left.succession.lineage.lastRun]
        .filter((run) => run !== undefined)
        .sort()
        .at(-1),
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
    // one that is told to go opens no socket at all
    const asked = await this.#annotations?.look()
    if (asked?.drain !== 'discard') this.#shipper.start()
    this.#obey(asked)
    void this.#listen()
    if (asked?.drain === undefined) await this.#keeper.start()
  }

  /** Looks at the pod's annotations again and again, to the end. */
  async #listen(): Promise<void> {
    const annotations = this.#annotations
    while (annotations !== undefined && !this.#finished) {
      await wait(LOOK_EVERY_MS)
      this.#obey(await annotations.look())
    }
  }

  #obey(asked: Asked | undefined): void {
    if (asked?.share !== undefined) this.#keeper.setShare(asked.share)
    if (asked?.drain === 'true') void this.#depart('drained as its annotation asks')
    if (asked?.drain === 'discard') void this.#discard()
  }

  /**
   * Ends in order: records on for a while, so that a successor's rows meet ours; then closes the window, records and
   * ships everything, however long that takes.
   */
  async drain(): Promise<void> {
    if (this.#ending || this.#isLeaving) return
    this.#isLeaving = isPod(this.#config)
    const { handoffSeconds } = this.#config
    if (handoffSeconds > 0 && this.#keeper.run?.ended === false) {
      this.#log.info(
        { handoffSeconds },
        'stopping: ships what it has, and records on until a successor has taken over',
      )
      this.#keeper.run.cutWindow()
      this.#shipper.hurry()
      await Promise.race([wait(handoffSeconds * 1000), this.ended])
    }
    await this.#depart('ended in order')
  }

  /** Publishes all there is, and that nothing follows. */
  async #depart(why: string): Promise<void> {
    if (this.#ending) return
    this.#ending = true
    this.#isLeaving = isPod(this.#config)
    this.#log.info({ run: this.#keeper.runId }, 'stopping: closes the window, records and ships what is left')
    await this.#end('Drained', why, EXIT_DRAINED)
  }

  /** Leaves without publishing anything: the predecessor that was to be succeeded goes on. */
  async #discard(): Promise<void> {
    if (this.#finished) return
    await this.#abandon()
    await this.#finish(
      'Discarded',
      'not needed: its predecessor goes on and publishes the same',
      EXIT_DRAINED,
    )
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
      if (this.#isPatient()) {
        await this.#windows.settled()
        await this.#spool.listWindows()
      }
      // it may have halted meanwhile: then nobody waits for ever
      if (this.#isPatient()) await this.#shipAll()
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

  /** A halt is followed by a restart, which goes on; a pod that leaves is followed by nothing. */
  #isPatient(): boolean {
    return this.#halted === undefined || this.#isLeaving
  }

  /** Ships everything; of a pod that leaves also that nothing follows, once all the rest is committed. */
  async #shipAll(): Promise<void> {
    const { lineage } = this.#left.succession
    const { drained } = await this.#shipper.drain()
    if (!this.#isLeaving || !drained || this.#finished || lineage.isClosed) return
    const [config, spool, recorder] = [this.#config, this.#spool, this.#recorder]
    const window = await sealClosing({ config, spool, recorder, lineage, nowUs: () => Date.now() * 1000 })
    this.#log.info({ window }, 'closing: this pod publishes no more')
    this.#shipper.notify()
    if ((await this.#shipper.drain()).drained) await lineage.closed()
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
  async #finish(reason: string, message: string, exitCode: number): Promise<void> {
    if (this.#finished) return
    this.#finished = true
    this.#windows.stop()
    const ending = await sayLastWords(
      {
        config: this.#config,
        log: this.#log,
        lock: this.#left.lock,
        spool: this.#spool,
        room: this.#room,
        keeper: this.#keeper,
        previous: this.#left.report,
        halts: this.#left.halts,
        closes: [
          { what: 'the shipper', close: () => this.#shipper.stop() },
          { what: 'the recorder', close: () => this.#recorder.close() },
          { what: 'the end of the pause', close: () => this.#pauseFile.settled() },
        ],
      },
      { reason, message, exitCode, halted: this.#halted },
    )
    this.#resolveEnded(ending)
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
      handoverSeconds: this.#left.succession.seconds,
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
      handover: this.#left.succession.status,
    })
  }
}
