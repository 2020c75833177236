/**
 * The recordings of exchange traffic that tests replay, and the answers that a separate program computed from
 * them. They are not part of the project: they lie beside it, or where `L2CAP_RECORDINGS` points.
 */
import { createReadStream, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createGunzip } from 'node:zlib'
import { z } from 'zod'

const PROJECT_ROOT = fileURLToPath(new URL('../../', import.meta.url))
const DEFAULT_DIR = '../shared/recordings'
const SUFFIX = '.frames.gz'
const NEWLINE = 0x0a
const TAB = 0x09
/** A frame longer than this means a damaged file; the longest known one is a snapshot of 60 kB. */
const LINE_BYTES_MAX = 16 * 1024 * 1024

/** The recordings are missing or are not what they should be. */
export class RecordingError extends Error {
  readonly code: 'RecordingsMissing' | 'RecordingMalformed'

  constructor(code: 'RecordingsMissing' | 'RecordingMalformed', message: string) {
    super(message)
    this.name = 'RecordingError'
    this.code = code
  }
}

/** One line of a recording: a frame as it was received. */
export interface Frame {
  /** By the recorder's clock, nanoseconds since the epoch. Not an order: the file's order is. */
  readonly receivedNs: bigint
  /** `ws`, or `http <path?query>`. */
  readonly via: string
  /** The bytes as the exchange sent them. */
  readonly payload: Buffer
}

/**
 * Directory of the recordings: `L2CAP_RECORDINGS`, else `../shared/recordings` from the project's root.
 * Throws RecordingError `RecordingsMissing`: a test without its data fails, it is never skipped.
 */
export function recordingsDir(env: NodeJS.ProcessEnv = process.env): string {
  const given = env.L2CAP_RECORDINGS
  const dir = given === undefined || given === '' ? resolve(PROJECT_ROOT, DEFAULT_DIR) : resolve(given)
  if (existsSync(join(dir, 'golden'))) return dir
  const tried =
    given === undefined || given === '' ? 'L2CAP_RECORDINGS is not set' : `L2CAP_RECORDINGS is "${given}"`
  throw new RecordingError(
    'RecordingsMissing',
    `No recordings at ${dir} (${tried}). Set L2CAP_RECORDINGS to the directory that holds golden/ and one folder ` +
      `an exchange, or put it at ${DEFAULT_DIR}, seen from the project's root.`,
  )
}

/**
 * The frames of one recording, in the order of the file, unpacked as they are read. `name` is its path within the
 * directory, with or without `.frames.gz`. Throws RecordingError.
 */
export async function* readFrames(name: string): AsyncGenerator<Frame, void, undefined> {
  const path = join(recordingsDir(), name.endsWith(SUFFIX) ? name : `${name}${SUFFIX}`)
  if (!existsSync(path)) throw new RecordingError('RecordingsMissing', `There is no recording ${path}.`)
  const file = createReadStream(path)
  const unzipped = createGunzip()
  // pipe() does not hand on the file's own failures
  file.on('error', (error) => unzipped.destroy(error))
  let lines = 0
  let rest: Buffer = Buffer.alloc(0)
  try {
    for await (const chunk of file.pipe(unzipped) as AsyncIterable<Buffer>) {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      let from = 0
      for (let to = bytes.indexOf(NEWLINE); to >= 0; to = bytes.indexOf(NEWLINE, from)) {
        yield parseLine(bytes.subarray(from, to), ++lines, path)
        from = to + 1
      }
      rest = bytes.subarray(from)
      if (rest.length > LINE_BYTES_MAX) throw malformed(path, lines + 1, `it exceeds ${LINE_BYTES_MAX} bytes`)
    }
  } finally {
    // a caller that needs the first frames alone leaves early
    file.destroy()
    unzipped.destroy()
  }
  if (rest.length > 0) yield parseLine(rest, ++lines, path)
  if (lines === 0) throw malformed(path, 1, 'the file is empty')
}

function parseLine(line: Buffer, number: number, path: string): Frame {
  const first = line.indexOf(TAB)
  const second = first < 0 ? -1 : line.indexOf(TAB, first + 1)
  if (second < 0) throw malformed(path, number, 'it has no two tabs')
  const time = line.toString('latin1', 0, first)
  if (!/^\d{1,19}$/.test(time)) throw malformed(path, number, 'it begins with no receive time')
  const via = line.toString('utf8', first + 1, second)
  if (via !== 'ws' && !via.startsWith('http ')) throw malformed(path, number, `it came by "${via}"`)
  return { receivedNs: BigInt(time), via, payload: line.subarray(second + 1) }
}

function malformed(path: string, line: number, why: string): RecordingError {
  return new RecordingError(
    'RecordingMalformed',
    `The recording ${path} is not usable at line ${line}: ${why}.`,
  )
}

/** A decimal as the golden files spell it: no exponent, no trailing zeros. */
const CanonicalDecimal = z.string().regex(/^(0|[1-9]\d*)(\.\d*[1-9])?$/)
const Levels = z.array(z.tuple([CanonicalDecimal, CanonicalDecimal]))

const Checkpoint = z.strictObject({
  /** Index among the symbol's depth events in file order, from 0; the state is the one after the event. */
  eventIndex: z.int().nonnegative(),
  u: z.int().positive(),
  E: z.int().positive(),
  bids: z.int().positive(),
  asks: z.int().positive(),
  topBids: Levels,
  topAsks: Levels,
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})

const Golden = z.strictObject({
  about: z.string(),
  exchange: z.literal('binance futures'),
  symbol: z.string(),
  lastUpdateId: z.int().positive(),
  depthEvents: z.int().positive(),
  firstAppliedIndex: z.int().nonnegative(),
  rule: z.string(),
  recording: z.string(),
  checkpoints: z.array(Checkpoint).min(1),
})

/** The state of an unpruned book after one event, as computed by a program that shares no code with this one. */
export type Checkpoint = z.infer<typeof Checkpoint>
/** All that is known of one symbol in one recording of Binance USD-M; `file` is the golden file's name. */
export type Golden = z.infer<typeof Golden> & { readonly file: string }

/** The golden files of Binance USD-M, by name. Throws RecordingError where one is not as its schema says. */
export function goldenFiles(): Golden[] {
  const dir = join(recordingsDir(), 'golden')
  const names = readdirSync(dir).filter((name) => /^(hft|cf)_.*\.json$/.test(name))
  if (names.length === 0)
    throw new RecordingError('RecordingsMissing', `No golden files hft_* or cf_* in ${dir}.`)
  return names.sort().map((file) => {
    const parsed = Golden.safeParse(JSON.parse(readFileSync(join(dir, file), 'utf8')))
    if (parsed.success) return { ...parsed.data, file }
    const why = z.prettifyError(parsed.error)
    throw new RecordingError(
      'RecordingMalformed',
      `The golden file ${join(dir, file)} is not as expected: ${why}`,
    )
  })
}
