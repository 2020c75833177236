/** Times in JSON and in keys: RFC 3339 in UTC with microseconds, always with a `Z` and six digits. */

const TIME_PATTERN = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3})(\d{3})Z$/

/** A time that cannot be written or read; the message names it. */
export class TimeError extends Error {
  override readonly name = 'TimeError'
  readonly code = 'time_invalid'
}

/**
 * Writes microseconds since the Unix epoch as `2026-11-22T12:04:57.123456Z`.
 * Throws TimeError for a negative or fractional number, and beyond 2^53 (the year 2255).
 */
export function formatTimeUs(us: number): string {
  if (!Number.isSafeInteger(us) || us < 0) {
    throw new TimeError(`${us} is no time: expected whole microseconds since 1970, below 2^53`)
  }
  const micros = String(us % 1000).padStart(3, '0')
  return new Date(Math.floor(us / 1000)).toISOString().replace('Z', `${micros}Z`)
}

/**
 * Reads what `formatTimeUs` writes, to microseconds since the Unix epoch.
 * Throws TimeError for any other spelling (offsets, fewer digits) and for days that do not exist.
 */
export function parseTimeUs(text: string): number {
  const match = TIME_PATTERN.exec(text)
  const us = match === null ? Number.NaN : Date.parse(`${match[1]}Z`) * 1000 + Number(match[2])
  // Date.parse takes 30 February for 2 March: only a time that is written back alike was one.
  if (!Number.isSafeInteger(us) || us < 0 || formatTimeUs(us) !== text) {
    throw new TimeError(`"${text}" is no time: expected the form 2026-11-22T12:04:57.123456Z`)
  }
  return us
}

/** Whether `parseTimeUs` would read the text. */
export function isTimeText(text: string): boolean {
  try {
    parseTimeUs(text)
    return true
  } catch (error) {
    if (error instanceof TimeError) return false
    throw error
  }
}

/** The UTC day of a time, `2026-11-22`: the `date=` of keys. */
export function dateOfUs(us: number): string {
  return formatTimeUs(us).slice(0, 10)
}
