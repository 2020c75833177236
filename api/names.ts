/**
 * Names of runs, windows and segments, spelt in one place: they stand in the spool, in keys, in manifests and in
 * rows. A run id is made by the process itself from its clock and four random bytes; uniqueness rests on no status,
 * bucket or server. Names sort by the start of the run, then by the window.
 */

const RUN = String.raw`\d{8}T\d{9}Z-[0-9a-f]{8}`
export const RUN_PATTERN = new RegExp(`^${RUN}$`)
const RUN_PARTS = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})(\d{3})Z-([0-9a-f]{8})$/
const WINDOW_NAME_PATTERN = new RegExp(`^(${RUN})-(\\d{6,9})$`)
const SEGMENT_SUFFIX = '.journal'
const RANDOM_BYTES = 4
const WINDOW_DIGITS_MIN = 6
const WINDOW_MAX = 999_999_999

/** What a run id says. */
export interface RunIdParts {
  /** Start of the run by its own clock, milliseconds since the Unix epoch. */
  readonly startedMs: number
  readonly random: string
}

/** One window of one run. */
export interface WindowId {
  readonly run: string
  /** Number of the window within its run, from 0. */
  readonly window: number
}

/** Something that cannot be named, or is no name; the message says what and what was expected. */
export class NameError extends Error {
  override readonly name = 'NameError'
  readonly code = 'name_invalid'
}

/**
 * A new run id such as `20261122T120457123Z-1a2b3c4d`. Throws NameError for a time outside the years 1970 to 9999.
 * @param nowUs wall clock, microseconds since the Unix epoch
 * @param randomBytes a source of random bytes, such as that of `node:crypto`
 */
export function makeRunId(nowUs: number, randomBytes: (size: number) => Uint8Array): string {
  const now = new Date(Math.floor(nowUs / 1000))
  if (Number.isNaN(now.getTime()) || now.getUTCFullYear() < 1970 || now.getUTCFullYear() > 9999) {
    throw new NameError(`No run id can be made from the time ${nowUs} us; check the clock`)
  }
  const random = randomBytes(RANDOM_BYTES)
  if (random.length !== RANDOM_BYTES) throw new NameError(`A run id needs ${RANDOM_BYTES} random bytes`)
  const hex = Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return `${now.toISOString().replace(/[-:.]/g, '')}-${hex}`
}

/** The parts of a run id, or undefined for anything that `makeRunId` does not make. */
export function parseRunId(text: string): RunIdParts | undefined {
  const match = RUN_PARTS.exec(text)
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

/** The window's name in the spool and at the end of keys: `<run>-000042`. Throws NameError. */
export function windowName(run: string, window: number): string {
  if (!isRunId(run)) throw new NameError(`"${run}" is no run id: expected 20261122T120457123Z-1a2b3c4d`)
  if (!Number.isInteger(window) || window < 0 || window > WINDOW_MAX) {
    throw new NameError(`${window} is no window number: expected a whole number from 0 to ${WINDOW_MAX}`)
  }
  return `${run}-${String(window).padStart(WINDOW_DIGITS_MIN, '0')}`
}

/** Reads a window's name; undefined where the text is none, or not spelt as `windowName` spells it. */
export function parseWindowName(name: string): WindowId | undefined {
  const match = WINDOW_NAME_PATTERN.exec(name)
  if (match === null) return undefined
  const id = { run: match[1] ?? '', window: Number(match[2]) }
  // two names never mean one window
  return isRunId(id.run) && windowName(id.run, id.window) === name ? id : undefined
}

/** File name of a segment: `<run>-000042.journal`. Throws NameError. */
export function segmentName(run: string, window: number): string {
  return windowName(run, window) + SEGMENT_SUFFIX
}

/** Run and window of a segment's file name, or undefined for a file that is not ours. */
export function parseSegmentName(file: string): WindowId | undefined {
  return file.endsWith(SEGMENT_SUFFIX) ? parseWindowName(file.slice(0, -SEGMENT_SUFFIX.length)) : undefined
}

/** Order of windows: oldest run first, then by number. */
export function compareWindows(a: WindowId, b: WindowId): number {
  if (a.run !== b.run) return a.run < b.run ? -1 : 1
  return a.window - b.window
}
