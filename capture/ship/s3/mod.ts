/**
 * ship/s3: S3-compatible storage as a bucket.
 *
 * Lives here: the client and its deadlines, where credentials come from, and what each error means. Comes in: an
 * address, a source of credentials, the environment for proxies. Promises: one plain request an operation; each ends
 * by itself; no error, message or log holds a credential or an object of the SDK.
 */
export { S3Bucket, type S3Options } from './bucket.ts'
export { classifyS3Error, type S3Failure } from './classify.ts'
export { S3_DEADLINES, type S3Config, type S3Deadlines } from './config.ts'
export {
  type CredentialSource,
  type Credentials,
  environmentCredentials,
  hasWebIdentity,
  malformedCredentials,
  mountedCredentials,
  webIdentityCredentials,
} from './credentials.ts'
export { CALL_WORDS, inWords, SPEC_WORDS, type Words } from './words.ts'
