/**
 * Times of Kubernetes objects: RFC 3339 text over the wire, though the generated types say Date. Everything in
 * this folder counts in milliseconds since the Unix epoch.
 */

const MS_A_SECOND = 1000

/** Milliseconds since the Unix epoch of a time as the API gives it; undefined where there is none or it is no time. */
export function timeMs(time: Date | string | undefined | null): number | undefined {
  if (time === undefined || time === null) return undefined
  const ms = time instanceof Date ? time.getTime() : Date.parse(time)
  return Number.isNaN(ms) ? undefined : ms
}

/** A time as conditions and annotations carry it: RFC 3339 in UTC, whole seconds. */
export function timeText(ms: number): string {
  return new Date(Math.floor(ms / MS_A_SECOND) * MS_A_SECOND).toISOString().replace('.000Z', 'Z')
}

export function secondsMs(seconds: number): number {
  return seconds * MS_A_SECOND
}
