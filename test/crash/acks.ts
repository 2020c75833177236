/** What a life says of itself on its standard output, one a line, as soon as it may rely on it. */
import { writeSync } from 'node:fs'
import { z } from 'zod'

export const Ack = z.union([
  /** So many bytes of a segment are on the disk. */
  z.object({ segment: z.string(), synced: z.number() }),
  /** The manifest with this key was proven. */
  z.object({ committed: z.string() }),
])
export type Ack = z.infer<typeof Ack>

/** Written at once: what was said counts although the process dies with its next call. */
export function acknowledge(ack: Ack): void {
  writeSync(1, `${JSON.stringify(ack)}\n`)
}

/** All that a life said among whatever else it printed; a line that the kill cut short says nothing. */
export function acksIn(output: string): Ack[] {
  return output.split('\n').flatMap((line) => {
    if (!/^\{.*\}$/.test(line)) return []
    const ack = Ack.safeParse(JSON.parse(line))
    return ack.success ? [ack.data] : []
  })
}
