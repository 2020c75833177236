/** Captures of the tiny exchange: real sessions, journals and recordings in one process, in virtual time. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HaltReason } from '../../api/reasons.ts'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { segmentName } from '../../capture/journal/mod.ts'
import { Run } from '../../capture/process/run.ts'
import { type RecordOutcome, recordSegment } from '../../capture/record/mod.ts'
import type { FetchRequest, Input, SessionConfig } from '../../capture/session/mod.ts'
import { keyOfManifest, LocalBucket, type Manifest, serialiseManifest } from '../../capture/ship/mod.ts'
import { clockProbes, GUARDS, NO_REQUESTS, NO_ROWS } from '../support/session.ts'
import { type Market, SYMBOL, sha256 } from './market.ts'

export { Market, START_US, SYMBOL, sha256 } from './market.ts'

/** One capture process: a run that is fed by hand. */
export class Capture {
  readonly run: Run
  readonly #market: Market
  readonly #skewUs: number
  readonly #name: string
  readonly #dir: string
  readonly #asked: FetchRequest[] = []
  readonly #streamsWanted: SessionConfig['streams']
  #public = 0
  #streams = 0
  #connections = 0

  /** `skewUs`: how far this node's clock is ahead. */
  constructor(market: Market, dir: string, name: string, options: CaptureOptions = {}) {
    const { streams = ['books', 'depth', 'trades', 'mark_price'], bookLevels = 5, skewUs = 0 } = options
    const config: SessionConfig = {
      exchange: 'BinanceUsdm',
      symbol: SYMBOL,
      streams,
      bookLevels,
      guards: GUARDS,
    }
    this.#streamsWanted = streams
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
      clock: { now: () => market.nowUs + skewUs, anchor: () => {}, wallDistance: () => 0 },
      requests: { ...NO_REQUESTS, fetch: (request) => this.#asked.push(request) },
      rows: NO_ROWS,
      onEnd: (reason) => {
        throw new Error(`the run ended: ${reason}`)
      },
      onHalt: (reason, message) => {
        if (reason !== options.halts) throw new Error(`${reason}: ${message}`)
      },
      onWindow: () => {},
      onJournalError: (error) => {
        throw error
      },
    })
    for (const probe of clockProbes(this.received)) this.run.input(probe)
  }

  get received(): number {
    return this.#market.nowUs + this.#skewUs
  }

  /** Opens the routes that its streams need; 0 stands for one that is not there. */
  connect(): void {
    const wants = (...streams: SessionConfig['streams']) =>
      streams.some((stream) => this.#streamsWanted.includes(stream))
    this.#public = wants('books', 'depth') ? this.#open('public') : 0
    this.#streams = wants('trades', 'mark_price') ? this.#open('market') : 0
  }

  #open(route: string): number {
    const connection = ++this.#connections
    this.run.input({ kind: 'opened', received: this.received, connection, route })
    return connection
  }

  disconnect(): void {
    for (const connection of [this.#public, this.#streams].filter((one) => one !== 0)) {
      this.run.input({
        kind: 'closed',
        received: this.received,
        connection,
        code: 1006,
        reason: 'cut',
        silent: false,
      })
    }
  }

  depth(frame: string): void {
    this.#message(this.#public, frame)
  }

  other(frame: string): void {
    this.#message(this.#streams, frame)
  }

  tick(): void {
    this.run.input({ kind: 'tick', received: this.received, wallDistance: 0, share: 1 })
  }

  /** Answers what the session asked for. */
  answer(): void {
    for (const { id, what, limit } of this.#asked.splice(0)) {
      const isSnapshot = what === 'snapshot'
      const body = Buffer.from(isSnapshot ? this.#market.snapshot(limit) : '')
      const status = isSnapshot ? 200 : 503
      const answer = { request: id, status, usedWeight: 1, retryAt: 0, error: '', body } as const
      this.run.input({ kind: 'sent', received: this.received, request: id, limit })
      this.run.input({ kind: 'response', received: this.received, ...answer })
    }
  }

  #message(connection: number, frame: string): void {
    if (connection === 0) return
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
  /** The halt that is meant to come; any other one is a fault of the test. */
  readonly halts?: HaltReason
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
