import type { Bucket } from '../ship/mod.ts'
import { Decoder } from './decoder.ts'
import type { Source, Tally } from './fetch.ts'
import { findMarkets } from './listing.ts'
import { MarketCheck } from './market.ts'
import { type CoverageDay, Findings, type VerifyProgress, type VerifyReport } from './report.ts'

export interface VerifyOptions {
  /** Told after each window. */
  readonly onProgress?: (progress: VerifyProgress) => void
  /** Ends the verification between two objects: it throws the signal's reason, and nothing was concluded. */
  readonly signal?: AbortSignal
  /** For callers that verify often: workers that outlive the call. They stay the caller's to close. */
  readonly decoder?: Decoder
}

/**
 * Checks everything that a bucket claims, given the bucket alone: manifests, objects, rows, the exchange's chain of
 * ids, the book rebuilt from its changes, and coverage. Reads one window at a time. Throws the bucket's errors
 * (BucketError): a store that cannot be read says nothing about its data.
 */
export async function verifyBucket(bucket: Bucket, options: VerifyOptions = {}): Promise<VerifyReport> {
  const decoder = options.decoder ?? new Decoder()
  try {
    return await verifyWith({ bucket, decoder, tally: nothing(), signal: options.signal }, options)
  } finally {
    if (options.decoder === undefined) await decoder.close()
  }
}

/**
 * Coverage as the manifests tell it: no object is read, so that it takes seconds where a verification takes hours.
 * Problems are those of manifests alone. Throws the bucket's errors.
 */
export async function listCoverage(bucket: Bucket, options: VerifyOptions = {}): Promise<VerifyReport> {
  const source = { bucket, decoder: new Decoder(), tally: nothing(), signal: options.signal }
  return await verifyWith(source, options, false)
}

function nothing(): Tally {
  return { manifests: 0, objects: 0, bytes: 0, rows: 0 }
}

async function verifyWith(
  source: Source,
  { onProgress }: VerifyOptions,
  reads = true,
): Promise<VerifyReport> {
  const findings = new Findings()
  const coverage: CoverageDay[] = []
  const { markets, strays } = await findMarkets(source.bucket)
  for (const key of strays) {
    if (key.endsWith('.json')) findings.note('manifest_unreadable', key, 'its path is none of a manifest')
    else findings.note('object_orphan', key, 'its path is none of an object, and no manifest names it')
  }
  for (const market of markets) {
    const { symbol, manifests: windows } = market
    const onWindow = (windowsDone: number) => {
      onProgress?.({ checked: { ...source.tally }, symbol, windows, windowsDone, problems: findings.size })
    }
    const days = await new MarketCheck(source, market, findings, onWindow, reads).check()
    // one by one: spread as arguments, the days of many symbols would be too many
    for (const day of days) coverage.push(day)
  }
  const problems = findings.list()
  return { ok: problems.length === 0, checked: { ...source.tally }, problems, coverage }
}
