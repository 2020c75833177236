/** Whether a bucket does what shipping needs, asked before the first window is due: better told now than then. */
import { type Bucket, BucketError } from './bucket.ts'
import { notStored, sha256 } from './commit.ts'
import { type DelayRule, delayRuleOf, type Failure, failureOf, retryDelayMs } from './retry.ts'
import type { ShipLog, ShipTimers } from './world.ts'

/** Written over by every capture and never deleted: nobody needs the right to delete. Readers pass it by. */
export const PROBE_KEY = 'probe/l2cap.txt'
/** The same from every capture, so that two that check at once do not see each other's. */
const PROBE = Buffer.from(
  'Written by l2cap at its start, to check that it may write here. It may be deleted.\n',
)

/** Writes, reads back and lists one small object. Throws BucketError, which says what is wrong and what to do. */
export async function checkBucket(bucket: Bucket): Promise<void> {
  await bucket.put(PROBE_KEY, PROBE, sha256(PROBE))
  const back = await bucket.get(PROBE_KEY, PROBE.byteLength)
  if (back === undefined || !back.equals(PROBE)) {
    throw notStored(bucket, PROBE_KEY, back?.byteLength, PROBE.byteLength)
  }
  for await (const { key } of bucket.list(PROBE_KEY)) if (key === PROBE_KEY) return
  const what = `${bucket.description} takes ${PROBE_KEY} and gives it back, but does not list it`
  throw new BucketError('not_listed', 'integrity', `${what}; is it compatible with S3?`)
}

export interface StartCheckOptions {
  /** Throws what is wrong with the bucket. */
  readonly check: () => Promise<void>
  readonly timers: Pick<ShipTimers, 'nowMs'>
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: ShipLog
  /** After each try: what it found wrong, or null where the bucket is right. */
  readonly onResult: (failure: Failure | null) => void
}

/**
 * Tries a check until it has passed once. It runs beside whoever begins it: what fails it may still take windows, and
 * a store that does not answer must keep neither a window nor an end waiting.
 */
export class StartCheck {
  readonly #options: StartCheckOptions
  #state: 'due' | 'running' | 'over' = 'due'
  #tries = 0
  /** Tries in a row that failed alike: another kind of failure begins delays of its own. */
  #alike = 0
  #failedRule: DelayRule | undefined
  #atMs = 0

  constructor(options: StartCheckOptions) {
    this.#options = options
  }

  /** Begins a try that is due. Returns in how many milliseconds the next is due; undefined where none is, or one runs. */
  begin(): number | undefined {
    if (this.#state !== 'due') return undefined
    const waitMs = this.#atMs - this.#options.timers.nowMs()
    if (waitMs > 0) return waitMs
    this.#state = 'running'
    void this.#try()
    return undefined
  }

  /** The next try is due now: what the last one found wrong may be right. */
  hurry(): void {
    this.#alike = 0
    this.#atMs = 0
  }

  /** No more tries. One that is on its way ends by its own deadlines, and nothing is made of what it finds. */
  abandon(): void {
    this.#state = 'over'
  }

  async #try(): Promise<void> {
    const { check, onResult, log } = this.#options
    try {
      await check()
      if (this.#isOver()) return
      this.#state = 'over'
      log.info({}, 'the bucket may be written, read and listed')
      onResult(null)
    } catch (error) {
      if (this.#isOver()) return
      onResult(this.#failed(error))
    }
  }

  /** Sets the time of the next try. */
  #failed(error: unknown): Failure {
    const { timers, random, log } = this.#options
    const failure = failureOf(error)
    const { code, message, class: errorClass } = failure
    const rule = delayRuleOf(failure)
    this.#alike = rule === this.#failedRule ? this.#alike + 1 : 1
    this.#failedRule = rule
    this.#tries++
    const delayMs = retryDelayMs(failure, this.#alike, random())
    this.#atMs = timers.nowMs() + delayMs
    this.#state = 'due'
    const fields = { code, class: errorClass, check: this.#tries, delayMs }
    log.warn(fields, `the check of the bucket failed: ${message}`)
    return failure
  }

  #isOver(): boolean {
    return this.#state === 'over'
  }
}
