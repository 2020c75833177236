import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { BUCKET_ERROR_CLASSES, type BucketErrorClass } from '../../capture/ship/bucket.ts'
import { classifyS3Error, inWords, SPEC_WORDS } from '../../capture/ship/s3/mod.ts'
import { everything, SECRETS } from './s3-fixture.ts'

type Expected = readonly [BucketErrorClass, string, RegExp]

/** What the SDK makes of a reply. */
function replied(status: number, code?: string, more: { headers?: object; Region?: string } = {}): Error {
  const { headers = {}, Region } = more
  const error = new Error('text of the store')
  error.name = code ?? 'Unknown'
  Object.defineProperty(error, '$response', { value: { headers }, enumerable: false })
  return Object.assign(error, {
    $metadata: { httpStatusCode: status },
    $fault: 'client',
    ...(code === undefined ? {} : { Code: code }),
    ...(Region === undefined ? {} : { Region }),
  })
}

/** What the SDK makes of a fault of the network: some of them are called TimeoutError there. */
function system(code: string, name = 'Error', more: object = {}): Error {
  return Object.assign(new Error('text of the system'), { name, code, $metadata: { attempts: 1 }, ...more })
}

const REPLIES: readonly (readonly [number, string | undefined, Expected])[] = [
  [503, 'SlowDown', ['transient', 'SlowDown', /asks for fewer requests/]],
  [503, 'ServiceUnavailable', ['transient', 'ServiceUnavailable', /an error of its own/]],
  [500, 'InternalError', ['transient', 'InternalError', /an error of its own/]],
  [400, 'RequestTimeout', ['transient', 'RequestTimeout', /waited in vain/]],
  [400, 'IncompleteBody', ['transient', 'IncompleteBody', /fewer bytes/]],
  [409, 'ConditionalRequestConflict', ['transient', 'ConditionalRequestConflict', /another operation/]],
  [507, 'InsufficientStorage', ['transient', 'InsufficientStorage', /no room left/]],
  [429, undefined, ['transient', 'HttpStatus429', /status 429/]],
  [500, undefined, ['transient', 'HttpStatus500', /status 500/]],
  [502, undefined, ['transient', 'HttpStatus502', /status 502/]],
  [504, undefined, ['transient', 'HttpStatus504', /status 504/]],
  [503, 'SomethingNew', ['transient', 'SomethingNew', /answers SomethingNew with status 503/]],
  [403, 'RequestTimeTooSkewed', ['clock', 'RequestTimeTooSkewed', /put the clock right/]],
  [403, 'RequestExpired', ['clock', 'RequestExpired', /clock right/]],
  [400, 'ExpiredToken', ['credential', 'ExpiredToken', /session token has expired/]],
  [
    403,
    'InvalidAccessKeyId',
    ['credential', 'InvalidAccessKeyId', /does not know this access key.*swapped with the secret/],
  ],
  [404, 'XAdminUserNotFound', ['credential', 'XAdminUserNotFound', /does not know this access key/]],
  [403, 'SignatureDoesNotMatch', ['credential', 'SignatureDoesNotMatch', /secret key does not belong/]],
  [403, 'AccessDenied', ['credential', 'AccessDenied', /lacks the right.*s3:ListBucket/]],
  [403, undefined, ['credential', 'HttpStatus403', /status 403 and no error of S3: a proxy, a firewall/]],
  [401, undefined, ['credential', 'HttpStatus401', /status 401/]],
  [403, 'SomethingNew', ['credential', 'SomethingNew', /SomethingNew with status 403/]],
  [404, 'NoSuchBucket', ['configuration', 'NoSuchBucket', /no such bucket; create it/]],
  [
    400,
    'InvalidBucketName',
    ['configuration', 'InvalidBucketName', /no name of a bucket.*\{endpoint\} leads elsewhere/],
  ],
  [404, 'NoSuchKey', ['configuration', 'NoSuchKey', /\{endpoint\} hold the bucket or a path/]],
  [301, 'PermanentRedirect', ['configuration', 'WrongRegion', /in another region/]],
  [307, 'TemporaryRedirect', ['configuration', 'WrongRegion', /in another region/]],
  [400, 'AuthorizationHeaderMalformed', ['credential', 'AuthorizationHeaderMalformed', /swapped/]],
  [501, 'NotImplemented', ['configuration', 'NotImplemented', /does not support/]],
  [400, 'EntityTooLarge', ['configuration', 'EntityTooLarge', /shorten rotationSeconds/]],
  [409, 'ExistingObjectIsDirectory', ['configuration', 'ExistingObjectIsDirectory', /another prefix/]],
  [403, 'KMS.DisabledException', ['configuration', 'KMS.DisabledException', /encryption key/]],
  [403, 'KMS.AccessDeniedException', ['configuration', 'KMS.AccessDeniedException', /encryption key/]],
  [407, undefined, ['configuration', 'ProxyFailed', /proxy wants a user and password/]],
  [404, undefined, ['configuration', 'NotS3', /status 404 and no error of S3/]],
  [302, undefined, ['configuration', 'NotS3', /log-in page of the network/]],
  [301, undefined, ['configuration', 'NotS3', /status 301/]],
  [200, undefined, ['configuration', 'NotS3', /no S3 store/]],
  [400, 'BadDigest', ['integrity', 'BadDigest', /bytes changed on their way/]],
  [400, 'XAmzContentChecksumMismatch', ['integrity', 'XAmzContentChecksumMismatch', /bytes changed/]],
  [400, 'XAmzContentSHA256Mismatch', ['integrity', 'XAmzContentSHA256Mismatch', /bytes changed/]],
]

const FAULTS: readonly (readonly [Error, Expected])[] = [
  [system('ECONNRESET', 'TimeoutError'), ['transient', 'ConnectionFailed', /cut.*\(ECONNRESET\)/]],
  [system('EPIPE', 'TimeoutError'), ['transient', 'ConnectionFailed', /cut/]],
  [system('ECONNREFUSED'), ['transient', 'ConnectionFailed', /nothing listens/]],
  [system('EHOSTUNREACH'), ['transient', 'ConnectionFailed', /no way/]],
  [system('ENOTFOUND'), ['transient', 'NameNotFound', /name is not known/]],
  [system('EAI_AGAIN'), ['transient', 'NameNotFound', /name service/]],
  [system('ETIMEDOUT', 'TimeoutError'), ['transient', 'Timeout', /no answer in time/]],
  [Object.assign(new Error('idle'), { name: 'TimeoutError' }), ['transient', 'Timeout', /no answer in time/]],
  [
    Object.assign(new Error('aborted'), { name: 'AbortError' }),
    ['transient', 'Timeout', /no answer in time/],
  ],
  [
    Object.assign(new AggregateError([system('ECONNREFUSED')], ''), { code: undefined }),
    ['transient', 'ConnectionFailed', /nothing listens/],
  ],
  [
    new Error('wrapped', { cause: system('ECONNREFUSED') }),
    ['transient', 'ConnectionFailed', /nothing listens/],
  ],
  [
    system('UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
    ['configuration', 'TlsFailed', /authority that is not trusted/],
  ],
  [system('DEPTH_ZERO_SELF_SIGNED_CERT'), ['configuration', 'TlsFailed', /authority that is not trusted/]],
  [system('CERT_HAS_EXPIRED'), ['configuration', 'TlsFailed', /has expired/]],
  [system('CERT_NOT_YET_VALID'), ['clock', 'TlsFailed', /clock/]],
  [system('ERR_TLS_CERT_ALTNAME_INVALID'), ['configuration', 'TlsFailed', /another name/]],
  [system('EPROTO'), ['configuration', 'TlsFailed', /http instead of https/]],
  [system('ERR_SSL_WRONG_VERSION_NUMBER'), ['configuration', 'TlsFailed', /http instead of https/]],
  [system('HPE_INVALID_CONSTANT'), ['configuration', 'TlsFailed', /http instead of https/]],
  [
    system('ERR_PROXY_TUNNEL', 'Error', { statusCode: 407 }),
    ['configuration', 'ProxyFailed', /user and password/],
  ],
  [
    system('ERR_PROXY_TUNNEL', 'Error', { statusCode: 403 }),
    ['configuration', 'ProxyFailed', /refuses.*403/],
  ],
  [
    system('ERR_PROXY_TUNNEL', 'Error', { statusCode: 502 }),
    ['transient', 'ProxyFailed', /does not open a way/],
  ],
  [system('ERR_PROXY_INVALID_CONFIG'), ['configuration', 'ProxyFailed', /no address of a proxy/]],
  [system('ESOMETHING'), ['transient', 'Unforeseen', /nothing expected.*ESOMETHING/]],
  [new TypeError('x is not a function'), ['transient', 'Unforeseen', /nothing expected/]],
]

function assertIs(error: unknown, [errorClass, code, words]: Expected): void {
  const failure = classifyS3Error(error)
  assert.deepEqual([failure.class, failure.code], [errorClass, code])
  assert.match(failure.message, words)
}

describe('classify: what a store replies', () => {
  for (const [status, code, expected] of REPLIES) {
    test(`${status} ${code ?? 'without a code'}: ${expected[0]}`, () =>
      assertIs(replied(status, code), expected))
  }
})

describe('classify: what comes instead of a reply', () => {
  for (const [error, expected] of FAULTS) {
    const code = 'code' in error ? error.code : undefined
    test(`${error.name} ${code ?? ''}: ${expected[0]}`, () => assertIs(error, expected))
  }
})

test('classify: the right region is told where the store tells it, and nothing else of its header', () => {
  const told = classifyS3Error(
    replied(301, 'PermanentRedirect', { headers: { 'x-amz-bucket-region': 'eu-west-1' } }),
  )
  assert.match(inWords(told.message, SPEC_WORDS), /in the region eu-west-1; set storage\.s3\.region/)
  assert.match(
    classifyS3Error(replied(400, 'AuthorizationHeaderMalformed', { Region: 'ap-northeast-1' })).message,
    /ap-northeast-1/,
  )
  assert.match(
    classifyS3Error(replied(301, undefined, { headers: { 'x-amz-bucket-region': 'eu-west-1' } })).message,
    /eu-west-1/,
  )
  const odd = replied(301, 'PermanentRedirect', { headers: { 'x-amz-bucket-region': 'AKID CANARY' } })
  assert.doesNotMatch(classifyS3Error(odd).message, /CANARY/)
})

test('classify: Retry-After is read as seconds or as a date, and nothing else is', () => {
  const after = (value: string) =>
    classifyS3Error(replied(503, 'SlowDown', { headers: { 'retry-after': value } }), () =>
      Date.parse('2026-11-22T12:00:00Z'),
    ).retryAfterMs
  assert.deepEqual(
    [
      '7',
      '0',
      'Sun, 22 Nov 2026 12:00:09 GMT',
      'Sun, 22 Nov 2026 11:00:00 GMT',
      'soon',
      '-1',
      '99999999999',
    ].map(after),
    [7000, 0, 9000, 0, 0, 0, 0],
  )
})

test('classify: anything thrown is sorted, and nothing of its text passes on', () => {
  const secret = SECRETS.AWS_SECRET_ACCESS_KEY
  const thing = fc.oneof(
    fc.anything(),
    fc.constantFrom(undefined, null, secret, new Error(secret)),
    fc.record({
      name: fc.constantFrom('TimeoutError', secret, `${secret} `),
      message: fc.constant(secret),
      stack: fc.constant(secret),
      code: fc.oneof(fc.constantFrom('ECONNRESET', 'EODD', `x ${secret}`), fc.anything()),
      Code: fc.oneof(fc.constantFrom('SlowDown', `${secret}\n`), fc.anything()),
      $metadata: fc.oneof(
        fc.record({ httpStatusCode: fc.oneof(fc.integer(), fc.anything()) }),
        fc.anything(),
      ),
      $response: fc.record({ headers: fc.dictionary(fc.string(), fc.constant(`Bearer ${secret}`)) }),
      cause: fc.constant(new Error(secret)),
    }),
  )
  fc.assert(
    fc.property(thing, (error) => {
      const failure = classifyS3Error(error)
      assert.ok(BUCKET_ERROR_CLASSES.includes(failure.class))
      assert.match(failure.code, /^[A-Za-z][A-Za-z0-9._]*$/)
      assert.ok(failure.retryAfterMs >= 0)
      assert.ok(!everything(failure).includes(secret))
    }),
    { numRuns: 2000, verbose: 1 }, // a failure prints its seed
  )
})
