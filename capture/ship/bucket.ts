/**
 * The seam between the commit protocol and whatever keeps the objects: a local directory, or S3.
 * The protocol trusts nothing that a bucket says: what was put is read back before anything local goes.
 */

/** Keys are relative, parts separated by `/`, already percent-encoded; a bucket uses them as they are. */
export interface Bucket {
  /** For messages to a person: where the objects go, without credentials. */
  readonly description: string
  /**
   * Stores the whole object under the key, replacing what was there. `sha256` is the hash of `body` in hex.
   * Resolves when the bucket says that the object is durable. Throws BucketError.
   */
  put(key: string, body: Buffer, sha256: string): Promise<void>
  /**
   * The whole object, or undefined where there is none. One larger than `bytesMax` is not read: BucketError
   * `ObjectTooLarge`. Throws BucketError.
   */
  get(key: string, bytesMax?: number): Promise<Buffer | undefined>
  /** Every object whose key starts with `prefix`, sorted by key. Throws BucketError. */
  list(prefix: string): AsyncIterable<BucketEntry>
  /**
   * Whether the credentials are others than those that were last used, so that a refusal may be over; costs no request,
   * and throws nothing. Absent where they cannot change, or where nobody can see it.
   */
  readonly credentialsChanged?: (() => Promise<boolean>) | undefined
}

export interface BucketEntry {
  readonly key: string
  readonly bytes: number
  readonly modifiedMs: number
}

/**
 * What a person must do about an error, and how soon trying again makes sense:
 * `transient` heals itself, `clock` wants the machine's clock put right, `credential` other credentials,
 * `configuration` another setting, `integrity` means that bytes are not what they were.
 */
export const BUCKET_ERROR_CLASSES = [
  'transient',
  'clock',
  'credential',
  'configuration',
  'integrity',
] as const
export type BucketErrorClass = (typeof BUCKET_ERROR_CLASSES)[number]

/** The code of a `get` of an object that is larger than was asked for. */
export const OBJECT_TOO_LARGE = 'ObjectTooLarge'

/** An operation on a bucket that did not succeed. */
export class BucketError extends Error {
  override readonly name = 'BucketError'
  readonly code: string
  readonly class: BucketErrorClass
  /** How long the bucket asked us to stay away, in milliseconds; 0 where it did not. */
  readonly retryAfterMs: number

  constructor(
    code: string,
    errorClass: BucketErrorClass,
    message: string,
    options: { readonly cause?: unknown; readonly retryAfterMs?: number } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : {})
    this.code = code
    this.class = errorClass
    this.retryAfterMs = options.retryAfterMs ?? 0
  }
}
