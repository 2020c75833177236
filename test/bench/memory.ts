/** Resident memory of the product's process with one symbol: before a flush, right after it, and at rest again. */
import { publishedRows } from './pipeline.ts'
import type { Usage } from './probe.ts'
import { CaptureProcess, Exchange, makeTemporary } from './processes.ts'

/** At this pace a window of 20 s holds what one of 300 s holds at the exchange's: about 3,000 events. */
const SPEED = 15
const ROTATION_SECONDS = 20
/** The first window is this long at least. */
const WINDOW_MS_MIN = 12_000
const MINUTE_MS = 60_000 / SPEED
const ROTATION_MS = ROTATION_SECONDS * 1000
/** The worker ends when it has had nothing to do for 10 s. */
const REST_MS = 11_000

export interface MemoryResult {
  /** After a minute of traffic; nothing has been flushed, there is no worker yet. */
  readonly minute: Usage
  readonly flush: FlushMemory | undefined
}

export interface FlushMemory {
  /** When the first window has been published: the worker waits for work. */
  readonly flushed: Usage
  /** When the worker has ended for want of work. */
  readonly rested: Usage
  /** Rows of books20 that the flush held. */
  readonly rows: number
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** The traffic is the merged one, at 15 times its pace. Takes 6 s, with a flush 25 to 45 s. */
export async function measureMemory(recording: string, withFlush: boolean): Promise<MemoryResult> {
  const exchange = await Exchange.start({
    recording,
    profile: 'merged',
    passes: 5,
    eventsMax: 0,
    speed: SPEED,
  })
  const leftMs = ROTATION_MS - (Date.now() % ROTATION_MS)
  if (withFlush && leftMs < WINDOW_MS_MIN) await pause(leftMs)
  const rotationSeconds = withFlush ? ROTATION_SECONDS : 3600
  const capture = await CaptureProcess.start(exchange.ready.endpoints, makeTemporary(), rotationSeconds)
  await capture.until('/readyz', 20, (status) => status === 200)
  await pause(MINUTE_MS)
  const minute = await capture.usage()
  const flush = withFlush ? await firstFlush(capture) : undefined
  capture.child.kill('SIGTERM')
  await capture.end()
  await exchange.stop()
  return { minute, flush }
}

async function firstFlush(capture: CaptureProcess): Promise<FlushMemory> {
  await capture.until('/livez', 100, () => publishedRows(capture.bucket, 'books20') > 0)
  const flushed = await capture.usage()
  const rows = publishedRows(capture.bucket, 'books20')
  await pause(REST_MS)
  return { flushed, rested: await capture.usage(), rows }
}
