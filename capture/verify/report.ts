/**
 * What a verification reports: what was looked at, what is wrong, and what is covered. The shape is a contract:
 * `l2cap verify --json` prints it as it is.
 */

/** Kinds of problems in order of checking: of an object only the first one is told, the others may follow from it. */
export const PROBLEM_KINDS = [
  'manifest_unreadable',
  'manifest_altered',
  'manifest_missing',
  'object_missing',
  'object_size',
  'object_altered',
  'object_unreadable',
  'rows_mismatch',
  'chain_broken',
  'book_crossed',
  'book_mismatch',
  'coverage_mismatch',
  'overlap',
  'object_orphan',
] as const
export type ProblemKind = (typeof PROBLEM_KINDS)[number]

export interface Problem {
  readonly kind: ProblemKind
  /** The object that it was found in; where a manifest is missing, the key it would have. */
  readonly key: string
  /** One sentence for a person: what was expected, what is there. */
  readonly detail: string
}

export interface CoverageSeconds {
  /** Time of proven intervals, after suspects were withdrawn. */
  readonly proven: number
  /** The same of a stream without a chain. */
  readonly observed: number
  /** Time of what was proven once and is not any more; it counts as missing unless another run covers it. */
  readonly suspect: number
  /**
   * Rest of the time from `from` to `to`. Zero if and only if nothing is missing: ids that are missing while clocks
   * overlap count as one microsecond.
   */
  readonly missing: number
}

/** Coverage of one stream on one UTC day, within the first and last evidence of the stream. */
export interface CoverageDay {
  readonly exchange: string
  readonly symbol: string
  /** By its name in paths, such as `books20`. */
  readonly stream: string
  readonly date: string
  /** RFC 3339 with microseconds; the end of a day is the next day's midnight. */
  readonly from: string
  readonly to: string
  readonly seconds: CoverageSeconds
}

/** What was read, problems or not. */
export interface Checked {
  readonly manifests: number
  readonly objects: number
  readonly bytes: number
  readonly rows: number
}

export interface VerifyReport {
  /** All that is there is right. Missing coverage is no problem: it is shown. */
  readonly ok: boolean
  readonly checked: Checked
  readonly problems: readonly Problem[]
  readonly coverage: readonly CoverageDay[]
}

/** Told after each window. */
export interface VerifyProgress {
  readonly checked: Checked
  /** Manifests of the symbol at hand, and how many of them are done. */
  readonly symbol: string
  readonly windows: number
  readonly windowsDone: number
  readonly problems: number
}

const RANK: ReadonlyMap<ProblemKind, number> = new Map(PROBLEM_KINDS.map((kind, rank) => [kind, rank]))

/** Orders kinds as they are checked. */
export function compareKinds(a: ProblemKind, b: ProblemKind): number {
  return (RANK.get(a) ?? 0) - (RANK.get(b) ?? 0)
}

/** Problems by object: of several at one object the first kind in order of checking stays, and of it the first. */
export class Findings {
  readonly #byKey = new Map<string, Problem>()

  get size(): number {
    return this.#byKey.size
  }

  note(kind: ProblemKind, key: string, detail: string): void {
    const known = this.#byKey.get(key)
    if (known === undefined || compareKinds(kind, known.kind) < 0) this.#byKey.set(key, { kind, key, detail })
  }

  at(key: string): Problem | undefined {
    return this.#byKey.get(key)
  }

  drop(key: string): void {
    this.#byKey.delete(key)
  }

  addAll(others: Findings): void {
    for (const { kind, key, detail } of others.#byKey.values()) this.note(kind, key, detail)
  }

  /** In order of checking, then by key. */
  list(): Problem[] {
    return [...this.#byKey.values()].sort((a, b) => compareKinds(a.kind, b.kind) || (a.key < b.key ? -1 : 1))
  }
}
