/** The end of a process: its report, and what is closed before it, whatever fails on the way. */
import type { Logger } from 'pino'
import type { ProcessConfig } from '../../api/config.ts'
import { HALT_EXIT_CODES, type HaltReason } from '../../api/reasons.ts'
import type { Report } from '../../api/report.ts'
import type { SpoolLock } from '../journal/mod.ts'
import { formatTimeUs, type Spool } from '../ship/mod.ts'
import type { RunKeeper } from './keeper.ts'
import { type Halts, haltsInARow, rememberHalt, writeReport } from './report.ts'
import type { DiskRoom } from './room.ts'
import { healthyMs } from './status.ts'
import { wait } from './wait.ts'

/** Each last step of a process has so long: what hangs then ends with the process. */
const END_STEP_MS = 5_000

/** How a capture ended. */
export interface Ending {
  readonly exitCode: number
  readonly report: Report
}

/** Why it ends: what was asked for, or the halt that came first. */
export interface Cause {
  readonly reason: string
  readonly message: string
  readonly exitCode: number
  readonly halted: { readonly reason: HaltReason; readonly message: string } | undefined
}

export interface LastWordsOptions {
  readonly config: ProcessConfig
  readonly log: Logger
  readonly lock: SpoolLock
  readonly spool: Spool
  readonly room: DiskRoom
  readonly keeper: RunKeeper
  /** Of the process before, and of those before it. */
  readonly previous: Report | undefined
  readonly halts: Halts
  /** What is closed first, each by its name. */
  readonly closes: readonly { readonly what: string; readonly close: () => Promise<unknown> }[]
}

/** Closes everything, writes the report and gives the lock back. */
export async function sayLastWords(options: LastWordsOptions, cause: Cause): Promise<Ending> {
  const { config, log, lock, spool, room, halts, closes } = options
  const carryOn = <T>(what: string, step: () => Promise<T>) => carriedOn(log, what, step)
  for (const { what, close } of closes) await carryOn(what, close)
  const usage = await carryOn('the spool', () => spool.usage())
  const report = reportOf(options, cause, usage ?? { unshippedBytes: -1, quarantinedBytes: -1 })
  const { paths } = spool
  // on a full disk the report takes the room of the reserve
  await carryOn('the reserve', () => room.release())
  await carryOn('the report', () => writeReport(report, paths.report, config.terminationLog))
  await carryOn('the list of halts', () => rememberHalt(report, halts, paths.halts))
  log.info({ report }, `ended: ${report.reason}`)
  await carryOn('the lock', async () => lock.release())
  return { exitCode: report.exitCode, report }
}

function reportOf(
  { config, keeper, previous }: LastWordsOptions,
  { reason: asked, message, exitCode, halted }: Cause,
  usage: { readonly unshippedBytes: number; readonly quarantinedBytes: number },
): Report {
  const reason = halted?.reason ?? asked
  return {
    reason,
    message: halted?.message ?? message,
    symbol: config.symbol,
    run: keeper.runId,
    at: formatTimeUs(Date.now() * 1000),
    exitCode: halted === undefined ? exitCode : HALT_EXIT_CODES[halted.reason],
    haltsInARow: haltsInARow(reason, previous, healthyMs(config.streams, keeper)),
    previous: previous === undefined ? null : { reason: previous.reason, at: previous.at },
    unshippedBytes: usage.unshippedBytes,
    quarantinedBytes: usage.quarantinedBytes,
  }
}

/** A step of the end that must not keep the others from happening, by failing or by taking for ever. */
async function carriedOn<T>(log: Logger, what: string, step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await Promise.race([step(), wait(END_STEP_MS)])
  } catch (error) {
    log.error({ error: String(error) }, `${what} failed at the end`)
    return undefined
  }
}
