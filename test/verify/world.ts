/**
 * A tiny exchange in virtual time, and captures of it: real sessions, journals and recordings in one process. What it
 * sends is spelt as Binance USD-M spells it.
 */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { segmentName } from '../../capture/journal/mod.ts'
import { Run } from '../../capture/process/run.ts'
import { type RecordOutcome, recordSegment } from '../../capture/record/mod.ts'
import type { Input, SessionConfig, SnapshotRequest } from '../../capture/session/mod.ts'
import {
  keyOfManifest,
  LocalBucket,
  type Manifest,
  parseTimeUs,
  serialiseManifest,
} from '../../capture/ship/mod.ts'

export const START_US = parseTimeUs('2026-11-22T12:00:00.000000Z')
export const SYMBOL = 'BTCUSDT'

/** Mulberry32: the same seed gives the same market. */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

type Levels = Map<number, number>

/** The market's truth: a book in ticks of 0.1, ids, trades. `nowUs` is everybody's clock. */
export class Market {
  nowUs: number
  id = 1000
  tradeId = 5000
  readonly #random: () => number
  readonly #bids: Levels = new Map()
  readonly #asks: Levels = new Map()
  #mid = 600_000

  /** `depth`: levels a side; beyond 1000 a snapshot's reach is finite. */
  constructor(startUs = START_US, depth = 30, seed = 7) {
    this.nowUs = startUs
    this.#random = random(seed)
    for (let i = 1; i <= depth; i++) {
      this.#bids.set(this.#mid - i, 1 + (i % 5))
      this.#asks.set(this.#mid + i, 1 + (i % 7))
    }
  }

  #ms(): number {
    return Math.floor(this.nowUs / 1000)
  }

  /** One depth event: a few changes near the touch, ids that jump. */
  depth(): string {
    const previous = this.id
    this.id += 1 + Math.floor(this.#random() * 9)
    const bids: [string, string][] = []
    const asks: [string, string][] = []
    for (let i = 0; i < 3; i++) {
      const distance = 1 + Math.floor(this.#random() * 12)
      const qty = distance > 2 && this.#random() < 0.3 ? 0 : (100 + Math.floor(this.#random() * 900)) / 100
      const isBid = this.#random() < 0.5
      change(
        isBid ? this.#bids : this.#asks,
        this.#mid + (isBid ? -distance : distance),
        qty,
        isBid ? bids : asks,
      )
    }
    return JSON.stringify({
      e: 'depthUpdate',
      E: this.#ms(),
      T: this.#ms() - 3,
      s: SYMBOL,
      U: previous + 1,
      u: this.id,
      pu: previous,
      b: bids,
      a: asks,
    })
  }

  trade(): string {
    const id = ++this.tradeId
    const side = this.#random() < 0.5
    return JSON.stringify({
      e: 'aggTrade',
      E: this.#ms(),
      s: SYMBOL,
      a: id,
      p: price(this.#mid),
      q: '0.5',
      f: id * 2,
      l: id * 2 + 1,
      T: this.#ms() - 1,
      m: side,
    })
  }

  mark(): string {
    return JSON.stringify({
      e: 'markPriceUpdate',
      E: this.#ms(),
      s: SYMBOL,
      p: '60000.1',
      i: '60000.2',
      P: '0',
      r: '0.0001',
      T: this.#ms() + 3_600_000,
    })
  }

  snapshot(limit: number): string {
    const side = (levels: Levels, sign: number) =>
      [...levels]
        .sort(([a], [b]) => (a - b) * sign)
        .slice(0, limit)
        .map(([tick, qty]) => [price(tick), String(qty)])
    const [bids, asks] = [side(this.#bids, -1), side(this.#asks, 1)]
    return JSON.stringify({ lastUpdateId: this.id, E: this.#ms(), T: this.#ms() - 2, bids, asks })
  }
}

function price(tick: number): string {
  return (tick / 10).toFixed(1)
}

function change(side: Levels, tick: number, qty: number, into: [string, string][]): void {
  if (qty === 0) side.delete(tick)
  else side.set(tick, qty)
  into.push([price(tick), String(qty)])
}

/** One capture process: a run that is fed by hand. */
export class Capture {
  readonly run: Run
  readonly #market: Market
  readonly #skewUs: number
  readonly #name: string
  readonly #dir: string
  readonly #asked: SnapshotRequest[] = []
  #public = 0
  #streams = 0
  #connections = 0

  /** `skewUs`: how far this node's clock is ahead. */
  constructor(market: Market, dir: string, name: string, options: CaptureOptions = {}) {
    const { streams = ['books', 'depth', 'trades', 'mark_price'], bookLevels = 5, skewUs = 0 } = options
    const config: SessionConfig = { exchange: 'BinanceUsdm', symbol: SYMBOL, streams, bookLevels }
    this.#market = market
    this.#skewUs = skewUs
    this.#name = name
    this.#dir = dir
    this.run = new Run({
      run: name,
      journalDir: dir,
      config,
      exchange: exchangeByName('BinanceUsdm'),
      writer: { capture: 'test', uid: '', pod: '', node: '' },
      rotationSeconds: options.rotationSeconds ?? 10,
      clock: { now: () => market.nowUs + skewUs, anchor: () => {} },
      requests: { fetch: (request) => this.#asked.push(request), reconnect: () => {} },
      onHalt: (reason, message) => {
        throw new Error(`${reason}: ${message}`)
      },
      onWindow: () => {},
      onJournalError: (error) => {
        throw error
      },
    })
  }

  get received(): number {
    return this.#market.nowUs + this.#skewUs
  }

  connect(): void {
    this.#public = ++this.#connections
    this.run.input({ kind: 'opened', received: this.received, connection: this.#public, route: 'public' })
    this.#streams = ++this.#connections
    this.run.input({ kind: 'opened', received: this.received, connection: this.#streams, route: 'market' })
  }

  disconnect(): void {
    for (const connection of [this.#public, this.#streams]) {
      this.run.input({ kind: 'closed', received: this.received, connection, code: 1006, reason: 'cut' })
    }
  }

  depth(frame: string): void {
    this.#message(this.#public, frame)
  }

  other(frame: string): void {
    this.#message(this.#streams, frame)
  }

  tick(): void {
    this.run.input({ kind: 'tick', received: this.received, wallDistance: 0 })
  }

  /** Answers what the session asked for. */
  answer(): void {
    for (const { id, limit } of this.#asked.splice(0)) {
      const body = Buffer.from(this.#market.snapshot(limit))
      const answer = { request: id, status: 200, usedWeight: 1, retryAt: 0, error: '', body } as const
      this.run.input({ kind: 'response', received: this.received, ...answer })
    }
  }

  #message(connection: number, frame: string): void {
    this.run.input({
      kind: 'message',
      received: this.received,
      connection,
      payload: Buffer.from(frame),
    } satisfies Input)
  }

  /** Ends the run in order and publishes all its windows. */
  async stop(bucket: LocalBucket, prefix = ''): Promise<Manifest[]> {
    await this.run.end('stopped')
    return await this.#publish(bucket, prefix)
  }

  /** Ends the run as a killed process does: the last segment has no trailer. */
  async crash(bucket: LocalBucket, prefix = ''): Promise<Manifest[]> {
    await this.run.abandon()
    return await this.#publish(bucket, prefix)
  }

  segment(window: number): string {
    return join(this.#dir, segmentName(this.#name, window))
  }

  async #publish(bucket: LocalBucket, prefix: string): Promise<Manifest[]> {
    const manifests: Manifest[] = []
    for (let window = 0; window <= this.run.window; window++) {
      const outDir = join(this.#dir, `out-${this.#name}-${window}`)
      await mkdir(outDir)
      const outcome = await recordSegment({ segmentPath: this.segment(window), outDir, prefix })
      if (outcome.outcome !== 'recorded')
        throw new Error(`not recorded: ${outcome.outcome} ${outcome.detail}`)
      await put(bucket, outcome, outDir)
      manifests.push(outcome.manifest)
    }
    return manifests
  }
}

export interface CaptureOptions {
  readonly streams?: SessionConfig['streams']
  readonly bookLevels?: number
  readonly skewUs?: number
  readonly rotationSeconds?: number
}

async function put(
  bucket: LocalBucket,
  outcome: RecordOutcome & { outcome: 'recorded' },
  dir: string,
): Promise<void> {
  for (const object of outcome.manifest.objects) {
    const body = await readFile(join(dir, `${object.stream}.parquet`))
    await bucket.put(object.key, body, object.sha256)
  }
  const bytes = serialiseManifest(outcome.manifest)
  await bucket.put(keyOfManifest(outcome.manifest), bytes, sha256(bytes))
}

/** Moves time on in steps of 500 ms: an event each, a trade each second step, a mark price and a tick each second. */
export function play(
  market: Market,
  captures: readonly Capture[],
  seconds: number,
  quiet: readonly string[] = [],
): void {
  for (let step = 0; step < seconds * 2; step++) {
    market.nowUs += 500_000
    const depth = quiet.includes('depth') ? undefined : market.depth()
    const trade = step % 2 === 0 && !quiet.includes('trades') ? market.trade() : undefined
    const mark = step % 2 === 1 ? market.mark() : undefined
    for (const capture of captures) {
      if (step % 2 === 1) capture.tick()
      if (depth !== undefined) capture.depth(depth)
      if (trade !== undefined) capture.other(trade)
      if (mark !== undefined) capture.other(mark)
      if (step % 2 === 1) capture.answer()
    }
  }
}

/** A temporary place: journals and a bucket in it. */
export class Place {
  readonly dir: string
  readonly root: string
  readonly bucket: LocalBucket

  private constructor(dir: string) {
    this.dir = dir
    this.root = join(dir, 'data')
    this.bucket = new LocalBucket(this.root)
  }

  static async make(): Promise<Place> {
    return new Place(await mkdtemp(join(tmpdir(), 'l2cap-verify-')))
  }

  path(key: string): string {
    return join(this.root, key)
  }

  async remove(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true })
  }
}

export const RUN_A = '20261122T120000000Z-0000000a'
export const RUN_B = '20261122T120100000Z-0000000b'
