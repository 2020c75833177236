/**
 * A pod in the world: a capture with what publishes its journal. What is published before, cuts and hand-overs are the
 * product's own code; recording is the product's `step` and cut, without Parquet; shipping is one object, the manifest.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { compareWindows, parseSegmentName, type WindowId, windowName } from '../../api/names.ts'
import type { Exchange } from '../../capture/exchange/mod.ts'
import { makeRunId } from '../../capture/journal/mod.ts'
import { Handover } from '../../capture/process/handover.ts'
import { Lineage } from '../../capture/process/lineage.ts'
import {
  CutSink,
  cutOf,
  openSegment,
  positionsOf,
  Replay,
  type Lineage as RunLineage,
  reachedAfter,
} from '../../capture/record/mod.ts'
import type { RowSink } from '../../capture/session/mod.ts'
import {
  type Bucket,
  formatTimeUs,
  keyOfManifest,
  type Manifest,
  objectKey,
  sealManifest,
  serialiseManifest,
} from '../../capture/ship/mod.ts'
import type { Random } from '../sim/market/mod.ts'
import { type VirtualCapture, writerOf } from './capture.ts'
import { SYMBOL } from './plan.ts'
import type { VirtualStore } from './store.ts'
import { Incarnation, type Machine } from './time.ts'

const RETRY_MS = 2_000
const RESTART_MS = 1_500
const NOTE_MS_MAX = 20
const RECORD_MS_MAX = 400

/** A window that was committed. */
export interface Publication {
  readonly pod: string
  readonly run: string
  readonly window: number
  readonly manifest: Manifest
  /** Undefined for a closing window. */
  readonly segment: Buffer | undefined
}

export interface PodOptions {
  readonly name: string
  readonly predecessor: string | undefined
  readonly handoverMs: number
  readonly capture: VirtualCapture
  readonly machine: Machine
  readonly exchange: Exchange
  readonly store: VirtualStore
  readonly random: Random
  /** A directory of the real machine. */
  readonly scratch: string
  readonly publications: Publication[]
  readonly tell: (rule: string, evidence: string) => void
}

export type PodState = 'up' | 'leaving' | 'drained' | 'discarded' | 'lost'

export class VirtualPod {
  state: PodState = 'up'
  readonly name: string
  readonly capture: VirtualCapture
  readonly #options: PodOptions
  /** The note of its spool. */
  #note: string | undefined
  /** Windows that are committed and gone from the spool. */
  readonly #dropped = new Set<string>()
  #process: Incarnation | undefined
  /** Closed windows that wait, of the process of now. */
  #queue: WindowId[] = []
  #wake: (() => void) | undefined
  #isDraining = false
  /** Annotated: a process of it that is killed is followed by one that drains. */
  #isAnnotated = false

  constructor(options: PodOptions) {
    this.#options = options
    this.name = options.name
    this.capture = options.capture
    this.capture.onStart = (process) => this.#onStart(process)
    this.capture.onWindow = (run, window) => this.#add({ run, window })
  }

  get predecessor(): string | undefined {
    return this.#options.predecessor
  }

  get isOver(): boolean {
    return this.state === 'drained' || this.state === 'discarded' || this.state === 'lost'
  }

  /** Killed at this instant; the kubelet starts it again unless it was told to go. */
  kill(): void {
    if (this.isOver) return
    if (this.state === 'up') return this.capture.kill('process')
    this.#end()
    if (!this.#isAnnotated) this.state = 'lost'
    else this.#options.machine.time.after(RESTART_MS, () => this.#restartDraining())
  }

  /** SIGTERM: ships, records on for a while, then drains. */
  async signal(handoffMs: number): Promise<void> {
    if (this.state !== 'up') return
    this.state = 'leaving'
    const process = this.capture.process
    if (process === undefined) {
      // killed just now: a pod that is deleted is not started again
      this.capture.die()
      this.state = 'lost'
      return
    }
    this.capture.keeper?.run?.cutWindow()
    const { time } = this.#options.machine
    await new Promise<void>((done) => time.after(handoffMs, done))
    if (process.alive) return await this.#close()
    // it halted meanwhile, for good: one that is told to go ships all the same
    if (this.capture.process === undefined && this.capture.isTerminal) this.#restartDraining()
  }

  /** Annotated to drain: one that runs closes, one that does not is started to drain. */
  async annotate(): Promise<void> {
    if (this.isOver) return
    this.state = 'leaving'
    this.#isAnnotated = true
    if (this.capture.process !== undefined) return await this.#close()
    this.capture.die()
    this.#options.machine.time.after(RESTART_MS, () => this.#restartDraining())
  }

  discard(): void {
    this.#end()
    this.state = 'discarded'
  }

  lose(): void {
    this.#end()
    this.state = 'lost'
  }

  /** Its node is back: it goes on as if nothing had been. */
  comeBack(): void {
    this.state = 'up'
    this.capture.revive()
  }

  #end(): void {
    this.capture.die()
    if (this.#process !== undefined) this.#process.alive = false
    this.#process = undefined
  }

  async #close(): Promise<void> {
    await this.capture.close()
    this.#isDraining = true
    this.#wake?.()
    // it was being replaced by another one at that moment
    if (this.#process?.alive !== true) this.#restartDraining()
  }

  #restartDraining(): void {
    if (this.isOver || this.#process?.alive === true) return
    this.#isDraining = true
    this.#begin(new Incarnation(this.#options.machine))
  }

  /** A process that is followed by another one although its pod was told to go only drains. */
  #onStart(process: Incarnation): void {
    if (this.state === 'up') return this.#begin(process)
    this.#options.machine.time.after(0, () => {
      this.capture.die()
      this.#restartDraining()
    })
  }

  #begin(process: Incarnation): void {
    this.#process = process
    // one that waited in a process that died waits for ever
    this.#wake = undefined
    const left = this.capture.disk.paths.flatMap((path) => parseSegmentName(basename(path)) ?? [])
    this.#queue = left
      .filter(({ run, window }) => !this.#dropped.has(windowName(run, window)))
      .sort(compareWindows)
    void this.#publish(process)
    process.machine.time.unsettled()
  }

  #add(id: WindowId): void {
    this.#queue.push(id)
    this.#wake?.()
    this.#options.machine.time.unsettled()
  }

  /** One process: everything in order, and at the end that nothing follows. */
  async #publish(process: Incarnation): Promise<void> {
    try {
      const { store, random } = this.#options
      const bucket = store.of(this.name, process, random)
      const lineage = await this.#lineage(process, bucket)
      for (;;) {
        const next = this.#queue.shift()
        if (next !== undefined) await this.#ship(next, process, bucket, lineage)
        else if (this.#isDraining) break
        else
          await new Promise<void>((wake) => {
            this.#wake = wake
          })
      }
      if (!lineage.isClosed) await this.#shipClosing(process, bucket, lineage)
      this.#end()
      this.state = 'drained'
    } catch (error) {
      this.#options.tell('publisher_throws', error instanceof Error ? (error.stack ?? '') : String(error))
    }
  }

  #lineage(process: Incarnation, bucket: Bucket): Promise<Lineage> {
    const { predecessor, handoverMs, machine, random } = this.#options
    const { clock } = process.machine
    const named = predecessor === undefined ? undefined : { pod: predecessor, uid: `uid-${predecessor}` }
    const handover =
      named &&
      new Handover({
        bucket,
        market: { prefix: '', exchange: 'BinanceUsdm', symbol: SYMBOL },
        // no pod is older than its world
        predecessor: { ...named, since: new Date(machine.time.startMs).toISOString() },
        quietMsMax: handoverMs,
        nowMs: () => clock.wallUs() / 1000,
        monotonicMs: () => clock.monotonicUs() / 1000,
        wait: (ms) => sleep(process, ms),
        log: { info: () => {}, warn: () => {} },
      })
    return Lineage.open({
      read: async () => this.#note,
      write: async (text) => {
        await sleep(process, random.below(NOTE_MS_MAX))
        this.#note = text
      },
      runs: async () => new Set(this.capture.runs),
      predecessor: named,
      settle: () => handover?.settle() ?? Promise.reject(new Error('nobody is succeeded')),
      log: { error: (_fields, message) => this.#options.tell('lineage', message) },
    })
  }

  async #ship(id: WindowId, process: Incarnation, bucket: Bucket, lineage: Lineage): Promise<void> {
    const { random, machine } = this.#options
    const path = this.capture.disk.paths.find((each) =>
      each.endsWith(`${windowName(id.run, id.window)}.journal`),
    )
    // what the machine lost with its power
    if (path === undefined) return
    const known = await lineage.of(id.run)
    await sleep(process, random.below(RECORD_MS_MAX))
    const segment = Buffer.from(this.capture.disk.read(path))
    const manifest = await machine.time.hold(this.#record(segment, id, known))
    if (manifest === undefined) return
    await lineage.sealing(manifest)
    await sleep(process, random.below(NOTE_MS_MAX))
    await this.#commit(manifest, segment, process, bucket)
    this.#dropped.add(windowName(id.run, id.window))
  }

  async #shipClosing(process: Incarnation, bucket: Bucket, lineage: Lineage): Promise<void> {
    const { machine, random } = this.#options
    const nowUs = machine.clock.wallUs()
    const bytes = (size: number) => Buffer.from(Array.from({ length: size }, () => random.below(256)))
    const closing = await lineage.closing(() => makeRunId(nowUs, bytes), nowUs)
    const { run, window, atUs, reached } = closing
    const manifest = this.#manifest({ run, window }, atUs, atUs, closing.lineage, reached, true)
    await this.#commit(manifest, undefined, process, bucket)
    await lineage.closed()
  }

  /** Tries for ever; a manifest that is there already must be this one. */
  async #commit(
    manifest: Manifest,
    segment: Buffer | undefined,
    process: Incarnation,
    bucket: Bucket,
  ): Promise<void> {
    const { publications, tell } = this.#options
    const key = keyOfManifest(manifest)
    const bytes = serialiseManifest(manifest)
    for (;;) {
      try {
        const found = await bucket.get(key)
        if (found !== undefined) {
          if (!found.equals(bytes))
            tell('recorded_differently', `${key}: ${found.toString()} and ${bytes.toString()}`)
          return
        }
        await bucket.put(key, bytes, '')
        publications.push({ pod: this.name, run: manifest.run, window: manifest.window, manifest, segment })
        return
      } catch {
        // the store is away: later
        await sleep(process, RETRY_MS)
      }
    }
  }

  async #record(
    segment: Buffer,
    { run, window }: WindowId,
    known: RunLineage,
  ): Promise<Manifest | undefined> {
    const dir = join(this.#options.scratch, `${this.name}-${windowName(run, window)}`)
    await mkdir(dir, { recursive: true })
    try {
      const path = join(dir, 'segment')
      await writeFile(path, segment)
      const opened = await openSegment(path)
      if ('end' in opened) return undefined
      const cut = cutOf(known.cut)
      const sink = new CutSink(cut, NOTHING)
      const replay = new Replay(opened, sink, () => Promise.resolve(), this.#options.exchange)
      sink.begin(replay.session)
      const end = await replay.run()
      if (replay.inputs === 0 && end.end === 'torn') return undefined
      const { openedAt } = opened.header
      const closedAt = Math.max(openedAt, end.end === 'sealed' ? end.trailer.closedAt : replay.lastReceived)
      const reached = positionsOf(reachedAfter(replay.session, cut))
      return this.#manifest({ run, window }, openedAt, closedAt, known, reached, false)
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }

  #manifest(
    { run, window }: WindowId,
    openedUs: number,
    closedUs: number,
    lineage: RunLineage,
    reached: Manifest['reached'],
    final: boolean,
  ): Manifest {
    const names = { prefix: '', exchange: 'BinanceUsdm', symbol: SYMBOL }
    const key = objectKey({ ...names, stream: 'coverage', openedUs, run, window })
    const [first_seq, last_seq, first_id, last_id] = ['0', '0', '0', '0']
    const ids = { first_seq, last_seq, first_id, last_id, first_time: null, last_time: null }
    return sealManifest({
      ...{ format: 1, exchange: 'BinanceUsdm', symbol: SYMBOL, run, window },
      opened: formatTimeUs(openedUs),
      closed: formatTimeUs(closedUs),
      objects: [{ stream: 'coverage', key, bytes: 1, rows: 0, sha256: '0'.repeat(64), ...ids }],
      ...{ coverage: [], counts: {}, witness: 'none', written_by: 'virtual', recorded_by: 'virtual' },
      writer: writerOf(this.name),
      ...lineage,
      final,
      reached,
    })
  }
}

const NOTHING: RowSink = {
  books: () => {},
  depth: () => {},
  trade: () => {},
  markPrice: () => {},
  coverage: () => {},
}

function sleep(process: Incarnation, ms: number): Promise<void> {
  return new Promise((done) => process.after(ms, done))
}
