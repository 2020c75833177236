/**
 * What is asked of a bucket, told by the bucket where it asks: a request of HTTP to S3 (each page of a list is one, and
 * so is the list that a get may need), an operation on a directory. What was never sent is not counted, for want of
 * credentials for instance.
 */

export const BUCKET_OPERATIONS = ['put', 'get', 'list'] as const
export type BucketOperation = (typeof BUCKET_OPERATIONS)[number]

/**
 * `ok`: done. `absent`: there is no such object, as there should be none before a commit. `error`: any other answer.
 * `unanswered`: none that came to its end.
 */
export const REQUEST_OUTCOMES = ['ok', 'absent', 'error', 'unanswered'] as const
export type RequestOutcome = (typeof REQUEST_OUTCOMES)[number]

export interface RequestCounts {
  /** Requests that are over. */
  readonly ended: Readonly<Record<BucketOperation, Readonly<Record<RequestOutcome, number>>>>
  /** Bytes that were stored, and that came. */
  readonly putBytes: number
  readonly gotBytes: number
}

export interface Asked {
  readonly operation: BucketOperation
  /** Of a list, its prefix. */
  readonly key: string
  /** What a put sends. */
  readonly bytes?: number
}

/** A healthy store answers sooner; what takes longer is told while it lasts, before any deadline ends it. */
const TOLD_AFTER_MS = 5_000

const NONE = { ok: 0, absent: 0, error: 0, unanswered: 0 }

export class Requests {
  readonly #nowMs: () => number
  readonly #ended = { put: { ...NONE }, get: { ...NONE }, list: { ...NONE } }
  /** In the order in which they began. */
  readonly #open = new Map<Asked, number>()
  #putBytes = 0
  #gotBytes = 0

  /** `nowMs`: a clock that is never set, in milliseconds. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs
  }

  /** All since the start. */
  get counts(): RequestCounts {
    const { put, get, list } = this.#ended
    return {
      ended: { put: { ...put }, get: { ...get }, list: { ...list } },
      putBytes: this.#putBytes,
      gotBytes: this.#gotBytes,
    }
  }

  /** The request that has waited longest for its answer, in words, once that is long; null where there is none. */
  get unanswered(): string | null {
    const [oldest] = this.#open
    if (oldest === undefined) return null
    const [{ operation, key }, sinceMs] = oldest
    const waitedMs = this.#nowMs() - sinceMs
    if (waitedMs < TOLD_AFTER_MS) return null
    return `waiting for an answer to ${operation.toUpperCase()} ${key} for ${Math.floor(waitedMs / 1000)} s`
  }

  /** Makes one request; what it gives or throws is passed on. A get that gives nothing was of an absent object. */
  async run<T>(
    asked: Asked,
    request: () => Promise<T>,
    failedAs: (error: unknown) => RequestOutcome,
  ): Promise<T> {
    const own = { ...asked }
    this.#open.set(own, this.#nowMs())
    const ended = this.#ended[asked.operation]
    try {
      const given = await request()
      ended[asked.operation === 'get' && given === undefined ? 'absent' : 'ok']++
      this.#putBytes += asked.bytes ?? 0
      if (Buffer.isBuffer(given)) this.#gotBytes += given.byteLength
      return given
    } catch (error) {
      ended[failedAs(error)]++
      throw error
    } finally {
      this.#open.delete(own)
    }
  }
}
