/**
 * Coverage intervals of one window held against the rows that they speak of. A row belongs to the first interval of
 * its stream that was written after it: order within a run is `seq`, of rows and intervals alike.
 */
import { meets } from '../exchange/mod.ts'
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

/** An interval that was open at the end of the window before. */
export interface OpenInterval {
  readonly interval: CoverageInterval
  /** A row of it was there already, in whatever window. */
  readonly begun: boolean
  /** Connection of its last row; 0 where it had none. */
  readonly connection: number
}

/**
 * What the window before left open: `null` for nothing, `undefined` where that window is not there or not right, so
 * that nothing can be said of the boundary.
 */
export type Before = OpenInterval | null | undefined

/** Where a row stands in coverage. */
export interface Place {
  /** Are rows of the interval known before this one, in this window or in those before? */
  readonly begun: boolean
}

/** A row that is evidence. Ids are 0 where the stream has no chain. */
export interface Evidence {
  readonly previousId: bigint
  readonly id: bigint
  readonly receivedUs: number
  readonly connection: number
}

/** What the rows of the interval at hand say together. */
interface Seen {
  /** Rows that are evidence; whole books of `depth` are none. */
  rows: number
  /** Rows of any kind. */
  entered: number
  firstId: bigint
  lastId: bigint
  firstPrevId: bigint
  firstUs: number
  /** Earliest row before another connection took over: rows that it had kept are older. */
  earliestUs: number
  latestUs: number
  /** Where a whole book put it before its first event. */
  stoodAt: bigint | undefined
  connection: number
  tookOver: boolean
}

function nothingSeen(connection: number): Seen {
  return {
    rows: 0,
    entered: 0,
    firstId: 0n,
    lastId: 0n,
    firstPrevId: 0n,
    firstUs: 0,
    earliestUs: Number.POSITIVE_INFINITY,
    latestUs: Number.NEGATIVE_INFINITY,
    stoodAt: undefined,
    connection,
    tookOver: false,
  }
}

/** Walks a stream's intervals along its rows. `fault` is the first thing that does not agree. */
export class IntervalWalk {
  fault: string | undefined
  readonly #stream: string
  readonly #intervals: readonly CoverageInterval[]
  readonly #chained: boolean
  readonly #isBook: boolean
  readonly #isCut: boolean
  readonly #before: Before
  /** No evidence of a window is later than its end. */
  readonly #closedUs: number
  #at = 0
  #seen: Seen
  /** The last interval, were it open. */
  #open = { begun: false, connection: 0 }

  /** `isCut`: rows of the run were left out up to some place of this stream, which has no ids. */
  constructor(
    stream: string,
    { intervals, suspects }: StreamCoverage,
    before: Before,
    closedUs: number,
    isCut = false,
  ) {
    this.#stream = stream
    this.#isCut = isCut
    this.#intervals = intervals
    this.#chained = stream !== 'mark_price'
    this.#isBook = stream === 'depth' || stream.startsWith('books')
    this.#before = before
    this.#closedUs = closedUs
    this.#seen = nothingSeen(before?.connection ?? 0)
    this.#checkBoundary()
    for (const [i, interval] of intervals.entries()) this.#checkAlone(interval, i === intervals.length - 1)
    for (const suspect of suspects) this.#checkSuspect(suspect)
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
    const goesOn = this.#at === 0 && this.#before?.begun === true
    const place = { begun: goesOn || this.#seen.entered > 0 }
    this.#seen.entered++
    return place
  }

  /** Takes a whole book, after `enter`: no evidence, but the first event may meet its id. */
  stands(id: bigint): void {
    if (this.#seen.rows === 0) this.#seen.stoodAt = id
  }

  /** Takes a row that is evidence, after `enter`. */
  evidence({ previousId, id, receivedUs, connection }: Evidence): void {
    const seen = this.#seen
    if (seen.rows === 0) {
      seen.firstId = id
      seen.firstPrevId = previousId
      seen.firstUs = receivedUs
    }
    // what an unknown window ended with may have been another connection
    if (seen.connection === 0) seen.tookOver = this.#freshness() === undefined
    else if (seen.connection !== connection) seen.tookOver = true
    seen.connection = connection
    seen.rows++
    seen.lastId = id
    if (!seen.tookOver && receivedUs < seen.earliestUs) seen.earliestUs = receivedUs
    if (receivedUs > seen.latestUs) seen.latestUs = receivedUs
  }

  /** No more rows. Returns what the next window's walk needs to know. */
  finish(): OpenInterval | null {
    while (this.#at < this.#intervals.length) {
      const interval = this.#intervals[this.#at]
      if (interval !== undefined) this.#close(interval)
    }
    const last = this.#intervals.at(-1)
    return last === undefined || last.endedBy !== null ? null : { interval: last, ...this.#open }
  }

  /** Does the interval at hand begin in this window? Undefined where that is not known. */
  #freshness(): boolean | undefined {
    if (this.#at > 0) return true
    return this.#before === undefined ? undefined : this.#before === null
  }

  /** An interval without an end in the window before goes on in this one, from where it stood. */
  #checkBoundary(): void {
    const before = this.#before?.interval
    if (before === undefined) return
    const first = this.#intervals[0]
    if (first === undefined)
      return this.#note('the interval that goes on from the window before is not there')
    if (first.fromUs !== before.toUs) {
      return this.#note(
        `it goes on from ${formatTimeUs(first.fromUs)}, the window before reached ${formatTimeUs(before.toUs)}`,
      )
    }
    if (this.#chained && first.prevId !== before.lastId) {
      this.#note(`it goes on from id ${first.prevId}, the window before reached ${before.lastId}`)
    }
  }

  #checkAlone(interval: CoverageInterval, isLast: boolean): void {
    const { seq, state, fromUs, toUs } = interval
    const expected = this.#chained ? 'proven' : 'observed'
    if (state !== expected) this.#note(`interval ${seq} is ${state}, expected ${expected}`)
    if (toUs < fromUs) this.#note(`interval ${seq} ends before it begins`)
    if (toUs > this.#closedUs) {
      const closed = formatTimeUs(this.#closedUs)
      this.#note(`interval ${seq} reaches ${formatTimeUs(toUs)}, its window was closed at ${closed}`)
    }
    if (interval.endedBy === null && !isLast)
      this.#note(`interval ${seq} has no end, and another one follows it`)
    if (interval.rows === 0 && (interval.firstId !== 0n || interval.prevId !== interval.lastId)) {
      this.#note(`interval ${seq} has no rows, yet ids of some`)
    }
  }

  /** A suspect withdraws what an interval claims, from some id on up to its end; the interval ends there. */
  #checkSuspect({ seq, prevId, firstId, lastId, fromUs, toUs, rows, endedBy }: CoverageInterval): void {
    const ended = this.#intervals.some((interval) => interval.endedBy !== null && interval.lastId === lastId)
    if (!this.#isBook) this.#note(`suspect ${seq} withdraws what no guard of this stream can doubt`)
    if (rows !== 0 || firstId !== 0n) this.#note(`suspect ${seq} counts rows of its own`)
    if (prevId > lastId || fromUs > toUs) this.#note(`suspect ${seq} ends before it begins`)
    if (endedBy === null || !ended)
      this.#note(`suspect ${seq} does not reach the end of an interval that ended`)
  }

  #close(interval: CoverageInterval): void {
    const fault = this.#disagreement(interval)
    if (fault !== undefined) this.#note(`interval ${interval.seq} ${fault}`)
    const wasBegun = this.#at === 0 && this.#before?.begun === true
    this.#open = { begun: wasBegun || this.#seen.entered > 0, connection: this.#seen.connection }
    this.#at++
    this.#seen = nothingSeen(0)
  }

  #disagreement(interval: CoverageInterval): string | undefined {
    const seen = this.#seen
    if (interval.rows !== seen.rows) return `says ${interval.rows} rows, there are ${seen.rows}`
    if (seen.rows === 0) return this.#emptyFault(interval)
    if (interval.firstId !== seen.firstId)
      return `begins at id ${interval.firstId}, its first row is ${seen.firstId}`
    if (interval.lastId !== seen.lastId)
      return `ends at id ${interval.lastId}, its last row is ${seen.lastId}`
    if (this.#chained && !this.#chains(interval)) {
      return `chains to id ${interval.prevId}, its first row to ${seen.firstPrevId}`
    }
    return this.#timeFault(interval)
  }

  /** Without a row a book stands where its last whole book put it; a frame alone observes what has no chain. */
  #emptyFault({ lastId, fromUs, toUs }: CoverageInterval): string | undefined {
    const { stoodAt } = this.#seen
    if (stoodAt !== undefined && stoodAt !== lastId) return `stands at id ${lastId}, its book at ${stoodAt}`
    return this.#chained || toUs === fromUs ? undefined : 'takes time, and has no row'
  }

  #timeFault({ fromUs, toUs }: CoverageInterval): string | undefined {
    const { firstUs, earliestUs, latestUs, tookOver } = this.#seen
    const fresh = this.#freshness()
    if (fromUs > earliestUs || toUs < latestUs) {
      const rows = `${formatTimeUs(Math.min(earliestUs, firstUs))} to ${formatTimeUs(latestUs)}`
      return `is from ${formatTimeUs(fromUs)} to ${formatTimeUs(toUs)}, its rows are from ${rows}`
    }
    // A book may be proven by its snapshot before its first event; other streams begin with a frame.
    // Without ids a cut begins at the last frame that it left out.
    const mayBeEarlier = this.#isBook || (this.#isCut && this.#at === 0)
    if (!mayBeEarlier && fresh === true && fromUs !== firstUs) {
      return `begins at ${formatTimeUs(fromUs)}, its first row at ${formatTimeUs(firstUs)}`
    }
    // An id may be proven to be still the last one; of a stream without ids nothing but frames is known. Of two
    // connections that brought the same update one frame became a row.
    if (!this.#chained && !tookOver && toUs !== Math.max(fromUs, latestUs)) {
      return `reaches ${formatTimeUs(toUs)}, its last row ${formatTimeUs(latestUs)}`
    }
    return undefined
  }

  /**
   * A book's first event may meet what it follows: the whole book that it stood at, or, where it goes on from the
   * window before, the last id of another connection.
   */
  #chains({ prevId }: CoverageInterval): boolean {
    const { firstPrevId, firstId, stoodAt } = this.#seen
    if (prevId === firstPrevId) return true
    if (!this.#isBook || (stoodAt !== undefined && prevId !== stoodAt)) return false
    return meets({ previousId: firstPrevId, finalId: firstId }, prevId)
  }

  #note(fault: string): void {
    this.fault ??= `${this.#stream}: ${fault}`
  }
}
