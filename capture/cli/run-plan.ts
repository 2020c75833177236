/** From the words of a call to the configuration of each capture process. */
import { access, constants, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  ConfigError,
  type ProcessConfig,
  ProcessConfig as ProcessConfigSchema,
  type ProcessStorage,
  validate,
} from '../../api/config.ts'
import { bytesOfQuantity } from '../../api/quantity.ts'
import { type CaptureSpec, EXCHANGES, L2Capture, SECONDS_A_DAY } from '../../api/spec.ts'
import type { Storage } from '../../api/storage.ts'
import { STREAMS } from '../../api/streams.ts'
import { CallError, durationMs, suggestion, wholeNumber, wordList } from './call.ts'
import { callOf, S3_SCHEME, storageFault } from './place.ts'
import { shareOf } from './restart.ts'
import { systemText } from './system.ts'

const OUT_DEFAULT = './data'
const SPOOL_DEFAULT = './spool'
const PORT_MAX = 65_535
const ROTATION_SECONDS_MAX = 3600
const LEVELS_MAX = 50
const FILE_BYTES_MAX = 1024 * 1024

/** Options of `l2cap run`, for parseArgs. */
export const RUN_OPTIONS = {
  exchange: { type: 'string' },
  symbols: { type: 'string' },
  out: { type: 'string' },
  spool: { type: 'string' },
  endpoints: { type: 'string' },
  'rotation-seconds': { type: 'string' },
  levels: { type: 'string' },
  streams: { type: 'string' },
  duration: { type: 'string' },
  port: { type: 'string' },
  verbose: { type: 'boolean' },
} as const

type Name = keyof typeof RUN_OPTIONS
export type RunValues = { readonly [K in Name]?: K extends 'verbose' ? boolean : string }

export interface RunPlan {
  readonly configs: readonly ProcessConfig[]
  /** Root of the bucket, as `l2cap verify` takes it. */
  readonly out: string
  /** What of the call has no effect here; for standard error. */
  readonly notes: readonly string[]
  readonly durationMs: number | undefined
  readonly verbose: boolean
}

/** What is captured; the rest of a configuration is the same from a file and from options. */
type What = Partial<Pick<CaptureSpec, 'streams' | 'bookLevels' | 'rotationSeconds' | 'guards'>> & {
  readonly exchange: string
  readonly symbols: readonly string[]
  readonly sizeLimitBytes?: number
  /** Where the file wants the data. */
  readonly storage?: ProcessStorage
  readonly notes?: readonly string[]
}

/** Options that say what a file says too. */
const SAID_BY_FILE: readonly Name[] = ['exchange', 'symbols', 'streams', 'levels', 'rotation-seconds']

/** Makes the plan and the output directory. Throws CallError. */
export async function planRun(values: RunValues, positionals: readonly string[]): Promise<RunPlan> {
  const [file, ...more] = positionals
  if (more.length > 0)
    throw new CallError(`l2cap run takes one file, ${positionals.length} were given; start one run a file`)
  const duration = values.duration === undefined ? undefined : durationMs('--duration', values.duration)
  const what = file === undefined ? whatOfOptions(values) : await whatOfFile(file, values)
  const storage = values.out === undefined ? what.storage : { local: { path: values.out } }
  const { local = { path: OUT_DEFAULT }, s3 } = storage ?? {}
  const to: ProcessStorage = s3 === undefined ? { local } : { s3 }
  const configs = what.symbols.map((symbol, i) => processConfig(what, symbol, i, to, values))
  if (s3 === undefined) await makeOut(local.path)
  else await checkEnvironment(to)
  return {
    configs,
    out: s3 === undefined ? local.path : callOf(s3),
    notes: s3 === undefined ? [] : (what.notes ?? []),
    durationMs: duration,
    verbose: values.verbose ?? false,
  }
}

function whatOfOptions(values: RunValues): What {
  const { exchange, symbols, streams, levels } = values
  if (exchange === undefined && symbols === undefined) {
    throw new CallError('say what to capture: a file, or --exchange BinanceUsdm --symbols BTCUSDT,ETHUSDT')
  }
  if (exchange === undefined) throw new CallError('--exchange is missing; this version knows BinanceUsdm')
  if (symbols === undefined) throw new CallError('--symbols is missing; give a list like BTCUSDT,ETHUSDT')
  const rotation = values['rotation-seconds']
  return {
    exchange: knownWord('--exchange', exchange, EXCHANGES),
    symbols: wordList('--symbols', symbols, 'BTCUSDT,ETHUSDT'),
    ...(streams === undefined
      ? {}
      : {
          streams: wordList('--streams', streams, 'books,trades').map((name) =>
            knownWord('--streams', name, STREAMS),
          ),
        }),
    ...(levels === undefined ? {} : { bookLevels: wholeNumber('--levels', levels, 1, LEVELS_MAX) }),
    ...(rotation === undefined ? {} : { rotationSeconds: rotationSeconds(rotation) }),
  }
}

async function whatOfFile(file: string, values: RunValues): Promise<What> {
  const said = SAID_BY_FILE.find((name) => values[name] !== undefined)
  if (said !== undefined)
    throw new CallError(`--${said} makes no sense with ${file}, which says it itself; change it there`)
  const { spec } = await readCapture(file)
  if (spec.suspend)
    throw new CallError(`${file} says suspend: true, so there is nothing to capture; set it to false`)
  if (values.out !== undefined && spec.storage.s3 !== undefined) {
    throw new CallError(
      `${file} says storage.s3, and --out a directory; drop --out for the bucket, or storage.s3 from the file ` +
        '(for storage: {local: {path: …}})',
    )
  }
  const { exchange, symbols, streams, bookLevels, rotationSeconds, guards } = spec
  const sizeLimitBytes = bytesOfQuantity(spec.spool.sizeLimit)
  return {
    ...{ exchange, symbols, streams, bookLevels, rotationSeconds, guards, sizeLimitBytes },
    ...storageOf(spec.storage, file),
  }
}

/** Storage without what only a cluster has: a command takes credentials and authorities from its environment. */
function storageOf({ s3, local }: Storage, file: string): Pick<What, 'storage' | 'notes'> {
  if (s3 === undefined) return { storage: { local } }
  const { credentialsSecretName, caSecretName, ...place } = s3
  const ca =
    caSecretName === undefined ? undefined : 'caSecretName is for clusters; here AWS_CA_BUNDLE names the file'
  const own =
    credentialsSecretName === undefined
      ? undefined
      : 'credentialsSecretName is for clusters; here credentials come from the environment'
  const notes = [own, ca].filter((note) => note !== undefined).map((note) => `${file}: ${note}`)
  return { storage: { s3: place }, notes }
}

/** Credentials that are missing or malformed now stay so: the environment of a process stays as it is. */
async function checkEnvironment(storage: ProcessStorage): Promise<void> {
  const fault = await storageFault(storage, process.env)
  if (fault !== undefined) throw new CallError(fault)
}

async function readCapture(file: string): Promise<L2Capture> {
  const text = await readText(file)
  // loaded only where a file is given
  const { parseAllDocuments } = await import('yaml')
  const [document, ...more] = parseAllDocuments(text)
  if (document === undefined || !('errors' in document))
    throw new CallError(`${file} is empty; an L2Capture was expected`)
  if (more.length > 0)
    throw new CallError(`${file} holds ${more.length + 1} documents; give one L2Capture a file`)
  const [fault] = document.errors
  if (fault !== undefined) throw new CallError(`${file} is no YAML: ${fault.message.split('\n')[0]}`)
  return valid(() => validate(L2Capture, document.toJS({ maxAliasCount: 0 }), file))
}

async function readText(file: string): Promise<string> {
  let bytes: Buffer
  try {
    bytes = await readFile(file)
  } catch (error) {
    throw new CallError(`cannot read ${file}: ${systemText(error)}; give the path of an L2Capture in YAML`)
  }
  if (bytes.byteLength <= FILE_BYTES_MAX) return bytes.toString('utf8')
  throw new CallError(`${file} has ${bytes.byteLength} bytes; an L2Capture has at most ${FILE_BYTES_MAX}`)
}

function processConfig(
  what: What,
  symbol: string,
  index: number,
  out: ProcessStorage,
  values: RunValues,
): ProcessConfig {
  const { exchange, streams, bookLevels, rotationSeconds, guards, sizeLimitBytes } = what
  const dir = join(values.spool ?? SPOOL_DEFAULT, exchange, encodeURIComponent(symbol))
  const given = {
    ...{ exchange, symbol, streams, rotationSeconds, endpoints: endpointsOf(values.endpoints) },
    bookLevels,
    guards,
    spool: { dir, sizeLimitBytes },
    storage: out,
    share: shareOf(what.symbols.length),
    port: portOf(values.port, index, what.symbols.length),
  }
  return valid(() => validate(ProcessConfigSchema, given, `the configuration of ${symbol}`))
}

function rotationSeconds(text: string): number {
  const seconds = wholeNumber('--rotation-seconds', text, 1, ROTATION_SECONDS_MAX)
  if (SECONDS_A_DAY % seconds === 0) return seconds
  throw new CallError(
    `--rotation-seconds is ${seconds}; give it a divisor of a day (${SECONDS_A_DAY}), such as 10, 60 or 300`,
  )
}

function endpointsOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return text
  throw new CallError(`--endpoints is "${text}"; give it a URL like http://127.0.0.1:8080`)
}

function portOf(text: string | undefined, index: number, symbols: number): number | undefined {
  if (text === undefined) return undefined
  const port = wholeNumber('--port', text, 1, PORT_MAX)
  if (port + symbols - 1 <= PORT_MAX) return port + index
  throw new CallError(
    `--port is ${port}; ${symbols} symbols need as many ports from there on, and ${PORT_MAX} is the last`,
  )
}

function knownWord<T extends string>(option: string, word: string, known: readonly T[]): T {
  const found = known.find((each) => each === word)
  if (found !== undefined) return found
  throw new CallError(
    `${option} does not know "${word}"${suggestion(word, known)}; known: ${known.join(', ')}`,
  )
}

/** A directory that cannot be written is a mistake of the call, not a store that is away for a while. */
async function makeOut(out: string): Promise<void> {
  if (out.startsWith(S3_SCHEME))
    throw new CallError(`--out is ${out}, and takes a directory; write a bucket as storage.s3 into a file`)
  try {
    await mkdir(out, { recursive: true })
    await access(out, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new CallError(`cannot write to ${out}: ${systemText(error)}; give another directory with --out`)
  }
}

function valid<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (error instanceof ConfigError) throw new CallError(error.message)
    throw error
  }
}
