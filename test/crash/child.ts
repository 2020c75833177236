/**
 * The victim of steps.test.ts and syscalls.test.ts: lives the lives of its one argument, Orders in JSON, one after
 * another in one process. With a gate it says that it is ready and waits for a byte, so that a tracer can be
 * attached to a process that has loaded all it needs.
 */
import { readSync, writeSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { z } from 'zod'
import { Job, liveThrough } from './harness.ts'

const Orders = z.object({ jobs: z.array(Job), gate: z.boolean() })
export type Orders = z.infer<typeof Orders>

const { jobs, gate } = Orders.parse(JSON.parse(process.argv[2] ?? ''))
if (gate) {
  // the encoder too: else it is loaded with the first recording, by thousands of calls
  await import('../../capture/record/record.ts')
  // the thread for files is there from its first call on
  await stat(import.meta.dirname)
  writeSync(1, 'ready\n')
  readSync(0, Buffer.alloc(1))
}
for (const job of jobs) {
  try {
    await liveThrough(job)
  } catch (cause) {
    throw new Error(`in ${job.spool}`, { cause })
  }
}
