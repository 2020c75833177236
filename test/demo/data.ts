/** What the demo reads back from the data itself: its size, and the gaps that its coverage tells of. */
import {
  LocalBucket,
  type Manifest,
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
}

export interface Contents {
  readonly windows: number
  readonly objects: number
  readonly bytes: number
  /** Rows of data; those of coverage not counted. */
  readonly rows: number
  readonly symbols: readonly string[]
  readonly gaps: readonly Gap[]
}

/** Reads all manifests of a directory. */
export async function readContents(directory: string): Promise<Contents> {
  const manifests = await readManifests(directory)
  const objects = manifests.flatMap((manifest) => manifest.objects)
  return {
    windows: manifests.length,
    objects: objects.length,
    bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0),
    rows: objects.filter(({ stream }) => stream !== 'coverage').reduce((sum, { rows }) => sum + rows, 0),
    symbols: [...new Set(manifests.map(({ symbol }) => symbol))],
    gaps: gapsOf(manifests),
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

/** Gaps of every stream, in the order of time. The end of the run is none. */
function gapsOf(manifests: readonly Manifest[]): Gap[] {
  const rows = manifests.flatMap(({ symbol, run, coverage }) => coverage.map((row) => ({ symbol, run, row })))
  // runs begin with their time; within a run `seq` is the order
  rows.sort((a, b) =>
    a.run === b.run ? Number(BigInt(a.row.seq) - BigInt(b.row.seq)) : a.run < b.run ? -1 : 1,
  )
  const gaps = rows.flatMap(({ symbol, row }, i) => {
    if (row.ended_by === null || row.ended_by === 'stopped') return []
    const next = rows
      .slice(i + 1)
      .find((later) => later.symbol === symbol && later.row.of_stream === row.of_stream)
    const { of_stream: stream, ended_by: reason, detail, to: from } = row
    return [{ symbol, stream, reason, detail, from, to: next?.row.from ?? null }]
  })
  return gaps.sort((a, b) => (a.from < b.from ? -1 : 1))
}

/** Milliseconds of a gap; undefined for one that did not end. */
export function gapMs({ from, to }: Gap): number | undefined {
  return to === null ? undefined : (parseTimeUs(to) - parseTimeUs(from)) / 1000
}
