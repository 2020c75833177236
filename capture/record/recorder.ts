import { Worker } from 'node:worker_threads'
import type { Manifest } from '../ship/mod.ts'
import type { ClosingOptions, RecordOptions, RecordOutcome } from './record.ts'

/** A worker without work ends after this long: its encoder holds over 100 MB, a new one costs half a second. */
const IDLE_MS_MAX = 10_000

/** A recording that failed; the segment stays and is tried again. */
export class RecordError extends Error {
  readonly code: string

  constructor(message: string, code: string) {
    super(message)
    this.name = 'RecordError'
    this.code = code
  }
}

/**
 * Records one segment here and now; see `recordSegment` in record.ts. Its encoder is loaded with the first call: a
 * process that records in a worker never holds it in its own thread.
 */
export async function recordSegment(options: RecordOptions): Promise<RecordOutcome> {
  const record = await import('./record.ts')
  return record.recordSegment(options)
}

/** Lays down a closing window here and now; see `recordClosing` in record.ts. */
export async function recordClosing(options: ClosingOptions): Promise<Manifest> {
  const record = await import('./record.ts')
  return record.recordClosing(options)
}

/** What a worker is asked for, and what it answers. */
export type Order = { readonly segment: RecordOptions } | { readonly closing: ClosingOptions }
export type Result = RecordOutcome | Manifest

type Answer =
  | { readonly result: Result }
  | { readonly error: { readonly message: string; readonly code: string } }

/**
 * Records segments in a worker thread, one after another, so that encoding never holds up a socket. The worker
 * starts with the first segment and ends when there was none for a while. A worker that fails is replaced: a trap
 * leaves its encoder dead.
 */
export class Recorder {
  #worker: Worker | undefined
  #idle: NodeJS.Timeout | undefined
  #last: Promise<unknown> = Promise.resolve()

  /** Throws RecordError. */
  async record(options: RecordOptions): Promise<RecordOutcome> {
    return (await this.#next({ segment: options })) as RecordOutcome
  }

  /** Lays down a closing window. Throws RecordError. */
  async recordClosing(options: ClosingOptions): Promise<Manifest> {
    return (await this.#next({ closing: options })) as Manifest
  }

  #next(order: Order): Promise<Result> {
    const result = this.#last.then(() => this.#one(order))
    this.#last = result.catch(() => undefined)
    return result
  }

  async close(): Promise<void> {
    await this.#last
    await this.#discard()
  }

  async #discard(): Promise<void> {
    clearTimeout(this.#idle)
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(new URL('./worker.ts', import.meta.url))
    this.#worker = worker
    // while it records, the answer tells of an error; a worker that dies idle is only replaced
    worker.on('error', () => undefined)
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined
    })
    return worker
  }

  async #one(order: Order): Promise<Result> {
    clearTimeout(this.#idle)
    const worker = this.#worker ?? this.#start()
    const { promise, resolve } = Promise.withResolvers<Answer>()
    const onError = (error: Error) =>
      resolve({ error: { message: `the recorder failed: ${error.message}`, code: 'WorkerFailed' } })
    const onExit = (code: number) =>
      resolve({ error: { message: `the recorder ended with code ${code}`, code: 'WorkerFailed' } })
    worker.once('message', resolve)
    worker.once('error', onError)
    worker.once('exit', onExit)
    worker.postMessage(order)
    const answer = await promise
    worker.off('message', resolve)
    worker.off('error', onError)
    worker.off('exit', onExit)
    if ('result' in answer) {
      this.#idle = setTimeout(() => void this.#discard(), IDLE_MS_MAX).unref()
      return answer.result
    }
    await this.#discard()
    throw new RecordError(answer.error.message, answer.error.code)
  }
}
