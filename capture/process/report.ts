import { open, readFile } from 'node:fs/promises'
import { z } from 'zod'
import { isHaltReason } from '../../api/reasons.ts'
import { Report } from '../../api/report.ts'
import { replaceFile } from './durable-file.ts'

/** The kubelet keeps so much of a termination message. */
const REPORT_BYTES_MAX = 4096
const MESSAGE_LENGTH_MAX = 1500
const HALT_MESSAGE_LENGTH_MAX = 300
/** A capture that was live this long has recovered: halts before it do not count any more. */
export const RECOVERED_AFTER_MS = 10 * 60_000

/** What the next start calls an end that left no report: SIGKILL, out of memory, a power loss. */
export const KILLED = 'Killed'
/** Ends that somebody asked for: halts before them do not count any more. */
const ENDED_IN_ORDER: readonly string[] = ['Drained', 'Stopped', 'Discarded']
/** Ends that nobody asked for and that are no halts: remembered with them, and not counted in a row. */
export const UNASKED_ENDS: readonly string[] = ['InternalError', KILLED]

/** The report of the process before, if there is one that can be read. */
export async function readReport(path: string): Promise<Report | undefined> {
  try {
    return Report.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    // a report is advice to people: a missing or damaged one only means that nothing is known of before
    return undefined
  }
}

/**
 * Halts in a row, this one included. `liveForMs`: the longest time that the process was healthy without a break: its
 * book live, or where none is captured all of its streams flowing.
 */
export function haltsInARow(reason: string, previous: Report | undefined, liveForMs: number): number {
  if (ENDED_IN_ORDER.includes(reason)) return 0
  const before = liveForMs >= RECOVERED_AFTER_MS ? 0 : (previous?.haltsInARow ?? 0)
  // an internal error is no halt, and does not make the halts before it forgotten
  return isHaltReason(reason) ? before + 1 : before
}

/** Writes the report whole or not at all, durably, and its copy where asked. Returns what was written. */
export async function writeReport(
  report: Report,
  path: string,
  terminationLog: string | undefined,
): Promise<string> {
  const bounded = { ...report, message: report.message.slice(0, MESSAGE_LENGTH_MAX) }
  let text = JSON.stringify(bounded)
  if (Buffer.byteLength(text) > REPORT_BYTES_MAX)
    text = JSON.stringify({ ...bounded, message: bounded.message.slice(0, 300) })
  // one that cannot be written must not keep the other from saying so
  const written = await Promise.allSettled([
    terminationLog === undefined ? undefined : writeInPlace(terminationLog, text),
    replaceFile(path, text),
  ])
  for (const result of written) if (result.status === 'rejected') throw result.reason
  return text
}

/** The report that a process would have left which was killed before it could; `at` is its last sign of life. */
export function killedReport(
  symbol: string,
  at: string,
  message: string,
  previous: Report | undefined,
): Report {
  return {
    reason: KILLED,
    message,
    symbol,
    // its segments name it; nobody reads them here
    run: '',
    at,
    exitCode: -1,
    haltsInARow: previous?.haltsInARow ?? 0,
    previous: previous === undefined ? null : { reason: previous.reason, at: previous.at },
    unshippedBytes: -1,
    quarantinedBytes: -1,
  }
}

/** The kubelet mounts the termination log as one file: it cannot be replaced, only written. */
async function writeInPlace(path: string, text: string): Promise<void> {
  const file = await open(path, 'w')
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** So many halts are remembered, for people who ask how it has been. */
export const HALTS_MAX = 5

/** Halts of a spool's processes, the latest first. */
export const Halts = z.array(
  z.object({ reason: z.string(), message: z.string(), run: z.string(), at: z.string() }),
)
export type Halts = z.infer<typeof Halts>

/** The halts of the processes before; none where nothing is known of them. */
export async function readHalts(path: string): Promise<Halts> {
  try {
    return Halts.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    // advice to people, as the report is: a missing or damaged list only means that nothing is known
    return []
  }
}

/** Adds the halt, or other end that nobody asked for, that a report tells of; returns the list as it is now. */
export async function rememberHalt(report: Report, before: Halts, path: string): Promise<Halts> {
  if (!isHaltReason(report.reason) && !UNASKED_ENDS.includes(report.reason)) return before
  const { reason, run, at } = report
  const halt = { reason, message: report.message.slice(0, HALT_MESSAGE_LENGTH_MAX), run, at }
  const halts = [halt, ...before].slice(0, HALTS_MAX)
  await replaceFile(path, JSON.stringify(halts))
  return halts
}
