import type { EndReason, HaltReason } from '../../api/reasons.ts'
import { STREAMS, type Stream } from '../../api/streams.ts'
import { Decoder, Encoder, hashBytes } from '../book/mod.ts'
import { type Exchange, Message, PrecisionError, ProtocolError } from '../exchange/mod.ts'
import { BookMachine, type Shared } from './book-machine.ts'
import type { SessionConfig } from './config.ts'
import { Counters } from './counters.ts'
import type { Effects, RowHead } from './effects.ts'
import type { ClosedInput, Input, ListingInput, MessageInput } from './input.ts'
import { Coverage, Sequence } from './ledger.ts'

/** Version of the canonical bytes. A checkpoint of another version is not read. */
const STATE_VERSION = 1
const NO_TRADE = -1n
/** So many new trades in a row with old ids: the exchange counts anew, or one id was far off. */
const REUSED_MAX = 100

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
  readonly #shared: Shared
  readonly #exchange: Exchange
  readonly #message = new Message()
  readonly #coverage = new Map<Stream, Coverage>()
  readonly #routes = new Map<string, readonly Stream[]>()
  /** Open connections: number → route. */
  readonly #connections = new Map<number, string>()
  #halted: HaltReason | '' = ''
  #stopped = false
  /** −1 before the first trade. */
  #lastTradeId = NO_TRADE
  #lastTradeTime = 0
  /** Trades in a row that are later than the last one and have ids that were used already. */
  #reused = 0
  /** The exchange's word for the symbol's listing; empty before it is known. */
  #listing = ''
  #clockOffset = 0
  readonly #head: RowHead = { seq: 0, connection: 0, received: 0 }

  constructor(config: SessionConfig, exchange: Exchange) {
    this.config = config
    this.#exchange = exchange
    this.#shared = {
      exchange,
      symbol: config.symbol,
      counters: this.counters,
      seq: new Sequence(),
      window: 0,
      halt: (reason, message, received, effects) => this.#halt(reason, message, received, effects),
    }
    // one order for coverage whatever the order in the configuration
    for (const stream of STREAMS) {
      if (config.streams.includes(stream)) this.#coverage.set(stream, new Coverage(stream))
    }
    this.book = new BookMachine(this.#shared, this.#coverage.get('books'), this.#coverage.get('depth'))
    for (const subscription of exchange.subscriptions(config.symbol, config.streams)) {
      this.#routes.set(subscription.route, subscription.streams)
    }
  }

  /** Halted or stopped: nothing that comes is taken any more. */
  get over(): boolean {
    return this.#halted !== '' || this.#stopped
  }

  get listing(): string {
    return this.#listing
  }

  get clockOffset(): number {
    return this.#clockOffset
  }

  coverage(stream: Stream): Coverage | undefined {
    return this.#coverage.get(stream)
  }

  /** State of a stream for status: `books` and `depth` follow the book. */
  streamState(stream: Stream): string {
    if (stream === 'books' || stream === 'depth') return this.book.state
    if (this.over) return 'ended'
    return this.#coverage.get(stream)?.open === true ? 'flowing' : 'waiting'
  }

  step(input: Input, effects: Effects): void {
    this.#shared.seq.beginStep()
    if (this.over) return
    switch (input.kind) {
      case 'message':
        return this.#onMessage(input, effects)
      case 'opened':
        this.#connections.set(input.connection, input.route)
        if (this.#carriesBook(input.route)) this.book.opened(input.connection, input.received)
        return
      case 'closed':
        return this.#onClosed(input, effects)
      case 'response':
        return this.book.response(input, effects)
      case 'refused':
        return this.book.refused(input.request, input.until, input.received)
      case 'tick':
        return this.book.tick(input.received, effects)
      case 'listing':
        return this.#onListing(input, effects)
      case 'clock':
        this.#clockOffset = input.offset
        return
      case 'overload':
        return this.#gapAll(
          [...this.#coverage.keys()],
          'overload',
          `stalled ${input.stalledMs} ms`,
          input.received,
          effects,
        )
      case 'stop':
        this.#stopped = true
        this.book.end(input.reason, '', input.received, effects)
        return this.#endCoverage(['trades', 'mark_price'], input.reason, '', effects)
      case 'sent':
        return
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
    if (route === undefined) return this.counters.add('messages_ignored')
    this.counters.add('messages')
    const message = this.#message
    try {
      this.#exchange.decode(input.payload, this.config.symbol, message)
    } catch (error) {
      return this.#onUndecodable(error, route, input, effects)
    }
    if (message.unknownFields > 0) this.counters.add('unknown_fields', message.unknownFields)
    switch (message.kind) {
      case 'depth':
        if (input.connection !== this.book.connection) return this.counters.add('messages_ignored')
        this.counters.add('depth_events')
        return this.book.event(message.depth, input.received, effects)
      case 'trade':
        return this.#onTrade(input, effects)
      case 'mark_price':
        return this.#onMarkPrice(input, effects)
      case 'snapshot':
        // in-band snapshots belong to exchanges that this version does not capture
        return this.counters.add('messages_ignored')
      case 'none':
        return
    }
  }

  /** A frame that does not decode ends coverage of its stream, or of every stream of its socket. */
  #onUndecodable(error: unknown, route: string, input: MessageInput, effects: Effects): void {
    if (error instanceof PrecisionError)
      return this.#halt('PrecisionLoss', error.message, input.received, effects)
    if (!(error instanceof ProtocolError)) throw error
    this.counters.add('parse_errors')
    const carried = this.#routes.get(route) ?? []
    const stream = error.stream
    const isBook = stream === 'books' || stream === 'depth'
    const hit = stream === undefined || isBook ? carried : carried.filter((candidate) => candidate === stream)
    this.#gapAll(hit, 'parse', error.message, input.received, effects)
  }

  #gapAll(
    streams: readonly Stream[],
    reason: EndReason,
    detail: string,
    received: number,
    effects: Effects,
  ): void {
    if (streams.includes('books') || streams.includes('depth'))
      this.book.gap(reason, detail, received, effects)
    this.#endCoverage(
      streams.filter((stream) => stream !== 'books' && stream !== 'depth'),
      reason,
      detail,
      effects,
    )
  }

  #onClosed(input: ClosedInput, effects: Effects): void {
    const route = this.#connections.get(input.connection)
    if (route === undefined) return
    this.#connections.delete(input.connection)
    if (this.#carriesBook(route)) {
      if (input.connection === this.book.connection) this.book.closed(input.reason, input.received, effects)
      return
    }
    this.#endCoverage(this.#routes.get(route) ?? [], 'reconnect', input.reason, effects)
  }

  /** Trades count by one. What was published already is dropped; a jump ends coverage and starts it anew. */
  #onTrade(input: MessageInput, effects: Effects): void {
    const coverage = this.#coverage.get('trades')
    const trade = this.#message.trade
    if (coverage === undefined) return this.counters.add('messages_ignored')
    if (trade.id <= this.#lastTradeId) {
      // what is sent again is not later than what came last
      if (trade.tradeTime > this.#lastTradeTime) this.#reused++
      if (this.#reused < REUSED_MAX) return this.counters.add('trades_repeated')
    }
    this.#reused = 0
    this.counters.add('trades')
    const chained = this.#lastTradeId !== NO_TRADE && trade.id === this.#lastTradeId + 1n
    if (coverage.open && !chained) {
      const detail = `trade ${trade.id} follows ${this.#lastTradeId}`
      coverage.end('sequence', detail, this.#shared.window, this.#shared.seq, effects.rows)
    }
    if (!coverage.open) coverage.start(trade.id - 1n, input.received, input.connection)
    this.#lastTradeId = trade.id
    this.#lastTradeTime = trade.tradeTime
    effects.rows.trade(this.#place(input), trade, !chained)
    coverage.row(trade.id, input.received)
  }

  #onMarkPrice(input: MessageInput, effects: Effects): void {
    const coverage = this.#coverage.get('mark_price')
    if (coverage === undefined) return this.counters.add('messages_ignored')
    this.counters.add('mark_prices')
    if (!coverage.open) coverage.start(0n, input.received, input.connection)
    effects.rows.markPrice(this.#place(input), this.#message.markPrice)
    coverage.row(0n, input.received)
  }

  #onListing(input: ListingInput, effects: Effects): void {
    this.#listing = input.word
    if (input.status !== 'absent') return
    const message = `${this.config.exchange} lists no symbol ${this.config.symbol}`
    this.#halt('SymbolUnknown', message, input.received, effects)
  }

  /** Ends everything: what the process would write from here on cannot be trusted. */
  #halt(reason: HaltReason, message: string, received: number, effects: Effects): void {
    this.#halted = reason
    this.book.end(reason, message, received, effects)
    this.#endCoverage(['trades', 'mark_price'], reason, message, effects)
    effects.halt(reason, message)
  }

  #endCoverage(
    streams: readonly Stream[],
    by: EndReason | HaltReason,
    detail: string,
    effects: Effects,
  ): void {
    for (const stream of streams) {
      this.#coverage.get(stream)?.end(by, detail, this.#shared.window, this.#shared.seq, effects.rows)
    }
  }

  #carriesBook(route: string): boolean {
    const carried = this.#routes.get(route) ?? []
    return carried.includes('books') || carried.includes('depth')
  }

  #place(input: MessageInput): RowHead {
    this.#head.seq = this.#shared.seq.next()
    this.#head.connection = input.connection
    this.#head.received = input.received
    return this.#head
  }

  /** The whole state in canonical bytes: equal states give equal bytes. */
  encode(): Uint8Array {
    const out = new Encoder()
    out.count(STATE_VERSION)
    out.count(this.#shared.window)
    this.#shared.seq.encode(out)
    this.counters.encode(out)
    for (const coverage of this.#coverage.values()) coverage.encode(out)
    out.count(this.#connections.size)
    for (const [connection, route] of [...this.#connections].sort(([a], [b]) => a - b)) {
      out.integer(connection)
      out.string(route)
    }
    out.string(this.#halted)
    out.boolean(this.#stopped)
    out.id(this.#lastTradeId)
    out.integer(this.#lastTradeTime)
    out.count(this.#reused)
    out.string(this.#listing)
    out.float(this.#clockOffset)
    this.book.encode(out)
    return out.bytes()
  }

  /** Becomes the state of a checkpoint. Throws RangeError where the bytes are not one of this version. */
  restore(bytes: Uint8Array): void {
    const from = new Decoder(bytes)
    const version = from.count()
    if (version !== STATE_VERSION) throw new RangeError(`state version ${version} is not ${STATE_VERSION}`)
    this.#shared.window = from.count()
    this.#shared.seq.decode(from)
    this.counters.decode(from)
    for (const coverage of this.#coverage.values()) coverage.decode(from)
    this.#connections.clear()
    for (let count = from.count(); count > 0; count--) {
      const connection = from.integer()
      this.#connections.set(connection, from.string())
    }
    this.#halted = from.string() as HaltReason | ''
    this.#stopped = from.boolean()
    this.#lastTradeId = from.id()
    this.#lastTradeTime = from.integer()
    this.#reused = from.count()
    this.#listing = from.string()
    this.#clockOffset = from.float()
    this.book.decode(from)
    from.finish()
  }

  /** SHA-256 of the canonical bytes, hex. */
  hash(): string {
    return hashBytes(this.encode())
  }
}
