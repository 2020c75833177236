/** A file system that fails on demand and timers that wait for a test: what the writer's tests hand in. */
import type { JournalFile, JournalFs, JournalTimer } from '../../capture/journal/fs.ts'
import { type JournalError, SegmentWriter } from '../../capture/journal/mod.ts'
import type { SegmentWriterOptions } from '../../capture/journal/writer.ts'
import type { Input } from '../../capture/session/input.ts'
import { CHECKPOINT, header, TRAILER } from './helpers.ts'

/** An error as Node's file system makes it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code })
}

type Call = 'create' | 'write' | 'datasync' | 'truncate' | 'close' | 'syncDir'

/**
 * A file system in memory that notes each call and asks `fault` about it first. A fault may throw, may wait,
 * and for a write may give the number of bytes that are to be taken.
 */
export class FaultyFs implements JournalFs {
  readonly log: string[] = []
  readonly files = new Map<string, Buffer>()
  fault: (call: Call, nth: number) => number | undefined | Promise<number | undefined> = () => undefined
  readonly #counts = new Map<Call, number>()
  #inFlight = new Map<Call, number>()
  /** The most calls of a kind that were ever in flight at once. */
  readonly mostInFlight = new Map<Call, number>()

  content(path: string): Buffer {
    const content = this.files.get(path)
    if (!content) throw new Error(`no file ${path}`)
    return content
  }

  count(call: Call): number {
    return this.#counts.get(call) ?? 0
  }

  create(path: string): Promise<JournalFile> {
    return this.#call('create', path, () => {
      if (this.files.has(path)) throw systemError('EEXIST')
      this.files.set(path, Buffer.alloc(0))
      return this.#file(path)
    })
  }

  syncDir(path: string): Promise<void> {
    return this.#call('syncDir', path, () => undefined)
  }

  #file(path: string): JournalFile {
    return {
      write: (bytes) =>
        this.#call('write', path, (taken = bytes.length) => {
          this.files.set(path, Buffer.concat([this.content(path), bytes.subarray(0, taken)]))
          return taken
        }),
      datasync: () => this.#call('datasync', path, () => undefined),
      truncate: (length) =>
        this.#call('truncate', path, () => {
          this.files.set(path, this.content(path).subarray(0, length))
        }),
      close: () => this.#call('close', path, () => undefined),
    }
  }

  async #call<T>(call: Call, path: string, run: (taken?: number) => T): Promise<T> {
    const nth = this.count(call) + 1
    this.#counts.set(call, nth)
    const inFlight = (this.#inFlight.get(call) ?? 0) + 1
    this.#inFlight.set(call, inFlight)
    this.mostInFlight.set(call, Math.max(inFlight, this.mostInFlight.get(call) ?? 0))
    this.log.push(`${call} ${path}`)
    try {
      return run(await this.fault(call, nth))
    } finally {
      this.#inFlight.set(call, (this.#inFlight.get(call) ?? 1) - 1)
    }
  }
}

/** Timers that go off only when a test says so. */
export class ManualTimers {
  #pending: { delayMs: number; run: () => void }[] = []

  readonly timer: JournalTimer = (delayMs, run) => {
    const entry = { delayMs, run }
    this.#pending.push(entry)
    return () => {
      this.#pending = this.#pending.filter((other) => other !== entry)
    }
  }

  get delays(): number[] {
    return this.#pending.map((entry) => entry.delayMs).sort((a, b) => a - b)
  }

  /** Lets all timers of this delay go off. */
  fire(delayMs: number): void {
    const due = this.#pending.filter((entry) => entry.delayMs === delayMs)
    this.#pending = this.#pending.filter((entry) => entry.delayMs !== delayMs)
    for (const entry of due) entry.run()
  }
}

export interface Opened {
  readonly writer: SegmentWriter
  readonly fs: FaultyFs
  readonly timers: ManualTimers
  readonly errors: JournalError[]
}

/** A writer on a file system that can be made to fail. */
export function openFaulty(options: Partial<SegmentWriterOptions> = {}): Opened {
  const fs = new FaultyFs()
  const timers = new ManualTimers()
  const errors: JournalError[] = []
  const writer = SegmentWriter.open({
    dir: '/spool/journal',
    header: header(),
    checkpoint: CHECKPOINT,
    fs,
    timer: timers.timer,
    onError: (error) => errors.push(error),
    ...options,
  })
  return { writer, fs, timers, errors }
}

/** The bytes of a sealed segment with these inputs. */
export async function sealedBytes(inputs: readonly Input[], checkpoint = CHECKPOINT): Promise<Buffer> {
  const fs = new FaultyFs()
  const writer = SegmentWriter.open({
    dir: '/spool/journal',
    header: header(),
    checkpoint,
    fs,
    onError: raise,
  })
  for (const input of inputs) writer.append(input)
  await writer.seal(TRAILER)
  return fs.content(writer.path)
}

function raise(error: JournalError): never {
  throw error
}
