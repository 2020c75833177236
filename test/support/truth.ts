/** What a simulated exchange knows to be true, as oracle.py reads it. */
import { type Sim, SimError, type WireLevel } from '../sim/mod.ts'

/** Levels of each row of books, where a test does not choose. */
export const LEVELS = 20
/** Books compared with the truth, spread evenly over all that was emitted. */
const SAMPLES_MAX = 400

/** What the simulated exchange emitted. */
export interface Truth {
  readonly levels: number
  readonly batches: (readonly [connection: number, prevId: bigint, firstId: bigint, lastId: bigint])[]
  readonly trades: bigint[]
  readonly books: (readonly [id: bigint, bids: readonly WireLevel[], asks: readonly WireLevel[]])[]
}

/** Whoever knows the truth: the exchange behind sockets, or its core alone. */
export type Known = Pick<Sim, 'emitted' | 'bookAt'>

/** All that was emitted of the symbol until now. */
export function truthOf(sim: Known, symbol: string): Truth {
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

/** As JSON. The simulator's ids are far below 2^53. */
export function truthText(truth: object): string {
  return JSON.stringify(truth, (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))
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
