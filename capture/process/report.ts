import { readFile, rename, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { isHaltReason } from '../../api/reasons.ts'

/** The kubelet keeps so much of a termination message. */
const REPORT_BYTES_MAX = 4096
const MESSAGE_LENGTH_MAX = 1500
/** A capture that was live this long has recovered: halts before it do not count any more. */
export const RECOVERED_AFTER_MS = 10 * 60_000

/** How a process ended: written to the spool, and where the kubelet looks for it. */
export const Report = z.object({
  reason: z.string(),
  message: z.string(),
  symbol: z.string(),
  run: z.string(),
  /** RFC 3339. */
  at: z.string(),
  exitCode: z.int(),
  haltsInARow: z.int(),
  previous: z.object({ reason: z.string(), at: z.string() }).nullable(),
  unshippedBytes: z.int(),
  quarantinedBytes: z.int(),
})
export type Report = z.infer<typeof Report>

/** The report of the process before, if there is one that can be read. */
export async function readReport(path: string): Promise<Report | undefined> {
  try {
    return Report.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    // a report is advice to people: a missing or damaged one only means that nothing is known of before
    return undefined
  }
}

/** Halts in a row, this one included; live time counts from the last time the book went live, ms. */
export function haltsInARow(reason: string, previous: Report | undefined, liveForMs: number): number {
  if (reason === 'Drained' || reason === 'Stopped') return 0
  const before = liveForMs >= RECOVERED_AFTER_MS ? 0 : (previous?.haltsInARow ?? 0)
  // an internal error is no halt, and does not make the halts before it forgotten
  return isHaltReason(reason) ? before + 1 : before
}

/** Writes the report whole or not at all, and its copy where asked. Returns what was written. */
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
    terminationLog === undefined ? undefined : writeFile(terminationLog, text),
    writeWhole(path, text),
  ])
  for (const result of written) if (result.status === 'rejected') throw result.reason
  return text
}

async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text)
  await rename(`${path}.new`, path)
}
