/**
 * The queue between what happens and who reconciles, with client-go's rules: a key waits once however often it is
 * added; it is never processed twice at the same time; added while it is processed, it is processed once more.
 */
import { type BackoffTimes, doubledMs } from './backoff.ts'
import { type Meter, noMeter } from './meter.ts'
import type { System } from './time.ts'

export interface WorkQueueOptions {
  /** In metrics. */
  readonly name: string
  readonly system: System
  readonly meter?: Meter
  /** Waits of a key that fails again and again; 5 ms doubling up to 60 s unless given. */
  readonly backoff?: BackoffTimes
}

interface Delayed {
  readonly dueMs: number
  readonly cancel: () => void
}

type Waiter = (key: string | undefined) => void

const BACKOFF: BackoffTimes = { firstMs: 5, maxMs: 60_000 }

/** Its size is bounded by the number of keys: there is one for each object that is watched. */
export class WorkQueue {
  readonly #name: string
  readonly #system: System
  readonly #meter: Meter
  readonly #backoff: BackoffTimes
  /** Keys that wait, in order: dirty and not being processed. */
  readonly #waiting: string[] = []
  readonly #dirtySinceMs = new Map<string, number>()
  readonly #processingSinceMs = new Map<string, number>()
  readonly #delayed = new Map<string, Delayed>()
  readonly #failures = new Map<string, number>()
  readonly #waiters: Waiter[] = []
  #closed = false
  readonly #drained = Promise.withResolvers<void>()

  constructor(options: WorkQueueOptions) {
    this.#name = options.name
    this.#system = options.system
    this.#meter = options.meter ?? noMeter
    this.#backoff = options.backoff ?? BACKOFF
  }

  /** Keys that wait: the gauge workqueue_depth. */
  get length(): number {
    return this.#waiting.length
  }

  /** Keys that wait for their time. */
  get delayed(): number {
    return this.#delayed.size
  }

  /** Seconds of all work under way: the gauge workqueue_unfinished_work_seconds. */
  unfinishedSeconds(): number {
    let sum = 0
    for (const sinceMs of this.#processingSinceMs.values()) sum += this.#nowMs() - sinceMs
    return sum / 1000
  }

  /** The gauge workqueue_longest_running_processor_seconds. */
  longestRunningSeconds(): number {
    let longest = 0
    for (const sinceMs of this.#processingSinceMs.values())
      longest = Math.max(longest, this.#nowMs() - sinceMs)
    return longest / 1000
  }

  /** Has `key` processed soon. Nothing where it waits already, or after the end. */
  add(key: string): void {
    if (this.#closed || this.#dirtySinceMs.has(key)) return
    this.#dirtySinceMs.set(key, this.#nowMs())
    this.#meter.count('workqueue_adds_total', { name: this.#name })
    if (!this.#processingSinceMs.has(key)) this.#offer(key)
  }

  /** Adds `key` after `ms`; of several such calls the soonest counts. */
  addAfter(key: string, ms: number): void {
    if (this.#closed) return
    if (!(ms > 0)) {
      this.add(key)
      return
    }
    const dueMs = this.#nowMs() + ms
    const other = this.#delayed.get(key)
    if (other !== undefined && other.dueMs <= dueMs) return
    other?.cancel()
    const cancel = this.#system.timers.after(ms, () => {
      this.#delayed.delete(key)
      this.add(key)
    })
    this.#delayed.set(key, { dueMs, cancel })
  }

  /** Adds `key` after a failure: the more of them in a row, the later. */
  addRateLimited(key: string): void {
    if (this.#closed) return
    const failures = this.failures(key) + 1
    this.#failures.set(key, failures)
    this.#meter.count('workqueue_retries_total', { name: this.#name })
    this.addAfter(key, doubledMs(this.#backoff, failures))
  }

  /** Ends a row of failures: `key` succeeded, or is of no interest any more. */
  forget(key: string): void {
    this.#failures.delete(key)
  }

  /** Failures of `key` in a row. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0
  }

  /** The next key, to be given back with `done`; undefined after the end, once nothing waits. */
  get(): Promise<string | undefined> {
    const key = this.#waiting.shift()
    if (key !== undefined) return Promise.resolve(this.#begin(key))
    if (this.#closed) return Promise.resolve(undefined)
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  /** Ends the processing of a key that `get` gave. */
  done(key: string): void {
    const sinceMs = this.#processingSinceMs.get(key)
    if (sinceMs === undefined) return
    this.#processingSinceMs.delete(key)
    this.#meter.observe(
      'workqueue_work_duration_seconds',
      { name: this.#name },
      (this.#nowMs() - sinceMs) / 1000,
    )
    if (this.#dirtySinceMs.has(key)) this.#offer(key)
    this.#checkDrained()
  }

  /** Ends the queue: what waits is still given out, nothing new is taken, delayed keys are dropped. */
  shutDown(): void {
    if (this.#closed) return
    this.#closed = true
    for (const { cancel } of this.#delayed.values()) cancel()
    this.#delayed.clear()
    for (const waiter of this.#waiters.splice(0)) waiter(undefined)
    this.#checkDrained()
  }

  /** Ends the queue, and resolves when all that waited or was being processed is done. */
  drain(): Promise<void> {
    this.shutDown()
    return this.#drained.promise
  }

  #offer(key: string): void {
    const waiter = this.#waiters.shift()
    if (waiter === undefined) this.#waiting.push(key)
    else waiter(this.#begin(key))
  }

  #begin(key: string): string {
    const nowMs = this.#nowMs()
    const sinceMs = this.#dirtySinceMs.get(key) ?? nowMs
    this.#dirtySinceMs.delete(key)
    this.#processingSinceMs.set(key, nowMs)
    this.#meter.observe('workqueue_queue_duration_seconds', { name: this.#name }, (nowMs - sinceMs) / 1000)
    return key
  }

  #checkDrained(): void {
    if (this.#closed && this.#waiting.length === 0 && this.#processingSinceMs.size === 0)
      this.#drained.resolve()
  }

  #nowMs(): number {
    return this.#system.clock.monotonicMs()
  }
}
