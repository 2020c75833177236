import type { HaltReason } from '../../api/reasons.ts'
import type { Stream } from '../../api/streams.ts'
import type { Exchange } from '../exchange/mod.ts'
import { type JournalError, type JournalFs, type SegmentHeader, SegmentWriter } from '../journal/mod.ts'
import {
  type Effects,
  type Input,
  type RowSink,
  Session,
  type SessionConfig,
  type SnapshotRequest,
} from '../session/mod.ts'
import { VERSION } from '../version.ts'

/** A step of the wall clock beyond this closes the segment, so that receive times follow it; microseconds. */
const CLOCK_STEP_US = 250_000

/** Receive time as the feed keeps it; the anchor is taken anew at each segment. */
export interface RunClock {
  now(): number
  anchor(): void
}

export interface RunOptions {
  readonly run: string
  readonly journalDir: string
  readonly config: SessionConfig
  readonly exchange: Exchange
  readonly writer: SegmentHeader['writer']
  readonly rotationSeconds: number
  readonly clock: RunClock
  readonly requests: {
    fetch(request: SnapshotRequest): void
    reconnect(connection: number, why: string): void
  }
  /** The session halted; the last window is being closed. */
  readonly onHalt: (reason: HaltReason, message: string) => void
  /** A window's segment is sealed and durable. */
  readonly onWindow: (window: number) => void
  readonly onJournalError: (error: JournalError) => void
  readonly fs?: JournalFs
}

/** Rows of the streams so far, live: the rows themselves are made when the segment is recorded. */
export class RowCounts implements RowSink {
  readonly rows: Record<Stream, number> = { books: 0, depth: 0, trades: 0, mark_price: 0 }

  books(): void {
    this.rows.books++
  }
  depth(): void {
    this.rows.depth++
  }
  trade(): void {
    this.rows.trades++
  }
  markPrice(): void {
    this.rows.mark_price++
  }
  coverage(): void {}
}

/**
 * A run: an unbroken journal. Every input is journalled and stepped, in this order; windows are cut at boundaries of
 * UTC. It begins with an empty session and ends with the process, or with a journal that fails.
 */
export class Run {
  readonly session: Session
  readonly counts = new RowCounts()
  window = 0
  readonly #options: RunOptions
  readonly #effects: Effects
  #writer: SegmentWriter
  /** Durability of the segments so far: a later one has no file before. */
  #sealed: Promise<void> = Promise.resolve()
  #boundary: number
  #ended = false
  #halt: { readonly reason: HaltReason; readonly message: string } | undefined

  constructor(options: RunOptions) {
    this.#options = options
    this.session = new Session(options.config, options.exchange)
    this.#effects = {
      fetch: (request) => options.requests.fetch(request),
      reconnect: (connection, why) => options.requests.reconnect(connection, why),
      halt: (reason, message) => {
        this.#halt = { reason, message }
      },
      rows: this.counts,
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

  /** Takes one input. After the end of the run inputs are ignored: they belong to no coverage. */
  input(input: Input): void {
    if (this.#ended) return
    if (input.received >= this.#boundary && this.#writer.inputs > 0) this.#rotate(input.received)
    this.#writer.append(input)
    this.session.step(input, this.#effects)
    const halt = this.#halt
    if (halt === undefined) {
      // the wall clock was stepped forward: a fresh anchor brings receive time up to it
      if (input.kind === 'tick' && input.wallDistance > CLOCK_STEP_US) this.#followClock(input.received)
      return
    }
    this.#close(halt.reason, input.received)
    this.#options.onHalt(halt.reason, halt.message)
  }

  /** Ends the run in order; resolves when its last segment is durable. */
  async end(reason: 'stopped' | 'clock_step'): Promise<void> {
    if (!this.#ended) {
      const received = this.#options.clock.now()
      this.input({ kind: 'stop', received, reason })
      this.#close(reason, received)
    }
    await this.#sealed
  }

  /** Leaves at once: what was taken is synced, the segment gets no trailer. */
  async abandon(): Promise<void> {
    this.#ended = true
    await this.#writer.abandon()
  }

  #nextBoundary(received: number): number {
    const window = this.#options.rotationSeconds * 1_000_000
    return (Math.floor(received / window) + 1) * window
  }

  #openSegment(openedAt: number): SegmentWriter {
    const { run, config, writer, journalDir, fs } = this.#options
    const header: SegmentHeader = {
      format: 1,
      run,
      window: this.window,
      exchange: config.exchange,
      symbol: config.symbol,
      session: config,
      writtenBy: VERSION,
      writer,
      openedAt,
    }
    return SegmentWriter.open({
      dir: journalDir,
      header,
      checkpoint: this.session.encode(),
      after: this.#sealed,
      onError: (error) => {
        this.#ended = true
        this.#options.onJournalError(error)
      },
      ...(fs === undefined ? {} : { fs }),
    })
  }

  /** The window that an input opens begins with the input's own time. */
  #rotate(received: number): void {
    this.#closeSegment('rotation', received)
    this.#options.clock.anchor()
    this.#openNext(received)
  }

  /** The next window begins where the clock stands now, which is later than anything received before. */
  #followClock(received: number): void {
    this.#closeSegment('clock_step', received)
    this.#options.clock.anchor()
    this.#openNext(Math.max(received, this.#options.clock.now()))
  }

  #openNext(opened: number): void {
    this.window++
    this.#boundary = this.#nextBoundary(opened)
    this.#writer = this.#openSegment(opened)
    this.session.openWindow(this.window, opened, this.#effects)
  }

  #close(reason: string, received: number): void {
    this.#closeSegment(reason, received)
    this.#ended = true
  }

  #closeSegment(reason: string, closedAt: number): void {
    this.session.closeWindow(this.#effects)
    const window = this.window
    this.#sealed = this.#writer.seal({ closedAt, stateHash: this.session.hash(), reason })
    this.#sealed.then(
      () => this.#options.onWindow(window),
      () => undefined, // the writer told onError already; the segment is recovered at the next start
    )
  }
}
