/** Resident memory of the product's process with one symbol: before a flush, right after it, and at rest again. */
import { publishedRows } from './pipeline.ts'
import type { Usage } from './probe.ts'
import { CaptureProcess, Exchange, makeTemporary } from './processes.ts'

/** At this pace 10 s hold what a window of 300 s holds at the exchange's: about 3,000 events. */
const SPEED = 30
const WINDOW_MS = 10_000
const MINUTE_MS = 60_000 / SPEED
/** Boundaries are further apart, so that the recorder's worker finds itself without work between two of them. */
const ROTATION_SECONDS = 20
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

/** The traffic is the merged one, at 30 times its pace. Takes 4 s, with a flush 25 to 45 s. */
export async function measureMemory(recording: string, withFlush: boolean): Promise<MemoryResult> {
  const exchange = await Exchange.start({
    recording,
    profile: 'merged',
    passes: 3,
    eventsMax: 0,
    speed: SPEED,
  })
  const leftMs = ROTATION_MS - (Date.now() % ROTATION_MS)
  if (withFlush && leftMs < WINDOW_MS) await pause(leftMs)
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
