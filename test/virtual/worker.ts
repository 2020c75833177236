/** A process that lives through seeds: gets `{from, to}`, answers each with its result, then asks for more. */
import { runSeed } from './run-seed.ts'

export interface Order {
  readonly from: number
  /** Exclusive. */
  readonly to: number
}

process.on('message', (order: Order) => void carryOut(order))
process.on('disconnect', () => process.exit(0))
// Ctrl-C reaches every process of a terminal: the one that gives orders says when to end
process.on('SIGINT', () => undefined)

async function carryOut({ from, to }: Order): Promise<void> {
  const results = []
  for (let seed = from; seed < to; seed++) results.push(await runSeed(seed))
  process.send?.(results)
}
