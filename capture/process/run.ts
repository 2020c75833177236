import type { HaltReason } from '../../api/reasons.ts'
import type { Exchange } from '../exchange/mod.ts'
import {
  type JournalError,
  type JournalFs,
  type JournalTimer,
  QUEUED_BYTES_MAX,
  SEGMENT_FORMAT,
  type SegmentHeader,
  SegmentWriter,
} from '../journal/mod.ts'
import { type Effects, type Input, type RowSink, Session, type SessionConfig } from '../session/mod.ts'
import { VERSION } from '../version.ts'

/** A step of the wall clock beyond this is followed: forward by the next segment, back by the next run. */
const CLOCK_STEP_US = 250_000
/** So much may wait in a new segment, however much waits in those before it: its checkpoint must fit. */
const QUEUED_BYTES_LEAST = 4 * 1024 * 1024
/** Of so many messages one is timed on its way from the socket to the journal. */
const TIMED_OF_MESSAGES = 16

/** Receive time as the feed keeps it; the anchor is taken anew at each segment. */
export interface RunClock {
  now(): number
  anchor(): void
  /** Wall clock − receive time, microseconds. */
  wallDistance(): number
}

/** Why a run ends in order. After `stopped` nothing follows; after the others another run does. */
export type RunEnd = 'stopped' | 'clock_step' | 'disk_full'

export interface RunOptions {
  readonly run: string
  readonly journalDir: string
  readonly config: SessionConfig
  readonly exchange: Exchange
  readonly writer: SegmentHeader['writer']
  readonly rotationSeconds: number
  readonly clock: RunClock
  /** Who carries out what the session asks of the exchange. */
  readonly requests: Omit<Effects, 'halt' | 'rows'>
  /** Sees the rows live; they are made when the segment is recorded. */
  readonly rows: RowSink
  /** The first segment has no file before this resolves: so segments of two runs are closed in order. */
  readonly after?: Promise<void> | undefined
  /** The session halted; the last window is being closed. */
  readonly onHalt: (reason: HaltReason, message: string) => void
  /** The run ended itself: its last window is being closed, another run may follow. */
  readonly onEnd: (reason: 'clock_step' | 'disk_full') => void
  /** A window's segment is closed: sealed and durable, or cut where the disk was full. Called in order. */
  readonly onWindow: (window: number) => void
  readonly onJournalError: (error: JournalError) => void
  /** How long a message was on its way from the socket's callback to the journal, microseconds. */
  readonly onDelay?: ((us: number) => void) | undefined
  /** Makes room for the last words on a full disk; false where there is none to make. */
  readonly makeRoom?: (() => Promise<boolean>) | undefined
  readonly fs?: JournalFs | undefined
  readonly timer?: JournalTimer | undefined
}

/**
 * A run: an unbroken journal. Every input is journalled and stepped, in this order; windows are cut at boundaries of
 * UTC. It begins with an empty session and ends with the process, with a wall clock that was stepped back, or with a
 * disk that is full.
 */
export class Run {
  readonly session: Session
  window = 0
  readonly #options: RunOptions
  readonly #effects: Effects
  #writer: SegmentWriter
  /** Durability of the segments so far: a later one has no file before. */
  #sealed: Promise<void>
  /** The windows so far are closed, in whatever way. */
  #closed: Promise<void> = Promise.resolve()
  #boundary: number
  #ended = false
  #messages = 0
  /** The next input opens a window, wherever the boundary is. */
  #cutsNext = false
  /** Segments that are open or being closed; what the others took is in `#before`. */
  readonly #writers = new Set<SegmentWriter>()
  readonly #before = { written: 0, synced: 0 }
  #halt: { readonly reason: HaltReason; readonly message: string } | undefined

  constructor(options: RunOptions) {
    this.#options = options
    this.#sealed = options.after ?? Promise.resolve()
    this.session = new Session(options.config, options.exchange)
    const { requests } = options
    this.#effects = {
      fetch: (request) => requests.fetch(request),
      forget: (request) => requests.forget(request),
      reconnect: (connection, why) => requests.reconnect(connection, why),
      openBeside: (route) => requests.openBeside(route),
      closeOne: (connection, why) => requests.closeOne(connection, why),
      checkListing: (why) => requests.checkListing(why),
      halt: (reason, message) => {
        this.#halt = { reason, message }
      },
      rows: options.rows,
    }
    options.clock.anchor()
    const opened = options.clock.now()
    this.#boundary = this.#nextBoundary(opened)
    this.#writer = this.#openSegment(opened)
    this.session.openWindow(this.window, opened, this.#effects)
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Resolves when every window so far is closed, in whatever way; never rejects. */
  get closed(): Promise<void> {
    return this.#closed
  }

  /** Bytes that wait for the disk. */
  get queuedBytes(): number {
    let bytes = 0
    for (const writer of this.#writers) bytes += writer.queuedBytes
    return bytes
  }

  /** Bytes journalled by this run: they survive the end of the process. */
  get writtenBytes(): number {
    let bytes = this.#before.written
    for (const writer of this.#writers) bytes += writer.writtenBytes
    return bytes
  }

  /** Bytes of this run that survive a power loss. */
  get syncedBytes(): number {
    let bytes = this.#before.synced
    for (const writer of this.#writers) bytes += writer.syncedBytes
    return bytes
  }

  /** Takes one input. After the end of the run inputs are ignored: they belong to no coverage. */
  input(input: Input): void {
    if (this.#ended) return
    const isDue = this.#cutsNext || input.received >= this.#boundary
    if (isDue && this.#writer.inputs > 0) this.#rotate(input.received)
    this.#writer.append(input)
    if (input.kind === 'message') this.#time(input.received)
    this.session.step(input, this.#effects)
    const halt = this.#halt
    if (halt !== undefined) {
      this.#close(halt.reason, input.received)
      this.#options.onHalt(halt.reason, halt.message)
    } else if (input.kind === 'tick') this.#followClock(input.received, input.wallDistance)
  }

  /** Closes the window with the next input, which comes within a second; the run goes on in another one. */
  cutWindow(): void {
    this.#cutsNext = true
  }

  /** Ends the run in order; resolves when its last segment is durable and told. Rejects with the journal's error. */
  async end(reason: RunEnd): Promise<void> {
    this.#stop(reason, this.#options.clock.now())
    await this.#closed
    await this.#sealed
  }

  /** Leaves at once: what was taken is synced, the segment gets no trailer. */
  async abandon(): Promise<void> {
    this.#ended = true
    await this.#writer.abandon()
  }

  #time(received: number): void {
    this.#messages++
    if (this.#messages % TIMED_OF_MESSAGES !== 0) return
    this.#options.onDelay?.(this.#options.clock.now() - received)
  }

  #nextBoundary(received: number): number {
    const window = this.#options.rotationSeconds * 1_000_000
    return (Math.floor(received / window) + 1) * window
  }

  #openSegment(openedAt: number): SegmentWriter {
    const { run, config, writer, journalDir, fs, timer, makeRoom } = this.#options
    const header: SegmentHeader = {
      format: SEGMENT_FORMAT,
      run,
      window: this.window,
      exchange: config.exchange,
      symbol: config.symbol,
      session: config,
      writtenBy: VERSION,
      writer,
      openedAt,
    }
    const opened = SegmentWriter.open({
      dir: journalDir,
      header,
      checkpoint: this.session.encode(),
      after: this.#sealed,
      // what earlier segments still hold waits for the same disk
      queuedBytesMax: Math.max(QUEUED_BYTES_LEAST, QUEUED_BYTES_MAX - this.queuedBytes),
      onFull: () => this.#onFull(),
      onError: (error) => {
        this.#ended = true
        this.#options.onJournalError(error)
      },
      makeRoom,
      fs,
      timer,
    })
    this.#writers.add(opened)
    return opened
  }

  /** The disk is full: what waits and the closing record are written into the room that is made now. */
  #onFull(): void {
    if (this.#ended) return
    this.#stop('disk_full', this.#options.clock.now())
    this.#options.onEnd('disk_full')
  }

  #stop(reason: RunEnd, received: number): void {
    if (this.#ended) return
    this.input({ kind: 'stop', received, reason })
    this.#close(reason, received)
  }

  /** The window that an input opens begins with the input's own time. */
  #rotate(received: number): void {
    const { clock } = this.#options
    this.#closeSegment('rotation', received)
    // after a step back a fresh anchor would make receive time stand still, and hide the step from the next tick
    if (clock.wallDistance() >= -CLOCK_STEP_US) clock.anchor()
    this.#openNext(received)
  }

  /**
   * The wall clock was stepped forward: a fresh anchor brings receive time up to it, and the next window begins
   * where it stands then. It was stepped back: receive time would stand still, so the run ends.
   */
  #followClock(received: number, distance: number): void {
    if (distance > CLOCK_STEP_US) {
      this.#closeSegment('clock_step', received)
      this.#options.clock.anchor()
      this.#openNext(Math.max(received, this.#options.clock.now()))
    } else if (distance < -CLOCK_STEP_US) {
      this.#stop('clock_step', received)
      this.#options.onEnd('clock_step')
    }
  }

  #openNext(opened: number): void {
    this.#cutsNext = false
    this.window++
    this.#boundary = this.#nextBoundary(opened)
    this.#writer = this.#openSegment(opened)
    this.session.openWindow(this.window, opened, this.#effects)
  }

  #close(reason: string, received: number): void {
    this.#closeSegment(reason, received)
    this.#ended = true
  }

  #forget(writer: SegmentWriter): void {
    this.#before.written += writer.writtenBytes
    this.#before.synced += writer.syncedBytes
    this.#writers.delete(writer)
  }

  #closeSegment(reason: string, closedAt: number): void {
    this.session.closeWindow(this.#effects)
    const { window } = this
    const writer = this.#writer
    const sealed = writer.seal({ closedAt, stateHash: this.session.hash(), reason })
    const before = this.#closed
    this.#sealed = sealed
    this.#closed = (async () => {
      await before
      await sealed.catch(() => undefined) // the writer told onError already
      const close = await writer.closed
      this.#forget(writer)
      // a window that the full disk cut is recorded up to there; one that a bad disk cut waits for the next start
      const whole = close.how === 'sealed'
      if (whole || (close.how === 'failed' && close.made && close.error.code === 'JournalFull')) {
        this.#options.onWindow(window)
      }
    })()
  }
}
