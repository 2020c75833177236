/** Rows of two runs for the same ids: a glob over the data would hold them twice. */

/** Ids of the rows of one interval. */
export interface RowIds {
  readonly firstId: bigint
  readonly lastId: bigint
  readonly run: string
  /** The data object that holds them. */
  readonly key: string
  /** The window's manifest says `overlaps`: its writer could not rule doubles out, and says so. */
  readonly told: boolean
}

export interface Overlap {
  /** Object of the later run: it is the one that should have dropped what the other published. */
  readonly key: string
  readonly detail: string
}

/** Pairs of intervals of different runs that hold rows for the same ids, one for each object. */
export function overlapsOf(intervals: readonly RowIds[]): Overlap[] {
  const sorted = [...intervals].sort((a, b) => (a.firstId < b.firstId ? -1 : a.firstId > b.firstId ? 1 : 0))
  const found = new Map<string, Overlap>()
  let open: RowIds[] = []
  for (const next of sorted) {
    open = open.filter((other) => other.lastId >= next.firstId)
    for (const other of open) {
      if (other.run === next.run || other.told || next.told) continue
      const [earlier, later] = other.run < next.run ? [other, next] : [next, other]
      if (found.has(later.key)) continue
      const detail = `from id ${next.firstId} on it holds what ${earlier.key} holds, too`
      found.set(later.key, { key: later.key, detail })
    }
    open.push(next)
  }
  return [...found.values()]
}
