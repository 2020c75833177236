import { type HaltReason, TERMINAL_HALTS } from '../../api/reasons.ts'
import type { Exchange } from '../../capture/exchange/mod.ts'
import type { FeedLog } from '../../capture/feed/mod.ts'
import type { JournalFs } from '../../capture/journal/mod.ts'
import { type KeeperOptions, RunKeeper } from '../../capture/process/keeper.ts'
import type { SessionConfig } from '../../capture/session/mod.ts'
import { Random } from '../sim/market/mod.ts'
import { Disk } from './disk.ts'
import { type Latency, Network, type Wire } from './network.ts'
import { Incarnation, type Machine } from './time.ts'

/** A supervisor starts a process anew after so long; after each halt in a row twice as long, up to a bound. */
const RESTART_MS = 1_500
const RESTART_MS_MAX = 12_000
/** How long an ending process may take to close its journal. */
const CLOSES_WITHIN_MS = 10_000

export const JOURNAL_DIR = '/spool/journal'

/** Where its segments go, and who takes them from there. */
export interface Spooling extends Pick<KeeperOptions, 'journalDir' | 'room' | 'onWindow'> {
  readonly fs: JournalFs
}

export interface CaptureOptions {
  readonly seed: number
  /** Tells its randomness apart from that of others in the same world. */
  readonly name: string
  readonly machine: Machine
  readonly wire: Wire
  readonly exchange: Exchange
  readonly address: string
  readonly latency: Latency
  readonly config: SessionConfig
  readonly rotationSeconds: number
  readonly share: number
  /** The pod that it runs in, where it is one of several. */
  readonly pod?: string | undefined
  /** False: its journal goes nowhere; then it cannot be judged by what it recorded. */
  readonly journals?: boolean
  /** Default: a disk in memory, from which segments are read when all is over. */
  readonly spooling?: Spooling | undefined
  readonly log?: FeedLog | undefined
}

export interface Halted {
  readonly reason: HaltReason
  readonly message: string
  readonly elapsedMs: number
}

/** Who writes in a pod. */
export function writerOf(pod: string | undefined) {
  return {
    capture: 'virtual',
    uid: '',
    pod: pod ?? '',
    pod_uid: pod === undefined ? '' : `uid-${pod}`,
    node: '',
  }
}

const SILENT: FeedLog = { info: () => {}, warn: () => {} }

/**
 * One capture in the world: feed, session and journal as the process has them, started anew by a supervisor after a
 * halt or a kill, on a machine and a disk that stay. Segments are read from its disk when all is over.
 */
export class VirtualCapture {
  readonly disk: Disk
  readonly halts: Halted[] = []
  readonly runs: string[] = []
  /** Called when a process begins. */
  onStart: ((process: Incarnation) => void) | undefined
  /** Called when a segment is closed. */
  onWindow: ((run: string, window: number) => void) | undefined
  keeper: RunKeeper | undefined
  readonly #options: CaptureOptions
  readonly #random: Random
  #process: Incarnation | undefined
  #network: Network | undefined
  #impatientBefore = 0
  #pausedUntilMs = 0
  #ending = false

  constructor(options: CaptureOptions) {
    this.#options = options
    this.#random = new Random(options.seed, options.name)
    this.disk = new Disk(new Random(options.seed, `${options.name}/disk`), options.journals ?? true)
  }

  /** No halt that a restart cannot cure. */
  get isTerminal(): boolean {
    return this.halts.some(({ reason }) => TERMINAL_HALTS.includes(reason))
  }

  /** Requests that left although the exchange had told to wait. */
  get impatient(): number {
    return this.#impatientBefore + (this.#network?.impatient ?? 0)
  }

  get isLive(): boolean {
    return this.keeper?.session?.book.state === 'live'
  }

  start(): void {
    const { machine, exchange, wire, address, latency, config, rotationSeconds, share, seed, name } =
      this.#options
    const process = new Incarnation(machine)
    const lives = `${name}/network/${this.runs.length}`
    const network = new Network(process, wire, address, latency, new Random(seed, lives))
    const random = new Random(seed, `${lives}/waits`)
    this.#impatientBefore = this.impatient
    this.#process = process
    this.#network = network
    const { spooling = this.#inMemory(process) } = this.#options
    this.keeper = new RunKeeper({
      exchange,
      config,
      writer: writerOf(this.#options.pod),
      rotationSeconds,
      ...spooling,
      endpoints: 'http://sim',
      share,
      laterThan: this.runs.at(-1),
      pausedUntilMs: this.#pausedUntilMs,
      remember: (pausedUntilMs) => {
        this.#pausedUntilMs = pausedUntilMs
      },
      clock: machine.clock,
      timers: process,
      random: () => random.next(),
      randomBytes: (size) => Buffer.from(Array.from({ length: size }, () => this.#random.below(256))),
      openSocket: network.openSocket,
      http: network.http,
      log: this.#options.log ?? SILENT,
      onHalt: (reason, message) => this.#onHalt(process, reason, message),
      onRun: (run) => this.runs.push(run),
    })
    this.onStart?.(process)
    void this.keeper.start()
    machine.time.unsettled()
  }

  #inMemory(process: Incarnation): Spooling {
    const { disk } = this
    return {
      journalDir: JOURNAL_DIR,
      room: disk.room(process),
      fs: disk.fs(process),
      onWindow: (run, window) => this.onWindow?.(run, window),
    }
  }

  /** Ends the process as `kill -9` does, or with the power of its machine; the supervisor starts another one. */
  kill(how: 'process' | 'power'): void {
    const process = this.#process
    if (process === undefined || this.#ending) return
    this.#die(process)
    if (how === 'power') this.disk.losePower()
    this.#restart()
  }

  /** Ends in order and begins anew, as an update of the program does. */
  restartInOrder(): void {
    const process = this.#process
    const keeper = this.keeper
    if (process === undefined || keeper === undefined || this.#ending) return
    const again = () => {
      if (!process.alive) return
      this.#die(process)
      this.#restart()
    }
    keeper.end().then(again, again)
    process.machine.time.unsettled()
  }

  /** Ends in order, for good. Resolves when its journal is closed. */
  async stop(): Promise<void> {
    this.#ending = true
    const { keeper } = this
    const time = this.#options.machine.time
    if (keeper === undefined || this.#process?.alive !== true) return
    const ended = keeper.end().catch(() => undefined)
    const kept = await time.runUntilKept(ended, CLOSES_WITHIN_MS)
    if (!kept) throw new Error(`the keeper did not end within ${CLOSES_WITHIN_MS} ms`)
    this.#die(this.#process)
  }

  /** Ends in order, and lets the process live: it may have more to do. Never rejects. */
  async close(): Promise<void> {
    this.#ending = true
    if (this.#process?.alive !== true) return
    const closing = this.keeper?.end().catch(() => undefined)
    this.#options.machine.time.unsettled()
    await closing
  }

  /** The process, where one lives. */
  get process(): Incarnation | undefined {
    return this.#process
  }

  /** Ends at this instant, and nothing starts it again. */
  die(): void {
    this.#ending = true
    if (this.#process !== undefined) this.#die(this.#process)
  }

  /** Lives again after `die`, as on a node that comes back. */
  revive(): void {
    this.#ending = false
    if (this.#process === undefined) this.start()
  }

  /** Nothing comes through to the exchange or back, and no end either. */
  set cutOff(cut: boolean) {
    if (this.#network !== undefined) this.#network.cutOff = cut
  }

  #onHalt(process: Incarnation, reason: HaltReason, message: string): void {
    const { time } = this.#options.machine
    this.halts.push({ reason, message, elapsedMs: time.elapsedMs })
    if (this.#ending) return
    const again = () => {
      if (!process.alive || this.#ending) return
      this.#die(process)
      if (!this.isTerminal) this.#restart()
    }
    const keeper = this.keeper
    // the halt comes from inside the keeper's own step
    process.after(0, () => void keeper?.end().then(again, again))
  }

  #die(process: Incarnation): void {
    process.alive = false
    this.#network?.processDied()
    this.disk.forgetWaiting()
    if (this.#process === process) this.#process = undefined
  }

  #restart(): void {
    const waitMs = Math.min(RESTART_MS_MAX, RESTART_MS * 2 ** this.halts.length)
    this.#options.machine.time.after(waitMs, () => {
      if (!this.#ending && this.#process === undefined) this.start()
    })
  }
}
