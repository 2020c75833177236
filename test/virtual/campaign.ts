import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type SeedResult, Tally } from './tally.ts'
import type { Order } from './worker.ts'

/** Seeds that a worker gets at a time. */
const ORDER_SEEDS = 20
/** A worker that takes longer for one order hangs: its seeds are told, and the campaign ends. */
const ORDER_MS_MAX = 900_000
/** A worker waits for its files now and then: one more keeps the cores busy. */
const SPARE_WORKERS = 1
const PROGRESS_EVERY_MS = 10_000

export interface CampaignOptions {
  readonly from: number
  readonly seeds: number
  readonly workers?: number
  readonly progress: (line: string) => void
  /** Ends the campaign early: what is under way is finished and counted. */
  readonly signal?: AbortSignal
}

/** Runs many seeds in processes of their own, as many as there are cores. Rejects where a worker dies or hangs. */
export async function runCampaign({
  from,
  seeds,
  workers,
  progress,
  signal,
}: CampaignOptions): Promise<Tally> {
  const tally = new Tally()
  const started = performance.now()
  let next = from
  const end = from + seeds
  const takeOrder = (): Order | undefined => {
    if (next >= end || signal?.aborted === true) return undefined
    const order = { from: next, to: Math.min(end, next + ORDER_SEEDS) }
    next = order.to
    return order
  }
  const tell = () => {
    const seconds = (performance.now() - started) / 1000
    const rate = (tally.seeds / seconds).toFixed(0)
    progress(`${tally.seeds} of ${seeds} seeds, ${rate} a second, ${tally.failed.length} failed`)
  }
  const ticking = setInterval(tell, PROGRESS_EVERY_MS)
  const count = Math.min(workers ?? availableParallelism() + SPARE_WORKERS, Math.ceil(seeds / ORDER_SEEDS))
  const crew = Array.from({ length: count }, () => new Crewman())
  try {
    await Promise.all(
      crew.map(async (worker) => {
        for (let order = takeOrder(); order !== undefined; order = takeOrder()) {
          for (const result of await worker.carryOut(order)) {
            tally.add(result)
            if (result.violations.length > 0) progress(`seed ${result.seed} failed: ${rulesOf(result)}`)
          }
        }
      }),
    )
  } finally {
    clearInterval(ticking)
    for (const worker of crew) worker.dismiss()
  }
  tell()
  return tally
}

class Crewman {
  readonly #child: ChildProcess
  #idle = true

  constructor() {
    this.#child = fork(join(import.meta.dirname, 'worker.ts'), { serialization: 'advanced' })
  }

  carryOut(order: Order): Promise<readonly SeedResult[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly SeedResult[]>()
    const seeds = `seeds ${order.from} to ${order.to - 1}`
    const late = setTimeout(
      () => reject(new Error(`${seeds} take too long: one of them hangs`)),
      ORDER_MS_MAX,
    )
    const onExit = (code: number | null) => reject(new Error(`a worker ended with ${code} at ${seeds}`))
    this.#child.once('exit', onExit)
    this.#child.once('message', (results) => {
      this.#idle = true
      resolve(results as readonly SeedResult[])
    })
    this.#idle = false
    this.#child.send(order)
    return promise.finally(() => {
      clearTimeout(late)
      this.#child.off('exit', onExit)
    })
  }

  /** Lets it go: at the end of its order it cleans up and ends; one that hangs is killed. */
  dismiss(): void {
    if (this.#idle) this.#child.disconnect()
    else this.#child.kill('SIGKILL')
  }
}

function rulesOf({ violations }: SeedResult): string {
  return [...new Set(violations.map(({ rule }) => rule))].join(', ')
}
