/** A keeper of runs in virtual time: an exchange in memory, a disk of a given size, segments that are read back. */
import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { HaltReason } from '../../api/reasons.ts'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { type JournalFs, nodeJournalFs, SegmentReader } from '../../capture/journal/mod.ts'
import { type KeeperOptions, RunKeeper } from '../../capture/process/keeper.ts'
import type { Room, RoomState } from '../../capture/process/room.ts'
import type { Input } from '../../capture/session/mod.ts'
import { keptLog } from '../feed/local-exchange.ts'
import { ManualTime } from '../feed/manual-time.ts'
import { MemoryExchange } from '../feed/memory-exchange.ts'
import { tradeFrame } from '../support/frames.ts'
import { SESSION } from '../support/run.ts'

const RESERVE_BYTES = 1024 * 1024
/** Time after which what is waited for will not come, of the virtual clock. */
const WAITED_MS_MAX = 1_800_000

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code })
}

/** A disk of so many free bytes below real files, with a reserve. It fills as it is written. */
export class TestDisk implements JournalFs, Room {
  freeBytes = Number.POSITIVE_INFINITY
  /** What a write says on a disk that has no byte left. */
  fullCode = 'ENOSPC'
  reserved = false
  /** What `look` says is full; empty for nothing. */
  full = ''
  low = true
  /** Set to make each write wait. */
  stuck: Promise<void> | undefined
  /** Set to fail each write or sync alike. */
  broken: { readonly call: 'write' | 'datasync'; readonly code: string } | undefined
  looks = 0
  /** Calls on the real files that have not come back. */
  readonly #calls = new Set<Promise<unknown>>()

  async create(path: string): ReturnType<JournalFs['create']> {
    const file = await this.#call(nodeJournalFs.create(path))
    return {
      write: async (bytes) => {
        await this.stuck
        if (this.broken?.call === 'write') throw systemError(this.broken.code)
        if (this.freeBytes === 0) throw systemError(this.fullCode)
        const taken = Math.min(this.freeBytes, bytes.length)
        this.freeBytes -= taken
        return await this.#call(file.write(bytes.subarray(0, taken)))
      },
      datasync: async () => {
        if (this.broken?.call === 'datasync') throw systemError(this.broken.code)
        await this.#call(file.datasync())
      },
      truncate: (bytes) => this.#call(file.truncate(bytes)),
      close: () => this.#call(file.close()),
    }
  }

  syncDir(path: string): Promise<void> {
    return this.#call(nodeJournalFs.syncDir(path))
  }

  /** Resolves when no call on the real files is under way; one that is stuck on purpose does not count. */
  async settled(): Promise<void> {
    while (this.#calls.size > 0) {
      await Promise.allSettled(this.#calls)
      // what follows from a call may be another one
      await setImmediate()
    }
  }

  async #call<T>(call: Promise<T>): Promise<T> {
    this.#calls.add(call)
    try {
      return await call
    } finally {
      this.#calls.delete(call)
    }
  }

  async look(): Promise<RoomState> {
    this.looks++
    return { full: this.full, low: this.low && this.full === '' }
  }

  async allocate(): Promise<boolean> {
    if (this.reserved) return true
    if (this.freeBytes < RESERVE_BYTES) return false
    this.freeBytes -= RESERVE_BYTES
    this.reserved = true
    return true
  }

  async release(): Promise<boolean> {
    if (!this.reserved) return false
    this.reserved = false
    this.freeBytes += RESERVE_BYTES
    return true
  }
}

/** Time that stands still while the real disk works: how fast that is shows in no test. */
class DiskTime extends ManualTime {
  readonly #disk: TestDisk

  constructor(disk: TestDisk) {
    super()
    this.#disk = disk
  }

  protected override async settled(): Promise<void> {
    await super.settled()
    await this.#disk.settled()
  }
}

/** A segment as it stands on the disk. */
export interface ReadSegment {
  readonly run: string
  readonly openedAt: number
  readonly inputs: readonly Input[]
  /** The trailer's reason; or how the segment ends without one. */
  readonly end: string
}

export class KeeperWorld {
  readonly disk = new TestDisk()
  readonly time: ManualTime = new DiskTime(this.disk)
  readonly exchange = new MemoryExchange({ time: this.time, random: () => 0, wayMsMax: 4 })
  readonly log = keptLog()
  readonly halts: HaltReason[] = []
  /** Names of closed windows, in the order in which they were told. */
  readonly windows: string[] = []
  readonly runs: string[] = []
  readonly keeper: RunKeeper
  readonly journalDir: string
  #trade = 0
  #random = 0
  #begunUs = 0

  static async make(dir: string, options: Partial<KeeperOptions> = {}): Promise<KeeperWorld> {
    const journalDir = join(dir, 'journal')
    await mkdir(journalDir, { recursive: true })
    return new KeeperWorld(journalDir, options)
  }

  private constructor(journalDir: string, options: Partial<KeeperOptions>) {
    this.journalDir = journalDir
    this.keeper = new RunKeeper({
      exchange: exchangeByName(SESSION.exchange),
      config: SESSION,
      writer: { capture: 'test', uid: '', pod: '', node: '' },
      rotationSeconds: 3600,
      journalDir,
      room: this.disk,
      endpoints: 'http://exchange',
      share: 1,
      clock: this.time,
      timers: this.time,
      random: () => 0.5,
      randomBytes: (size) => Buffer.alloc(size, ++this.#random),
      openSocket: this.exchange.openSocket,
      http: this.exchange.http,
      fs: this.disk,
      log: this.log,
      onHalt: (reason) => this.halts.push(reason),
      onWindow: (run, window) => this.windows.push(`${run}-${String(window).padStart(6, '0')}`),
      onRun: (run) => {
        this.runs.push(run)
        this.#begunUs = this.time.monotonicUs()
      },
      ...options,
    })
  }

  /** Trades sent so far. */
  get trades(): number {
    return this.#trade
  }

  /** Sends trades over the open socket of the market route. */
  trade(count = 1): void {
    // of two the older one belongs to a run that is over
    const socket = this.exchange.open.findLast(({ url }) => url.includes('/market'))
    if (socket === undefined) throw new Error('no market socket is open')
    for (let i = 0; i < count; i++) socket.events.message(tradeFrame(++this.#trade))
  }

  /** Trades that the exchange makes and that never come. */
  skipTrades(count: number): void {
    this.#trade += count
  }

  /** Lets time go on until the condition holds. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const deadlineUs = this.time.monotonicUs() + WAITED_MS_MAX * 1000
    while (!holds()) {
      if (this.time.monotonicUs() > deadlineUs)
        throw new Error(`waited in vain for ${what}; halts: ${this.halts}\n${this.log.lines.join('\n')}`)
      await this.time.run(20)
    }
  }

  /** The run of now has its sockets, and has sampled the exchange's clock. */
  get isOpen(): boolean {
    const { feed, run } = this.keeper
    if (feed === undefined || feed.stopped || run?.ended !== false) return false
    return (
      feed.status().routes.every(({ state }) => state === 'open') &&
      this.time.monotonicUs() - this.#begunUs > 500_000
    )
  }

  async begun(): Promise<this> {
    await this.keeper.start()
    await this.until('open sockets', () => this.isOpen)
    return this
  }

  /** Ends in order. */
  end(): Promise<void> {
    return this.meanwhile(this.keeper.end())
  }

  /** Lets time go on until something is done: the closing of sockets takes some. */
  async meanwhile(doing: Promise<void>): Promise<void> {
    let done = false
    const result = doing.finally(() => {
      done = true
    })
    result.catch(() => undefined) // awaited below
    await this.until('the end', () => done)
    await result
  }

  async read(window: string): Promise<ReadSegment> {
    const path = join(this.journalDir, `${window}.journal`)
    const reader = await SegmentReader.open(path)
    const inputs: Input[] = []
    for await (const batch of reader.batches()) {
      for (const input of batch) {
        inputs.push(input.kind === 'message' ? { ...input, payload: Buffer.from(input.payload) } : input)
      }
    }
    const { end, header } = reader
    return {
      run: basename(path).slice(0, 28),
      openedAt: header?.openedAt ?? 0,
      inputs,
      end: end?.end === 'sealed' ? end.trailer.reason : (end?.end ?? 'unread'),
    }
  }
}

/** Ids of the trades in a segment, in order. */
export function tradesOf({ inputs }: ReadSegment): number[] {
  return inputs.flatMap((input) => {
    if (input.kind !== 'message') return []
    const id = /"a":(\d+)/.exec(Buffer.from(input.payload).toString())
    return id === null ? [] : [Number(id[1])]
  })
}

/** The numbers from `first` to `last`. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}
