import type { EndedBy } from '../../api/reasons.ts'
import type { Decoder, Encoder } from '../book/mod.ts'
import { type MarkPrice, ProtocolError, type Trade } from '../exchange/mod.ts'
import type { Effects } from './effects.ts'
import { decodeTrade, encodeTrade } from './encoding.ts'
import type { ClosedInput, RefusedInput, ResponseInput, SentInput } from './input.ts'
import type { Coverage } from './ledger.ts'
import { MarkStream } from './mark-stream.ts'
import type { Shared } from './shared.ts'
import { Silence } from './silence.ts'
import { Streak } from './streak.ts'
import { askListing, BAD_ANSWERS_MAX } from './suspicion.ts'
import { TakeOver } from './take-over.ts'
import { TradeStream } from './trade-stream.ts'

/** Trades may be rare: after a minute without one the exchange is asked, then after twice the time. */
const TRADES_SILENT_US = 60_000_000
const TRADES_SILENT_LONGEST_US = 600_000_000
/** A second connection must have been open for so long, and have brought something. */
const WARM_US = 5_000_000
/** After so long without a sign of life it is given up. */
const WARMS_UP_US_MAX = 60_000_000
const TRADES_KEPT_MAX = 10_000

interface KeptTrade {
  readonly trade: Trade
  readonly received: number
}

/** The streams that are no book: trades and mark prices, which share a connection. */
export class MarketMachine {
  /** Connection that the streams follow; 0 for none. */
  connection = 0
  readonly trades: TradeStream | undefined
  readonly marks: MarkStream | undefined
  readonly #shared: Shared
  readonly #silence: Silence
  readonly #takeOver: TakeOver
  #route = ''
  #openedAt = 0
  /** When the last trade came on the followed connection. */
  #lastTradeAt = 0
  /** Trades of the second connection, contiguous. */
  #kept: KeptTrade[] = []
  #markOnCandidate = false
  /** Answers in a row about the last trade that did not decode. */
  readonly #bad = new Streak(BAD_ANSWERS_MAX)

  constructor(shared: Shared, trades: Coverage | undefined, marks: Coverage | undefined) {
    this.#shared = shared
    this.trades = trades === undefined ? undefined : new TradeStream(shared, trades)
    this.marks = marks === undefined ? undefined : new MarkStream(shared, marks)
    this.#silence = new Silence(shared.numbers, TRADES_SILENT_US, TRADES_SILENT_LONGEST_US)
    this.#takeOver = new TakeOver(shared.config.symbol, shared.exchange.limits.connectionLifetimeMs)
  }

  get takingOver(): boolean {
    return this.#takeOver.phase !== 'none'
  }

  opened(connection: number, route: string, received: number, effects: Effects): void {
    this.#route = route
    if (this.connection === 0) {
      this.connection = connection
      this.#openedAt = received
      this.marks?.opened(received)
      return this.#silence.heard(received, effects)
    }
    if (this.#takeOver.phase !== 'asked') return effects.closeOne(connection, 'nobody waits for it')
    this.#kept = []
    this.#markOnCandidate = false
    this.#takeOver.opened(connection, received)
  }

  closed({ connection, reason, received }: ClosedInput, effects: Effects): void {
    if (connection === this.#takeOver.candidate) return this.#failTakeOver(received)
    if (connection !== this.connection) return
    // ids tell whether anything was lost between the two
    if (this.#takeOver.candidate !== 0) return this.#changeOver(received, effects)
    this.#takeOver.failed(received)
    // prices that do not come are noticed sooner; trades alone may be rare, or the symbol is gone
    if (this.marks === undefined && this.#lastTradeAt < this.#openedAt) {
      effects.checkListing('a connection ended on which no trade came')
    }
    this.connection = 0
    this.gap('reconnect', reason, effects)
    this.#silence.rest(effects)
    this.marks?.rest()
  }

  trade(trade: Trade, connection: number, received: number, effects: Effects): void {
    if (this.trades === undefined) return this.#shared.counters.add('messages_ignored')
    if (connection === this.#takeOver.candidate) return this.#keep(trade, received)
    if (connection !== this.connection) return this.#shared.counters.add('messages_ignored')
    this.#lastTradeAt = received
    this.#silence.heard(received, effects)
    if (this.#isEarly()) return
    this.trades.take(trade, connection, received, effects)
  }

  markPrice(mark: MarkPrice, connection: number, received: number, effects: Effects): void {
    if (this.marks === undefined) return this.#shared.counters.add('messages_ignored')
    if (connection === this.#takeOver.candidate) this.#markOnCandidate = true
    if (this.#isEarly()) this.marks.heard(received)
    else this.marks.take(mark, connection, received, effects)
  }

  /** The receive clock leapt: a step of the wall clock, or a process that stood still. */
  leap(leapUs: number, received: number): void {
    this.#silence.leap(leapUs, received)
    this.marks?.leap(leapUs, received)
  }

  tick(received: number, effects: Effects, mayTakeOver: boolean): void {
    if (this.connection === 0) return
    this.#turnTakeOver(received, effects, mayTakeOver)
    if (this.marks?.isSilent(received) === true) {
      this.marks.end('no_data', 'no price came in time', effects)
      effects.checkListing('no mark price came in time')
      return effects.reconnect(this.connection, 'no mark price')
    }
    if (this.trades !== undefined && this.#shared.clock.ready) this.#askTrades(received, effects)
  }

  /** Returns whether the request is one of this machine; so do `refused` and `response`. */
  sent({ request, limit, received }: SentInput): boolean {
    return this.#silence.slot.sent(request, limit, received)
  }

  refused({ request, until, received }: RefusedInput): boolean {
    if (!this.#silence.slot.refused(request, until, received)) return false
    this.#silence.answered(received)
    this.#shared.counters.add('proofs_open')
    return true
  }

  response(input: ResponseInput, effects: Effects): boolean {
    if (!this.#silence.slot.answered(input.request, input.retryAt)) return false
    askListing(input, effects)
    this.#silence.answered(input.received)
    const verdict = this.#compare(input, effects)
    this.#shared.counters.add(verdict === 'quiet' ? 'proofs_quiet' : 'proofs_open')
    if (verdict === 'doubt') this.#silence.doubt(input.received)
    return true
  }

  /** Ends coverage of both streams; they begin again with their next evidence. */
  gap(by: EndedBy, detail: string, effects: Effects): void {
    this.trades?.end(by, detail, effects)
    this.marks?.end(by, detail, effects)
  }

  /** The exchange does not trade the symbol: silence means nothing until it does. */
  pause(detail: string, received: number, effects: Effects): void {
    const { candidate } = this.#takeOver
    if (candidate !== 0) {
      effects.closeOne(candidate, 'nothing is taken while the symbol does not trade')
      this.#failTakeOver(received)
    }
    this.gap('not_trading', detail, effects)
    this.#silence.rest(effects)
    this.marks?.rest()
  }

  resume(received: number, effects: Effects): void {
    if (this.connection === 0) return
    this.#silence.heard(received, effects)
    this.marks?.opened(received)
  }

  /** Nothing is published before the clock is known. */
  #isEarly(): boolean {
    if (this.#shared.clock.ready) return false
    this.#shared.counters.add('messages_early')
    return true
  }

  #askTrades(received: number, effects: Effects): void {
    const trades = this.trades
    if (trades === undefined) return
    const { slot } = this.#silence
    if (this.#silence.judge(received)) {
      if (!trades.judge(this.#openedAt, slot.sentAt, this.connection)) return
      this.#shared.counters.add('proofs_frozen')
      trades.end('no_data', 'the exchange has later trades and none of them came', effects)
      return effects.reconnect(this.connection, 'trades are missing')
    }
    const wish = { what: 'last_trade', limit: 0, limitWhenBusy: 0, rank: 'audit', wait: 'share' } as const
    if (this.#silence.ask(wish, received, effects)) this.#shared.counters.add('proofs_asked')
  }

  #compare(input: ResponseInput, effects: Effects): 'quiet' | 'open' | 'doubt' {
    if (input.status !== 200 || this.trades === undefined) return 'open'
    try {
      const last = this.#shared.exchange.decodeLastTrade(input.body)
      this.#bad.reset()
      return last === undefined ? 'open' : this.trades.compare(last, this.#silence.slot.sentAt)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.#shared.counters.add('parse_errors')
      if (this.#bad.add()) {
        const message = `${BAD_ANSWERS_MAX} answers in a row about the last trade did not decode, the last: ${error.message}`
        this.#shared.halt('ProtocolChanged', message, input.received, effects)
      }
      return 'open'
    }
  }

  #keep(trade: Trade, received: number): void {
    const last = this.#kept.at(-1)
    if (last !== undefined && trade.id <= last.trade.id && trade.tradeTime <= last.trade.tradeTime) {
      return this.#shared.counters.add('trades_repeated')
    }
    // a chain that breaks, or grows without end, begins anew
    if (last !== undefined && (trade.id !== last.trade.id + 1n || this.#kept.length === TRADES_KEPT_MAX)) {
      this.#dropKept()
    }
    this.#kept.push({ trade: trade.copy(), received })
  }

  #turnTakeOver(received: number, effects: Effects, mayBegin: boolean): void {
    const turn = this.#takeOver
    if (turn.phase === 'none' && mayBegin) turn.begin(this.#route, this.#openedAt, received, effects)
    else if (turn.phase === 'asked') turn.giveUpUnopened(received)
    else if (turn.phase === 'warming') {
      const age = received - turn.openedAt
      if (age >= WARM_US && this.#isWarm()) {
        effects.closeOne(this.connection, 'another connection has taken over')
        this.#changeOver(received, effects)
      } else if (age >= WARMS_UP_US_MAX) {
        effects.closeOne(turn.candidate, 'it cannot take over')
        this.#failTakeOver(received)
      }
    }
  }

  /** Has the second connection shown that it brings what the first one does? */
  #isWarm(): boolean {
    if (this.marks !== undefined && !this.#markOnCandidate) return false
    const lastId = this.trades?.lastId
    const first = this.#kept.at(0)
    if (first !== undefined) return lastId === undefined || lastId < 0n || first.trade.id <= lastId + 1n
    // no trade on it: then the first one must be quiet too
    return this.trades === undefined || this.#lastTradeAt < this.#takeOver.openedAt
  }

  #changeOver(received: number, effects: Effects): void {
    this.connection = this.#takeOver.candidate
    this.#openedAt = this.#takeOver.openedAt
    this.#takeOver.end(received)
    this.#shared.counters.add('take_overs')
    this.trades?.changedOver()
    const kept = this.#kept
    this.#kept = []
    for (const { trade, received: at } of kept) this.trade(trade, this.connection, at, effects)
  }

  #dropKept(): void {
    this.#shared.counters.add('trades_dropped', this.#kept.length)
    this.#kept = []
  }

  #failTakeOver(received: number): void {
    this.#dropKept()
    this.#shared.counters.add('take_overs_failed')
    this.#takeOver.failed(received)
  }

  encode(out: Encoder): void {
    out.integer(this.connection)
    this.trades?.encode(out)
    this.marks?.encode(out)
    this.#silence.encode(out)
    this.#takeOver.encode(out)
    out.string(this.#route)
    out.integer(this.#openedAt)
    out.integer(this.#lastTradeAt)
    out.count(this.#kept.length)
    for (const { trade, received } of this.#kept) {
      out.integer(received)
      encodeTrade(trade, out)
    }
    out.boolean(this.#markOnCandidate)
    this.#bad.encode(out)
  }

  decode(from: Decoder): void {
    this.connection = from.integer()
    this.trades?.decode(from)
    this.marks?.decode(from)
    this.#silence.decode(from)
    this.#takeOver.decode(from)
    this.#route = from.string()
    this.#openedAt = from.integer()
    this.#lastTradeAt = from.integer()
    this.#kept = Array.from({ length: from.count() }, () => {
      const received = from.integer()
      return { trade: decodeTrade(from), received }
    })
    this.#markOnCandidate = from.boolean()
    this.#bad.decode(from)
  }
}
