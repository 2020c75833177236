/** Every fault, where it is done, and what a person is told about it. */
import type { BucketErrorClass } from '../../../capture/ship/mod.ts'
import { FAULT_KINDS, type FaultKind, type FaultTarget } from './faults.ts'

export interface EvilCase {
  readonly name: string
  readonly kind: FaultKind
  readonly target: FaultTarget
  /** What a person is told while it lasts; undefined where the fault does no harm. */
  readonly told: Told | undefined
}

/** As the counters and the reason of the shipper say it. */
export interface Told {
  readonly class: BucketErrorClass
  readonly code: string
}

const OBJECT = /\.parquet$/
const MANIFEST = /\.json$/

const told = (errorClass: BucketErrorClass, code: string): Told => ({ class: errorClass, code })

const LOST = told('integrity', 'not_stored')
const ALTERED = told('integrity', 'stored_altered')
const NO_STORE = told('configuration', 'NotS3')
const SILENT = told('transient', 'Timeout')
const CUT = told('transient', 'ConnectionFailed')

const TOLD: Readonly<Record<FaultKind, Told | undefined>> = {
  put_forgotten: LOST,
  put_truncated: ALTERED,
  put_flipped: ALTERED,
  put_wrong_checksum: told('integrity', 'ChecksumMismatch'),
  // what counts are the bytes that came back, by our own hash
  get_wrong_checksum: undefined,
  get_flipped: ALTERED,
  get_missing: LOST,
  get_old: LOST,
  html: NO_STORE,
  error_in_200: told('transient', 'InternalError'),
  internal_error: told('transient', 'InternalError'),
  unavailable: told('transient', 'HttpStatus503'),
  slow_down: told('transient', 'SlowDown'),
  clock: told('clock', 'RequestTimeTooSkewed'),
  access_denied: told('credential', 'AccessDenied'),
  unknown_key: told('credential', 'InvalidAccessKeyId'),
  no_bucket: told('configuration', 'NoSuchBucket'),
  hang_accept: SILENT,
  hang_headers: SILENT,
  hang_body: SILENT,
  hang_reply: SILENT,
  reset_accept: CUT,
  reset_headers: CUT,
  reset_body: CUT,
  reset_reply: CUT,
}

const WHERE: readonly (readonly [what: string, target: FaultTarget])[] = [
  ['everything', {}],
  ['the put of an object', { operation: 'put', keys: OBJECT }],
  ['the put of a manifest', { operation: 'put', keys: MANIFEST }],
  ['the read of an object', { operation: 'get', keys: OBJECT }],
  ['the read of a manifest', { operation: 'get', keys: MANIFEST }],
]

function isPossible(kind: FaultKind, { operation, keys }: FaultTarget): boolean {
  // a connection that is not read yet has no key
  if (kind.endsWith('_accept')) return operation === undefined
  // for everything it is what is said of a put, or of a read, below
  if (kind.startsWith('put_')) return operation === 'put'
  if (kind.startsWith('get_')) return operation === 'get' && (kind !== 'get_old' || keys !== undefined)
  return !kind.endsWith('_body') || operation === 'put'
}

export const EVIL_CASES: readonly EvilCase[] = FAULT_KINDS.flatMap((kind) =>
  WHERE.filter(([, target]) => isPossible(kind, target)).map(([what, target]) => ({
    name: `${kind}: ${what}`,
    kind,
    target,
    told: TOLD[kind],
  })),
)
