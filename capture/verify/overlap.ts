/** Rows of two runs for the same ids: a glob over the data would hold them twice. Pure. */

/** Ids of the rows of one run, or of a part of it. */
export interface RowRange {
  readonly firstId: bigint
  readonly lastId: bigint
  readonly run: string
  /** The windows' manifests say `overlaps`: their writer could not rule doubles out, and says so. */
  readonly told: boolean
}

/** Ids of the rows of one interval. */
export interface RowIds extends RowRange {
  /** The data object that holds them. */
  readonly key: string
}

export interface Overlap {
  /** Object of the later run: it is the one that should have dropped what the other published. */
  readonly key: string
  readonly detail: string
}

/** Pairs of ranges of different runs that hold rows for the same ids, and do not tell. */
function* pairs<T extends RowRange>(ranges: readonly T[]): Generator<readonly [T, T]> {
  const sorted = [...ranges].sort((a, b) => (a.firstId < b.firstId ? -1 : a.firstId > b.firstId ? 1 : 0))
  let open: T[] = []
  for (const next of sorted) {
    open = open.filter((other) => other.lastId >= next.firstId)
    for (const other of open) {
      if (other.run !== next.run && !other.told && !next.told) yield [other, next]
    }
    open.push(next)
  }
}

/** Pairs of intervals of different runs that hold rows for the same ids, one for each object. */
export function overlapsOf(intervals: readonly RowIds[]): Overlap[] {
  const found = new Map<string, Overlap>()
  for (const [other, next] of pairs(intervals)) {
    const [earlier, later] = other.run < next.run ? [other, next] : [next, other]
    if (found.has(later.key)) continue
    const detail = `from id ${next.firstId} on it holds what ${earlier.key} holds, too`
    found.set(later.key, { key: later.key, detail })
  }
  return [...found.values()]
}

/** The ids that more than one run holds, for each run that does. */
export function clashesOf(ranges: readonly RowRange[]): Map<string, RowRange[]> {
  const clashes = new Map<string, RowRange[]>()
  for (const [other, next] of pairs(ranges)) {
    const lastId = other.lastId < next.lastId ? other.lastId : next.lastId
    for (const { run, told } of [other, next]) {
      const list = clashes.get(run) ?? []
      list.push({ firstId: next.firstId, lastId, run, told })
      clashes.set(run, list)
    }
  }
  return clashes
}
