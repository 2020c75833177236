import { z } from 'zod'

/** How a process ended, as it writes it to its termination message; one of an earlier version is read too. */
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

/** The report in a termination message; undefined where there is none that can be read. */
export function parseReport(message: string): Report | undefined {
  if (!message.startsWith('{')) return undefined
  try {
    return Report.safeParse(JSON.parse(message)).data
  } catch {
    // cut off, or another's words: the exit code says the rest
    return undefined
  }
}
