import { z } from 'zod'
import { BookLevels, EXCHANGES, Guards, SECONDS_A_DAY, SPOOL_BYTES_MIN, Streams, SymbolName } from './spec.ts'
import { BareAddress, LocalStorage, S3Place, type Storage } from './storage.ts'

/** Where a pod finds what its Secrets hold; fixed, so that nobody chooses what is read as a credential. */
export const S3_CREDENTIALS_DIR = '/etc/l2cap/s3-credentials'
export const S3_CA_DIR = '/etc/l2cap/s3-ca'
export const S3_CA_FILE = `${S3_CA_DIR}/ca.crt`

/** A bucket as a process sees it: Secrets are directories and files there. */
export const S3ProcessStorage = S3Place.extend({
  /** With the files AWS_ACCESS_KEY_ID …; without it a web identity, or else the environment, is asked. */
  credentialsDir: z.string().min(1).max(1024).optional(),
  /** PEM of authorities that are trusted besides the usual ones. */
  caFile: z.string().min(1).max(1024).optional(),
})
export type S3ProcessStorage = z.infer<typeof S3ProcessStorage>

export const ProcessStorage = z
  .strictObject({ s3: S3ProcessStorage.optional(), local: LocalStorage.optional() })
  .refine(
    (storage) => (storage.s3 === undefined) !== (storage.local === undefined),
    'give exactly one of s3 and local',
  )
export type ProcessStorage = z.infer<typeof ProcessStorage>

/** The storage of a resource as its pods see it, whose Secrets are mounted at the fixed places. */
export function podStorage({ s3, local }: Storage): ProcessStorage {
  if (s3 === undefined) return { local }
  const { credentialsSecretName, caSecretName, ...place } = s3
  return {
    s3: {
      ...place,
      ...(credentialsSecretName === undefined ? {} : { credentialsDir: S3_CREDENTIALS_DIR }),
      ...(caSecretName === undefined ? {} : { caFile: S3_CA_FILE }),
    },
  }
}

/**
 * Configuration of one capture process: one symbol. It comes as JSON in the environment variable L2CAP_CONFIG, or
 * from a file; the operator and the command line write it, so it states everything and has few defaults.
 */
export const ProcessConfig = z.strictObject({
  exchange: z.enum(EXCHANGES),
  symbol: SymbolName,
  streams: Streams,
  bookLevels: BookLevels,
  /** Shorter windows than the resource allows are for trials on a laptop. */
  rotationSeconds: z
    .int()
    .min(1)
    .max(3600)
    .refine((seconds) => SECONDS_A_DAY % seconds === 0, `must divide a day (${SECONDS_A_DAY} s) evenly`)
    .default(300),
  guards: Guards,
  spool: z.strictObject({
    dir: z.string().min(1),
    sizeLimitBytes: z
      .int()
      .min(SPOOL_BYTES_MIN)
      .default(5 * 1024 ** 3),
  }),
  storage: ProcessStorage,
  /** Replaces the exchange's addresses, e.g. by a simulated exchange. */
  endpoints: BareAddress.optional(),
  /** Captures behind one address, rounded up to a power of two: requests are spread by it. */
  share: z.int().min(1).max(4096).default(1),
  /** Port of /livez, /readyz, /status and /metrics; none without it. */
  port: z.int().min(1).max(65_535).optional(),
  /** Address that the port is opened on. */
  host: z.string().default('127.0.0.1'),
  /** Where the report of a halt goes besides the spool. */
  terminationLog: z.string().optional(),
  /** Who writes: `uid` is that of the L2Capture, `podUid` that of the pod; see `withPodIdentity`. */
  writer: z
    .strictObject({
      capture: z.string().max(253).default(''),
      uid: z.string().max(64).default(''),
      pod: z.string().max(253).default(''),
      podUid: z.string().max(64).default(''),
      node: z.string().max(253).default(''),
    })
    .prefault({}),
  /**
   * The pod that this one succeeds: nothing is published before that one's last manifest. `since`: when that pod was
   * made; none of its manifests is of an earlier day.
   */
  predecessor: z
    .strictObject({
      pod: z.string().min(1).max(253),
      uid: z.string().min(1).max(64),
      since: z.iso.datetime({ offset: true }).max(40).optional(),
    })
    .optional(),
  /** How long it is waited for a new manifest of the predecessor, while the store answers. */
  handoverSeconds: z.int().min(1).max(86_400).default(900),
  /** How long it is recorded on after a first SIGTERM, so that a successor's rows meet ours. */
  handoffSeconds: z.int().min(0).max(600).default(0),
  /** The pod's annotations as the kubelet writes them; without it nothing but signals ends the process. */
  annotationsFile: z.string().min(1).max(1024).optional(),
})
export type ProcessConfig = z.infer<typeof ProcessConfig>

/** Where a pod is told its own name, UID and node, by the downward API: nobody knows them when it is made. */
export const POD_ENV = { pod: 'L2CAP_POD_NAME', podUid: 'L2CAP_POD_UID', node: 'L2CAP_NODE' } as const

/** The configuration with the pod's own identity, where the environment tells it. Throws ConfigError. */
export function withPodIdentity(
  config: ProcessConfig,
  env: Readonly<Record<string, string | undefined>>,
): ProcessConfig {
  const told = Object.entries(POD_ENV).flatMap(([field, name]) => {
    const value = env[name] ?? ''
    return value === '' ? [] : [[field, value] as const]
  })
  const writer = { ...config.writer, ...Object.fromEntries(told) }
  return validate(ProcessConfig, { ...config, writer }, Object.values(POD_ENV).join(', '))
}

/** A configuration that cannot be used; the message says where and what was expected. */
export class ConfigError extends Error {
  readonly code = 'ConfigInvalid'

  constructor(message: string) {
    super(message)
    this.name = 'ConfigError'
  }
}

/** Parses and validates. `source` names where the text came from. Throws ConfigError. */
export function parseProcessConfig(text: string, source: string): ProcessConfig {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new ConfigError(`${source} is no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  return validate(ProcessConfig, value, source)
}

/** Validates a value. Throws ConfigError, one line a fault. */
export function validate<T>(schema: z.ZodType<T>, value: unknown, source: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const faults = result.error.issues.map((issue) => `  ${issue.path.join('.') || '(top)'}: ${issue.message}`)
  throw new ConfigError(`${source} is not valid:\n${faults.join('\n')}`)
}
