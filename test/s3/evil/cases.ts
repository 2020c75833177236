/** Every fault, where it is done, and what a person is told about it. */
import { FAULT_KINDS, type FaultKind, type FaultTarget } from './faults.ts'

export interface EvilCase {
  readonly name: string
  readonly kind: FaultKind
  readonly target: FaultTarget
  /** Codes that may be told; none where the fault does no harm. */
  readonly codes: readonly string[]
}

const OBJECT = /\.parquet$/
const MANIFEST = /\.json$/

const LOST = ['not_stored']
const ALTERED = ['stored_altered', 'ObjectTooLarge']
const SILENT = ['Timeout']
const CUT = ['ConnectionFailed']

const CODES: Readonly<Record<FaultKind, readonly string[]>> = {
  put_forgotten: LOST,
  put_truncated: ALTERED,
  put_flipped: ALTERED,
  put_wrong_checksum: ['ChecksumMismatch'],
  // what counts are the bytes that came back, by our own hash
  get_wrong_checksum: [],
  get_flipped: ALTERED,
  get_missing: LOST,
  get_old: LOST,
  html: ['NotS3', ...ALTERED],
  error_in_200: ['InternalError', 'NotS3', ...ALTERED],
  internal_error: ['InternalError'],
  unavailable: ['HttpStatus503'],
  slow_down: ['SlowDown'],
  clock: ['RequestTimeTooSkewed'],
  access_denied: ['AccessDenied'],
  unknown_key: ['InvalidAccessKeyId'],
  no_bucket: ['NoSuchBucket'],
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
    codes: CODES[kind],
  })),
)
