/**
 * Sorts what the SDK throws, by the store's code, the system's code and the HTTP status; never by the name alone
 * (a cut connection is called TimeoutError there). Nothing of the error's own text is passed on: it may hold a
 * signed header, and a store may echo what it was sent.
 */
import type { BucketErrorClass } from '../bucket.ts'
import {
  BY_STORE_CODE,
  BY_SYSTEM_CODE,
  BY_SYSTEM_PREFIX,
  byStatus,
  byTunnelStatus,
  MALFORMED_KEY,
  type Meaning,
  NOT_S3,
  TIMEOUT,
  UNFORESEEN,
  WRONG_REGION,
} from './meanings.ts'

export interface S3Failure {
  readonly class: BucketErrorClass
  readonly code: string
  /** What it means and what to do; without the address and the key, settings as in words.ts. */
  readonly message: string
  /** How long the store asked us to stay away, in milliseconds; 0 where it did not. */
  readonly retryAfterMs: number
}

const STORE_CODE_PATTERN = /^[A-Za-z][A-Za-z0-9.]{2,63}$/
const SYSTEM_CODE_PATTERN = /^[A-Z][A-Z0-9_]{2,63}$/
const REGION_PATTERN = /^[a-z]{2,}(?:-[a-z0-9]+){1,4}$/
const CAUSES_MAX = 4

/** Pure; `nowMs` is asked only where a reply says until when (a `Retry-After` that is a date). */
export function classifyS3Error(error: unknown, nowMs: () => number = Date.now): S3Failure {
  const { status, storeCode, headers, region } = replyOf(error)
  const retryAfterMs = retryAfterOf(headers['retry-after'], nowMs)
  if (status === undefined) return { ...failureOf(...withoutReply(error)), retryAfterMs }
  if (storeCode === undefined)
    return { ...failureOf(bare(status, region), `HttpStatus${status}`), retryAfterMs }
  const known = Object.hasOwn(BY_STORE_CODE, storeCode) ? BY_STORE_CODE[storeCode] : undefined
  // without a region it is the head of the signature that the store cannot read
  const malformed = storeCode === 'AuthorizationHeaderMalformed' && region === undefined
  if (malformed) return { ...failureOf(MALFORMED_KEY, storeCode), retryAfterMs }
  if (known !== undefined) return { ...failureOf(withRegion(known, region), storeCode), retryAfterMs }
  const byPrefix = storeCode.startsWith('KMS.') ? BY_STORE_CODE['KMS.DisabledException'] : undefined
  const meaning = byPrefix ?? unknownCode(storeCode, status)
  return { ...failureOf(meaning, storeCode), retryAfterMs }
}

/** A reply without a code of S3; one that does not parse keeps its status, also 200. */
function bare(status: number, region: string | undefined): Meaning {
  if (status < 300) return NOT_S3
  // to where is told by a header alone, for a HEAD for instance
  return region !== undefined && status < 400 ? withRegion(WRONG_REGION, region) : byStatus(status)
}

function unknownCode(storeCode: string, status: number): Meaning {
  const { class: errorClass } = byStatus(status)
  return { class: errorClass, words: `the store answers ${storeCode} with status ${status}` }
}

function failureOf(meaning: Meaning, ownCode: string): Omit<S3Failure, 'retryAfterMs'> {
  return { class: meaning.class, code: meaning.code ?? ownCode, message: meaning.words }
}

function withRegion(meaning: Meaning, region: string | undefined): Meaning {
  if (meaning.code !== 'WrongRegion' || region === undefined) return meaning
  return { ...meaning, words: `the bucket is in the region ${region}; set {region} to it` }
}

/** An error that came before a reply: of the network, of TLS, of a deadline, or of our own. */
function withoutReply(error: unknown): [Meaning, string] {
  let name = ''
  for (const each of causesOf(error)) {
    name ||= text(each, 'name')
    const code = text(each, 'code')
    if (!SYSTEM_CODE_PATTERN.test(code)) continue
    if (Object.hasOwn(BY_SYSTEM_CODE, code))
      return withSystemCode(BY_SYSTEM_CODE[code] ?? UNFORESEEN, code, each)
    const prefixed = BY_SYSTEM_PREFIX.find(([prefix]) => code.startsWith(prefix))
    if (prefixed !== undefined) return withSystemCode(prefixed[1], code, each)
    return withSystemCode(UNFORESEEN, code, each)
  }
  // without a code it is one of the two deadlines of the SDK, or ours
  return ['TimeoutError', 'AbortError'].includes(name) ? [TIMEOUT, 'Timeout'] : [UNFORESEEN, 'Unforeseen']
}

function withSystemCode(meaning: Meaning, code: string, error: object): [Meaning, string] {
  // Node keeps the status that the proxy gave instead of a tunnel
  const status = numberOf(property(error, 'statusCode'))
  const refused = code === 'ERR_PROXY_TUNNEL' ? byTunnelStatus(status) : undefined
  if (refused !== undefined) return [refused, code]
  return [{ ...meaning, words: `${meaning.words} (${code})` }, code]
}

/** The error and what caused it; an AggregateError holds one error for each address that was tried. */
function causesOf(error: unknown): object[] {
  const found: object[] = []
  let next: unknown = error
  while (typeof next === 'object' && next !== null && found.length < CAUSES_MAX) {
    found.push(next)
    const errors: unknown = 'errors' in next ? next.errors : undefined
    next = Array.isArray(errors) && errors.length > 0 ? errors[0] : 'cause' in next ? next.cause : undefined
  }
  return found
}

/** The status of the reply that an error is about; undefined where none came. */
export function statusOf(error: unknown): number | undefined {
  const told = numberOf(record(property(error, '$metadata'))['httpStatusCode'])
  return Number.isInteger(told) && told >= 100 && told <= 599 ? told : undefined
}

interface Reply {
  readonly status: number | undefined
  readonly storeCode: string | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly region: string | undefined
}

function replyOf(error: unknown): Reply {
  const headers = record(property(property(error, '$response'), 'headers'))
  const status = statusOf(error)
  // an error of a kind that the SDK has a class for may keep its code as its name alone
  const name = property(error, 'name')
  const named = typeof name === 'string' && Object.hasOwn(BY_STORE_CODE, name) ? name : undefined
  const code = property(error, 'Code') ?? property(error, 'code') ?? named
  const region = [headers['x-amz-bucket-region'], property(error, 'Region')].find(
    (each): each is string => typeof each === 'string' && REGION_PATTERN.test(each),
  )
  const storeCode = typeof code === 'string' && STORE_CODE_PATTERN.test(code) ? code : undefined
  return { status, storeCode: storeCode === 'Unknown' ? undefined : storeCode, headers, region }
}

/** Seconds or a date, as HTTP allows; 0 for anything else. */
function retryAfterOf(value: unknown, nowMs: () => number): number {
  if (typeof value !== 'string') return 0
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000
  const atMs = Date.parse(value)
  return Number.isNaN(atMs) ? 0 : Math.max(0, atMs - nowMs())
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined
}

/** NaN for what is no number. */
function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : Number.NaN
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}

function text(value: object, name: string): string {
  const found = property(value, name)
  return typeof found === 'string' ? found : ''
}
