/**
 * How fast a backlog drains: the real shipper over real windows, after a real outage of its store. It is told at once
 * that a rest has passed, and rests are added up: so one drain tells both, with rests and without.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  type Bucket,
  MANIFEST_FILE,
  type Manifest,
  objectKey,
  openSpool,
  parseManifest,
  parseTimeUs,
  type RequestCounts,
  Requests,
  Shipper,
  type ShipTimers,
  type Spool,
  sealManifest,
  serialiseManifest,
  windowName,
} from '../../capture/ship/mod.ts'
import { makeTemporary } from './processes.ts'

const MANIFEST_PREFIX = 'manifest/'
/** Of a usual capture; it bounds the rests. */
const WINDOW_EVERY_MS = 300_000
const SHIPPED_MS_MAX = 480_000

/** A window as it was shipped: the manifest, and the objects in its order. */
export interface Window {
  readonly manifest: Manifest
  readonly objects: readonly Buffer[]
}

export interface Drain {
  readonly windows: number
  /** What was asked of the bucket: requests of all kinds, bytes that it took and gave back. */
  readonly requests: number
  readonly putBytes: number
  readonly gotBytes: number
  /** From the store's return to the last window, without the rests. */
  readonly busyMs: number
  /** The rests between windows: on average, by the middle of their range. */
  readonly restMs: number
  /** CPU of this process meanwhile, all threads. */
  readonly cpuMs: number
}

/** A store that is taken away and brought back. */
export interface Outage {
  begin(): Promise<void>
  end(): Promise<void>
}

/** The windows in a bucket, in order. */
export async function readWindows(bucket: Bucket): Promise<Window[]> {
  const windows: Window[] = []
  for await (const { key } of bucket.list(MANIFEST_PREFIX)) {
    const manifest = parseManifest(await whole(bucket, key))
    const objects: Buffer[] = []
    for (const object of manifest.objects) objects.push(await whole(bucket, object.key))
    windows.push({ manifest, objects })
  }
  return windows.sort((a, b) => a.manifest.window - b.manifest.window)
}

async function whole(bucket: Bucket, key: string): Promise<Buffer> {
  const body = await bucket.get(key)
  if (body === undefined) throw new Error(`${key} of the bench is gone from ${bucket.description}`)
  return body
}

/** Ships `count` windows, those given over and over; into a bucket that counts its requests and holds none of them. */
export async function drainBacklog(
  into: (requests: Requests) => Bucket,
  windows: readonly Window[],
  count: number,
  outage?: Outage,
): Promise<Drain> {
  const requests = new Requests()
  const bucket = into(requests)
  const spool = await spoolOf(windows, count)
  const timers = new CountingTimers()
  const { promise: emptied, resolve } = Promise.withResolvers<void>()
  const shipper: Shipper = new Shipper({
    bucket,
    spool,
    timers,
    random: () => 0.5,
    windowEveryMs: WINDOW_EVERY_MS,
    log: { info: () => undefined, warn: () => undefined },
    onState: ({ state }) => {
      if (state === 'idle' && shipper.counts.committed === count) resolve()
    },
  })
  if (outage !== undefined) await loseStore(shipper, timers, outage)
  // tries that met no store are not counted
  const away = requests.counts
  const startedAt = performance.now()
  const before = process.cpuUsage()
  shipper.start()
  timers.release()
  await within(SHIPPED_MS_MAX, emptied, () => JSON.stringify(shipper.state))
  const busyMs = performance.now() - startedAt
  const { user, system } = process.cpuUsage(before)
  await shipper.stop()
  const { counts } = requests
  return {
    windows: count,
    requests: sumOf(counts) - sumOf(away),
    putBytes: counts.putBytes,
    gotBytes: counts.gotBytes,
    busyMs,
    restMs: timers.passedMs,
    cpuMs: (user + system) / 1000,
  }
}

function sumOf({ ended }: RequestCounts): number {
  const outcomes = Object.values(ended).flatMap((each) => Object.values(each))
  return outcomes.reduce((sum, each) => sum + each, 0)
}

async function within(ms: number, work: Promise<void>, state: () => string): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const late = setTimeout(() => reject(new Error(`the backlog of the bench does not drain: ${state()}`)), ms)
  await Promise.race([work, promise])
  clearTimeout(late)
}

/** Lets the first try fail on the store that is away, and brings the store back. */
async function loseStore(shipper: Shipper, timers: CountingTimers, outage: Outage): Promise<void> {
  await outage.begin()
  timers.hold()
  shipper.start()
  await timers.held
  await outage.end()
}

/** Sealed windows, numbered from 0. What a segment holds is not shipped: it is there, and empty. */
async function spoolOf(windows: readonly Window[], count: number): Promise<Spool> {
  const spool = await openSpool(join(makeTemporary(), 'spool'))
  for (let number = 0; number < count; number++) {
    const { manifest, objects } = renumbered(windows[number % windows.length], number)
    const name = windowName(manifest.run, number)
    const directory = await spool.makeTmp(name)
    for (const [i, { stream }] of manifest.objects.entries()) {
      await writeFile(join(directory, `${stream}.parquet`), objects[i])
    }
    await writeFile(join(directory, MANIFEST_FILE), serialiseManifest(manifest))
    const segment = spool.segmentPath(name)
    await mkdir(dirname(segment), { recursive: true })
    await writeFile(segment, '')
    await spool.sealWindow(directory, name)
  }
  return spool
}

function renumbered({ manifest, objects }: Window, window: number): Window {
  const { sha256: _, ...fields } = manifest
  const { exchange, symbol, run } = manifest
  const openedUs = parseTimeUs(manifest.opened)
  const moved = manifest.objects.map((object) => ({
    ...object,
    key: objectKey({ prefix: '', exchange, symbol, openedUs, run, window, stream: object.stream }),
  }))
  return { manifest: sealManifest({ ...fields, window, objects: moved }), objects }
}

/** The wall clock; timers pass at once and are added up, but for those that are held. */
class CountingTimers implements ShipTimers {
  passedMs = 0
  readonly held: Promise<void>
  readonly #tellHeld: () => void
  #holds = false
  #fire: (() => void) | undefined

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.held = promise
    this.#tellHeld = resolve
  }

  nowMs(): number {
    return performance.timeOrigin + performance.now()
  }

  setTimer(delayMs: number, fire: () => void): () => void {
    if (this.#holds) {
      this.#fire = fire
      this.#tellHeld()
      return () => undefined
    }
    this.passedMs += delayMs
    const immediate = setImmediate(fire)
    return () => clearImmediate(immediate)
  }

  /** The next timer waits for `release`, and is not added. */
  hold(): void {
    this.#holds = true
  }

  release(): void {
    this.#holds = false
    this.#fire?.()
    this.#fire = undefined
  }
}
