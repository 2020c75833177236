import type { HaltReason } from '../../api/reasons.ts'
import type { Exchange } from '../exchange/mod.ts'
import {
  Allowance,
  type Clock,
  Feed,
  type FeedLog,
  type Http,
  type OpenSocket,
  type Random,
  type Timers,
} from '../feed/mod.ts'
import {
  type JournalError,
  type JournalFs,
  makeRunId,
  parseRunId,
  type SegmentHeader,
} from '../journal/mod.ts'
import type { CounterName, Input, Session, SessionConfig } from '../session/mod.ts'
import { Histogram } from './histogram.ts'
import { JournalWatch } from './journal-watch.ts'
import { LiveRows } from './live-rows.ts'
import type { Room, RoomState } from './room.ts'
import { Run } from './run.ts'
import { StreamSince } from './stream-since.ts'
import { Totals } from './totals.ts'

/** While there is no room, it is looked for this often. */
const ROOM_EVERY_MS = 1000
/** Upper bounds of a message's way from the socket's callback to the journal, seconds. */
const DELAY_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1]

export interface KeeperOptions {
  readonly exchange: Exchange
  readonly config: SessionConfig
  readonly writer: SegmentHeader['writer']
  readonly rotationSeconds: number
  /** Where segments go; it must exist. */
  readonly journalDir: string
  readonly room: Room
  readonly endpoints?: string | undefined
  /** Symbols behind this address, rounded up to a power of two. */
  readonly share: number
  /** Run ids of this keeper sort behind this one. */
  readonly laterThan?: string | undefined
  /** Wall time, ms since the epoch, before which the exchange wants no request. */
  readonly pausedUntilMs?: number | undefined
  /** Keeps the end of such a pause over a restart. */
  readonly remember?: ((pausedUntilMs: number) => void) | undefined
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly randomBytes: (size: number) => Uint8Array
  readonly openSocket?: OpenSocket | undefined
  readonly http?: Http | undefined
  readonly fs?: JournalFs | undefined
  readonly log: FeedLog
  /** A halt: what would be written cannot be trusted. The run is being closed; its owner calls `end`. */
  readonly onHalt: (reason: HaltReason, message: string) => void
  /** A segment is closed and may be recorded. Called in order of runs and windows. */
  readonly onWindow: (run: string, window: number) => void
  /** A run began. For tests and status. */
  readonly onRun?: ((run: string) => void) | undefined
}

/** A run with the feed that it lives on. */
interface Current {
  readonly id: string
  readonly feed: Feed
  readonly run: Run
}

/** Why no run is kept at the moment. */
export interface KeeperPause {
  readonly reason: 'disk_full'
  readonly why: string
  /** Wall clock, microseconds. */
  readonly since: number
}

/**
 * Keeps one run going: begins it, and where it ended for the clock or for a full disk begins another one, with a new
 * run id, an empty session and a feed of its own. Everything comes from outside, so that it runs in virtual time.
 */
export class RunKeeper {
  /** What was made live, over all runs. */
  readonly rows = new LiveRows()
  /** From the socket's callback to the journal, seconds; over all runs. */
  readonly delay = new Histogram(DELAY_SECONDS)
  /** When streams changed their states. */
  readonly since = new StreamSince()
  /** Runs begun. */
  runs = 0
  /** Bytes of WebSocket messages. */
  receivedBytes = 0
  readonly #options: KeeperOptions
  readonly #ended = new Totals()
  #current: Current | undefined
  #watch = new JournalWatch()
  #pause: KeeperPause | undefined
  #share: number
  readonly #allowance: Allowance
  #lastRun: string
  #ending = false
  #looking = false
  #wake: (() => void) | undefined
  /** Runs that are being closed; it never rejects. */
  #retired: Promise<unknown> = Promise.resolve()
  #beatUs: number

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#share = options.share
    this.#allowance = new Allowance(options)
    this.#lastRun = options.laterThan ?? ''
    this.#beatUs = options.clock.monotonicUs()
  }

  /** The run of now, or the last one; empty before the first. */
  get runId(): string {
    return this.#current?.id ?? ''
  }

  /** The run of now, or the last one. */
  get run(): Run | undefined {
    return this.#current?.run
  }

  get session(): Session | undefined {
    return this.#current?.run.session
  }

  /** The feed of the run of now, or of the last one: then it is stopped. */
  get feed(): Feed | undefined {
    return this.#current?.feed
  }

  /** Why there is no run at the moment. */
  get pause(): KeeperPause | undefined {
    return this.#pause
  }

  /** Wall time, ms since the epoch, before which the exchange wants no request; 0 for none. */
  get pausedUntilMs(): number {
    return this.#allowance.pausedUntilMs
  }

  /** Milliseconds since the last tick, or since room was last looked for. */
  get sinceBeatMs(): number {
    return (this.#options.clock.monotonicUs() - this.#beatUs) / 1000
  }

  /** What all sessions of this process counted. */
  get counters(): Readonly<Record<CounterName, number>> {
    return this.#ended.countersWith(this.run)
  }

  /** Bytes journalled and synced by all runs of this process. */
  get journalled(): { readonly writtenBytes: number; readonly syncedBytes: number } {
    const { run } = this.#current ?? {}
    return {
      writtenBytes: this.#ended.writtenBytes + (run?.writtenBytes ?? 0),
      syncedBytes: this.#ended.syncedBytes + (run?.syncedBytes ?? 0),
    }
  }

  /** The longest time that a book was live without a break, microseconds. */
  get liveForUs(): number {
    const current = this.#current
    if (current === undefined) return 0
    const now = current.run.session.book.liveForUs(current.feed.receiveClock.now())
    return Math.max(this.#ended.liveForUs, now)
  }

  /** Begins the first run; where there is no room for it, waits for some. Resolves when that is decided. */
  async start(): Promise<void> {
    const { full } = await this.#look()
    if (this.#ending) return
    if (full === '' && (await this.#allocate())) {
      if (!this.#ending) this.#begin()
      return
    }
    this.#enterPause(full === '' ? 'there is no room for the reserve' : full)
    void this.#waitForRoom()
  }

  /** Ends for good and in order. Resolves when all is closed; rejects with the error of a journal that failed. */
  async end(): Promise<void> {
    this.#stopWaiting()
    const current = this.#current
    const [ended] = await Promise.allSettled([current?.run.end('stopped'), current?.feed.stop()])
    await current?.run.closed
    await this.#retired
    // what a full disk cut is recorded up to there: no reason to stop in the middle
    if (ended.status === 'rejected' && !isFull(ended.reason)) throw ended.reason
  }

  /** Leaves at once: what was taken is synced, no segment gets a trailer. Rejects where the last sync fails. */
  async abandon(): Promise<void> {
    this.#stopWaiting()
    const current = this.#current
    const [abandoned] = await Promise.allSettled([
      current?.run.abandon(),
      current?.feed.stop(),
      this.#retired,
    ])
    if (abandoned.status === 'rejected') throw abandoned.reason
  }

  /** Symbols behind this address, as far as was told. */
  get share(): number {
    return this.#share
  }

  setShare(share: number): void {
    this.#share = share
    if (this.#current?.feed.stopped === false) this.#current.feed.setShare(share)
  }

  #begin(): void {
    const { exchange, config, log, clock, timers, room } = this.#options
    const id = this.#nextRunId()
    const before = this.#current
    if (before !== undefined) this.#ended.take(before.run, before.feed.receiveClock.now())
    const feed: Feed = new Feed({
      exchange,
      symbol: config.symbol,
      streams: config.streams,
      endpoints: this.#options.endpoints,
      share: this.#share,
      clock,
      timers,
      random: this.#options.random,
      openSocket: this.#options.openSocket,
      http: this.#options.http,
      allowance: this.#allowance,
      onInput: (input) => this.#onInput(current, input),
      log,
    })
    const run: Run = new Run({
      run: id,
      journalDir: this.#options.journalDir,
      config,
      exchange,
      writer: this.#options.writer,
      rotationSeconds: this.#options.rotationSeconds,
      clock: feed.receiveClock,
      requests: feed,
      rows: this.rows,
      after: before?.run.closed,
      onHalt: (reason, message) => this.#options.onHalt(reason, message),
      onEnd: (reason) =>
        reason === 'clock_step' ? this.#onClockStep(current) : this.#onFull('no room is left on the disk'),
      onWindow: (window) => this.#options.onWindow(id, window),
      onJournalError: (error) => this.#onJournalError(error),
      onDelay: (us) => this.delay.observe(us / 1e6),
      makeRoom: () => room.release(),
      fs: this.#options.fs,
      timer: (delayMs, fire) => timers.after(delayMs, fire),
    })
    const current: Current = { id, feed, run }
    this.#current = current
    this.runs++
    this.#watch = new JournalWatch()
    this.#beat()
    log.info({ run: id }, `run ${id} begins`)
    this.#options.onRun?.(id)
    feed.start()
  }

  /** Ids of one spool sort in the order in which runs began, also where the clock was stepped back between them. */
  #nextRunId(): string {
    const { clock, randomBytes } = this.#options
    const before = parseRunId(this.#lastRun)
    const startUs = Math.max(clock.wallUs(), before === undefined ? 0 : (before.startedMs + 1) * 1000)
    this.#lastRun = makeRunId(startUs, randomBytes)
    return this.#lastRun
  }

  #onInput(current: Current, input: Input): void {
    current.run.input(input)
    if (input.kind === 'message') this.receivedBytes += input.payload.byteLength
    if (input.kind !== 'tick' || current.run.ended) return
    this.#beat()
    const { session } = current.run
    this.rows.clockOffsetUs = session.clockOffset
    for (const stream of session.config.streams) {
      this.since.note(stream, session.streamState(stream), input.received)
    }
    const stuckMs = this.#watch.tick(current.run, this.#options.clock.monotonicUs())
    if (stuckMs > 0) current.feed.overload(stuckMs, 'journal')
    void this.#lookForMarks(current)
  }

  /** A spool or a disk that is nearly full ends the run in order, before anything fails. */
  async #lookForMarks(current: Current): Promise<void> {
    if (this.#looking) return // a slow disk: the answer on its way will do
    this.#looking = true
    const { full } = await this.#look()
    this.#looking = false
    if (full !== '' && current === this.#current && !current.run.ended) this.#onFull(full)
  }

  /** What cannot be looked at is told, and takes for neither full nor free. */
  async #look(): Promise<RoomState> {
    const { room, log } = this.#options
    try {
      return await room.look(this.journalled.writtenBytes)
    } catch (error) {
      log.warn({ error: String(error) }, 'the room on the disk cannot be told; the next try is in a second')
      return { full: '', low: false }
    }
  }

  #onClockStep(current: Current): void {
    const { log } = this.#options
    log.warn({ run: current.id }, 'the wall clock was stepped back: the run ends, another one begins')
    void this.#retire(current, 'clock_step')
    if (!this.#ending) this.#begin()
  }

  #onJournalError(error: JournalError): void {
    if (isFull(error)) this.#onFull(error.message)
    else this.#options.onHalt('DiskFailed', error.message)
  }

  /** Ends the run, keeps shipping, and begins another one when there is room. */
  #onFull(why: string): void {
    const current = this.#current
    if (this.#pause !== undefined || this.#ending || current === undefined) return
    this.#enterPause(why)
    void this.#retire(current, 'disk_full').then(() => this.#waitForRoom())
  }

  #enterPause(why: string): void {
    const { clock, log } = this.#options
    this.#pause = { reason: 'disk_full', why, since: clock.wallUs() }
    log.warn({ reason: 'disk_full' }, `paused, nothing is captured: ${why}; shipping goes on and makes room`)
  }

  /** Closes a run and its feed; never rejects: a journal that fails tells by itself. */
  async #retire(current: Current, reason: 'clock_step' | 'disk_full'): Promise<void> {
    const closed = Promise.allSettled([current.run.end(reason), current.feed.stop(), this.#retired])
    this.#retired = closed
    await closed
    await current.run.closed
  }

  async #waitForRoom(): Promise<void> {
    while (!this.#ending) {
      this.#beat()
      await this.#sleep()
      const { low } = await this.#look()
      if (this.#ending || !low || !(await this.#allocate()) || this.#isEnding()) continue
      this.#pause = undefined
      this.#begin()
      return
    }
  }

  /** A reserve that cannot be made for another reason than room: told, and tried again. */
  async #allocate(): Promise<boolean> {
    const { room, log } = this.#options
    try {
      return await room.allocate()
    } catch (error) {
      log.warn({ error: String(error) }, 'the reserve cannot be made; the next try is in a second')
      return false
    }
  }

  #isEnding(): boolean {
    return this.#ending
  }

  async #sleep(): Promise<void> {
    if (this.#ending) return
    await new Promise<void>((resolve) => {
      const cancel = this.#options.timers.after(ROOM_EVERY_MS, resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
  }

  #stopWaiting(): void {
    this.#ending = true
    this.#wake?.()
  }

  #beat(): void {
    this.#beatUs = this.#options.clock.monotonicUs()
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'JournalFull'
}
