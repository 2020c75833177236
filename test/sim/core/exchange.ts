/** The simulated exchange without any transport: handshakes, messages, REST, faults, and the truth of it all. */
import { SimError } from '../errors.ts'
import { type FaultKindName, type FaultPlan, Faults, kindOf, parseFaults } from '../faults/mod.ts'
import { type GeneratedOptions, GeneratedSource, Random } from '../market/mod.ts'
import { type PlaybackOptions, RecordedSource, type Recording } from '../recording/mod.ts'
import type { Emitted, Source, SourceEvents, TrueBook } from '../source.ts'
import { parseStream } from '../streams.ts'
import { Connection, Hub } from './hub.ts'
import { Limits, type Violations } from './limits.ts'
import { Rest } from './rest.ts'
import { Session, SOCKET_LIMITS, type SocketLimits, STREAMS_MAX } from './session.ts'
import { Stage } from './stage.ts'
import { targetOf } from './target.ts'
import type { SimTime } from './time.ts'
import type { Handshake, SimAnswer, SimPeer } from './transport.ts'

export interface CoreOptions {
  readonly time: SimTime
  readonly faults?: readonly FaultPlan[] | undefined
  /** Added to `time` wherever the exchange tells the time. */
  readonly skewMs?: number | undefined
  readonly sockets?: Partial<SocketLimits> | undefined
  /** How long frames of streams are on their way: for all connections, or drawn for each from a range. */
  readonly lagMs?: number | readonly [minMs: number, maxMs: number] | undefined
  /** How long the head of an answer takes, drawn for each request. */
  readonly restLatencyMs?: number | readonly [minMs: number, maxMs: number] | undefined
}

export interface RecordedExchange extends CoreOptions {
  readonly recording: Recording
  readonly playback: PlaybackOptions
}

export type GeneratedExchange = CoreOptions & GeneratedOptions

export type SimExchangeOptions = RecordedExchange | GeneratedExchange

export type SimEvent =
  | { readonly event: 'end'; readonly symbol: string; readonly lastUpdateId: string }
  | { readonly event: 'fault'; readonly kind: FaultKindName; readonly symbol: string; readonly id: string }
  /** An oddity for whoever runs the simulator, such as a client that was cut for being slow. */
  | { readonly event: 'note'; readonly text: string }

export class SimExchange {
  /** All events so far, in order. */
  readonly events: readonly SimEvent[]
  readonly source: Source
  readonly #events: SimEvent[] = []
  readonly #listeners = new Set<(event: SimEvent) => void>()
  readonly #options: SimExchangeOptions
  readonly #hub: Hub
  readonly #limits: Limits
  readonly #stage: Stage
  readonly #faults: Faults
  readonly #rest: Rest
  readonly #random: Random
  /** By what addresses begin with. */
  readonly #skews = new Map<string, number>()
  #lastConnectionId = 0
  #stopped = false

  /** Throws SimError `wrong_call` for faults and profiles that make no sense here. */
  constructor(options: SimExchangeOptions) {
    const { time } = options
    this.events = this.#events
    this.#options = options
    // A recording has no seed; its faults draw the same numbers each time.
    this.#random = new Random('seed' in options ? options.seed : 0, 'exchange')
    this.#hub = new Hub({
      subscribed: (connection, stream) => {
        this.source.subscribed(connection, stream)
        this.#faults.subscribed(connection, stream.symbol)
      },
      unsubscribed: (connection, stream) => this.source.unsubscribed(connection, stream),
    })
    this.#limits = new Limits(() => this.#now())
    this.#stage = new Stage(options.skewMs ?? 0, this.#hub, this.#limits, () => this.source)
    this.source = this.#makeSource()
    this.#faults = new Faults(options.faults ?? [], {
      time,
      random: new Random('seed' in options ? options.seed : 0, 'faults'),
      stage: this.#stage,
      symbols: this.source.symbols,
      lastDepthId: (symbol) => this.source.lastDepthId(symbol),
      announce: ({ kind }, symbol, id) => this.#emit({ event: 'fault', kind, symbol, id: String(id) }),
    })
    this.#rest = new Rest({
      source: this.source,
      faults: this.#faults,
      limits: this.#limits,
      now: (address) => this.#now() + this.#skewOf(address),
      latencyMs: () => this.#drawn(options.restLatencyMs),
      down: () => this.#stage.down,
      listed: () => this.#stage.listed(),
    })
    this.#requireKnown(options.faults ?? [])
  }

  /** How often each kind of fault acted. */
  get fired(): Readonly<Record<FaultKindName, number>> {
    return this.#faults.fired
  }

  /** Rules of the exchange that clients broke. */
  get violations(): Readonly<Violations> {
    return this.#limits.violations
  }

  /** A WebSocket handshake; `path` with its query, `address` whatever tells the clients' hosts apart. */
  connect(path: string, address: string, peer: SimPeer): Handshake {
    const retryAfterSeconds = this.#limits.attempt(address)
    if (retryAfterSeconds > 0) return { kind: 'refused', status: 429, retryAfterSeconds }
    const target = targetOf(path)
    if (target === undefined) return { kind: 'refused', status: 404, retryAfterSeconds: 0 }
    if (target.names.length > STREAMS_MAX) return { kind: 'refused', status: 400, retryAfterSeconds: 0 }
    if (this.#stage.down || this.#stopped) return { kind: 'refused', status: 503, retryAfterSeconds: 0 }
    const symbols = target.names.map((name) => parseStream(name)?.symbol ?? '')
    const faulty = this.#faults.handshake(target.route, symbols)
    if (faulty !== undefined) return faulty
    return { kind: 'accepted', connection: this.#accept(target, peer) }
  }

  /** A REST request by GET; answered at once by generated markets. */
  get(path: string, address: string): SimAnswer | Promise<SimAnswer> {
    return this.#rest.get(path, address)
  }

  /** A REST request by any other method. */
  refuseMethod(method: string, address: string): SimAnswer {
    return this.#rest.refuseMethod(method, address)
  }

  /** Calls back on each event from now on; returns how to stop that. */
  on(listener: (event: SimEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Says something odd to whoever runs the simulator. */
  note(text: string): void {
    this.#emit({ event: 'note', text })
  }

  /** Fires faults now, whatever their `@seconds` say: `drop:BTCUSDT@0`. Throws SimError `wrong_call`. */
  inject(text: string): void {
    const plans = parseFaults(text)
    this.#requireKnown(plans)
    for (const plan of plans) this.#faults.inject(plan)
  }

  /** Ends faults of this symbol before their time; `*` names those of all symbols. */
  lift(symbol: string): void {
    this.#faults.lift(symbol)
  }

  /**
   * From now on REST tells hosts whose address begins so a clock that is this far ahead, as if theirs were behind: a
   * machine with a wrong clock, where all share one. 0 puts it right.
   */
  skewFor(addresses: string, ms: number): void {
    this.#skews.set(addresses, ms)
  }

  emitted(symbol: string): Emitted {
    return this.source.emitted(symbol)
  }

  /** The true book at this id. Throws SimError `book_unknown`. */
  bookAt(symbol: string, id: bigint): TrueBook {
    return this.source.bookAt(symbol, id)
  }

  /** Ends all connections without a close frame, and calls back nothing more. */
  stop(): void {
    this.#stopped = true
    this.#faults.stop()
    for (const connection of [...this.#hub.connections]) connection.discard()
    this.source.stop()
  }

  #accept(target: NonNullable<ReturnType<typeof targetOf>>, peer: SimPeer): Session {
    const { time, lagMs } = this.#options
    const connection: Connection = new Connection(
      ++this.#lastConnectionId,
      { route: target.route, combined: target.combined, lagMs: this.#drawn(lagMs) },
      peer,
      { time, note: (text) => this.note(text), over: (ended) => this.#hub.remove(ended) },
    )
    this.#hub.connections.add(connection)
    const session = new Session(connection, {
      time,
      hub: this.#hub,
      limits: { ...SOCKET_LIMITS, ...this.#options.sockets },
      violations: this.#limits.violations,
      note: (text) => this.note(text),
    })
    for (const name of target.names) this.#hub.subscribe(connection, name)
    connection.ready = true
    return session
  }

  #makeSource(): Source {
    const options = this.#options
    const events: SourceEvents = {
      ended: (symbol, id) => this.#emit({ event: 'end', symbol, lastUpdateId: String(id) }),
      depthSubscribed: (symbol) => this.#faults.depthSubscribed(symbol),
      depth: (event) => this.#faults.depth(event),
      trade: (symbol, payload) => this.#faults.trade(symbol, payload),
      silenced: (symbol, channel) => this.#faults.silenced(symbol, channel),
    }
    const world = { time: options.time, skewMs: () => this.#stage.skewMs, hub: this.#hub, events }
    if ('recording' in options) return new RecordedSource(options.recording, options.playback, world)
    return new GeneratedSource(options, world)
  }

  #requireKnown(plans: readonly FaultPlan[]): void {
    const { symbols, controls } = this.source
    for (const { kind, symbol } of plans) {
      if (symbol !== '*' && !symbols.includes(symbol)) {
        throw new SimError(
          'wrong_call',
          `The fault ${kind} names ${symbol}, which is not simulated; there are: ${symbols.join(', ')}.`,
        )
      }
      if (kindOf(kind).generated !== true || controls !== undefined) continue
      throw new SimError('wrong_call', `The fault ${kind} needs a generated market; this one is a recording.`)
    }
  }

  #emit(event: SimEvent): void {
    this.#events.push(event)
    for (const listener of this.#listeners) listener(event)
  }

  /** The exchange's clock. */
  #now(): number {
    return this.#options.time.nowMs() + this.#stage.skewMs
  }

  #skewOf(address: string): number {
    for (const [start, ms] of this.#skews) if (address.startsWith(start)) return ms
    return 0
  }

  #drawn(wanted: number | readonly [number, number] | undefined): number {
    if (wanted === undefined || typeof wanted === 'number') return wanted ?? 0
    return wanted[0] + this.#random.below(wanted[1] - wanted[0] + 1)
  }
}
