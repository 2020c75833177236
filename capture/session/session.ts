import { type EndReason, HALT_EXIT_CODES, type HaltReason } from '../../api/reasons.ts'
import { STREAMS, type Stream } from '../../api/streams.ts'
import { Decoder, Encoder, hashBytes } from '../book/mod.ts'
import { type Exchange, Message, PrecisionError, ProtocolError } from '../exchange/mod.ts'
import { BookMachine } from './book-machine.ts'
import { ClockGuard } from './clock-guard.ts'
import type { SessionConfig } from './config.ts'
import { Counters } from './counters.ts'
import type { Effects } from './effects.ts'
import type { ClockInput, Input, ListingInput, MessageInput, ResponseInput } from './input.ts'
import { Coverage, Sequence } from './ledger.ts'
import { ListingGuard } from './listing-guard.ts'
import { MarketMachine } from './market-machine.ts'
import type { Position, Standing } from './position.ts'
import { Recent } from './recent.ts'
import { RequestNumbers } from './request-slot.ts'
import type { Shared } from './shared.ts'
import { refusesSymbol } from './suspicion.ts'

/** Version of the canonical bytes. A checkpoint of another version is not read. */
const STATE_VERSION = 3
/** So many frames that do not decode in so long: the exchange speaks another protocol than we do. */
const UNDECODABLE_MAX = 10
const UNDECODABLE_WITHIN_US = 60_000_000
const TICK_US = 1_000_000
/** A tick that comes so much too late: the clock was stepped, or this process stood still. */
const LEAP_US_MIN = 1_000_000
const BOOK_STREAMS: readonly Stream[] = ['books', 'depth']

/** A stream other than the book: nothing yet, data, or ended for good. */
export type StreamState = 'waiting' | 'flowing' | 'ended'

/**
 * The session of one symbol: every input goes through `step`, in order; requests and rows come out as effects.
 * Pure: no I/O, no clock, no randomness, so that the same inputs give the same rows and the same state, live and
 * when recorded from the journal.
 */
export class Session {
  readonly config: SessionConfig
  readonly counters = new Counters()
  readonly book: BookMachine
  readonly market: MarketMachine
  readonly #shared: Shared
  readonly #exchange: Exchange
  readonly #message = new Message()
  readonly #clock: ClockGuard
  readonly #coverage = new Map<Stream, Coverage>()
  readonly #routes = new Map<string, readonly Stream[]>()
  /** Open connections: number → route. */
  readonly #connections = new Map<number, string>()
  readonly #undecodable = new Recent(UNDECODABLE_WITHIN_US)
  #halted: HaltReason | '' = ''
  #stopped = false
  readonly #listing = new ListingGuard()
  /** Receive time of the last tick, microseconds; 0 before the first. */
  #lastTick = 0
  #trades = true

  constructor(config: SessionConfig, exchange: Exchange) {
    this.config = config
    this.#exchange = exchange
    this.#clock = new ClockGuard(config.guards.clockSkewMillis)
    this.#shared = {
      exchange,
      config,
      counters: this.counters,
      clock: this.#clock,
      numbers: new RequestNumbers(),
      seq: new Sequence(),
      window: 0,
      share: 1,
      listing: this.#listing,
      halt: (reason, message, received, effects) => this.#halt(reason, message, received, effects),
    }
    // one order for coverage whatever the order in the configuration
    for (const stream of STREAMS) {
      if (config.streams.includes(stream)) this.#coverage.set(stream, new Coverage(stream))
    }
    this.book = new BookMachine(this.#shared, this.#coverage.get('books'), this.#coverage.get('depth'))
    this.market = new MarketMachine(
      this.#shared,
      this.#coverage.get('trades'),
      this.#coverage.get('mark_price'),
    )
    for (const subscription of exchange.subscriptions(config.symbol, config.streams)) {
      this.#routes.set(subscription.route, subscription.streams)
    }
  }

  /** Halted or stopped: nothing that comes is taken any more. */
  get over(): boolean {
    return this.#halted !== '' || this.#stopped
  }

  /** The exchange's word for the symbol's listing; empty before it is known. */
  get listing(): string {
    return this.#listing.word
  }

  /** Median offset of the receive clock against the exchange's, microseconds. */
  get clockOffset(): number {
    return this.#clock.offset
  }

  coverage(stream: Stream): Coverage | undefined {
    return this.#coverage.get(stream)
  }

  /** The last row of a stream that is evidence; undefined before the first. */
  lastPosition(stream: Stream): Position | undefined {
    if (BOOK_STREAMS.includes(stream)) return this.book.live.lastPosition
    return stream === 'trades' ? this.market.trades?.lastPosition : this.market.marks?.lastPosition
  }

  /** Where a stream stands, by a row or without one: what comes next lies behind it. Undefined before anything. */
  position(stream: Stream): Standing | undefined {
    if (BOOK_STREAMS.includes(stream)) return this.book.live.position
    return stream === 'trades' ? this.market.trades?.position : this.market.marks?.lastPosition
  }

  /** State of a stream for status: `books` and `depth` follow the book. */
  streamState(stream: Stream): string {
    if (BOOK_STREAMS.includes(stream)) return this.book.state
    if (this.over) return 'ended'
    return this.#coverage.get(stream)?.open === true ? 'flowing' : 'waiting'
  }

  step(input: Input, effects: Effects): void {
    this.#shared.seq.beginStep()
    if (this.over) return
    const { received } = input
    switch (input.kind) {
      case 'message':
        return this.#onMessage(input, effects)
      case 'opened':
        this.#connections.set(input.connection, input.route)
        return this.#machineOf(input.route)?.opened(input.connection, input.route, received, effects)
      case 'closed': {
        const route = this.#connections.get(input.connection)
        if (route === undefined) return
        this.#connections.delete(input.connection)
        return this.#machineOf(route)?.closed(input, effects)
      }
      case 'sent':
        if (!this.book.sent(input)) this.market.sent(input)
        return
      case 'refused':
        return this.#count(this.book.refused(input) || this.market.refused(input))
      case 'response':
        return this.#onResponse(input, effects)
      case 'tick':
        return this.#onTick(received, input.share, effects)
      case 'listing':
        return this.#onListing(input, effects)
      case 'clock':
        return this.#onClock(input, effects)
      case 'overload': {
        const what = input.what === 'loop' ? 'this process' : 'the journal'
        return this.#gap(
          [...this.#coverage.keys()],
          'overload',
          `${what} stalled ${input.stalledMs} ms`,
          received,
          effects,
        )
      }
      case 'stop':
        this.book.releaseHeld(effects)
        if (this.over) return
        this.#stopped = true
        this.book.end(input.reason, '', received, effects)
        return this.market.gap(input.reason, '', effects)
    }
  }

  /** Opens window `window` between two inputs; a live book is written whole. */
  openWindow(window: number, received: number, effects: Effects): void {
    this.#shared.window = window
    this.book.openWindow(received, effects)
  }

  /** Closes the open window between two inputs: writes what it holds of coverage that goes on. */
  closeWindow(effects: Effects): void {
    for (const coverage of this.#coverage.values()) {
      coverage.cut(this.#shared.window, this.#shared.seq, effects.rows)
    }
  }

  #onMessage(input: MessageInput, effects: Effects): void {
    const route = this.#connections.get(input.connection)
    if (route === undefined || !this.#trades) return this.counters.add('messages_ignored')
    this.counters.add('messages')
    const message = this.#message
    try {
      this.#exchange.decode(input.payload, this.config.symbol, message)
    } catch (error) {
      return this.#onUndecodable(error, route, input, effects)
    }
    const { connection, received } = input
    if (message.unknownFields > 0) this.counters.add('unknown_fields', message.unknownFields)
    switch (message.kind) {
      case 'depth':
        this.counters.add('depth_events')
        return this.book.event(message.depth, connection, received, effects)
      case 'trade':
        return this.market.trade(message.trade, connection, received, effects)
      case 'mark_price':
        return this.market.markPrice(message.markPrice, connection, received, effects)
      case 'snapshot':
        // in-band snapshots belong to exchanges that this version does not capture
        return this.counters.add('messages_ignored')
      case 'none':
        return
    }
  }

  /** A frame that does not decode ends coverage of its stream, or of every stream of its socket. */
  #onUndecodable(error: unknown, route: string, input: MessageInput, effects: Effects): void {
    if (error instanceof PrecisionError) {
      return this.#halt('PrecisionLoss', error.message, input.received, effects)
    }
    if (!(error instanceof ProtocolError)) throw error
    this.counters.add('parse_errors')
    if (this.#undecodable.add(input.received) >= UNDECODABLE_MAX) {
      const message = `${UNDECODABLE_MAX} frames in a minute did not decode, the last: ${error.message}`
      return this.#halt('ProtocolChanged', message, input.received, effects)
    }
    // on a connection that nothing is published from yet it breaks the chain of what is kept, no more
    if (input.connection !== this.book.connection && input.connection !== this.market.connection) return
    const carried = this.#routes.get(route) ?? []
    const { stream } = error
    const whole = stream === undefined || BOOK_STREAMS.includes(stream)
    const hit = whole ? carried : carried.filter((candidate) => candidate === stream)
    this.#gap(hit, 'parse', error.message, input.received, effects)
  }

  #gap(
    streams: readonly Stream[],
    reason: EndReason,
    detail: string,
    received: number,
    effects: Effects,
  ): void {
    if (streams.some((stream) => BOOK_STREAMS.includes(stream))) {
      this.book.releaseHeld(effects)
      if (!this.over) this.book.gap(reason, detail, received, effects)
    }
    if (this.over) return
    if (streams.includes('trades')) this.market.trades?.end(reason, detail, effects)
    if (streams.includes('mark_price')) this.market.marks?.end(reason, detail, effects)
  }

  #onTick(received: number, share: number, effects: Effects): void {
    this.#shared.share = share
    const leapUs = this.#lastTick === 0 ? 0 : received - this.#lastTick - TICK_US
    this.#lastTick = received
    if (!this.#trades) return
    if (leapUs > LEAP_US_MIN) {
      this.book.leap(leapUs, received)
      this.market.leap(leapUs, received)
    }
    // one route at a time
    this.book.tick(received, effects, !this.market.takingOver)
    if (!this.over) this.market.tick(received, effects, !this.book.takingOver)
  }

  #onClock(input: ClockInput, effects: Effects): void {
    const wasReady = this.#clock.ready
    const fault = this.#clock.probe(input.offset, input.rtt)
    if (fault !== '') return this.#halt('ClockSkew', fault, input.received, effects)
    if (!wasReady && this.#clock.ready) this.book.clockReady(input.received, effects)
  }

  #onResponse(input: ResponseInput, effects: Effects): void {
    const taken = this.book.response(input, effects) || this.market.response(input, effects)
    this.#count(taken)
    if (taken && !this.over && refusesSymbol(input.status)) this.#testify(input.received, effects)
  }

  #onListing(input: ListingInput, effects: Effects): void {
    const { received } = input
    const said = this.#listing.take(input)
    if (said === 'unlisted') return this.#testify(received, effects)
    if (said === 'not_trading') return this.#pause(received, effects)
    if (this.#trades) return
    this.#trades = true
    this.book.resume(received)
    this.market.resume(received, effects)
  }

  /** The listing, or a request that was refused, says that there is no such symbol: final, if it is not alone. */
  #testify(received: number, effects: Effects): void {
    if (!this.#listing.testify(received)) return
    const { depth_events, trades, mark_prices } = this.counters.values
    // one that has events is there, whatever is said: it waits
    if (depth_events + trades + mark_prices > 0) return this.#pause(received, effects)
    const message = `${this.config.exchange} lists no symbol ${this.config.symbol}`
    this.#halt('SymbolUnknown', message, received, effects)
  }

  #pause(received: number, effects: Effects): void {
    this.book.releaseHeld(effects)
    if (this.over) return
    this.#trades = false
    const detail = `the exchange says ${this.#listing.word}`
    this.book.pause(detail, received, effects)
    if (!this.over) this.market.pause(detail, received, effects)
  }

  /** Ends everything: what the process would write from here on cannot be trusted. */
  #halt(reason: HaltReason, message: string, received: number, effects: Effects): void {
    this.#halted = reason
    this.book.end(reason, message, received, effects)
    this.market.gap(reason, message, effects)
    effects.halt(reason, message)
  }

  /** Undefined for a route that carries nothing of this capture. */
  #machineOf(route: string): BookMachine | MarketMachine | undefined {
    const carried = this.#routes.get(route)
    if (carried === undefined) return undefined
    return carried.some((stream) => BOOK_STREAMS.includes(stream)) ? this.book : this.market
  }

  /** Counts an outcome that nobody waits for. */
  #count(taken: boolean): void {
    if (!taken) this.counters.add('responses_ignored')
  }

  /** The whole state in canonical bytes: equal states give equal bytes. */
  encode(): Uint8Array {
    const out = new Encoder()
    out.count(STATE_VERSION)
    out.count(this.#shared.window)
    out.integer(this.#shared.share)
    this.#shared.seq.encode(out)
    this.#shared.numbers.encode(out)
    this.counters.encode(out)
    this.#clock.encode(out)
    for (const coverage of this.#coverage.values()) coverage.encode(out)
    out.count(this.#connections.size)
    for (const [connection, route] of [...this.#connections].sort(([a], [b]) => a - b)) {
      out.integer(connection)
      out.string(route)
    }
    this.#undecodable.encode(out)
    out.string(this.#halted)
    out.boolean(this.#stopped)
    this.#listing.encode(out)
    out.integer(this.#lastTick)
    out.boolean(this.#trades)
    this.book.encode(out)
    this.market.encode(out)
    return out.bytes()
  }

  /** Becomes the state of a checkpoint. Throws RangeError where the bytes are not one of this version. */
  restore(bytes: Uint8Array): void {
    const from = new Decoder(bytes)
    const version = from.count()
    if (version !== STATE_VERSION) throw new RangeError(`state version ${version} is not ${STATE_VERSION}`)
    this.#shared.window = from.count()
    this.#shared.share = from.integer()
    this.#shared.seq.decode(from)
    this.#shared.numbers.decode(from)
    this.counters.decode(from)
    this.#clock.decode(from)
    for (const coverage of this.#coverage.values()) coverage.decode(from)
    this.#connections.clear()
    for (let count = from.count(); count > 0; count--) {
      const connection = from.integer()
      this.#connections.set(connection, from.string())
    }
    this.#undecodable.decode(from)
    this.#halted = from.word(['', ...HALTS])
    this.#stopped = from.boolean()
    this.#listing.decode(from)
    this.#lastTick = from.integer()
    this.#trades = from.boolean()
    this.book.decode(from)
    this.market.decode(from)
    from.finish()
  }

  /** SHA-256 of the canonical bytes, hex. */
  hash(): string {
    return hashBytes(this.encode())
  }
}

const HALTS = Object.keys(HALT_EXIT_CODES) as HaltReason[]
