/**
 * Names of runs and of their segments. A run id is made by the process itself from its clock and four
 * random bytes; uniqueness rests on no status, bucket or server. Run ids sort by their start.
 */
import { JournalMisuse } from './errors.ts'

const RUN_ID = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})(\d{3})Z-([0-9a-f]{8})$/
const SEGMENT_NAME = /^([0-9TZa-f-]{28})-(\d{6,})\.journal$/
const RANDOM_BYTES = 4
const WINDOW_DIGITS_MIN = 6

/** What a run id says. */
export interface RunIdParts {
  /** Start of the run by its own clock, milliseconds since the Unix epoch. */
  readonly startedMs: number
  readonly random: string
}

/** A run and one of its windows, counted from 0. */
export interface SegmentPosition {
  readonly run: string
  readonly window: number
}

/**
 * A new run id such as `20261122T120457123Z-1a2b3c4d`.
 * @param nowUs wall clock, microseconds since the Unix epoch
 * @param randomBytes a source of random bytes, such as that of `node:crypto`
 */
export function makeRunId(nowUs: number, randomBytes: (size: number) => Uint8Array): string {
  const now = new Date(Math.floor(nowUs / 1000))
  if (Number.isNaN(now.getTime()) || now.getUTCFullYear() < 1970 || now.getUTCFullYear() > 9999) {
    throw new JournalMisuse(`No run id can be made from the time ${nowUs} us; check the clock`)
  }
  const random = Buffer.from(randomBytes(RANDOM_BYTES))
  if (random.length !== RANDOM_BYTES) throw new JournalMisuse(`A run id needs ${RANDOM_BYTES} random bytes`)
  return `${now.toISOString().replace(/[-:.]/g, '')}-${random.toString('hex')}`
}

/** The parts of a run id, or undefined for anything that `makeRunId` does not make. */
export function parseRunId(text: string): RunIdParts | undefined {
  const match = RUN_ID.exec(text)
  if (!match) return undefined
  const [, year, month, day, hour, minute, second, ms, random = ''] = match
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`
  const startedMs = Date.parse(iso)
  // A date such as 31 February parses, but as another day.
  if (Number.isNaN(startedMs) || new Date(startedMs).toISOString() !== iso) return undefined
  return { startedMs, random }
}

/** Whether a string is a run id. */
export function isRunId(text: string): boolean {
  return parseRunId(text) !== undefined
}

/** File name of a segment: `<run>-<window, at least six digits>.journal`. */
export function segmentName(run: string, window: number): string {
  if (!isRunId(run))
    throw new JournalMisuse(`"${run}" is no run id; expected one like 20261122T120457123Z-1a2b3c4d`)
  if (!Number.isSafeInteger(window) || window < 0) throw new JournalMisuse(`${window} is no window number`)
  return `${run}-${String(window).padStart(WINDOW_DIGITS_MIN, '0')}.journal`
}

/** Run and window of a segment's file name, or undefined for a file that is not ours. */
export function parseSegmentName(name: string): SegmentPosition | undefined {
  const match = SEGMENT_NAME.exec(name)
  if (!match) return undefined
  const [, run = '', digits = ''] = match
  const window = Number(digits)
  // Only the canonical spelling is ours, so that two names never mean one window.
  if (!isRunId(run) || !Number.isSafeInteger(window) || segmentName(run, window) !== name) return undefined
  return { run, window }
}

/** Order of segments: runs by their start, windows by number. */
export function compareSegments(a: SegmentPosition, b: SegmentPosition): number {
  if (a.run !== b.run) return a.run < b.run ? -1 : 1
  return a.window - b.window
}
