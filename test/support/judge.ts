/** What a simulated exchange knows to be true, and the oracle that holds buckets against it. */
import { writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { type Sim, SimError, type WireLevel } from '../sim/mod.ts'
import { runReader } from './python.ts'

/** Levels of each row of books, where a test does not choose. */
export const LEVELS = 20
/** Books compared with the truth, spread evenly over all that was emitted. */
const SAMPLES_MAX = 400

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

/** What the simulated exchange emitted, as oracle.py reads it. */
export interface Truth {
  readonly levels: number
  readonly batches: (readonly [connection: number, prevId: bigint, firstId: bigint, lastId: bigint])[]
  readonly trades: bigint[]
  readonly books: (readonly [id: bigint, bids: readonly WireLevel[], asks: readonly WireLevel[]])[]
}

/** Ids that must be published, because they were on disk when a process was killed. */
export interface Journalled {
  readonly depth: bigint[]
  readonly trades: bigint[]
}

/** Whoever knows the truth: the exchange behind sockets, or its core alone. */
type Known = Pick<Sim, 'emitted' | 'bookAt'>

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
  const journalled = buckets.map((bucket) => bucket.journalled ?? { depth: [], trades: [] })
  const truth = truthOf(sim, symbol)
  alter?.(truth)
  await writeFile(path, JSON.stringify({ ...truth, journalled, holes }, numbers))
  const paths = buckets.map((bucket) => bucket.path)
  return z.array(Summary).parse(await runReader('oracle.py', [path, ...paths]))
}

function truthOf(sim: Known, symbol: string): Truth {
  const { batches, tradeIds } = sim.emitted(symbol)
  const step = Math.max(1, Math.ceil(batches.length / SAMPLES_MAX))
  const sampled = batches.filter((_, i) => i % step === 0)
  return {
    levels: LEVELS,
    batches: batches.map(({ connection, prevId, firstId, lastId, fault }) => [
      connection,
      // where the exchange names a wrong id as the one before, that is what a row says
      fault === 'wrong_pu' ? prevId - 1n : prevId,
      firstId,
      lastId,
    ]),
    trades: [...tradeIds],
    books: sampled.flatMap(({ lastId }) => bookAt(sim, symbol, lastId)),
  }
}

/** The true book, or nothing: a long run of tests outlives the simulator's memory. What is compared is counted. */
function bookAt(sim: Known, symbol: string, id: bigint): Truth['books'] {
  try {
    const { bids, asks } = sim.bookAt(symbol, id)
    return [[id, bids.slice(0, LEVELS), asks.slice(0, LEVELS)]]
  } catch (error) {
    if (error instanceof SimError && error.code === 'book_unknown') return []
    throw error
  }
}

/** The simulator's ids are far below 2^53. */
function numbers(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value
}
