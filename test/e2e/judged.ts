/** What a bucket holds of one symbol, held against the truth. */
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LocalBucket } from '../../capture/ship/mod.ts'
import { type CoverageDay, verifyBucket } from '../../capture/verify/mod.ts'
import { judgeTold, type Summary } from '../support/judge.ts'

/**
 * `l2cap verify` finds no problem in the bucket, and a Python reader finds each event of the symbol once or outside
 * coverage. `dir`: where it may write. Throws where they find fault.
 */
export async function judgeSymbol(
  bucket: string,
  symbol: string,
  truth: object,
  dir: string,
): Promise<Summary> {
  await verified(bucket)
  return await judgeAlone(bucket, symbol, truth, dir)
}

/** What `l2cap verify` says of the bucket's coverage. Throws where it finds a problem. */
export async function verified(bucket: string): Promise<readonly CoverageDay[]> {
  const { ok, problems, coverage } = await verifyBucket(new LocalBucket(bucket))
  if (!ok) throw new Error(JSON.stringify(problems, null, 1))
  return coverage
}

/** The Python reader's part of `judgeSymbol`, for a bucket of many symbols that is verified once. */
export async function judgeAlone(
  bucket: string,
  symbol: string,
  truth: object,
  dir: string,
): Promise<Summary> {
  const path = await copyOf(bucket, symbol, dir)
  const [summary] = await judgeTold(truth, join(dir, `truth-${symbol}.json`), [{ path }], { holes: true })
  if (summary === undefined) throw new Error('the oracle said nothing')
  return summary
}

/** A copy of what the bucket has of one symbol: the oracle knows one truth at a time. */
async function copyOf(bucket: string, symbol: string, dir: string): Promise<string> {
  const copy = join(dir, `bucket-${symbol}`)
  await rm(copy, { recursive: true, force: true })
  for (const kind of ['parquet', 'manifest']) {
    const path = join(kind, 'exchange=BinanceUsdm', `symbol=${symbol}`)
    await cp(join(bucket, path), join(copy, path), { recursive: true })
  }
  return copy
}
