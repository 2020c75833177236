/** Socket to sealed Parquet: the product's process against the baseline's, fed by a flood over a real WebSocket. */
import { join } from 'node:path'
import { readdirSync, readFileSync } from 'node:fs'
import { type Sample, sampleOf } from './measure.ts'
import { CaptureProcess, Exchange, makeTemporary, Measured } from './processes.ts'
import { fileURLToPath } from 'node:url'

const OBVIOUS_MAIN = fileURLToPath(new URL('obvious-main.ts', import.meta.url))
/** Windows are cut each second, so that recording and shipping run beside the flood. */
const ROTATION_SECONDS = 1

export interface PipelineSide {
  readonly events: number
  /** Events a second of wall time, from the first byte of the flood to the end of the process. */
  readonly rate: Sample
  /** CPU of the process from the flood's begin, all threads, microseconds an event. */
  readonly cpuUs: Sample
  readonly rssPeakBytes: Sample
}

export interface PipelineResult {
  readonly traffic: string
  readonly ours: PipelineSide
  readonly obvious: PipelineSide
}

interface Pass {
  readonly events: number
  readonly rate: number
  readonly cpuUs: number
  readonly rssPeakBytes: number
}

interface Flood {
  readonly recording: string
  readonly profile: 'raw' | 'merged'
  readonly passes: number
  readonly eventsMax: number
}

/** Floods both, in turns. The baseline gets fewer events: it would take minutes for ours. */
export async function measurePipeline(
  recording: string,
  profile: 'raw' | 'merged',
  sizes: { readonly repeats: number; readonly passes: number; readonly eventsObvious: number },
): Promise<PipelineResult> {
  const ours: Pass[] = []
  const obvious: Pass[] = []
  for (let repeat = 0; repeat < sizes.repeats; repeat++) {
    ours.push(await floodCapture({ recording, profile, passes: sizes.passes, eventsMax: 0 }))
    obvious.push(await floodObvious({ recording, profile, passes: 1, eventsMax: sizes.eventsObvious }))
  }
  const speed = profile === 'raw' ? '0 ms' : '100 ms'
  return { traffic: `${recording.slice('btcusdt-'.length)} ${speed}`, ours: sideOf(ours), obvious: sideOf(obvious) }
}

const sideOf = (passes: readonly Pass[]): PipelineSide => ({
  events: passes[0].events,
  rate: sampleOf(passes.map(({ rate }) => rate)),
  cpuUs: sampleOf(passes.map(({ cpuUs }) => cpuUs)),
  rssPeakBytes: sampleOf(passes.map(({ rssPeakBytes }) => rssPeakBytes)),
})

async function floodCapture(flood: Flood): Promise<Pass> {
  const exchange = await Exchange.start({ ...flood, speed: 0 })
  const { endpoints, lastId, events } = exchange.ready
  const capture = await CaptureProcess.start(endpoints, makeTemporary(), ROTATION_SECONDS)
  const began = await exchange.when('flowing')
  const before = await capture.usage()
  await exchange.when('sent')
  await capture.until('/status', 20, (_status, body) => body.includes(`"lastId":"${lastId}"`))
  capture.child.kill('SIGTERM')
  const { usage, endedAt } = await capture.end()
  await exchange.stop()
  const rows = publishedRows(capture.bucket, 'books20')
  if (rows !== events) throw new Error(`${rows} rows of books20 were published of ${events} events`)
  return passOf(events, endedAt - began, usage.cpuUs - before.cpuUs, usage.rssPeakBytes)
}

async function floodObvious(flood: Flood): Promise<Pass> {
  const exchange = await Exchange.start({ ...flood, speed: 0 })
  const { endpoints, lastId, events } = exchange.ready
  const dir = makeTemporary()
  const process = new Measured([OBVIOUS_MAIN, endpoints, lastId, join(dir, 'out.parquet')], dir)
  const began = await exchange.when('flowing')
  const before = await process.usage()
  const { usage, endedAt } = await process.end()
  await exchange.stop()
  return passOf(events, endedAt - began, usage.cpuUs - before.cpuUs, usage.rssPeakBytes)
}

const passOf = (events: number, wallMs: number, cpuUs: number, rssPeakBytes: number): Pass => ({
  events,
  rate: (events / wallMs) * 1000,
  cpuUs: cpuUs / events,
  rssPeakBytes,
})

/** Rows of a stream in all manifests of a bucket: what was committed, not what was meant. */
export function publishedRows(bucket: string, stream: string): number {
  let rows = 0
  for (const name of readdirSync(join(bucket, 'manifest'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.json')) continue
    const { objects } = JSON.parse(readFileSync(join(bucket, 'manifest', name), 'utf8')) as {
      objects: { stream: string; rows: number }[]
    }
    for (const object of objects) if (object.stream === stream) rows += object.rows
  }
  return rows
}
