import type { Stream } from '../../api/streams.ts'
import type { Cut } from '../../capture/record/mod.ts'
import type { Position } from '../../capture/session/mod.ts'
import type { Entry, RecordedCoverage, RecordedRow, RecordedRun } from './recorded.ts'

/** Something that must not be: a rule and the first evidence against it. */
export interface Violation {
  readonly rule: string
  readonly evidence: string
}

/** Streams whose rows may be withdrawn. */
const BOOK_STREAMS: readonly Stream[] = ['books', 'depth']

/**
 * What coverage of one stream says, window by window, against the rows that stand in it: a proven span has no hole,
 * reaches no further than its evidence, and `gap_before` stands where it must and nowhere else.
 */
export class StreamChain {
  readonly #stream: Stream
  readonly #run: RecordedRun
  readonly #tell: (rule: string, evidence: string) => void
  /** Rows since the last row of coverage. */
  #rows: RecordedRow[] = []
  /** The interval that goes on from the window before. */
  #open: RecordedCoverage | undefined
  /** The interval has had a row that counts. */
  #hadRow = false
  /** Whose the last row was. */
  #connection = 0
  /** What was published before the run; undefined where nothing was, or where it is not left out. */
  readonly #cut: Position | undefined
  #hasCutBook = false
  /** Nothing of the run was seen before. */
  #isFirst = true
  /** The last id of the run; trades count by one, so that their ids tell whether one is missing. */
  #lastId = -1n

  constructor(
    stream: Stream,
    run: RecordedRun,
    cut: Position | undefined,
    tell: (rule: string, evidence: string) => void,
  ) {
    this.#cut = cut
    this.#stream = stream
    this.#run = run
    this.#tell = tell
  }

  row(row: RecordedRow): void {
    this.#rows.push(row)
  }

  coverage(coverage: RecordedCoverage): void {
    const rows = this.#rows.filter(({ kind }) => kind === '' || kind === 'delta')
    const stray = this.#rows.find(({ window }) => window !== coverage.window)
    if (stray !== undefined) this.#fail('row_outside_coverage', `${text(stray)} before ${text(coverage)}`)
    this.#checkGaps(rows)
    this.#checkIds(coverage, rows)
    this.#checkTimes(coverage, rows)
    this.#rows = []
    this.#hadRow ||= rows.length > 0
    this.#open = coverage.endedBy === null ? coverage : undefined
    if (this.#open === undefined) this.#hadRow = false
  }

  /** The run is over: nothing may be left open, unless what came last is `lost`. */
  end(lost: boolean): void {
    const left = this.#rows.find(({ kind }) => kind !== 'book' && kind !== 'snapshot')
    if (left !== undefined) this.#fail('row_outside_coverage', `${text(left)} after the last coverage`)
    if (this.#open !== undefined && !lost) this.#fail('coverage_never_ends', text(this.#open))
  }

  #checkIds(coverage: RecordedCoverage, rows: readonly RecordedRow[]): void {
    const { previousId, firstId, lastId } = coverage
    const open = this.#open
    if (coverage.rows !== rows.length) {
      this.#fail('coverage_rows', `${text(coverage)} but ${rows.length} rows stand in it`)
    }
    if (this.#stream === 'mark_price') return
    const first = rows.at(0)
    const last = rows.at(-1)
    const from = open?.lastId ?? previousId
    if (open !== undefined && previousId !== open.lastId) {
      this.#fail('coverage_jumps', `${text(coverage)} goes on from ${text(open)}`)
    }
    if (first === undefined || last === undefined) {
      if (firstId !== 0n || lastId !== previousId) this.#fail('coverage_beyond_evidence', text(coverage))
      return
    }
    if (firstId !== first.finalId || lastId !== last.finalId) {
      this.#fail('coverage_beyond_evidence', `${text(coverage)}, rows ${text(first)} to ${text(last)}`)
    }
    let at = from
    for (const row of rows) {
      // one that meets the id brings the book exactly to its own: allowed after a snapshot, and to another connection
      const mayOverlap = !this.#hadRow || row.connection !== this.#connection
      const follows = mayOverlap ? row.previousId <= at && at < row.finalId : row.previousId === at
      if (!follows) this.#fail('hole_in_proven_span', `${text(row)} follows ${at} in ${text(coverage)}`)
      at = row.finalId
      this.#connection = row.connection
      this.#hadRow = true
    }
  }

  #checkTimes(coverage: RecordedCoverage, rows: readonly RecordedRow[]): void {
    const { from, to } = coverage
    // events of another connection may have come before the last ones of the first
    const last = rows.reduce((latest, { received }) => Math.max(latest, received), 0)
    if (to < from) this.#fail('coverage_backwards', text(coverage))
    if (this.#open !== undefined && from !== this.#open.to) {
      this.#fail('coverage_jumps', `${text(coverage)} goes on from ${text(this.#open)}`)
    }
    if (to > this.#run.lastReceived)
      this.#fail('coverage_beyond_evidence', `${text(coverage)} is later than all inputs`)
    const evident = Math.max(last, this.#open?.to ?? from)
    if (to > evident && !this.#run.sent.has(to)) {
      this.#fail(
        'coverage_beyond_evidence',
        `${text(coverage)} ends at no event and no request, last at ${evident}`,
      )
    }
    const late = rows.find((row) => row.received > to || row.received < from)
    if (late !== undefined)
      this.#fail('row_outside_coverage', `${text(late)} is received outside ${text(coverage)}`)
  }

  /** The first row after a break has `gap_before`, no other. In depth it is the snapshot's. */
  #checkGaps(rows: readonly RecordedRow[]): void {
    if (this.#stream === 'mark_price') return
    if (this.#stream !== 'depth') {
      rows.forEach((row, i) => {
        const follows = this.#stream === 'trades' ? row.previousId === this.#lastId : i > 0 || this.#hadRow
        const wanted = !follows && !(this.#isFirst && this.#meetsCut(row))
        this.#isFirst = false
        this.#lastId = row.finalId
        if (row.gapBefore !== wanted) this.#fail('gap_before', `${text(row)} has gap_before ${row.gapBefore}`)
      })
      return
    }
    this.#rows.forEach((row, i) => {
      // after a cut the first change stands behind a whole book of our own
      const begins = this.#isFirst && this.#cut !== undefined && row.kind === 'book'
      const wanted = begins
        ? !rows.slice(0, 1).some((first) => this.#meetsCut(first))
        : row.kind === 'snapshot'
      this.#isFirst = false
      this.#hasCutBook ||= begins
      if (row.gapBefore !== wanted) this.#fail('gap_before', `${text(row)} has gap_before ${row.gapBefore}`)
      if (wanted && !begins && (i > 0 || this.#open !== undefined)) {
        this.#fail('gap_before', `${text(row)} begins nothing: it stands in the middle`)
      }
    })
    const opens = this.#hasCutBook ? 'book' : 'snapshot'
    this.#hasCutBook = false
    if (this.#open === undefined && this.#rows.length > 0 && this.#rows.at(0)?.kind !== opens) {
      this.#fail('gap_before', `an interval of depth begins without a snapshot: ${text(this.#rows.at(0))}`)
    }
  }

  #meetsCut({ previousId, finalId }: RecordedRow): boolean {
    return this.#cut !== undefined && previousId <= this.#cut.id && this.#cut.id <= finalId
  }

  #fail(rule: string, evidence: string): void {
    this.#tell(rule, `${this.#run.run} ${this.#stream}: ${evidence}`)
  }
}

/**
 * Checks the coverage of a run against its rows. `mayLose`: the process may have died
 * before anything of its last window was on disk.
 */
export function checkChains(
  run: RecordedRun,
  streams: readonly Stream[],
  mayLose: boolean,
  tell: (v: Violation) => void,
  cut: Cut = {},
): void {
  const chains = new Map(
    streams.map((stream) => [
      stream,
      new StreamChain(stream, run, cut[stream], (rule, evidence) => tell({ rule, evidence })),
    ]),
  )
  const seqs = new Map<string, number>()
  for (const entry of run.entries) {
    const stream = 'row' in entry ? entry.row.stream : 'coverage'
    seqs.set(stream, checkSeq(run, entry, seqs.get(stream) ?? 0, tell))
    if ('row' in entry) {
      chains.get(entry.row.stream)?.row(entry.row)
      continue
    }
    const { ofStream, state } = entry.coverage
    if (state !== 'suspect') chains.get(ofStream)?.coverage(entry.coverage)
    else if (!BOOK_STREAMS.includes(ofStream))
      tell({ rule: 'suspect_of_nothing', evidence: text(entry.coverage) })
  }
  for (const chain of chains.values()) chain.end(mayLose)
}

/** `seq` is the order of a run: rows of a stream stand in it. */
function checkSeq(run: RecordedRun, entry: Entry, before: number, tell: (v: Violation) => void): number {
  const { seq } = 'row' in entry ? entry.row : entry.coverage
  if (seq <= before) {
    tell({ rule: 'seq_order', evidence: `${run.run}: seq ${seq} follows ${before}` })
  }
  return seq
}

export function text(value: unknown): string {
  return JSON.stringify(value, (_key, field) => (typeof field === 'bigint' ? String(field) : field))
}
