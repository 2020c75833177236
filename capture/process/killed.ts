/** Notices that the process before was killed: it left its note in the lock, and no report. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report } from '../../api/report.ts'
import type { FeedLog } from '../feed/mod.ts'
import type { SpoolLock } from '../journal/mod.ts'
import { formatTimeUs, type SpoolPaths } from '../ship/mod.ts'
import { type Halts, killedReport, readHalts, readReport, rememberHalt } from './report.ts'

interface Ends {
  /** Of the last process; undefined where nothing is known of it. */
  readonly report: Report | undefined
  readonly halts: Halts
}

/**
 * How the processes before ended. One that was killed could not tell: it is told, and remembered, here. To be asked
 * before the journal is taken up: recovery writes to it, and its last write is the last sign of life.
 */
export async function endsBefore(
  paths: SpoolPaths,
  lock: SpoolLock,
  symbol: string,
  log: FeedLog,
): Promise<Ends> {
  const [report, halts] = [await readReport(paths.report), await readHalts(paths.halts)]
  const killed = await reportOfKilled(lock, paths.journal, symbol, report)
  if (killed === undefined) return { report, halts }
  log.warn({ reason: killed.reason, lastSign: killed.at }, killed.message)
  try {
    return { report: killed, halts: await rememberHalt(killed, halts, paths.halts) }
  } catch (error) {
    // on a full disk it is told all the same, here and by the report of this process
    log.warn({ error: String(error) }, 'the list of halts cannot be written')
    return { report: killed, halts }
  }
}

/**
 * The report of a process that could write none, or undefined where the last one wrote its own.
 */
async function reportOfKilled(
  { before }: SpoolLock,
  journalDir: string,
  symbol: string,
  last: Report | undefined,
): Promise<Report | undefined> {
  if (before === undefined) return undefined
  const startedMs = Date.parse(before.startedAt)
  // killed after its last words: those are told already
  if (last !== undefined && Date.parse(last.at) >= startedMs) return undefined
  const atMs = Math.max(startedMs, await lastWrittenMs(journalDir))
  const at = formatTimeUs(Math.floor(atMs) * 1000)
  const message =
    `process ${before.pid} on ${before.host} ended without a report, at ${at} or later: killed, out of memory, ` +
    'or a power loss. What it had written is taken up'
  return killedReport(symbol, at, message, last)
}

/** When anything in the journal was last written, ms since the epoch; 0 where there is nothing. */
async function lastWrittenMs(journalDir: string): Promise<number> {
  const names = await readdir(journalDir)
  const times = await Promise.all(names.map(async (name) => (await stat(join(journalDir, name))).mtimeMs))
  return Math.max(0, ...times)
}
