/** How long to wait before the next try, by what went wrong. Nothing is ever given up. */
import { BucketError, type BucketErrorClass } from './bucket.ts'

export interface DelayRule {
  readonly firstMs: number
  readonly delayMaxMs: number
}

/** What heals by itself is asked again soon; what waits for a person is not hammered. */
const RULES: Readonly<Record<BucketErrorClass, DelayRule>> = {
  transient: { firstMs: 500, delayMaxMs: 60_000 },
  clock: { firstMs: 5_000, delayMaxMs: 300_000 },
  credential: { firstMs: 5_000, delayMaxMs: 300_000 },
  configuration: { firstMs: 5_000, delayMaxMs: 300_000 },
  integrity: { firstMs: 1_000, delayMaxMs: 300_000 },
}
/** A look into a directory costs nothing: shipping begins as soon as the Secret is there. */
const LOOK_AGAIN: DelayRule = { firstMs: 1_000, delayMaxMs: 5_000 }
/** A store's `Retry-After` is honoured up to here: a wrong header must not stop a capture for days. */
const RETRY_AFTER_MAX_MS = 3_600_000

/** An error as the retry loop sees it. */
export interface Failure {
  readonly code: string
  readonly class: BucketErrorClass
  readonly message: string
  readonly retryAfterMs: number
}

/** Sorts any error; one that no bucket made (a local file, a bug) keeps its code and is retried as transient. */
export function failureOf(error: unknown): Failure {
  if (error instanceof BucketError) {
    return {
      code: error.code,
      class: error.class,
      message: error.message,
      retryAfterMs: error.retryAfterMs,
    }
  }
  const message = error instanceof Error ? error.message : String(error)
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return {
    code: typeof code === 'string' ? code : 'unforeseen',
    class: 'transient',
    message,
    retryAfterMs: 0,
  }
}

/** How failures like this one are waited out. Delays grow over tries that have the same rule, by identity. */
export function delayRuleOf(failure: Failure): DelayRule {
  return failure.code === 'CredentialsMissing' ? LOOK_AGAIN : RULES[failure.class]
}

/**
 * Full jitter: evenly between 0 and the exponential bound, so that two hundred captures that lost one store
 * do not come back together. `attempt` counts from 1; `random` is in [0, 1). Milliseconds.
 */
export function retryDelayMs(failure: Failure, attempt: number, random: number): number {
  const rule = delayRuleOf(failure)
  const boundMs = Math.min(rule.delayMaxMs, rule.firstMs * 2 ** Math.min(attempt - 1, 32))
  return Math.max(Math.floor(random * boundMs), Math.min(failure.retryAfterMs, RETRY_AFTER_MAX_MS))
}
