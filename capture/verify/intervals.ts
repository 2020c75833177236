/**
 * Coverage intervals of one window held against the rows that they speak of. A row belongs to the first interval of
 * its stream that was written after it: order within a run is `seq`, of rows and intervals alike.
 */
import { formatTimeUs, type Manifest, type ManifestCoverage, parseTimeUs } from '../ship/mod.ts'

/** A coverage row as numbers. */
export interface CoverageInterval {
  readonly seq: bigint
  readonly fromUs: number
  readonly toUs: number
  readonly prevId: bigint
  readonly firstId: bigint
  readonly lastId: bigint
  readonly rows: number
  readonly state: ManifestCoverage['state']
  /** Null where it goes on in the next window. */
  readonly endedBy: string | null
}

/** Coverage of one stream in one window: what it states, and what it withdraws. */
export interface StreamCoverage {
  /** Proven or observed, by `seq`. */
  readonly intervals: readonly CoverageInterval[]
  readonly suspects: readonly CoverageInterval[]
}

/** A manifest's coverage by stream. */
export function coverageOf(manifest: Manifest): Map<string, StreamCoverage> {
  const streams = new Map<string, { intervals: CoverageInterval[]; suspects: CoverageInterval[] }>()
  for (const row of manifest.coverage) {
    let stream = streams.get(row.of_stream)
    if (stream === undefined) {
      stream = { intervals: [], suspects: [] }
      streams.set(row.of_stream, stream)
    }
    const interval: CoverageInterval = {
      seq: BigInt(row.seq),
      fromUs: parseTimeUs(row.from),
      toUs: parseTimeUs(row.to),
      prevId: BigInt(row.prev_id),
      firstId: BigInt(row.first_id),
      lastId: BigInt(row.last_id),
      rows: row.rows,
      state: row.state,
      endedBy: row.ended_by,
    }
    if (row.state === 'suspect') stream.suspects.push(interval)
    else stream.intervals.push(interval)
  }
  for (const { intervals } of streams.values()) intervals.sort((a, b) => (a.seq < b.seq ? -1 : 1))
  return streams
}

/**
 * The last interval of the window before: `null` where none was open at its end, `undefined` where that window is
 * not there or not right, so that nothing can be said of the boundary.
 */
export type Before = CoverageInterval | null | undefined

/** Where a row stands in coverage. */
export interface Place {
  /** Does the interval begin here, rather than go on from the window before? Undefined where unknown. */
  readonly fresh: boolean | undefined
  /** Are there rows of the interval before this one? */
  readonly begun: boolean
}

/** Walks a stream's intervals along its rows. `fault` is the first thing that does not agree. */
export class IntervalWalk {
  fault: string | undefined
  readonly #stream: string
  readonly #intervals: readonly CoverageInterval[]
  readonly #chained: boolean
  readonly #before: Before
  #at = 0
  #rows = 0
  #firstId = 0n
  #lastId = 0n
  #firstPrevId = 0n
  #firstUs = 0
  #earliestUs = 0
  #latestUs = 0

  constructor(stream: string, intervals: readonly CoverageInterval[], before: Before) {
    this.#stream = stream
    this.#intervals = intervals
    this.#chained = stream !== 'mark_price'
    this.#before = before
    this.#checkBoundary()
    for (const [i, interval] of intervals.entries()) this.#checkAlone(interval, i === intervals.length - 1)
  }

  /** Finds the row's interval. Undefined where it lies in none: then `fault` says so. */
  enter(seq: bigint): Place | undefined {
    for (;;) {
      const interval = this.#intervals[this.#at]
      if (interval === undefined) {
        this.#note(`row ${seq} lies in no interval`)
        return undefined
      }
      if (seq < interval.seq) break
      this.#close(interval)
    }
    return { fresh: this.#at > 0 ? true : this.#firstIsFresh(), begun: this.#rows > 0 }
  }

  /** Takes a row that is evidence, after `enter`. Ids are 0 where the stream has no chain. */
  evidence(previousId: bigint, id: bigint, receivedUs: number): void {
    if (this.#rows === 0) {
      this.#firstId = id
      this.#firstPrevId = previousId
      this.#firstUs = receivedUs
      this.#earliestUs = receivedUs
      this.#latestUs = receivedUs
    }
    this.#rows++
    this.#lastId = id
    if (receivedUs < this.#earliestUs) this.#earliestUs = receivedUs
    if (receivedUs > this.#latestUs) this.#latestUs = receivedUs
  }

  /** No more rows. Returns what the next window's walk needs to know. */
  finish(): CoverageInterval | null {
    for (
      let interval = this.#intervals[this.#at];
      interval !== undefined;
      interval = this.#intervals[this.#at]
    ) {
      this.#close(interval)
    }
    const last = this.#intervals.at(-1)
    return last === undefined || last.endedBy !== null ? null : last
  }

  #firstIsFresh(): boolean | undefined {
    return this.#before === undefined ? undefined : this.#before === null
  }

  /** An interval without an end in the window before goes on in this one, from where it stood. */
  #checkBoundary(): void {
    const before = this.#before
    if (before === undefined || before === null) return
    const first = this.#intervals[0]
    if (first === undefined)
      return this.#note('the interval that goes on from the window before is not there')
    if (first.fromUs !== before.toUs) {
      return this.#note(
        `it goes on from ${formatTimeUs(first.fromUs)}, the window before reached ${formatTimeUs(before.toUs)}`,
      )
    }
    if (this.#chained && first.prevId !== before.lastId && first.rows > 0) {
      this.#note(`it goes on from id ${first.prevId}, the window before reached ${before.lastId}`)
    }
  }

  #checkAlone(interval: CoverageInterval, isLast: boolean): void {
    const expected = this.#chained ? 'proven' : 'observed'
    if (interval.state !== expected)
      this.#note(`interval ${interval.seq} is ${interval.state}, expected ${expected}`)
    if (interval.toUs < interval.fromUs) this.#note(`interval ${interval.seq} ends before it begins`)
    if (interval.endedBy === null && !isLast)
      this.#note(`interval ${interval.seq} has no end, and another one follows it`)
    if (interval.rows === 0 && (interval.firstId !== 0n || interval.prevId !== interval.lastId)) {
      this.#note(`interval ${interval.seq} has no rows, yet ids of some`)
    }
  }

  #close(interval: CoverageInterval): void {
    const fault = this.#disagreement(interval)
    if (fault !== undefined) this.#note(`interval ${interval.seq} ${fault}`)
    this.#at++
    this.#rows = 0
  }

  #disagreement(interval: CoverageInterval): string | undefined {
    if (interval.rows !== this.#rows) return `says ${interval.rows} rows, there are ${this.#rows}`
    if (this.#rows === 0) return undefined
    if (interval.firstId !== this.#firstId)
      return `begins at id ${interval.firstId}, its first row is ${this.#firstId}`
    if (interval.lastId !== this.#lastId)
      return `ends at id ${interval.lastId}, its last row is ${this.#lastId}`
    if (this.#chained && !this.#chains(interval)) {
      return `chains to id ${interval.prevId}, its first row to ${this.#firstPrevId}`
    }
    const { fromUs, toUs } = interval
    if (fromUs > this.#earliestUs || toUs < this.#latestUs) {
      const rows = `${formatTimeUs(this.#earliestUs)} to ${formatTimeUs(this.#latestUs)}`
      return `is from ${formatTimeUs(fromUs)} to ${formatTimeUs(toUs)}, its rows are from ${rows}`
    }
    // A book may be proven by its snapshot before its first event; other streams begin with a frame.
    const isBook = this.#stream === 'depth' || this.#stream.startsWith('books')
    if (!isBook && this.#isFresh() && fromUs !== this.#firstUs) {
      return `begins at ${formatTimeUs(fromUs)}, its first row at ${formatTimeUs(this.#firstUs)}`
    }
    return undefined
  }

  #isFresh(): boolean {
    return this.#at > 0 || this.#before === null
  }

  /** What goes on may be joined by an event that meets its id: the first one of another connection does. */
  #chains({ prevId }: CoverageInterval): boolean {
    if (prevId === this.#firstPrevId) return true
    return !this.#isFresh() && this.#firstPrevId <= prevId && prevId <= this.#firstId
  }

  #note(fault: string): void {
    this.fault ??= `${this.#stream}: ${fault}`
  }
}
