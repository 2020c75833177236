/** What the evil store does instead of what it was asked. */

/** Faults of an answer: the request was read whole. */
export const ANSWERS = [
  'put_forgotten', // 200, and nothing is stored
  'put_truncated', // 200, and half of it is stored
  'put_flipped', // 200, and one byte of what is stored is another; the checksum that came with it is not looked at
  'put_wrong_checksum', // stored as it is; the checksum in the reply is another
  'get_wrong_checksum', // the right bytes under another checksum
  'get_flipped', // one byte of the reply is another, under the right checksum
  'get_missing', // a read that does not see what was put: NoSuchKey
  'get_old', // a read that sees what was there when the fault began
  'html', // 200 with a page, as of a portal in the way
  'error_in_200', // 200 with an <Error> for a body
  'internal_error', // 500
  'unavailable', // 503 without a word of S3
  'slow_down', // 503 SlowDown with Retry-After
  'clock', // 403 RequestTimeTooSkewed
  'access_denied', // 403
  'unknown_key', // 403 InvalidAccessKeyId
  'no_bucket', // 404 NoSuchBucket
] as const

/** Stages of a connection at which it falls silent, or is reset. */
export const STAGES = ['accept', 'headers', 'body', 'reply'] as const
export type Stage = (typeof STAGES)[number]

export type AnswerFault = (typeof ANSWERS)[number]
export type FaultKind = AnswerFault | `hang_${Stage}` | `reset_${Stage}`

export const FAULT_KINDS: readonly FaultKind[] = [
  ...ANSWERS,
  ...STAGES.flatMap((stage): FaultKind[] => [`hang_${stage}`, `reset_${stage}`]),
]

export type Operation = 'put' | 'get' | 'list'

/** To whom it happens. A fault at `accept` knows neither operation nor key: it happens to everyone. */
export interface FaultTarget {
  readonly operation?: Operation
  /** Of the key, below bucket and prefix or not. */
  readonly keys?: RegExp
  /** So often; for ever by default. */
  readonly times?: number
}

/** What `Retry-After` says in a `slow_down`, in seconds. */
export const RETRY_AFTER_S = 7

/** Status and code of the faults that are plain refusals. */
export const REFUSALS: Readonly<Partial<Record<FaultKind, readonly [status: number, code: string]>>> = {
  internal_error: [500, 'InternalError'],
  slow_down: [503, 'SlowDown'],
  clock: [403, 'RequestTimeTooSkewed'],
  access_denied: [403, 'AccessDenied'],
  unknown_key: [403, 'InvalidAccessKeyId'],
  no_bucket: [404, 'NoSuchBucket'],
}
