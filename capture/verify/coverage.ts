/**
 * Arithmetic of coverage, pure: suspects are withdrawn, what is left is joined by ids (or by time where a stream has
 * no chain), and the rest of the time is missing. The same semantics in SQL are part of the data's documentation.
 * Times are receive times in microseconds; ids are the exchange's.
 */
import { dateOfUs } from '../ship/mod.ts'

export const DAY_US = 86_400_000_000

/** A stretch of time. */
export interface Span {
  readonly fromUs: number
  readonly toUs: number
}

/** Proven ids `(prevId, lastId]` and the time that they prove. */
export interface IdInterval extends Span {
  readonly prevId: bigint
  readonly lastId: bigint
}

/**
 * What is left of one run's proven intervals of one stream when its suspects are withdrawn. A suspect withdraws the
 * ids `(prevId, lastId]`; an interval that holds some of them keeps what lies before the first suspect, in ids and in
 * time, and is gone where nothing lies before.
 */
export function withdraw(proven: readonly IdInterval[], suspects: readonly IdInterval[]): IdInterval[] {
  if (suspects.length === 0) return [...proven]
  const sorted = [...suspects].sort((a, b) => compareIds(a.prevId, b.prevId))
  // the highest id up to each: it ascends, so that where an interval's suspects may begin is found, not searched
  let highest = sorted[0]?.lastId ?? 0n
  const reached = sorted.map(({ lastId }) => {
    if (lastId > highest) highest = lastId
    return highest
  })
  const left: IdInterval[] = []
  for (const interval of proven) {
    let { lastId, toUs } = interval
    for (let at = firstAbove(reached, interval.prevId); at < sorted.length; at++) {
      const suspect = sorted[at]
      if (suspect === undefined || suspect.prevId >= interval.lastId) break
      if (suspect.lastId <= interval.prevId) continue
      if (suspect.prevId < lastId) lastId = suspect.prevId
      if (suspect.fromUs < toUs) toUs = suspect.fromUs
    }
    if (lastId >= interval.prevId) left.push({ ...interval, lastId, toUs })
  }
  return left
}

/** Index of the first of ascending ids that is above `id`; their number where none is. */
function firstAbove(ids: readonly bigint[], id: bigint): number {
  let low = 0
  let high = ids.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ids[middle] ?? 0n) > id) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * Joins intervals by id, of all runs: sorted by `prevId`, one joins those before it when its `prevId` is not above
 * their highest `lastId`. What is joined counts from its first to its last time, whatever the clocks say. Joining
 * what was joined before changes nothing, so runs may be joined one by one.
 */
export function joinById(intervals: readonly IdInterval[]): IdInterval[] {
  const sorted = [...intervals].sort(
    (a, b) => compareIds(a.prevId, b.prevId) || compareIds(a.lastId, b.lastId),
  )
  const joined: { prevId: bigint; lastId: bigint; fromUs: number; toUs: number }[] = []
  for (const next of sorted) {
    const last = joined.at(-1)
    if (last === undefined || next.prevId > last.lastId) {
      joined.push({ ...next })
      continue
    }
    if (next.lastId > last.lastId) last.lastId = next.lastId
    if (next.fromUs < last.fromUs) last.fromUs = next.fromUs
    if (next.toUs > last.toUs) last.toUs = next.toUs
  }
  return joined
}

/** Joins stretches of time that touch or overlap. */
export function joinByTime(spans: readonly Span[]): Span[] {
  const joined: { fromUs: number; toUs: number }[] = []
  for (const next of [...spans].sort((a, b) => a.fromUs - b.fromUs || a.toUs - b.toUs)) {
    // an interval cut by a suspect of its own time may end before it begins: it covers no time
    if (next.toUs < next.fromUs) continue
    const last = joined.at(-1)
    if (last === undefined || next.fromUs > last.toUs) joined.push({ fromUs: next.fromUs, toUs: next.toUs })
    else if (next.toUs > last.toUs) last.toUs = next.toUs
  }
  return joined
}

/** The part of `whole` outside all the others, in order. */
export function rest(whole: Span, others: readonly Span[]): Span[] {
  const left: Span[] = []
  let at = whole.fromUs
  for (const other of joinByTime(others)) {
    if (other.fromUs >= whole.toUs) break
    if (other.fromUs > at) left.push({ fromUs: at, toUs: other.fromUs })
    if (other.toUs > at) at = other.toUs
  }
  if (at < whole.toUs) left.push({ fromUs: at, toUs: whole.toUs })
  return left
}

/** A hole between two joined intervals. `toUs` may lie at or before `fromUs`: the clocks of two runs differ. */
export interface IdHole extends Span {
  readonly afterId: bigint
  readonly beforeId: bigint
}

/** Where ids do not join something is missing, even if the times overlap. */
export function holesById(joined: readonly IdInterval[]): IdHole[] {
  return joined.slice(1).map((next, i) => {
    const before = joined[i] ?? next
    return { fromUs: before.toUs, toUs: next.fromUs, afterId: before.lastId, beforeId: next.prevId }
  })
}

/** Microseconds of stretches by UTC day, split at midnight. The stretches may not overlap. */
export function microsecondsByDay(spans: readonly Span[]): Map<number, number> {
  const days = new Map<number, number>()
  for (const { fromUs, toUs } of spans) {
    for (let from = fromUs; from < toUs; ) {
      const day = Math.floor(from / DAY_US)
      const to = Math.min(toUs, (day + 1) * DAY_US)
      days.set(day, (days.get(day) ?? 0) + (to - from))
      from = to
    }
  }
  return days
}

/** All that is known of one stream of one symbol, of all runs. */
export interface StreamEvidence {
  /** First to last evidence, what was withdrawn included. */
  readonly span: Span
  /** What is left of proven intervals; joined or not. */
  readonly proven: readonly IdInterval[]
  /** Intervals of a stream without a chain. */
  readonly observed: readonly Span[]
  readonly suspect: readonly Span[]
}

/** One day of a stream, in microseconds. */
export interface DayOfStream extends Span {
  readonly date: string
  readonly provenUs: number
  readonly observedUs: number
  readonly suspectUs: number
  readonly missingUs: number
}

/** A hole in ids whose time is hidden by clocks that differ: shown, however short. */
const HIDDEN_HOLE_US = 1

/** Every UTC day from the first to the last evidence, days without any included. */
export function coverageByDay(evidence: StreamEvidence): DayOfStream[] {
  const { span } = evidence
  const joined = joinById(evidence.proven)
  const provenTime = joinByTime(joined)
  const observedTime = joinByTime(evidence.observed)
  const missing = microsecondsByDay(rest(span, [...provenTime, ...observedTime]))
  const proven = microsecondsByDay(provenTime)
  const observed = microsecondsByDay(observedTime)
  const suspect = microsecondsByDay(joinByTime(evidence.suspect))
  const first = Math.floor(span.fromUs / DAY_US)
  const last = Math.max(first, Math.ceil(span.toUs / DAY_US) - 1)
  for (const hole of holesById(joined)) showHole(hole, last, missing)
  const days: DayOfStream[] = []
  for (let day = first; day <= last; day++) {
    days.push({
      date: dateOfUs(day * DAY_US),
      fromUs: Math.max(span.fromUs, day * DAY_US),
      toUs: Math.min(span.toUs, (day + 1) * DAY_US),
      provenUs: proven.get(day) ?? 0,
      observedUs: observed.get(day) ?? 0,
      suspectUs: suspect.get(day) ?? 0,
      missingUs: missing.get(day) ?? 0,
    })
  }
  return days
}

/** Sees to it that a hole shows on one of its days at least. */
function showHole(hole: IdHole, lastDay: number, missing: Map<number, number>): void {
  const from = Math.floor(Math.min(hole.fromUs, hole.toUs) / DAY_US)
  const to = Math.min(lastDay, Math.floor(Math.max(hole.fromUs, hole.toUs) / DAY_US))
  for (let day = from; day <= to; day++) if ((missing.get(day) ?? 0) > 0) return
  missing.set(to, HIDDEN_HOLE_US)
}

function compareIds(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
