/** The simulated exchange: one port, one source of traffic, sockets and REST in front of it. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SimError } from './errors.ts'
import { type FaultPlan, Faults, parseFaults } from './faults.ts'
import { Hub } from './hub.ts'
import { GeneratedSource } from './market/mod.ts'
import { RecordedSource, readRecording } from './recording/mod.ts'
import { serveRest } from './rest.ts'
import { SOCKET_LIMITS, type SocketLimits, serveSockets } from './sockets.ts'
import type { Emitted, Source, SourceEvents, TrueBook } from './source.ts'

const SNAPSHOT_WAIT_MS = 60_000
const RATE_DEFAULT = 400

export interface CommonOptions {
  /** 0, the default, takes a free one. */
  readonly port?: number | undefined
  readonly faults?: readonly FaultPlan[] | undefined
  /** Added to the machine's clock wherever the exchange tells the time. */
  readonly skewMs?: number | undefined
  /** How long a snapshot waits for its moment of the recording before it is answered with 503. */
  readonly snapshotWaitMs?: number | undefined
  readonly sockets?: Partial<SocketLimits> | undefined
}

export interface RecordingOptions extends CommonOptions {
  /** Path of a `.frames.gz`. */
  readonly recording: string
  readonly speed?: number | undefined
  readonly onlyRecorded?: boolean | undefined
}

export interface MarketSimOptions extends CommonOptions {
  readonly seed: number
  readonly symbols: readonly string[]
  /** Changes a second and symbol. */
  readonly rate?: number | undefined
  /** Ends each market this long after its first subscription; without it they go on. */
  readonly endAfterMs?: number | undefined
}

export type SimOptions = RecordingOptions | MarketSimOptions

export type SimEvent =
  | { readonly event: 'end'; readonly symbol: string; readonly lastUpdateId: string }
  | { readonly event: 'fault'; readonly kind: string; readonly symbol: string; readonly id: string }
  /** An oddity for whoever runs the simulator, such as a client that was cut for being slow. */
  | { readonly event: 'note'; readonly text: string }

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
  /** Calls back on each event from now on; returns how to stop that. */
  on(listener: (event: SimEvent) => void): () => void
  /** Fires faults now, whatever their `@seconds` say: `drop:BTCUSDT@0`. */
  inject(faults: string): void
  emitted(symbol: string): Emitted
  /** The true book at this id. Throws SimError `book_unknown`. */
  bookAt(symbol: string, id: bigint): TrueBook
  /** Cuts all connections and gives the port back. */
  stop(): Promise<void>
}

/** Starts a simulated exchange on 127.0.0.1. Throws SimError. */
export async function startSim(options: SimOptions): Promise<Sim> {
  const events: SimEvent[] = []
  const listeners = new Set<(event: SimEvent) => void>()
  const emit = (event: SimEvent) => {
    events.push(event)
    for (const listener of listeners) listener(event)
  }
  const note = (text: string) => emit({ event: 'note', text })
  const now = () => Date.now() + (options.skewMs ?? 0)

  const hub: Hub = new Hub({
    subscribed: (connection, stream) => source.subscribed(connection, stream),
    unsubscribed: (connection, stream) => source.unsubscribed(connection, stream),
  })
  const stage = {
    cut: hub.cut.bind(hub),
    lastDepthId: (symbol: string) => source.lastDepthId(symbol),
  }
  const faults = new Faults(options.faults ?? [], stage, (plan, id) =>
    emit({ event: 'fault', kind: plan.kind, symbol: plan.symbol, id: String(id) }),
  )
  const source = await sourceOf(options, hub, now, {
    ended: (symbol, id) => emit({ event: 'end', symbol, lastUpdateId: String(id) }),
    depthSubscribed: (symbol) => faults.depthSubscribed(symbol),
    mayPass: (symbol, lastId) => faults.mayPass(symbol, { lastId }),
  })
  const server = createServer(serveRest(source, now, note))
  const sockets = serveSockets(server, hub, { ...SOCKET_LIMITS, ...options.sockets }, note)
  try {
    requireKnown(options.faults ?? [], source)
    await listen(server, options.port ?? 0)
  } catch (thrown) {
    source.stop()
    throw thrown
  }
  const { port } = server.address() as AddressInfo
  return {
    endpoints: `http://127.0.0.1:${port}`,
    port,
    symbols: source.symbols,
    streams: source.streams,
    derived: source.derived,
    frames: source.frames,
    seconds: source.seconds,
    events,
    on(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    inject(text) {
      const plans = parseFaults(text)
      requireKnown(plans, source)
      for (const plan of plans) faults.inject(plan)
    },
    emitted: (symbol) => source.emitted(symbol),
    bookAt: (symbol, id) => source.bookAt(symbol, id),
    async stop() {
      faults.stop()
      source.stop()
      sockets.stop()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function sourceOf(
  options: SimOptions,
  hub: Hub,
  now: () => number,
  events: SourceEvents,
): Promise<Source> {
  if ('recording' in options) {
    const speed = options.speed ?? 1
    const playback = {
      speed,
      onlyRecorded: options.onlyRecorded ?? false,
      snapshotWaitMs: options.snapshotWaitMs ?? SNAPSHOT_WAIT_MS,
    }
    return new RecordedSource(await readRecording(options.recording), playback, hub, events)
  }
  const { seed, symbols, rate = RATE_DEFAULT, endAfterMs } = options
  return new GeneratedSource({ seed, symbols, rate, endAfterMs }, hub, events, now)
}

function requireKnown(plans: readonly FaultPlan[], source: Source): void {
  for (const { kind, symbol } of plans) {
    if (source.symbols.includes(symbol)) continue
    throw new SimError(
      'wrong_call',
      `The fault ${kind} names ${symbol}, which is not simulated; there are: ${source.symbols.join(', ')}.`,
    )
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new SimError(
              'port_in_use',
              `Port ${port} is in use; choose another with --port, or leave it out.`,
            )
          : error,
      )
    })
    server.listen(port, '127.0.0.1', resolve)
  })
}
