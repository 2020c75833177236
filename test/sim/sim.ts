/** The simulated exchange on one port of this machine: the core behind a real front. */
import {
  type CoreOptions,
  MACHINE_TIME,
  type SimEvent,
  SimExchange,
  type SimTime,
  type Violations,
} from './core/mod.ts'
import type { FaultKindName } from './faults/mod.ts'
import { Front } from './front.ts'
import type { GeneratedOptions } from './market/mod.ts'
import { readRecording } from './recording/mod.ts'
import type { Emitted, TrueBook } from './source.ts'

const SNAPSHOT_WAIT_MS = 60_000
/** How often the markets are brought up to the clock. Cuts and events keep their own times meanwhile. */
const STEP_MS = 5

export interface CommonOptions extends Omit<CoreOptions, 'time'> {
  /** By default the machine's. A clock that is moved by hand has hours pass over real sockets. */
  readonly time?: SimTime | undefined
  /** 0, the default, takes a free one. */
  readonly port?: number | undefined
  /** Where it listens: 127.0.0.1, unless it is a pod, which others have to reach. */
  readonly host?: string | undefined
  /** How long a snapshot waits for its moment of the recording before it is answered with 503. */
  readonly snapshotWaitMs?: number | undefined
}

export interface RecordingOptions extends CommonOptions {
  /** Path of a `.frames.gz`. */
  readonly recording: string
  readonly speed?: number | ((symbol: string) => number) | undefined
  readonly onlyRecorded?: boolean | undefined
}

export type MarketSimOptions = CommonOptions & GeneratedOptions

export type SimOptions = RecordingOptions | MarketSimOptions

export interface Sim {
  /** What a capture takes as its `--endpoints`. */
  readonly endpoints: string
  readonly port: number
  readonly symbols: readonly string[]
  readonly streams: readonly string[]
  readonly derived: readonly string[]
  readonly frames: number
  readonly seconds: number
  /** All events so far, in order. */
  readonly events: readonly SimEvent[]
  /** How often each kind of fault acted. */
  readonly fired: Readonly<Record<FaultKindName, number>>
  /** Rules of the exchange that clients broke. */
  readonly violations: Readonly<Violations>
  /** Calls back on each event from now on; returns how to stop that. */
  on(listener: (event: SimEvent) => void): () => void
  /** Fires faults now, whatever their `@seconds` say: `drop:BTCUSDT@0`. */
  inject(faults: string): void
  /** Ends faults that were planned for this symbol (`*`: for all) before their time. */
  lift(symbol: string): void
  /** REST tells hosts whose address begins so a clock that is this many milliseconds ahead; 0 puts it right. */
  skewFor(addresses: string, ms: number): void
  emitted(symbol: string): Emitted
  /** The true book at this id. Throws SimError `book_unknown`. */
  bookAt(symbol: string, id: bigint): TrueBook
  /** Cuts all connections and gives the port back. */
  stop(): Promise<void>
}

/** Starts a simulated exchange. Throws SimError. */
export async function startSim(options: SimOptions): Promise<Sim> {
  const exchange = await exchangeOf(options)
  const front = new Front(exchange)
  let port: number
  try {
    port = await front.listen(options.port ?? 0, options.host ?? '127.0.0.1')
  } catch (thrown) {
    exchange.stop()
    throw thrown
  }
  const { symbols, streams, derived, frames, seconds } = exchange.source
  return {
    endpoints: `http://127.0.0.1:${port}`,
    port,
    symbols,
    streams,
    derived,
    frames,
    seconds,
    events: exchange.events,
    fired: exchange.fired,
    violations: exchange.violations,
    on: (listener) => exchange.on(listener),
    inject: (faults) => exchange.inject(faults),
    lift: (symbol) => exchange.lift(symbol),
    skewFor: (addresses, ms) => exchange.skewFor(addresses, ms),
    emitted: (symbol) => exchange.emitted(symbol),
    bookAt: (symbol, id) => exchange.bookAt(symbol, id),
    async stop() {
      exchange.stop()
      await front.stop()
    },
  }
}

async function exchangeOf(options: SimOptions): Promise<SimExchange> {
  const { time = MACHINE_TIME } = options
  if (!('recording' in options)) return new SimExchange({ stepMs: STEP_MS, ...options, time })
  const { recording, speed = 1, onlyRecorded = false, snapshotWaitMs = SNAPSHOT_WAIT_MS } = options
  const playback = { speed, onlyRecorded, snapshotWaitMs }
  return new SimExchange({
    ...options,
    recording: await readRecording(recording),
    playback,
    time,
  })
}
