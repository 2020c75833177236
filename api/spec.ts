import { z } from 'zod'
import { API_VERSION, KIND } from './labels.ts'
import { BYTES_PATTERN, isAtMost, QUANTITY_LENGTH_MAX, QUANTITY_PATTERN } from './quantity.ts'
import { withRules, withServerRules } from './rules.ts'
import { S3, Storage } from './storage.ts'
import { STREAMS } from './streams.ts'

/**
 * The L2Capture resource: what a user applies to a cluster, and what `l2cap run` reads from a file. Limits are
 * part of the contract: every string, list, map and number is bounded. The definition in the cluster is made of
 * these schemas; descriptions are its documentation, as `kubectl explain` shows it.
 */

export const SECONDS_A_DAY = 86_400
const ROTATION_SECONDS_MIN = 10
const ROTATION_SECONDS_MAX = 3600
const SYMBOLS_MAX = 500
const SYMBOL_LENGTH_MAX = 64
/** A part of a path has 255 bytes on every file system; `symbol=` and a reader's suffix are taken off. */
const ENCODED_SYMBOL_BYTES_MAX = 240

/** Exchanges that this version captures. */
export const EXCHANGES = ['BinanceUsdm'] as const

const wholeNumber = (min: number, max: number) => z.int().min(min).max(max)

/** A list whose items are all different: the API server refuses the second of two, and merges lists by item. */
const asSet = { 'x-kubernetes-list-type': 'set' }

/** Printable, without the characters that separate paths: exchanges do use letters beyond ASCII. */
const SymbolText = z
  .string()
  .min(1)
  .regex(/^[^\p{Cc}\p{Z}/\\]+$/u, 'a symbol has no spaces, slashes or control characters')
  // JSON schemas count characters, JavaScript counts halves of some
  .refine((symbol) => [...symbol].length <= SYMBOL_LENGTH_MAX, `at most ${SYMBOL_LENGTH_MAX} characters`)
  .meta({ maxLength: SYMBOL_LENGTH_MAX })

export const SymbolName = withRules(SymbolText, [
  {
    says: 'a symbol is not "." or ".."',
    holds: (symbol) => symbol !== '.' && symbol !== '..',
    cel: "!(self in ['.', '..'])",
  },
  {
    says: `at most ${ENCODED_SYMBOL_BYTES_MAX} bytes once encoded for a path`,
    holds: (symbol) => encodeURIComponent(symbol.toWellFormed()).length <= ENCODED_SYMBOL_BYTES_MAX,
    // every byte becomes three, but for these characters
    cel: `3 * size(bytes(self)) - 2 * size(self.findAll("[A-Za-z0-9_.!~*'()-]")) <= ${ENCODED_SYMBOL_BYTES_MAX}`,
  },
]).describe('A symbol by the name that the exchange uses, such as BTCUSDT.')

const Symbols = z
  .array(SymbolName)
  .min(1)
  .max(SYMBOLS_MAX)
  .refine((symbols) => new Set(symbols).size === symbols.length, 'each symbol once')
  .meta(asSet)
  .describe('The symbols to capture, each by a pod of its own.')

export const Streams = z
  .array(z.enum(STREAMS))
  .min(1)
  .max(STREAMS.length)
  .refine((streams) => new Set(streams).size === streams.length, 'each stream once')
  .meta(asSet)
  .default([...STREAMS])
  .describe(
    'Streams to record: books (the top levels after each event), depth (the full-depth record), trades, mark_price.',
  )

export const BookLevels = wholeNumber(1, 50).default(20).describe('Levels a side in each row of books.')

export const RotationSeconds = withRules(wholeNumber(ROTATION_SECONDS_MIN, ROTATION_SECONDS_MAX), [
  {
    says: `must divide a day (${SECONDS_A_DAY} s) evenly, e.g. 60, 300 or 3600`,
    holds: (seconds) => SECONDS_A_DAY % seconds === 0,
    cel: `self > 0 && ${SECONDS_A_DAY} % self == 0`,
  },
])
  .default(300)
  .describe(
    'A file covers this many seconds, on boundaries of UTC: 10 to 3600, and a divisor of 86400. What a lost node takes along is at most this and what is not shipped yet.',
  )

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

const ByteSize = withRules(
  z.string().max(QUANTITY_LENGTH_MAX).regex(BYTES_PATTERN, 'a quantity of bytes such as 5Gi'),
  [
    {
      says: 'at least 16Mi',
      holds: (text) => isAtMost('16Mi', text),
      cel: "!isQuantity(self) || quantity('16Mi').compareTo(quantity(self)) <= 0",
    },
    {
      says: 'at most 64Ti',
      holds: (text) => isAtMost(text, '64Ti'),
      cel: "!isQuantity(self) || quantity(self).compareTo(quantity('64Ti')) <= 0",
    },
  ],
)

export const Spool = z
  .strictObject({
    sizeLimit: ByteSize.default('5Gi').describe(
      'Room for what is not shipped yet: a quantity of bytes from 16Mi to 64Ti. A pod records no more at 80 % of it.',
    ),
  })
  .prefault({})
  .describe('Local disk between the exchange and the bucket.')

/** In a cluster there is no other place: a pod's own disk goes with the pod. */
const ClusterStorage = z.strictObject({ s3: S3 }).describe('Where the data goes.')

const RESOURCES = ['cpu', 'memory', 'ephemeral-storage']

const Quantity = z
  .union([
    z.int().min(0).max(999_999_999_999),
    z.string().max(QUANTITY_LENGTH_MAX).regex(QUANTITY_PATTERN, 'a quantity such as 250m or 512Mi'),
  ])
  .transform(String)

const Quantities = withRules(z.record(z.string().max(63), Quantity), [
  {
    says: `only ${RESOURCES.join(', ')}`,
    holds: (quantities) => Object.keys(quantities).every((name) => RESOURCES.includes(name)),
    cel: `self.all(name, name in [${RESOURCES.map((name) => `'${name}'`).join(', ')}])`,
  },
]).meta({ maxProperties: RESOURCES.length })

const Resources = withRules(
  z.strictObject({
    requests: Quantities.optional().describe('What its node keeps free for each pod.'),
    limits: Quantities.optional().describe('What each pod may use at most.'),
  }),
  [
    {
      says: 'a request must not be above its limit',
      holds: ({ requests = {}, limits = {} }) =>
        Object.entries(requests).every(([name, request]) => isAtMost(request, limits[name] ?? request)),
      cel: '!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)',
    },
  ],
).describe(
  "cpu, memory and ephemeral-storage of each pod, as quantities; what is not stated is the administrator's to choose.",
)

const fields = {
  exchange: withServerRules(z.enum(EXCHANGES), [
    { rule: 'self == oldSelf', message: '`exchange` is immutable: create another L2Capture' },
  ]).describe('The exchange to capture from; it cannot be changed.'),
  symbols: Symbols,
  streams: Streams,
  bookLevels: BookLevels,
  rotationSeconds: RotationSeconds,
  guards: Guards,
  spool: Spool,
  resources: Resources.optional(),
  suspend: z
    .boolean()
    .default(false)
    .describe('Stop capturing, ship what is left, keep the resource. Its pods end when all is shipped.'),
}

interface Rooms {
  readonly spool: z.infer<typeof Spool>
  readonly resources?: z.infer<typeof Resources> | undefined
}

/** Beyond the limit a pod is evicted, and what it has not shipped is deleted with it. */
const SPOOL_FITS = {
  says: '`resources.limits.ephemeral-storage` must not be below `spool.sizeLimit`',
  holds: ({ spool, resources }: Rooms) =>
    isAtMost(spool.sizeLimit, resources?.limits?.['ephemeral-storage'] ?? spool.sizeLimit),
  cel: "!has(self.resources) || !has(self.resources.limits) || !('ephemeral-storage' in self.resources.limits) || quantity(self.spool.sizeLimit).compareTo(quantity(string(self.resources.limits['ephemeral-storage']))) <= 0",
}

export const CaptureSpec = withRules(z.strictObject({ ...fields, storage: Storage }), [SPOOL_FITS]).describe(
  'What is to be captured, and where it goes.',
)
export type CaptureSpec = z.infer<typeof CaptureSpec>

/** What a cluster takes: the same, but for data on a disk of its own. */
export const ClusterCaptureSpec = withRules(z.strictObject({ ...fields, storage: ClusterStorage }), [
  SPOOL_FITS,
]).describe('What is to be captured, and where it goes.')
export type ClusterCaptureSpec = z.infer<typeof ClusterCaptureSpec>

/** A label's value and a host name are as long at most, and pods carry the name in both. */
export const CaptureName = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/, 'lower-case letters, digits and hyphens, at most 63')

export const L2Capture = z.object({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal(KIND),
  metadata: z.object({ name: CaptureName }),
  spec: CaptureSpec,
})
export type L2Capture = z.infer<typeof L2Capture>
