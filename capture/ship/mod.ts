/**
 * ship: from the spool to the bucket.
 *
 * Lives here: the layout of the spool and of the bucket, the manifest, the commit protocol, the buckets, and
 * the loop that ships. Comes in: sealed windows (Parquet and a manifest, laid down by `record`), a bucket,
 * timers and randomness. Promises: nothing local is deleted before the manifest that speaks for it was read
 * back from the bucket; a committed manifest is never written again; windows are committed oldest first;
 * killed at any instruction, the next start goes on where it was.
 */
export { compareWindows, NameError, parseWindowName, type WindowId, windowName } from '../../api/names.ts'
export {
  BUCKET_ERROR_CLASSES,
  type Bucket,
  type BucketEntry,
  BucketError,
  type BucketErrorClass,
  OBJECT_TOO_LARGE,
} from './bucket.ts'
export { checkBucket, PROBE_KEY } from './check.ts'
export { type CommitHooks, type CommitStep, commitWindow } from './commit.ts'
export { makeDirectories, syncPath, systemCode, writeNewFile } from './durable.ts'
export {
  type ManifestKey,
  type MarketKey,
  manifestFolder,
  manifestKey,
  type ObjectKey,
  objectKey,
  parseManifestKey,
  parseObjectKey,
} from './keys.ts'
export { LocalBucket, type LocalBucketOptions, type LocalPutStep } from './local.ts'
export {
  keyOfManifest,
  MANIFEST_BYTES_MAX,
  MANIFEST_FORMAT,
  type Manifest,
  type ManifestCoverage,
  ManifestError,
  type ManifestErrorCode,
  type ManifestFields,
  type ManifestObject,
  Positions,
  parseManifest,
  sealManifest,
  serialiseManifest,
} from './manifest.ts'
export { openBucket } from './open-bucket.ts'
export {
  BUCKET_OPERATIONS,
  REQUEST_OUTCOMES,
  type RequestCounts,
  Requests,
} from './requests.ts'
export { type Failure, failureOf, retryDelayMs } from './retry.ts'
export { CALL_WORDS, malformedCredentials, type S3Options } from './s3/mod.ts'
export {
  type DrainResult,
  type ShipCounts,
  Shipper,
  type ShipperOptions,
  type ShipState,
} from './shipper.ts'
export {
  type DropStep,
  MANIFEST_FILE,
  openSpool,
  Spool,
  SpoolError,
  type SpoolErrorCode,
  type SpoolPaths,
  type SpoolUsage,
  type SpoolWindow,
  spoolPaths,
} from './spool.ts'
export { dateOfUs, formatTimeUs, isTimeText, parseTimeUs, TimeError } from './time.ts'
export type { ShipLog, ShipTimers } from './world.ts'
