import { z } from 'zod'
import { STREAMS } from './streams.ts'

/**
 * The L2Capture resource: what a user applies to a cluster, and what `l2cap run` reads from a file. Limits are
 * part of the contract: every string, list and number is bounded.
 */

export const SECONDS_A_DAY = 86_400
const ROTATION_SECONDS_MIN = 10
const ROTATION_SECONDS_MAX = 3600
const SYMBOLS_MAX = 500
/** A part of a path has 255 bytes on every file system; `symbol=` and a reader's suffix are taken off. */
const ENCODED_SYMBOL_BYTES_MAX = 240

/** Exchanges that this version captures. */
export const EXCHANGES = ['BinanceUsdm'] as const

const wholeNumber = (min: number, max: number) => z.int().min(min).max(max)

/** Printable, without the characters that separate paths: exchanges do use letters beyond ASCII. */
export const SymbolName = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[^\p{Cc}\p{Z}/\\]+$/u, 'a symbol has no spaces, slashes or control characters')
  .refine((symbol) => symbol !== '.' && symbol !== '..', 'a symbol is not "." or ".."')
  .refine(
    (symbol) => encodeURIComponent(symbol.toWellFormed()).length <= ENCODED_SYMBOL_BYTES_MAX,
    `at most ${ENCODED_SYMBOL_BYTES_MAX} bytes once encoded for a path`,
  )
  .describe('A symbol by the name that the exchange uses, such as BTCUSDT.')

export const Streams = z
  .array(z.enum(STREAMS))
  .min(1)
  .max(STREAMS.length)
  .refine((streams) => new Set(streams).size === streams.length, 'each stream once')
  .default([...STREAMS])
  .describe(
    'Streams to record: books (the top levels after each event), depth (the full-depth record), trades, mark_price.',
  )

export const BookLevels = wholeNumber(1, 50).default(20).describe('Levels a side in each row of books.')

export const RotationSeconds = wholeNumber(ROTATION_SECONDS_MIN, ROTATION_SECONDS_MAX)
  .refine(
    (seconds) => SECONDS_A_DAY % seconds === 0,
    `must divide a day (${SECONDS_A_DAY} s) evenly, e.g. 60, 300 or 3600`,
  )
  .default(300)
  .describe('A file covers this many seconds, on boundaries of UTC.')

export const Guards = z
  .strictObject({
    staleAfterSeconds: wholeNumber(1, 300)
      .default(5)
      .describe('Silence of the book longer than this is questioned.'),
    clockSkewMillis: wholeNumber(50, 60_000)
      .default(500)
      .describe('A clock further off than this halts the capture.'),
    auditSeconds: wholeNumber(30, 86_400)
      .default(600)
      .describe('The book is compared with a fresh snapshot this often.'),
  })
  .prefault({})
  .describe('Limits of the guards.')

/** Below this the reserve and one window do not fit. */
export const SPOOL_BYTES_MIN = 16 * 2 ** 20
const BYTE_SIZE = /^[1-9]\d{0,11}(\.\d{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$/

const byteSize = z.string().max(20).regex(BYTE_SIZE, 'a quantity of bytes such as 5Gi')

export const Spool = z
  .strictObject({
    sizeLimit: byteSize
      // what is no quantity has been told already
      .refine((text) => !BYTE_SIZE.test(text) || bytesOfQuantity(text) >= SPOOL_BYTES_MIN, 'at least 16Mi')
      .default('5Gi')
      .describe('Room for what is not shipped yet.'),
  })
  .prefault({})
  .describe('Local disk between the exchange and the bucket.')

/** An address that is put before paths, and shown in logs: it must hold neither a query nor a password. */
const bareAddress = (example: string) => {
  const words = `an address such as ${example}, without user, query or fragment`
  return z
    .url({ protocol: /^https?$/, error: words })
    .max(256)
    .refine((address) => {
      const url = URL.parse(address)
      // told as no address at all
      return url === null || url.username + url.password + url.search + url.hash === ''
    }, words)
}
export const BareAddress = bareAddress('http://127.0.0.1:8080')

/** Where objects lie in a store. Keys are used as they are, so what some stores would rewrite is refused here. */
export const S3Place = z.strictObject({
  bucket: z
    .string()
    .min(3)
    .max(63)
    .regex(/^[a-z0-9][a-z0-9.-]*[a-z0-9]$/, 'lower-case letters, digits, dots and hyphens')
    .describe('The bucket; it must exist.'),
  prefix: z
    .string()
    .max(256)
    .regex(
      /^[A-Za-z0-9!_.*'()=+-]*(?:\/[A-Za-z0-9!_.*'()=+-]+)*$/,
      "letters, digits and !_.*'()=+- between slashes, and no slash at the end",
    )
    .refine(
      (prefix) => !prefix.startsWith('/') && !prefix.split('/').some((part) => /^\.\.?$/.test(part)),
      'no slash at its ends, and no part "." or ".."',
    )
    .default('')
    .describe('Before every key, without slashes at its ends.'),
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

const S3 = S3Place.extend({
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

const Quantities = z.record(z.string().max(63), z.string().max(32))

export const CaptureSpec = z.strictObject({
  exchange: z.enum(EXCHANGES).describe('The exchange to capture from.'),
  symbols: z
    .array(SymbolName)
    .min(1)
    .max(SYMBOLS_MAX)
    .refine((symbols) => new Set(symbols).size === symbols.length, 'each symbol once'),
  streams: Streams,
  bookLevels: BookLevels,
  rotationSeconds: RotationSeconds,
  guards: Guards,
  spool: Spool,
  storage: Storage,
  resources: z.strictObject({ requests: Quantities.optional(), limits: Quantities.optional() }).optional(),
  suspend: z.boolean().default(false).describe('Stop capturing, ship what is left, keep the resource.'),
})
export type CaptureSpec = z.infer<typeof CaptureSpec>

export const L2Capture = z.object({
  apiVersion: z.literal('l2cap.dev/v1alpha1'),
  kind: z.literal('L2Capture'),
  metadata: z.object({ name: z.string().min(1).max(63) }),
  spec: CaptureSpec,
})
export type L2Capture = z.infer<typeof L2Capture>

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
}

/** Bytes of a quantity such as "5Gi". Throws RangeError for a text that is none. */
export function bytesOfQuantity(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?$/.exec(text)
  if (match === null) throw new RangeError(`"${text}" is no quantity of bytes such as 5Gi`)
  return Math.floor(Number(match[1]) * UNITS[match[2] ?? ''])
}
