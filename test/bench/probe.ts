/**
 * Loaded before a measured program (`node --import`): answers its parent's questions for CPU and memory, and writes
 * both into the file named by L2CAP_BENCH_USAGE when the process ends. The program itself stays as it is.
 */
import { writeFileSync } from 'node:fs'

/** Of the whole process, worker threads included. */
export interface Usage {
  readonly cpuUs: number
  readonly rssBytes: number
  /** The most that was resident at once. */
  readonly rssPeakBytes: number
  readonly heapUsedBytes: number
  readonly heapTotalBytes: number
  readonly externalBytes: number
  readonly arrayBufferBytes: number
}

function usage(): Usage {
  const { user, system } = process.cpuUsage()
  const { rss, heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage()
  return {
    cpuUs: user + system,
    rssBytes: rss,
    rssPeakBytes: process.resourceUsage().maxRSS * 1024,
    heapUsedBytes: heapUsed,
    heapTotalBytes: heapTotal,
    externalBytes: external,
    arrayBufferBytes: arrayBuffers,
  }
}

process.on('message', (question) => {
  if (question === 'usage') process.send?.({ usage: usage() })
})
// listening would keep the process alive for the channel's sake
process.channel?.unref()
process.on('exit', () => {
  const file = process.env['L2CAP_BENCH_USAGE']
  if (file !== undefined) writeFileSync(file, JSON.stringify(usage()))
})
