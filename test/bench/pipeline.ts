/** Socket to sealed Parquet: the product's process against the baseline's, fed by a flood over a real WebSocket. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Sample, sampleOf } from './measure.ts'
import { CaptureProcess, Exchange, Measured, makeTemporary } from './processes.ts'

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

/** Floods both, in turns. The baseline gets fewer events: as many as ours would take it minutes. */
export async function measurePipeline(
  recording: string,
  profile: 'raw' | 'merged',
  sizes: { readonly repeats: number; readonly passes: number; readonly eventsObvious: number },
): Promise<PipelineResult> {
  const { passes, eventsObvious } = sizes
  const many = await Exchange.start({ recording, profile, passes, eventsMax: 0, speed: 0 })
  const few = await Exchange.start({ recording, profile, passes: 1, eventsMax: eventsObvious, speed: 0 })
  const ours: Pass[] = []
  const obvious: Pass[] = []
  for (let repeat = 0; repeat < sizes.repeats; repeat++) {
    ours.push(await floodCapture(many))
    obvious.push(await floodObvious(few))
  }
  await many.stop()
  await few.stop()
  const speed = profile === 'raw' ? '0 ms' : '100 ms'
  return {
    traffic: `${recording.slice('btcusdt-'.length)} ${speed}`,
    ours: sideOf(ours),
    obvious: sideOf(obvious),
  }
}

const sideOf = (passes: readonly Pass[]): PipelineSide => ({
  events: passes[0].events,
  rate: sampleOf(passes.map(({ rate }) => rate)),
  cpuUs: sampleOf(passes.map(({ cpuUs }) => cpuUs)),
  rssPeakBytes: sampleOf(passes.map(({ rssPeakBytes }) => rssPeakBytes)),
})

async function floodCapture(exchange: Exchange): Promise<Pass> {
  exchange.forget()
  const { endpoints, lastId, events } = exchange.ready
  const capture = await CaptureProcess.start(endpoints, makeTemporary(), ROTATION_SECONDS)
  await capture.lives(exchange.when('asked'))
  const before = await capture.usage()
  exchange.flood()
  const began = await capture.lives(exchange.when('flowing'))
  await capture.lives(exchange.when('sent'))
  await capture.until('/status', 20, (_status, body) => body.includes(`"lastId":"${lastId}"`))
  capture.child.kill('SIGTERM')
  const { usage, endedAt } = await capture.end()
  const rows = publishedRows(capture.bucket, 'books20')
  if (rows !== events) throw new Error(`${rows} rows of books20 were published of ${events} events`)
  return passOf(events, endedAt - began, usage.cpuUs - before.cpuUs, usage.rssPeakBytes)
}

async function floodObvious(exchange: Exchange): Promise<Pass> {
  exchange.forget()
  const { endpoints, lastId, events } = exchange.ready
  const dir = makeTemporary()
  const capture = new Measured([OBVIOUS_MAIN, endpoints, lastId, join(dir, 'out.parquet')], dir)
  await capture.lives(exchange.when('asked'))
  const before = await capture.usage()
  exchange.flood()
  const began = await capture.lives(exchange.when('flowing'))
  const { usage, endedAt } = await capture.end()
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
  if (!existsSync(join(bucket, 'manifest'))) return rows
  for (const name of readdirSync(join(bucket, 'manifest'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.json')) continue
    const { objects } = JSON.parse(readFileSync(join(bucket, 'manifest', name), 'utf8')) as {
      objects: { stream: string; rows: number }[]
    }
    for (const object of objects) if (object.stream === stream) rows += object.rows
  }
  return rows
}
