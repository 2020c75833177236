/** The hard end of one request: so long, and the time that its bytes take at the lowest throughput that is borne. */
import type { S3Deadlines } from './config.ts'

/** Moved only by more than this: a timer for each chunk would cost more than the chunk. */
const STEP_MS = 1000

export class Deadline {
  readonly #controller = new AbortController()
  readonly #limits: S3Deadlines
  readonly #startedMs = performance.now()
  #endMs: number
  #timer: NodeJS.Timeout

  /** `bytes`: what the request sends. What it receives is told by `moved`. */
  constructor(limits: S3Deadlines, bytes: number) {
    this.#limits = limits
    this.#endMs = this.#endFor(bytes)
    this.#timer = this.#arm()
  }

  /** Aborted at the end: whoever holds it lets its socket go. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Why it was aborted; undefined while it was not. */
  get reason(): unknown {
    return this.signal.aborted ? this.signal.reason : undefined
  }

  /** So many bytes of the reply are there: they have earned their time. */
  moved(bytes: number): void {
    const endMs = this.#endFor(bytes)
    if (endMs - this.#endMs < STEP_MS) return
    this.#endMs = endMs
    clearTimeout(this.#timer)
    this.#timer = this.#arm()
  }

  end(): void {
    clearTimeout(this.#timer)
  }

  #endFor(bytes: number): number {
    return this.#startedMs + this.#limits.baseMs + (bytes / this.#limits.bytesPerSecondMin) * 1000
  }

  #arm(): NodeJS.Timeout {
    const abort = () => this.#controller.abort(Object.assign(new Error('deadline'), { code: 'ETIMEDOUT' }))
    return setTimeout(abort, Math.max(0, this.#endMs - performance.now()))
  }
}
