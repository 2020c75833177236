/** Coverage as manifests claim it: the arithmetic of `verify`, without its proofs. */
import {
  type Bucket,
  formatTimeUs,
  type Manifest,
  type ManifestCoverage,
  ManifestError,
  parseManifest,
  parseManifestKey,
  parseTimeUs,
} from '../ship/mod.ts'
import {
  type CoverageDay,
  coverageByDay,
  type IdInterval,
  joinById,
  type Span,
  withdraw,
} from '../verify/mod.ts'

export interface ClaimedCoverage {
  readonly days: readonly CoverageDay[]
  readonly manifests: number
  /** Manifests that count for nothing. */
  readonly unreadable: readonly { readonly key: string; readonly why: string }[]
}

interface StreamClaims {
  readonly exchange: string
  readonly symbol: string
  readonly stream: string
  /** A suspect withdraws what its own run proved. */
  readonly runs: Map<string, { readonly proven: IdInterval[]; readonly suspects: IdInterval[] }>
  readonly observed: Span[]
  readonly all: Span[]
}

/** Reads every manifest of a bucket, one at a time. Throws the bucket's errors. */
export async function coverageOfManifests(bucket: Bucket): Promise<ClaimedCoverage> {
  const streams = new Map<string, StreamClaims>()
  const unreadable: { key: string; why: string }[] = []
  let manifests = 0
  for await (const { key } of bucket.list('')) {
    const parsed = parseManifestKey(key)
    const bytes = parsed === undefined ? undefined : await bucket.get(key)
    if (parsed === undefined || bytes === undefined) continue
    try {
      addManifest(parsed.prefix, parseManifest(bytes), streams)
      manifests++
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error
      unreadable.push({ key, why: error.message })
    }
  }
  const sorted = [...streams].sort(([a], [b]) => (a < b ? -1 : 1))
  return { days: sorted.flatMap(([, claims]) => daysOf(claims)), manifests, unreadable }
}

function addManifest(prefix: string, manifest: Manifest, streams: Map<string, StreamClaims>): void {
  const { exchange, symbol, run } = manifest
  for (const row of manifest.coverage) {
    const name = JSON.stringify([prefix, exchange, symbol, row.of_stream])
    const claims = streams.get(name) ?? {
      ...{ exchange, symbol, stream: row.of_stream },
      runs: new Map(),
      observed: [],
      all: [],
    }
    streams.set(name, claims)
    addRow(row, run, claims)
  }
}

function addRow(row: ManifestCoverage, run: string, claims: StreamClaims): void {
  const interval = {
    prevId: BigInt(row.prev_id),
    lastId: BigInt(row.last_id),
    fromUs: parseTimeUs(row.from),
    toUs: parseTimeUs(row.to),
  }
  claims.all.push(interval)
  if (row.state === 'observed') {
    claims.observed.push(interval)
    return
  }
  const ofRun = claims.runs.get(run) ?? { proven: [], suspects: [] }
  claims.runs.set(run, ofRun)
  if (row.state === 'proven') ofRun.proven.push(interval)
  else ofRun.suspects.push(interval)
}

function daysOf({ exchange, symbol, stream, runs, observed, all }: StreamClaims): CoverageDay[] {
  const proven = [...runs.values()].flatMap((run) => joinById(withdraw(run.proven, run.suspects)))
  const suspect = [...runs.values()].flatMap(({ suspects }) => suspects)
  // a loop: a stream of a year has more intervals than a call takes arguments
  const span = all.reduce((span, { fromUs, toUs }) => ({
    fromUs: Math.min(span.fromUs, fromUs),
    toUs: Math.max(span.toUs, toUs),
  }))
  return coverageByDay({ span, proven, observed, suspect }).map((day) => ({
    ...{ exchange, symbol, stream, date: day.date },
    from: formatTimeUs(day.fromUs),
    to: formatTimeUs(day.toUs),
    seconds: {
      proven: day.provenUs / 1e6,
      observed: day.observedUs / 1e6,
      suspect: day.suspectUs / 1e6,
      missing: day.missingUs / 1e6,
    },
  }))
}
