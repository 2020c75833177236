import type { Lie } from '../sim/source.ts'
import { text, type Violation } from './chain.ts'
import type { RecordedCoverage, RecordedRow, RecordedRun } from './recorded.ts'
import type { Wrong } from './truth.ts'

/** An audit takes this long beyond its interval: its wait, its request, and a snapshot that is ahead. */
const AUDIT_TAKES_MS = 45_000
/** What finds a wrong book. */
const FOUND_BY = ['audit_mismatch', 'CrossedBook', 'EmptyBook']

/** What the exchange itself said untruly, and since which id. */
export class Lies {
  readonly #since = new Map<string, bigint>()
  /** Ids of events that named a wrong one as the one before: a join with them may miss a change. */
  readonly #misnamed: ReadonlySet<bigint>

  constructor(lies: readonly Lie[], misnamed: Iterable<bigint> = []) {
    this.#misnamed = new Set(misnamed)
    for (const { id, levels } of lies) {
      for (const [side, price] of levels) {
        const key = `${side} ${Number(price)}`
        const since = this.#since.get(key)
        if (since === undefined || id < since) this.#since.set(key, id)
      }
    }
  }

  /** Did the exchange lie about what this event, the first one after a join, follows? */
  misleads(id: bigint): boolean {
    return this.#misnamed.has(id)
  }

  /** Was this level lied about before? */
  excuse({ side, price }: Wrong, id: bigint): boolean {
    const since = this.#since.get(`${side} ${price}`)
    return since !== undefined && since <= id
  }
}

/**
 * Rows that are wrong: never by our doing; and where the exchange lied, withdrawn as soon as an audit or a crossed
 * book found it, back to the last clean audit or join, and found by the next audits at the latest. Returns how many
 * rows the exchange's lies made wrong.
 */
export function checkWrongRows(
  run: RecordedRun,
  lies: Lies,
  auditMs: number,
  tell: (violation: Violation) => void,
): number {
  return (
    new StreamCheck('books', run, lies, auditMs, tell).check() +
    new StreamCheck('depth', run, lies, auditMs, tell).check()
  )
}

class StreamCheck {
  readonly #stream: 'books' | 'depth'
  readonly #run: RecordedRun
  readonly #lies: Lies
  readonly #auditMs: number
  readonly #tell: (violation: Violation) => void
  /** Receive time of the first of the wrong rows that no right one has followed; 0 for none. */
  #wrongSince = 0
  /** Ids at which the interval was vouched for: its beginning, and each clean audit. */
  #vouched: bigint[] = []
  #suspect: RecordedCoverage | undefined
  #window = -1
  #begun = false
  /** No event was applied since the join. */
  #fresh = true
  /** The join itself rests on a lie: any level may be wrong until it ends. */
  #misled = false

  constructor(
    stream: 'books' | 'depth',
    run: RecordedRun,
    lies: Lies,
    auditMs: number,
    tell: (violation: Violation) => void,
  ) {
    this.#stream = stream
    this.#run = run
    this.#lies = lies
    this.#auditMs = auditMs
    this.#tell = tell
  }

  check(): number {
    let wrong = 0
    for (const entry of this.#run.entries) {
      if ('coverage' in entry) this.#coverage(entry.coverage)
      else if (this.#row(entry.row)) wrong++
    }
    return wrong
  }

  #coverage(coverage: RecordedCoverage): void {
    if (coverage.ofStream !== this.#stream) return
    if (coverage.state === 'suspect') {
      this.#suspect = coverage
      return
    }
    // the beginning is known only now; audits since then came before it
    if (!this.#begun) this.#vouched.unshift(coverage.previousId)
    this.#begun = coverage.endedBy === null
    if (coverage.endedBy === null) return
    if (FOUND_BY.includes(coverage.endedBy)) this.#requireSuspect(coverage)
    else if (this.#suspect !== undefined) this.#fail('suspect_of_nothing', text(this.#suspect))
    this.#suspect = undefined
    this.#vouched = []
    this.#wrongSince = 0
    this.#fresh = true
    this.#misled = false
  }

  /** What found the book wrong withdraws everything since somebody last vouched for it. */
  #requireSuspect(coverage: RecordedCoverage): void {
    const suspect = this.#suspect
    if (suspect === undefined) return this.#fail('nothing_withdrawn', text(coverage))
    const from = this.#vouched.at(-1)
    const whole = this.#vouched.includes(suspect.previousId) && suspect.lastId === coverage.lastId
    // where depth is not captured no row tells of the clean audits between
    const far = this.#hasDepth ? suspect.previousId === from : suspect.previousId >= (this.#vouched[0] ?? 0n)
    if (!(this.#hasDepth ? whole && far : far)) {
      this.#fail('withdrawn_too_little', `${text(suspect)}, vouched for at ${from}, for ${text(coverage)}`)
    }
  }

  get #hasDepth(): boolean {
    return this.#run.entries.some((entry) => 'row' in entry && entry.row.stream === 'depth')
  }

  /** Returns whether the row is wrong. */
  #row(row: RecordedRow): boolean {
    // a clean audit shows in depth, as a whole book that does not open a window
    if (row.kind === 'book' && row.window === this.#window) this.#vouched.push(row.finalId)
    if (row.stream === 'depth') this.#window = row.window
    if (row.stream !== this.#stream) return false
    if (row.crossed) this.#fail('crossed_published', text(row))
    if (this.#fresh && row.kind !== 'snapshot') {
      this.#fresh = false
      this.#misled = this.#lies.misleads(row.finalId)
    }
    const { wrong } = row
    if (wrong === undefined) {
      this.#fail('id_never_was', text(row))
      return false
    }
    const ours = wrong.find((level) => !this.#lies.excuse(level, row.finalId))
    if (ours !== undefined && !this.#misled)
      this.#fail('wrong_level', `${text(ours)} in ${text({ ...row, wrong: undefined })}`)
    if (wrong.length === 0) {
      // a later event made it right again: nobody can find it any more
      this.#wrongSince = 0
      return false
    }
    if (this.#wrongSince === 0) this.#wrongSince = row.received
    const wrongMs = (row.received - this.#wrongSince) / 1000
    // twice: an audit that was under way when the lie was told has it in its replay
    if (wrongMs > 2 * (this.#auditMs + AUDIT_TAKES_MS)) {
      this.#fail('audit_is_blind', `wrong for ${wrongMs} ms: ${text(row)}`)
    }
    return true
  }

  #fail(rule: string, evidence: string): void {
    this.#tell({ rule, evidence: `${this.#run.run} ${this.#stream}: ${evidence}` })
  }
}
