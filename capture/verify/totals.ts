/**
 * Coverage of a symbol while its windows go by, run by run. An interval that goes on over windows is kept as one, so
 * that what is kept grows with the number of gaps, not with the number of windows. Pure.
 */
import { formatTimeUs } from '../ship/mod.ts'
import { coverageByDay, type IdInterval, joinById, joinByTime, type Span, withdraw } from './coverage.ts'
import type { CoverageInterval } from './intervals.ts'
import type { RowRange } from './overlap.ts'
import type { CoverageDay } from './report.ts'
import type { WindowOutcome } from './window.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** One run's coverage of one stream: suspects of later windows may withdraw what earlier ones proved. */
interface RunTotal {
  readonly proven: Mutable<IdInterval>[]
  readonly observed: Mutable<Span>[]
  readonly suspects: IdInterval[]
  readonly ranges: Mutable<RowRange>[]
  /** The last interval goes on in the next window, and is right so far. */
  goesOn: boolean
}

/** Coverage of one stream, of all runs. */
interface StreamTotal {
  readonly runs: Map<string, RunTotal>
  fromUs: number
  toUs: number
}

export class CoverageTotals {
  readonly #streams = new Map<string, StreamTotal>()

  /** Adds a window. Windows of a run come in order. `told`: the manifest says `overlaps`. */
  add(run: string, { coverage, damaged }: WindowOutcome, told: boolean): void {
    for (const [name, { intervals, suspects }] of coverage) {
      const stream = this.#stream(name)
      const total = runOf(stream, run)
      for (const { fromUs, toUs } of [...intervals, ...suspects]) {
        stream.fromUs = Math.min(stream.fromUs, fromUs)
        stream.toUs = Math.max(stream.toUs, toUs)
      }
      for (const { fromUs, toUs, prevId, lastId } of suspects)
        total.suspects.push({ fromUs, toUs, prevId, lastId })
      // what is not right is not proven: it is missing by itself
      if (damaged.has(name)) total.goesOn = false
      else for (const interval of intervals) addInterval(total, run, interval, told)
    }
  }

  /** Ids of rows of each stream, of all runs. */
  *ranges(): Generator<{ readonly stream: string; readonly ranges: readonly RowRange[] }> {
    for (const [stream, { runs }] of this.#streams) {
      yield { stream, ranges: [...runs.values()].flatMap(({ ranges }) => ranges) }
    }
  }

  /** What came of it, by stream and day. */
  days(exchange: string, symbol: string): CoverageDay[] {
    const days: CoverageDay[] = []
    for (const [stream, { runs, fromUs, toUs }] of [...this.#streams].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const totals = [...runs.values()]
      const evidence = {
        span: { fromUs, toUs },
        proven: totals.flatMap(({ proven, suspects }) => joinById(withdraw(proven, suspects))),
        observed: joinByTime(totals.flatMap(({ observed }) => observed)),
        suspect: totals.flatMap(({ suspects }) => suspects),
      }
      for (const day of coverageByDay(evidence)) {
        days.push({
          exchange,
          symbol,
          stream,
          date: day.date,
          from: formatTimeUs(day.fromUs),
          to: formatTimeUs(day.toUs),
          seconds: {
            proven: day.provenUs / 1e6,
            observed: day.observedUs / 1e6,
            suspect: day.suspectUs / 1e6,
            missing: day.missingUs / 1e6,
          },
        })
      }
    }
    return days
  }

  #stream(name: string): StreamTotal {
    let total = this.#streams.get(name)
    if (total === undefined) {
      total = { runs: new Map(), fromUs: Number.POSITIVE_INFINITY, toUs: Number.NEGATIVE_INFINITY }
      this.#streams.set(name, total)
    }
    return total
  }
}

function runOf({ runs }: StreamTotal, run: string): RunTotal {
  let total = runs.get(run)
  if (total === undefined) {
    total = { proven: [], observed: [], suspects: [], ranges: [], goesOn: false }
    runs.set(run, total)
  }
  return total
}

function addInterval(total: RunTotal, run: string, interval: CoverageInterval, told: boolean): void {
  const { fromUs, toUs, prevId, firstId, lastId, rows, state, endedBy } = interval
  if (state === 'observed') {
    const last = total.goesOn ? total.observed.at(-1) : undefined
    if (last?.toUs === fromUs) last.toUs = toUs
    else total.observed.push({ fromUs, toUs })
  } else {
    const last = total.goesOn ? total.proven.at(-1) : undefined
    // an interval that was ended is never joined here: a suspect may end where the next one begins
    if (last?.lastId === prevId && last.toUs === fromUs) {
      last.lastId = lastId
      last.toUs = toUs
    } else total.proven.push({ prevId, lastId, fromUs, toUs })
    if (rows > 0) addRange(total, { firstId, lastId, run, told })
  }
  total.goesOn = endedBy === null
}

function addRange(total: RunTotal, next: RowRange): void {
  const last = total.goesOn ? total.ranges.at(-1) : undefined
  if (last?.told === next.told) last.lastId = next.lastId
  else total.ranges.push(next)
}
