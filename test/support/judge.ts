/** The oracle that holds buckets against what a simulated exchange knows to be true. */
import { writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { runReader } from './python.ts'
import { type Known, type Truth, truthOf, truthText } from './truth.ts'

export { LEVELS, type Truth } from './truth.ts'

const Count = z.record(z.string(), z.number())
const Summary = z.object({
  runs: z.number(),
  windows: z.number(),
  published: Count,
  listed: Count,
  journalled: Count,
  emitted: Count,
  compared: z.number(),
  suspects: z.number(),
  ended: Count,
  witness: Count,
})
/** What oracle.py says of a bucket in which it found nothing wrong. */
export type Summary = z.infer<typeof Summary>

/** Ids that must be published, because they were on disk when a process was killed. */
export interface Journalled {
  readonly depth: bigint[]
  readonly trades: bigint[]
}

/** A bucket to judge. */
export interface Bucket {
  readonly path: string
  readonly journalled?: Journalled | undefined
}

export interface JudgeOptions {
  /** Windows may be missing within a run. */
  readonly holes?: boolean
  /** Makes the truth another one, to see that the oracle notices. */
  readonly alter?: (truth: Truth) => void
}

/**
 * Has the oracle judge buckets of one symbol against all that was emitted until now; the truth is written to `path`.
 * Throws where it finds fault.
 */
export async function judgeBuckets(
  sim: Known,
  symbol: string,
  path: string,
  buckets: readonly Bucket[],
  { holes = false, alter }: JudgeOptions = {},
): Promise<Summary[]> {
  const truth = truthOf(sim, symbol)
  alter?.(truth)
  return await judgeTold(truth, path, buckets, { holes })
}

/** The same where the truth was told by an exchange elsewhere. */
export async function judgeTold(
  truth: object,
  path: string,
  buckets: readonly Bucket[],
  { holes = false }: Pick<JudgeOptions, 'holes'> = {},
): Promise<Summary[]> {
  const journalled = buckets.map((bucket) => bucket.journalled ?? { depth: [], trades: [] })
  await writeFile(path, truthText({ ...truth, journalled, holes }))
  const paths = buckets.map((bucket) => bucket.path)
  return z.array(Summary).parse(await runReader('oracle.py', [path, ...paths]))
}
