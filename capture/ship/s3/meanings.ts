/**
 * What each error of a store, of the network and of TLS means to the person who runs the capture. `{endpoint}` and the
 * like stand for what the reader calls a setting (words.ts).
 */
import type { BucketErrorClass } from '../bucket.ts'

export interface Meaning {
  readonly class: BucketErrorClass
  readonly words: string
  /** The code that is told, where the error's own is not. */
  readonly code?: string
}

const say =
  (errorClass: BucketErrorClass) =>
  (words: string, code?: string): Meaning => ({
    class: errorClass,
    words,
    ...(code === undefined ? {} : { code }),
  })
const transient = say('transient')
const clock = say('clock')
const credential = say('credential')
const configuration = say('configuration')
const integrity = say('integrity')

const BUSY = transient('the store is busy and asks for fewer requests')
const OUT_OF_ORDER = transient('the store reports an error of its own')
const STORE_FULL = transient('the store has no room left; make room there, what waits is safe in the spool')
const NO_SUCH_KEY_ID = credential(
  'the store does not know this access key; was it deleted, is it of another store, or is it swapped with the secret?',
)
export const WRONG_REGION = configuration(
  'the bucket is in another region; set {region} to it',
  'WrongRegion',
)
export const MALFORMED_KEY = credential(
  'the access key is not one (were key and secret swapped?), or the region is wrong',
)
const KEY_REFUSED = configuration('the store does not take this key; choose another prefix')
const KMS = configuration('the encryption key of the bucket cannot be used; check the rights to it (KMS)')
const ALTERED = integrity('the bytes changed on their way to the store')

/** By the code in the store's reply. */
export const BY_STORE_CODE: Readonly<Record<string, Meaning>> = {
  SlowDown: BUSY,
  SlowDownRead: BUSY,
  SlowDownWrite: BUSY,
  Throttling: BUSY,
  ThrottlingException: BUSY,
  TooManyRequests: BUSY,
  RequestLimitExceeded: BUSY,
  ServerBusy: BUSY,
  Busy: BUSY,
  ServiceUnavailable: OUT_OF_ORDER,
  InternalError: OUT_OF_ORDER,
  InternalFailure: OUT_OF_ORDER,
  XMinioServerNotInitialized: OUT_OF_ORDER,
  RequestTimeout: transient('the store waited in vain for our bytes'),
  IncompleteBody: transient('the store got fewer bytes than announced'),
  OperationAborted: transient('another operation on the bucket is going on'),
  ConditionalRequestConflict: transient('another operation on the object is going on'),
  InsufficientStorage: STORE_FULL,
  XMinioStorageFull: STORE_FULL,
  QuotaExceeded: STORE_FULL,
  XMinioAdminBucketQuotaExceeded: STORE_FULL,

  RequestTimeTooSkewed: clock(
    "this machine's clock and the store's are more than minutes apart; put the clock right (NTP)",
  ),
  RequestExpired: clock("the request is too old by the store's clock; put this machine's clock right (NTP)"),

  AccessDenied: credential(
    'the key is right and lacks the right to this; allow {rights} and, on the bucket, ' +
      's3:ListBucket for the prefix (without the last, AWS says AccessDenied of objects that do not exist)',
  ),
  AllAccessDisabled: credential('all access to the bucket is disabled; ask its owner'),
  AccountProblem: credential('the account of the store is not in order; ask its owner'),
  InvalidAccessKeyId: NO_SUCH_KEY_ID,
  // of versitygw without accounts, and of MinIO
  XAdminUserNotFound: NO_SUCH_KEY_ID,
  XMinioAdminNoSuchUser: NO_SUCH_KEY_ID,
  SignatureDoesNotMatch: credential(
    'the secret key does not belong to the access key (or a proxy changes requests)',
  ),
  ExpiredToken: credential('the session token has expired; renew the credentials'),
  ExpiredTokenException: credential('the web identity token has expired; the cluster should have renewed it'),
  TokenRefreshRequired: credential('the session token must be renewed'),
  InvalidToken: credential('the session token is none of this store; remove AWS_SESSION_TOKEN or renew it'),
  InvalidClientTokenId: credential('the session token or access key is not known; renew the credentials'),
  InvalidIdentityToken: credential('the web identity token is not accepted; check the role and its trust'),
  IDPCommunicationError: transient('the token service cannot reach the cluster that issued the token'),

  NoSuchBucket: configuration('there is no such bucket; create it, or correct {bucket} or {endpoint}'),
  InvalidBucketName: configuration(
    'this is no name of a bucket; correct {bucket}, or {endpoint} leads elsewhere',
  ),
  // of a list or a write; of an object it says that there is none
  NoSuchKey: configuration(
    'this address holds no list of the bucket: does {endpoint} hold the bucket or a path? Give the address alone',
  ),
  PermanentRedirect: WRONG_REGION,
  TemporaryRedirect: WRONG_REGION,
  Redirect: WRONG_REGION,
  AuthorizationHeaderMalformed: WRONG_REGION,
  IllegalLocationConstraintException: WRONG_REGION,
  MethodNotAllowed: configuration(
    'the store does not allow this; is the endpoint one of S3, and the bucket writable?',
  ),
  NotImplemented: configuration('the store does not support this request; it cannot be used'),
  InvalidRequest: configuration('the store does not take the request; is it compatible with S3?'),
  InvalidArgument: configuration('the store does not take the request; is it compatible with S3?'),
  InvalidObjectState: configuration(
    'the object was moved to an archive; exclude the prefix from such lifecycle rules',
  ),
  ObjectLocked: configuration(
    'the object is locked and cannot be replaced; exclude the prefix from object lock',
  ),
  EntityTooLarge: configuration('the object is larger than the store takes; shorten rotationSeconds'),
  KeyTooLongError: KEY_REFUSED,
  InvalidURI: KEY_REFUSED,
  ExistingObjectIsDirectory: KEY_REFUSED,
  ObjectParentIsFile: KEY_REFUSED,
  XMinioInvalidObjectName: KEY_REFUSED,
  XMinioInvalidResourceName: KEY_REFUSED,
  'KMS.DisabledException': KMS,
  'KMS.NotFoundException': KMS,
  'KMS.KMSInvalidStateException': KMS,

  BadDigest: ALTERED,
  InvalidDigest: ALTERED,
  XAmzContentChecksumMismatch: ALTERED,
  XAmzContentSHA256Mismatch: ALTERED,
}

const UNREACHED = 'check that the store is up and {endpoint} is right'
const failed = (what: string): Meaning => transient(`${what}; ${UNREACHED}`, 'ConnectionFailed')
const TLS_UNKNOWN = configuration(
  "the store's certificate is signed by an authority that is not trusted; give it as {ca}",
  'TlsFailed',
)
const NOT_HTTP = configuration(
  'what answers does not speak this protocol; is it http instead of https, or the other way round, or another port?',
  'TlsFailed',
)

/** By the code of Node. */
export const BY_SYSTEM_CODE: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: failed('nothing listens at the address'),
  ECONNRESET: failed('the connection was cut (does the address want https instead of http?)'),
  EPIPE: failed('the connection was cut'),
  ECONNABORTED: failed('the connection was cut'),
  EHOSTUNREACH: failed('there is no way to the address'),
  ENETUNREACH: failed('there is no way to the address'),
  EADDRNOTAVAIL: failed('there is no way to the address'),
  ENOTFOUND: transient(
    `the name is not known; ${UNREACHED} (a store without a name for each bucket wants {pathStyle})`,
    'NameNotFound',
  ),
  EAI_AGAIN: transient('the name service does not answer', 'NameNotFound'),
  ETIMEDOUT: transient(`no answer in time; ${UNREACHED}`, 'Timeout'),
  EMFILE: transient('this process has too many files open', 'ConnectionFailed'),

  UNABLE_TO_VERIFY_LEAF_SIGNATURE: TLS_UNKNOWN,
  UNABLE_TO_GET_ISSUER_CERT: TLS_UNKNOWN,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: TLS_UNKNOWN,
  SELF_SIGNED_CERT_IN_CHAIN: TLS_UNKNOWN,
  DEPTH_ZERO_SELF_SIGNED_CERT: TLS_UNKNOWN,
  CERT_SIGNATURE_FAILURE: TLS_UNKNOWN,
  CERT_HAS_EXPIRED: configuration(
    "the store's certificate has expired, or this machine's clock is wrong",
    'TlsFailed',
  ),
  CERT_NOT_YET_VALID: clock(
    "the store's certificate is not valid yet; is this machine's clock right?",
    'TlsFailed',
  ),
  ERR_TLS_CERT_ALTNAME_INVALID: configuration(
    "the store's certificate is of another name; correct {endpoint}, or use {pathStyle}",
    'TlsFailed',
  ),
  EPROTO: NOT_HTTP,

  ERR_PROXY_TUNNEL: transient(
    'the proxy does not open a way to the store; check HTTPS_PROXY, NO_PROXY and whether it is up',
    'ProxyFailed',
  ),
  ERR_PROXY_INVALID_CONFIG: configuration(
    'HTTPS_PROXY or HTTP_PROXY is no address of a proxy',
    'ProxyFailed',
  ),
}

/** By the first letters of Node's code. */
export const BY_SYSTEM_PREFIX: readonly (readonly [string, Meaning])[] = [
  ['ERR_SSL_', NOT_HTTP],
  ['HPE_', NOT_HTTP],
]

export const NOT_S3 = configuration(
  'what answered is no S3 store; check {endpoint}, proxies, and a log-in page of the network',
  'NotS3',
)
export const TIMEOUT = transient(`no answer in time; ${UNREACHED}`, 'Timeout')
export const UNFORESEEN = transient('an error that nothing expected', 'Unforeseen')

/** By the status that a proxy gives instead of a way to the store. */
export function byTunnelStatus(status: number): Meaning | undefined {
  if (status === 407) return byStatus(407)
  // no number where the proxy gave none
  if (!(status >= 400 && status < 500)) return undefined
  const words = `the proxy refuses the way to the store with status ${status}; allow it there, or set NO_PROXY`
  return configuration(words, 'ProxyFailed')
}

/** By the status alone, where the reply holds no error of S3. */
export function byStatus(status: number): Meaning {
  if (status === 407) {
    return configuration('the proxy wants a user and password; put them into HTTPS_PROXY', 'ProxyFailed')
  }
  if (status === 401 || status === 403) {
    return credential(
      `refused with status ${status} and no error of S3: a proxy, a firewall, or the rights of the key`,
    )
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    return transient(`status ${status}`)
  }
  return { ...NOT_S3, words: `status ${status} and no error of S3: ${NOT_S3.words}` }
}
