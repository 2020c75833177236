/** How a call to the API server fails, for those who decide by it. */

export type ApiErrorCode =
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Gone'
  | 'Unauthorized'
  | 'Forbidden'
  | 'Invalid'
  | 'TooManyRequests'
  | 'Unavailable'
  | 'Refused'
  | 'Timeout'
  | 'Network'
  | 'BadAnswer'
  | 'Fenced'
  | 'Aborted'

export interface ApiFailure {
  readonly code: ApiErrorCode
  readonly message: string
  /** HTTP status; 0 where there was no answer. */
  readonly status?: number
  /** `reason` of the server's Status object; empty where it gave none. */
  readonly reason?: string
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

/** A call to the API server that did not succeed. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: ApiErrorCode
  readonly status: number
  readonly reason: string
  /** What the server asked to wait, at most RETRY_AFTER_MS_MAX. */
  readonly retryAfterMs: number | undefined

  constructor(failure: ApiFailure) {
    super(failure.message, failure.cause === undefined ? undefined : { cause: failure.cause })
    this.code = failure.code
    this.status = failure.status ?? 0
    this.reason = failure.reason ?? ''
    this.retryAfterMs = failure.retryAfterMs
  }
}

export type KubeErrorCode = 'ConfigMissing' | 'ConfigInvalid' | 'ElectorTimes' | 'ReflectorStopped'

/** This folder was configured or called wrongly. */
export class KubeError extends Error {
  override readonly name = 'KubeError'
  readonly code: KubeErrorCode

  constructor(code: KubeErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

/** Longer than this nobody waits for a server on its word alone. */
export const RETRY_AFTER_MS_MAX = 60_000

/** May the same call succeed later, with nothing changed on our side? */
export function isRetryable(error: unknown): boolean {
  return error instanceof ApiError && RETRYABLE.has(error.code)
}

const RETRYABLE: ReadonlySet<ApiErrorCode> = new Set([
  'TooManyRequests',
  'Unavailable',
  'Timeout',
  'Network',
  'BadAnswer',
])

/** Milliseconds of a Retry-After header in seconds, the only form that the API server uses; undefined for others. */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,9}$/.test(header.trim())) return undefined
  return Math.min(Number(header) * 1000, RETRY_AFTER_MS_MAX)
}

/** What a Status object says; other bodies (a proxy's page) say nothing. */
export function readStatus(body: unknown): { readonly reason: string; readonly message: string } {
  if (typeof body !== 'object' || body === null) return { reason: '', message: '' }
  const reason = 'reason' in body && typeof body.reason === 'string' ? body.reason : ''
  const message = 'message' in body && typeof body.message === 'string' ? body.message : ''
  return { reason, message }
}

/** The code for an HTTP status; 409 means two things, told apart by the reason. */
export function codeOf(status: number, reason: string): ApiErrorCode {
  switch (status) {
    case 401:
      return 'Unauthorized'
    case 403:
      return 'Forbidden'
    case 404:
      return 'NotFound'
    case 408:
      return 'Timeout'
    case 409:
      return reason === 'AlreadyExists' ? 'AlreadyExists' : 'Conflict'
    case 410:
      return 'Gone'
    case 422:
      return 'Invalid'
    case 429:
      return 'TooManyRequests'
    default:
      return status >= 500 ? 'Unavailable' : 'Refused'
  }
}

const MESSAGE_LENGTH_MAX = 1024

/** The error for an answer that is none of success. `what` names the call: `GET /api/v1/pods`. */
export function errorOfAnswer(
  what: string,
  status: number,
  body: unknown,
  retryAfter: string | undefined,
): ApiError {
  const { reason, message } = readStatus(body)
  const said = message.slice(0, MESSAGE_LENGTH_MAX) || 'the answer has no message'
  return new ApiError({
    code: codeOf(status, reason),
    status,
    reason,
    message: `${what}: the API server answered ${status}${reason === '' ? '' : ` ${reason}`}: ${said}`,
    retryAfterMs: retryAfterMs(retryAfter),
  })
}
