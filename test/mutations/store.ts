/** What makes a store believable only once it has proven itself, and what keeps shipping going when it fails. */
import type { Mutation } from './mutation.ts'

const COMMIT = 'capture/ship/commit.ts'
const SHIPPER = 'capture/ship/shipper.ts'
const CHECK = 'capture/ship/check.ts'
const RETRY = 'capture/ship/retry.ts'
const BUCKET = 'capture/ship/s3/bucket.ts'
const CLASSIFY = 'capture/ship/s3/classify.ts'
const CREDENTIALS = 'capture/ship/s3/credentials.ts'

const BUCKET_TEST = 'test/ship/s3-bucket.test.ts'
const SHIPPER_TEST = 'test/ship/shipper.test.ts'
const CLASSIFY_TEST = 'test/ship/s3-classify.test.ts'
const ONE_PLAIN_REQUEST = {
  file: BUCKET_TEST,
  name: 'put: one plain request with our hash: no chunks, no trailer, no other checksum, no condition, the key as it is',
}
const NOT_BELIEVED = {
  file: BUCKET_TEST,
  name: 'put: what says 200 and is no store, and a store that tells another hash, are not believed',
}
const NO_CREDENTIAL = {
  file: BUCKET_TEST,
  name: 'errors: no credential and no signed header is anywhere in them, whatever the store or the network says',
}
const LIST_ENDS = {
  file: BUCKET_TEST,
  name: 'list: a store that repeats itself, mixes the order, or sends foreign keys ends with an error, not for ever',
}
const NOTHING_GOES = {
  file: SHIPPER_TEST,
  name: 'shipper: nothing local goes while the store keeps nothing, whatever it says',
}
const BACKLOG = {
  file: 'test/ship/pace.test.ts',
  name: 'shipper: the backlog of an outage goes oldest first with rests that shrink; fresh windows cut none short',
}
const CHECKED = {
  file: 'test/ship/shipper-check.test.ts',
  name: 'check: tried until it has passed once; what it finds is told beside the state, and keeps no window from shipping',
}

const PROOF: readonly Mutation[] = [
  {
    name: 'an object is not asked for again',
    why: 'a store that says 200 and stores nothing is believed',
    file: COMMIT,
    find: 'const back = await bucket.get(object.key, object.bytes)',
    replace: 'const back = body',
    test: {
      file: 'test/ship/commit.test.ts',
      name: 'commit: objects are put and read back one by one, the manifest last',
    },
  },
  {
    name: 'the manifest is not asked for again',
    why: 'a window counts as committed that no reader finds',
    file: COMMIT,
    find: 'const back = await bucket.get(key, bytes.byteLength)',
    replace: 'const back: Buffer | undefined = bytes',
    test: {
      file: 'test/ship/commit.test.ts',
      name: 'commit: a store that does "lie" at any one operation delays the commit, and never fakes it',
    },
  },
  {
    name: 'a manifest that was put is a manifest that is proven',
    why: 'the only copy goes while the store may still have lost the manifest',
    file: COMMIT,
    find: "hooks.onStep?.('manifest_put', key)\n",
    replace: "hooks.onStep?.('manifest_put', key)\n  if (key !== '') return 'committed'\n",
    test: {
      file: 'test/ship/commit.test.ts',
      name: 'commit: a store that does "alter" at any one operation delays the commit, and never fakes it',
    },
  },
  {
    name: 'local files go although the commit failed',
    why: 'an outage of the store deletes the data that it did not take',
    file: SHIPPER,
    find: 'const outcome = await this.#commit(oldest)\n',
    replace: "const outcome = await this.#commit(oldest).catch(() => 'committed' as const)\n",
    test: NOTHING_GOES,
  },
]

const REQUESTS: readonly Mutation[] = [
  {
    name: 'the SHA-256 of an object is not sent',
    why: 'bytes that changed on their way are stored, and only the proof notices',
    file: BUCKET,
    find: 'ChecksumSHA256: checksum,\n',
    replace: '',
    test: ONE_PLAIN_REQUEST,
  },
  {
    name: 'a store that hashed other bytes is believed',
    why: 'it says itself that the object is not what was sent',
    file: BUCKET,
    find: 'if (ChecksumSHA256 !== undefined && ChecksumSHA256 !== checksum) {',
    replace: "if (ChecksumSHA256 === '') {",
    test: NOT_BELIEVED,
  },
  {
    name: 'any 200 is an object that was stored',
    why: "a network's log-in page is taken for a store",
    file: BUCKET,
    find: 'if (ETag === undefined) throw notS3(NAMELESS)\n',
    replace: '',
    test: NOT_BELIEVED,
  },
  {
    name: 'the SDK tries again by itself',
    why: 'a store that asks for fewer requests gets three times as many, in a loop that nobody counts',
    file: 'capture/ship/s3/session.ts',
    find: 'maxAttempts: 1,',
    replace: 'maxAttempts: 3,',
    test: NOT_BELIEVED,
  },
  {
    name: 'a request has no hard end',
    why: 'a store that sends a byte now and then holds up shipping for ever',
    file: 'capture/ship/s3/deadline.ts',
    find: 'return setTimeout(abort, ',
    replace: 'return setTimeout(() => this.#arm !== undefined || abort(), ',
    test: { file: 'test/ship/s3-deadlines.test.ts', name: 'deadline: headers that never end, end' },
  },
  {
    name: 'AccessDenied means that there is nothing',
    why: 'a right that was taken away makes committed windows look as if they were not there',
    file: BUCKET,
    find: "if (storeCodeOf(error) === 'AccessDenied' && !(await this.#isListed(key, attempt))) {",
    replace: "if (storeCodeOf(error) === 'AccessDenied') {",
    test: {
      file: BUCKET_TEST,
      name: 'get: AccessDenied of what does not exist, as AWS says it where the prefix alone may be listed, is nothing',
    },
  },
  {
    name: 'an object is read whatever its size',
    why: 'a foreign object under a key of ours takes all memory',
    file: BUCKET,
    find: 'if (bytes > bytesMax) {',
    replace: 'if (bytes < 0) {',
    test: {
      file: BUCKET_TEST,
      name: 'get: the whole object, nothing where there is none, and an error for one that is larger than expected',
    },
  },
  {
    name: 'only the first page of a list is read',
    why: 'a bucket is verified by its first thousand keys',
    file: BUCKET,
    find: 'token = page.next\n',
    replace: 'token = undefined\n',
    test: {
      file: BUCKET_TEST,
      name: 'list: pages in order, asked for as they are read, keys without the prefix',
    },
  },
  {
    name: 'a page that says more and names no next one is the last',
    why: 'the rest of a list is missing, and nobody is told',
    file: BUCKET,
    find: '(next === undefined || entries.length === 0)',
    replace: 'entries.length === 0',
    test: LIST_ENDS,
  },
  {
    name: 'a list may be out of order',
    why: 'what is read in the order of keys takes a window that comes late for a hole',
    file: BUCKET,
    find: 'if (last !== undefined && Buffer.compare(last, name) >= 0) {',
    replace: 'if (last !== undefined && last.equals(name)) {',
    test: LIST_ENDS,
  },
]

const WORDS: readonly Mutation[] = [
  {
    name: 'the error of a signed request is passed on as cause',
    why: 'the first log line of an outage holds the signature and the session token',
    file: BUCKET,
    find: 'throw this.#told(doing, code, errorClass, message, retryAfterMs, session?.secrets)',
    replace:
      'throw Object.assign(this.#told(doing, code, errorClass, message, retryAfterMs, session?.secrets), { cause: error })',
    test: NO_CREDENTIAL,
  },
  {
    name: 'what a store echoes is told',
    why: 'a store that repeats a credential as its code puts it into logs and status',
    file: BUCKET,
    find: 'secrets.some((secret) => text.includes(secret)) ? instead : text',
    replace: "secrets.some((secret) => secret === '' && text.includes(secret)) ? instead : text",
    test: NO_CREDENTIAL,
  },
  {
    name: 'a wrong region is called a wrong key',
    why: 'a person changes the key, which was right, and is no step further',
    file: 'capture/ship/s3/meanings.ts',
    find: 'AuthorizationHeaderMalformed: WRONG_REGION,',
    replace: 'AuthorizationHeaderMalformed: NO_SUCH_KEY_ID,',
    test: {
      file: CLASSIFY_TEST,
      name: 'classify: the right region is told where the store tells it, and nothing else of its header',
    },
  },
  {
    name: 'a missing Secret is no error of its own',
    why: 'a store is asked with an empty key, and a person is told that the key is wrong',
    file: CREDENTIALS,
    find: "if (accessKeyId === '' || secretAccessKey === '') {",
    replace: "if (remedy === '') {",
    test: {
      file: 'test/ship/s3-credentials.test.ts',
      name: 'credentials: a Secret that is not there, half there or empty is CredentialsMissing; it heals when the files come',
    },
  },
  {
    name: 'without the Secret another identity is used',
    why: 'data is written with rights that nobody gave for it',
    file: 'capture/ship/open-bucket.ts',
    find: 'if (credentialsDir !== undefined) return mountedCredentials(credentialsDir)',
    replace:
      'if (credentialsDir !== undefined && !hasWebIdentity(env)) return mountedCredentials(credentialsDir)',
    test: {
      file: 'test/ship/s3-credentials.test.ts',
      name: 'credentials: one source and no other: a missing Secret never falls back to a web identity or the environment',
    },
  },
  {
    name: 'refused credentials are not read again',
    why: 'a key that was rotated stays the old one until five minutes have passed, or for ever',
    file: BUCKET,
    find: "if (errorClass === 'credential') this.#sessions.doubt()\n",
    replace: '',
    test: {
      file: 'test/ship/s3-credentials.test.ts',
      name: 'credentials: after an authentication error they are read again; without one, each five minutes',
    },
  },
]

const PACE: readonly Mutation[] = [
  {
    name: 'Retry-After is not read',
    why: 'a store that says for how long it must be left alone is asked before',
    file: CLASSIFY,
    find: "const retryAfterMs = retryAfterOf(headers['retry-after'], nowMs)",
    replace: 'const retryAfterMs = 0 * retryAfterOf(undefined, nowMs)',
    test: {
      file: CLASSIFY_TEST,
      name: 'classify: Retry-After is read as seconds or as a date, and nothing else is',
    },
  },
  {
    name: 'Retry-After is read and not honoured',
    why: 'a store that says for how long it must be left alone is asked before',
    file: RETRY,
    find: 'Math.min(failure.retryAfterMs, RETRY_AFTER_MAX_MS)',
    replace: 'Math.min(0, RETRY_AFTER_MAX_MS)',
    test: {
      file: SHIPPER_TEST,
      name: 'retry: the delay lies within the bound, honours Retry-After up to an hour, and never overflows',
    },
  },
  {
    name: 'a missing Secret is looked for each five minutes',
    why: 'shipping begins long after the Secret is there',
    file: RETRY,
    find: "failure.code === 'CredentialsMissing' ? LOOK_AGAIN : RULES[failure.class]",
    replace: "failure.code === '' ? LOOK_AGAIN : RULES[failure.class]",
    test: {
      file: SHIPPER_TEST,
      name: 'retry: a Secret that is missing is looked for again within five seconds, for ever',
    },
  },
  {
    name: 'the newest window of a backlog goes first',
    why: 'readers see holes that are filled backwards, and the oldest file is the last to leave a full disk',
    file: SHIPPER,
    find: 'const [oldest] = waiting\n',
    replace: 'const [oldest] = waiting.toReversed()\n',
    test: BACKLOG,
  },
  {
    name: 'a backlog goes without rests',
    why: 'a store that has just come back gets the load of all captures at once',
    file: SHIPPER,
    find: 'waiting.length > 1 ? this.#pace.restMs(tookMs) : 0',
    replace: 'waiting.length > 1 && tookMs < 0 ? this.#pace.restMs(tookMs) : 0',
    test: BACKLOG,
  },
  {
    name: 'fresh windows of all captures go at one instant',
    why: 'a store gets the load of five minutes within a second',
    file: SHIPPER,
    find: 'if (offsetMs > 0) return await this.#backOff(offsetMs)',
    replace: 'if (offsetMs < 0) return await this.#backOff(offsetMs)',
    test: {
      file: 'test/ship/pace.test.ts',
      name: 'spread: a window that is sealed while nothing waits begins after the offset of its capture; nothing seems wrong',
    },
  },
  {
    name: 'the check of the bucket never passes',
    why: 'the bucket is asked for ever by a check that has nothing to find',
    file: CHECK,
    find: "this.#state = 'over'\n      log.info(",
    replace: "this.#state = 'due'\n      log.info(",
    test: CHECKED,
  },
  {
    name: 'what the check of the bucket finds is not told',
    why: 'a right that is missing shows with the first window that fails, instead of at the start',
    file: CHECK,
    find: 'onResult(this.#failed(error))',
    replace: 'onResult(this.#failed(error) && null)',
    test: CHECKED,
  },
]

export const STORE: readonly Mutation[] = [...PROOF, ...REQUESTS, ...WORDS, ...PACE]
