/**
 * How long an event takes from the exchange's socket to the journal, at a steady rate, and what a rotation adds:
 * there a segment is closed, the next begins with a checkpoint, and the recorder runs beside the feed.
 */
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { exchangeByName, Message } from '../../capture/exchange/mod.ts'
import { SegmentReader } from '../../capture/journal/mod.ts'
import { publishedRows } from './pipeline.ts'
import { CaptureProcess, Exchange, makeTemporary } from './processes.ts'
import { SYMBOL } from './traffic.ts'

const RATE = 5000
const ROTATION_SECONDS = 5
/** Its window closes, and the recorder works on it, within this. */
const AFTER_ROTATION_MS = 2000
const LINK_EVERY_MS = 100
/** Compilers and caches warm up. */
const WARM_MS = 2000
/** Events of the traffic that is sent in passes; more than enough for the time. */
const PASS_EVENTS_MIN = 5000

/** Milliseconds. */
export interface Quantiles {
  readonly p50: number
  readonly p99: number
  /** Undefined where only a histogram is known. */
  readonly max: number | undefined
}

export interface LatencyResult {
  readonly rate: number
  readonly rotationSeconds: number
  readonly events: number
  /** Windows that were closed while events came. */
  readonly rotations: number
  /** From the exchange's write to the receive stamp, above the quickest event of the same window. */
  readonly receive: Quantiles
  /** From the receive stamp to the journal, as the process itself counts it: at most. */
  readonly journal: Quantiles
  /** Of `receive`, the events that were sent soon after a rotation, and all others. */
  readonly atRotation: Quantiles
  readonly elsewhere: Quantiles
}

interface Received {
  readonly id: number
  /** Milliseconds since the epoch. */
  readonly at: number
}

export async function measureLatency(recording: string, seconds: number): Promise<LatencyResult> {
  const dir = makeTemporary()
  const sentFile = join(dir, 'sent.json')
  const passes = Math.ceil((RATE * seconds) / PASS_EVENTS_MIN)
  const exchange = await Exchange.start({
    ...{ recording, profile: 'raw', passes, eventsMax: RATE * seconds, speed: 0, rate: RATE, sentFile },
  })
  const { endpoints, lastId, events } = exchange.ready
  const capture = await CaptureProcess.start(endpoints, dir, ROTATION_SECONDS)
  const kept = join(dir, 'kept')
  const keeping = keepSegments(join(dir, 'spool', 'journal'), kept)
  await capture.lives(exchange.when('sent'))
  await capture.until('/status', 20, (_status, body) => body.includes(`"lastId":"${lastId}"`))
  const journal = await journalDelay(capture)
  capture.child.kill('SIGTERM')
  await capture.end()
  keeping.stop()
  await exchange.stop()
  const rows = publishedRows(capture.bucket, 'books20')
  if (rows !== events) throw new Error(`${rows} rows of books20 were published of ${events} events`)
  const sent = new Map(JSON.parse(readFileSync(sentFile, 'utf8')) as [number, number][])
  return { rate: RATE, rotationSeconds: ROTATION_SECONDS, events, journal, ...(await compare(kept, sent)) }
}

/** Segments go once they are committed: each gets a second name as soon as it is there. */
function keepSegments(journal: string, kept: string): { stop(): void } {
  mkdirSync(kept)
  const link = () => {
    for (const name of existsSync(journal) ? readdirSync(journal) : []) {
      if (!existsSync(join(kept, name))) linkSync(join(journal, name), join(kept, name))
    }
  }
  const timer = setInterval(link, LINK_EVERY_MS)
  return { stop: () => clearInterval(timer) }
}

type Compared = Pick<LatencyResult, 'receive' | 'atRotation' | 'elsewhere' | 'rotations'>

async function compare(kept: string, sent: ReadonlyMap<number, number>): Promise<Compared> {
  const [first = 0] = sent.values()
  const startedAt = first + WARM_MS
  const all: number[] = []
  const atRotation: number[] = []
  const elsewhere: number[] = []
  const names = readdirSync(kept).sort()
  let rotations = 0
  for (const [window, name] of names.entries()) {
    const received = await readReceived(join(kept, name))
    const delays = received.flatMap(({ id, at }) => {
      const sentAt = sent.get(id)
      return sentAt === undefined || sentAt < startedAt ? [] : [{ sentAt, delayMs: at - sentAt }]
    })
    // the clock of a segment begins at a whole millisecond of the wall clock
    const quickest = delays.reduce((min, { delayMs }) => Math.min(min, delayMs), Number.POSITIVE_INFINITY)
    const openedAt = received[0]?.at ?? 0
    if (window > 0 && delays.length > 0) rotations++
    for (const { sentAt, delayMs } of delays) {
      const isNear = window > 0 && sentAt - openedAt < AFTER_ROTATION_MS
      all.push(delayMs - quickest)
      ;(isNear ? atRotation : elsewhere).push(delayMs - quickest)
    }
  }
  return {
    receive: quantilesOf(all),
    atRotation: quantilesOf(atRotation),
    elsewhere: quantilesOf(elsewhere),
    rotations,
  }
}

/** Depth events of a segment, with their receive times. */
async function readReceived(path: string): Promise<Received[]> {
  const exchange = exchangeByName('BinanceUsdm')
  const message = new Message()
  const received: Received[] = []
  const reader = await SegmentReader.open(path)
  for await (const batch of reader.batches()) {
    for (const input of batch) {
      if (input.kind !== 'message') continue
      exchange.decode(input.payload, SYMBOL, message)
      received.push({ id: Number(message.depth.finalId), at: input.received / 1000 })
    }
  }
  return received
}

function quantilesOf(values: readonly number[]): Quantiles {
  const sorted = Float64Array.from(values).sort()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return { p50: at(0.5), p99: at(0.99), max: sorted[sorted.length - 1] }
}

/** From the histogram of the process: the upper bounds of the buckets that hold the quantiles. */
async function journalDelay(capture: CaptureProcess): Promise<Quantiles> {
  const text = await (await fetch(`${capture.base}/metrics`)).text()
  const pattern = /^l2cap_journal_delay_seconds_bucket\{[^}]*le="([^"]+)"[^}]*\} (\d+)/gm
  const buckets = [...text.matchAll(pattern)].map(([, le, count]) => ({
    le: le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le),
    count: Number(count),
  }))
  const total = buckets.at(-1)?.count ?? 0
  if (total === 0) throw new Error('the capture tells no l2cap_journal_delay_seconds')
  const at = (share: number) => (buckets.find(({ count }) => count >= total * share)?.le ?? 0) * 1000
  return { p50: at(0.5), p99: at(0.99), max: undefined }
}
