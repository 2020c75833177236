import { z } from 'zod'
import { withRules } from './rules.ts'

/** Where data goes: a bucket, and for the command line a directory besides. */

const HOST = [
  String.raw`(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)`,
  // its last part starts with no digit: all else would be read as an IPv4 address, in one of its odd spellings
  '(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?[.])*[A-Za-z_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?[.]?',
  String.raw`\[[0-9A-Fa-f:]+\]`,
].join('|')
const PORT = String.raw`6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]?\d{1,4}`
const ADDRESS = new RegExp(`^https?://(?:${HOST})(?::(?:${PORT}))?(?:/[A-Za-z0-9._~!$'()*+,;=:/-]*)?$`)

/** An address that is put before paths, and shown in logs: it must hold neither a query nor a password. */
const bareAddress = (example: string) =>
  withRules(
    z.string().max(256).regex(ADDRESS, `an address such as ${example}, without user, query or fragment`),
    [
      {
        says: 'an IPv6 address between its brackets',
        holds: (address) => !ADDRESS.test(address) || URL.canParse(address),
        // of the functions that take an address apart this is the one whose cost the server can bound
        cel: "!self.contains('[') || isIP(self.split(']')[0].split('[')[1])",
      },
    ],
  )
export const BareAddress = bareAddress('http://127.0.0.1:8080')

const Prefix = withRules(
  z
    .string()
    .max(256)
    .regex(
      /^(?:[A-Za-z0-9!_.*'()=+-]+(?:[/][A-Za-z0-9!_.*'()=+-]+)*)?$/,
      "letters, digits and !_.*'()=+- between slashes, and no slash at its ends",
    ),
  [
    {
      says: 'no part "." or ".."',
      holds: (prefix) => !prefix.split('/').some((part) => part === '.' || part === '..'),
      cel: "!self.split('/').exists(part, part in ['.', '..'])",
    },
  ],
)

/** Where objects lie in a store. Keys are used as they are, so what some stores would rewrite is refused here. */
export const S3Place = z.strictObject({
  bucket: z
    .string()
    .min(3)
    .max(63)
    .regex(/^[a-z0-9][a-z0-9.-]*[a-z0-9]$/, 'lower-case letters, digits, dots and hyphens')
    .describe('The bucket; it must exist.'),
  prefix: Prefix.default('').describe(
    'Before every key, without slashes at its ends; empty for the top of the bucket.',
  ),
  region: z
    .string()
    .max(64)
    .regex(/^[A-Za-z0-9-]+$/, 'letters, digits and hyphens')
    .optional()
    .describe('The region of the bucket; us-east-1 where none is given.'),
  endpoint: bareAddress('https://minio.example:9000')
    .optional()
    .describe('Address of the store; AWS where none is given.'),
  forcePathStyle: z
    .boolean()
    .optional()
    .describe('Address objects as endpoint/bucket/key; by default so with an endpoint, and not on AWS.'),
})

const SecretName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/, 'the name of a Secret')

/** A bucket as a user names it: its Secrets by name, in the namespace of the L2Capture. */
export const S3 = S3Place.extend({
  credentialsSecretName: SecretName.optional().describe(
    'A Secret with the keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, optionally, AWS_SESSION_TOKEN.',
  ),
  caSecretName: SecretName.optional().describe(
    "A Secret whose key ca.crt holds the PEM of the store's authority.",
  ),
}).describe('S3-compatible object storage.')
export type S3Storage = z.infer<typeof S3>

export const LocalStorage = z
  .strictObject({ path: z.string().min(1).max(1024) })
  .describe('A directory on this machine; for the command line only.')

export const Storage = z
  .strictObject({ s3: S3.optional(), local: LocalStorage.optional() })
  .refine(
    (storage) => (storage.s3 === undefined) !== (storage.local === undefined),
    'give exactly one of s3 and local',
  )
  .describe('Where the data goes.')
export type Storage = z.infer<typeof Storage>
