/**
 * What shipping to S3 costs: one capture ships into a real S3 server while another, with the same traffic, ships into
 * a directory. Both run at once, so that the moods of the machine are those of both. Then the windows that they wrote
 * drain as the backlog of an outage.
 */
import { LocalBucket, type Requests } from '../../capture/ship/mod.ts'
import { Pace } from '../../capture/ship/pace.ts'
import { S3Bucket } from '../../capture/ship/s3/mod.ts'
import { s3Problem } from '../s3/server.ts'
import { OwnStore } from '../s3/store.ts'
import { type Drain, drainBacklog, readWindows, type Window } from './backlog.ts'
import { type Sample, sampleOf } from './measure.ts'
import type { Usage } from './probe.ts'
import { type CaptureOptions, CaptureProcess, Exchange, makeTemporary } from './processes.ts'
import { SYMBOL } from './traffic.ts'

/** About a hundred times the exchange's pace: a window of 3 s holds what one of 300 s usually does. */
const RATE = 1000
/** Events of the traffic that is sent in passes, at least. */
const PASS_EVENTS_MIN = 3000
/** Windows that go before those that count: the first is none of full length, and loads what is loaded once. */
const WARM_WINDOWS = 1
/** A short backlog goes before those that count, for the compiler. */
const WARM_BACKLOG_WINDOWS = 6
/** Traffic besides whole windows: for the way of the last one on a busy machine. */
const SPARE_SECONDS = 3

export interface ShippingSizes {
  /** Captures of each kind. */
  readonly repeats: number
  readonly rotationSeconds: number
  /** Windows that count, of each capture. */
  readonly windows: number
  readonly backlogWindows: number
  readonly drains: number
}

export interface ShippingSide {
  /** Windows that were measured, of all captures together. */
  readonly windows: number
  /** From a rotation to the window's local files being gone, once its manifest is proven. Milliseconds. */
  readonly commitMs: { readonly p50: number; readonly p99: number }
  /** CPU of the process a window, with all that a capture does besides shipping. Milliseconds. */
  readonly cpuMs: Sample
  /** CPU of the process up to the first window shipped: its start and what is loaded once. Milliseconds. */
  readonly firstCpuMs: Sample
  readonly residentBytes: Sample
  readonly peakBytes: Sample
}

export interface ShippingResult {
  readonly rate: number
  readonly rotationSeconds: number
  /** What a fresh window waits on S3, so that captures do not go at one instant; part of `commitMs`. */
  readonly offsetMs: number
  readonly local: ShippingSide
  readonly s3: ShippingSide
  /** Into the directory, and into S3 after an outage. */
  readonly drains: { readonly local: readonly Drain[]; readonly s3: readonly Drain[] }
}

/** Why it was not measured. */
export interface ShippingSkipped {
  readonly skipped: string
}

interface Passed {
  readonly commitMs: readonly number[]
  readonly cpuMs: number
  readonly firstCpuMs: number
  readonly at: Usage
  readonly windows: readonly Window[]
}

export async function measureShipping(
  recording: string,
  sizes: ShippingSizes,
): Promise<ShippingResult | ShippingSkipped> {
  const problem = s3Problem('versitygw')
  if (problem !== '') return { skipped: problem }
  const { rotationSeconds } = sizes
  const eventsMax = RATE * ((sizes.windows + WARM_WINDOWS + 1) * rotationSeconds + SPARE_SECONDS)
  const passes = Math.ceil(eventsMax / PASS_EVENTS_MIN)
  const start = () =>
    Exchange.start({ recording, profile: 'merged', passes, eventsMax, speed: 0, rate: RATE })
  const [store, ...exchanges] = await Promise.all([OwnStore.start({ server: 'versitygw' }), start(), start()])
  try {
    const local: Passed[] = []
    const s3: Passed[] = []
    for (let repeat = 0; repeat < sizes.repeats; repeat++) {
      const [one, other] = await Promise.all([
        passLocal(exchanges[0], sizes),
        passS3(exchanges[1], sizes, store, `capture-${repeat}`),
      ])
      local.push(one)
      s3.push(other)
    }
    for (const exchange of exchanges) await exchange.stop()
    return {
      rate: RATE,
      rotationSeconds,
      offsetMs: offsetMs(rotationSeconds),
      local: sideOf(local),
      s3: sideOf(s3),
      drains: await measureDrains(store, local[0].windows, sizes),
    }
  } finally {
    store.client.destroy()
    store.server.remove()
  }
}

function offsetMs(rotationSeconds: number): number {
  const pace = { windowEveryMs: rotationSeconds * 1000, random: () => 0, spreadBy: `BinanceUsdm/${SYMBOL}` }
  return new Pace(pace).offsetMs
}

async function passLocal(exchange: Exchange, sizes: ShippingSizes): Promise<Passed> {
  return await pass(exchange, sizes, {}, (capture) => readWindows(new LocalBucket(capture.bucket)))
}

async function passS3(
  exchange: Exchange,
  sizes: ShippingSizes,
  store: OwnStore,
  prefix: string,
): Promise<Passed> {
  const { endpoint, bucket, region } = store.address
  const storage = { s3: { bucket, prefix, region, endpoint } }
  const at = new S3Bucket({ ...store.config, prefix }, { env: {} })
  try {
    return await pass(exchange, sizes, { env: store.env, storage }, () => readWindows(at))
  } finally {
    at.close()
  }
}

/** One capture: its figures between the first window shipped and the last that counts. */
async function pass(
  exchange: Exchange,
  { windows: count, rotationSeconds }: ShippingSizes,
  options: CaptureOptions,
  read: (capture: CaptureProcess) => Promise<Window[]>,
): Promise<Passed> {
  exchange.forget()
  const dir = makeTemporary()
  const capture = await CaptureProcess.start(exchange.ready.endpoints, dir, rotationSeconds, options)
  await capture.shipped(WARM_WINDOWS)
  const first = await capture.usage()
  const shipped = await capture.shipped(WARM_WINDOWS + count)
  const after = await capture.usage()
  capture.child.kill('SIGTERM')
  const { usage } = await capture.end()
  const windows = (await read(capture)).slice(WARM_WINDOWS, WARM_WINDOWS + count)
  const closedMs = new Map(windows.map(({ manifest }) => [manifest.window, Date.parse(manifest.closed)]))
  const commitMs = shipped.flatMap(({ window, atMs }) => {
    const closed = closedMs.get(window)
    return closed === undefined ? [] : [atMs - closed]
  })
  if (windows.length !== count || commitMs.length !== count)
    throw new Error(
      `${windows.length} windows are in the bucket of the bench and ${commitMs.length} were told`,
    )
  return {
    commitMs,
    cpuMs: (after.cpuUs - first.cpuUs) / 1000 / count,
    firstCpuMs: first.cpuUs / 1000,
    at: { ...after, rssPeakBytes: usage.rssPeakBytes },
    windows,
  }
}

function sideOf(passes: readonly Passed[]): ShippingSide {
  const commitMs = passes.flatMap((each) => each.commitMs).sort((a, b) => a - b)
  const at = (share: number) => commitMs[Math.min(commitMs.length - 1, Math.floor(commitMs.length * share))]
  return {
    windows: commitMs.length,
    commitMs: { p50: at(0.5), p99: at(0.99) },
    cpuMs: sampleOf(passes.map(({ cpuMs }) => cpuMs)),
    firstCpuMs: sampleOf(passes.map(({ firstCpuMs }) => firstCpuMs)),
    residentBytes: sampleOf(passes.map((each) => each.at.rssBytes)),
    peakBytes: sampleOf(passes.map((each) => each.at.rssPeakBytes)),
  }
}

async function measureDrains(
  store: OwnStore,
  windows: readonly Window[],
  { drains, backlogWindows }: ShippingSizes,
): Promise<ShippingResult['drains']> {
  const outage = { begin: () => store.server.kill(), end: () => store.server.start() }
  const local: Drain[] = []
  const s3: Drain[] = []
  const opened: S3Bucket[] = []
  const s3Bucket = (prefix: string) => (requests: Requests) => {
    const bucket = new S3Bucket({ ...store.config, prefix }, { env: {}, requests })
    opened.push(bucket)
    return bucket
  }
  const directory = (requests: Requests) => new LocalBucket(makeTemporary(), { requests })
  for (const into of [s3Bucket('backlog-warm'), directory]) {
    await drainBacklog(into, windows, WARM_BACKLOG_WINDOWS)
  }
  for (let repeat = 0; repeat < drains; repeat++) {
    local.push(await drainBacklog(directory, windows, backlogWindows))
    s3.push(await drainBacklog(s3Bucket(`backlog-${repeat}`), windows, backlogWindows, outage))
  }
  for (const bucket of opened) bucket.close()
  return { local, s3 }
}
