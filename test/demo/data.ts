/** What the demo reads back from the data itself: its size, and what its coverage tells of gaps and of withdrawn rows. */
import {
  LocalBucket,
  type Manifest,
  type ManifestCoverage,
  parseManifest,
  parseManifestKey,
  parseTimeUs,
} from '../../capture/ship/mod.ts'

/** A stretch that coverage ends with a reason, up to where coverage begins again. */
export interface Gap {
  readonly symbol: string
  readonly stream: string
  readonly reason: string
  readonly detail: string
  readonly from: string
  /** Null where nothing came after. */
  readonly to: string | null
  readonly lastId: bigint
}

/** Rows that were published and then withdrawn. */
export interface Suspect {
  readonly symbol: string
  readonly streams: readonly string[]
  readonly reason: string
  readonly from: string
  readonly to: string
}

export interface Contents {
  readonly windows: number
  readonly objects: number
  readonly bytes: number
  /** Rows of data; those of coverage not counted. */
  readonly rows: number
  readonly symbols: readonly string[]
  /** In the order of time. */
  readonly gaps: readonly Gap[]
  readonly suspects: readonly Suspect[]
}

interface Place {
  readonly symbol: string
  readonly run: string
  readonly row: ManifestCoverage
}

/** Reads all manifests of a directory. */
export async function readContents(directory: string): Promise<Contents> {
  const manifests = await readManifests(directory)
  const objects = manifests.flatMap((manifest) => manifest.objects)
  const coverage = coverageOf(manifests)
  return {
    windows: manifests.length,
    objects: objects.length,
    bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0),
    rows: objects.filter(({ stream }) => stream !== 'coverage').reduce((sum, { rows }) => sum + rows, 0),
    symbols: [...new Set(manifests.map(({ symbol }) => symbol))],
    gaps: gapsOf(coverage),
    suspects: suspectsOf(coverage),
  }
}

async function readManifests(directory: string): Promise<Manifest[]> {
  const bucket = new LocalBucket(directory)
  const manifests: Manifest[] = []
  for await (const { key } of bucket.list('')) {
    const bytes = parseManifestKey(key) === undefined ? undefined : await bucket.get(key)
    if (bytes !== undefined) manifests.push(parseManifest(bytes))
  }
  return manifests
}

function coverageOf(manifests: readonly Manifest[]): Place[] {
  const rows = manifests.flatMap(({ symbol, run, coverage }) => coverage.map((row) => ({ symbol, run, row })))
  // runs begin with their time; within a run `seq` is the order
  return rows.sort((a, b) =>
    a.run === b.run ? Number(BigInt(a.row.seq) - BigInt(b.row.seq)) : a.run < b.run ? -1 : 1,
  )
}

/** Gaps of every stream. The end in order is none. */
function gapsOf(coverage: readonly Place[]): Gap[] {
  // a row that withdraws others is no stretch of its own
  const stretches = coverage.filter(({ row }) => row.state !== 'suspect')
  const gaps = stretches.flatMap(({ symbol, row }, i) => {
    if (row.ended_by === null || row.ended_by === 'stopped') return []
    const next = stretches
      .slice(i + 1)
      .find((later) => later.symbol === symbol && later.row.of_stream === row.of_stream)
    const { of_stream: stream, ended_by: reason, detail, to: from, last_id } = row
    const lastId = BigInt(last_id)
    return [{ symbol, stream, reason, detail, from, to: next?.row.from ?? null, lastId }]
  })
  return gaps.sort((a, b) => (a.from < b.from ? -1 : 1))
}

/** Books and depth are withdrawn together: one for both. */
function suspectsOf(coverage: readonly Place[]): Suspect[] {
  const rows = coverage.filter(({ row }) => row.state === 'suspect')
  const groups = Map.groupBy(rows, ({ symbol, run, row }) => `${symbol} ${run} ${row.from} ${row.ended_by}`)
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { from, to, ended_by: reason } = first.row
    const streams = group.map(({ row }) => row.of_stream)
    return [{ symbol: first.symbol, streams, reason: reason ?? '', from, to }]
  })
}

/** Milliseconds of a stretch; undefined for one that did not end. */
export function stretchMs({ from, to }: Pick<Gap, 'from' | 'to'>): number | undefined {
  return to === null ? undefined : (parseTimeUs(to) - parseTimeUs(from)) / 1000
}
