import type { EndedBy } from '../../api/reasons.ts'
import type { Decoder, Encoder } from '../book/mod.ts'
import type { LastTrade, Trade } from '../exchange/mod.ts'
import type { Effects, RowHead } from './effects.ts'
import type { Coverage } from './ledger.ts'
import type { Position } from './position.ts'
import type { Shared } from './shared.ts'

/** −1 stands for no trade yet. */
const NO_TRADE = -1n
/** A trade this much younger than the connection should have come on it; clocks differ a little. */
const YOUNGER_US = 2_000_000

/**
 * Trades count by one. What was published already is dropped; a jump ends coverage and starts it anew. So does a
 * count that begins anew, lower: a trade that is sent again is not later than the latest one, so one that is later
 * and has an id that was used already is a new one.
 */
export class TradeStream {
  /** The id that the stream stands at; −1 before the first. */
  lastId = NO_TRADE
  readonly coverage: Coverage
  readonly #shared: Shared
  /** Id of the last row; the next row follows it or has a gap before it. */
  #lastRow = NO_TRADE
  /** Time of the latest trade that is known of, ms. */
  #latest = 0
  /** Trades up to this time are of a count of ids that is over, ms; 0 where ids never began anew. */
  #countsFrom = 0
  /** The exchange's last trade, while it is waited for. */
  #expected: LastTrade | undefined
  /** The next trade is the first one of another connection. */
  #changedOver = false
  readonly #head: RowHead = { seq: 0, connection: 0, received: 0 }

  constructor(shared: Shared, coverage: Coverage) {
    this.#shared = shared
    this.coverage = coverage
  }

  /** The last trade that was published; undefined before the first. */
  get lastPosition(): Position | undefined {
    return this.#lastRow === NO_TRADE ? undefined : { id: this.#lastRow, timeMs: this.#latest }
  }

  /** The trade that the stream stands at. */
  get position(): Position {
    return { id: this.lastId, timeMs: this.#latest }
  }

  take(trade: Trade, connection: number, received: number, effects: Effects): void {
    const { counters, seq, window } = this.#shared
    const anew = trade.id <= this.lastId && trade.tradeTime > this.#latest
    if (anew) this.#countsFrom = this.#latest
    else if (trade.id <= this.lastId || trade.tradeTime <= this.#countsFrom) {
      return counters.add('trades_repeated')
    }
    counters.add('trades')
    const { coverage } = this
    if (coverage.open && trade.id !== this.lastId + 1n) {
      const by = this.#changedOver ? 'reconnect' : 'sequence'
      coverage.end(by, `trade ${trade.id} follows ${this.lastId}`, window, seq, effects.rows)
    }
    if (!coverage.open) coverage.start(trade.id - 1n, received, connection)
    this.#head.seq = seq.next()
    this.#head.connection = connection
    this.#head.received = received
    effects.rows.trade(this.#head, trade, anew || trade.id !== this.#lastRow + 1n)
    coverage.row(trade.id, received)
    this.lastId = trade.id
    this.#lastRow = trade.id
    this.#latest = Math.max(this.#latest, trade.tradeTime)
    this.#expected = undefined
    this.#changedOver = false
  }

  /** Another connection leads from here on: what is missing was lost between the two. */
  changedOver(): void {
    this.#changedOver = true
  }

  end(by: EndedBy, detail: string, effects: Effects): void {
    const { seq, window } = this.#shared
    this.coverage.end(by, detail, window, seq, effects.rows)
    this.#expected = undefined
  }

  /**
   * What the exchange says was its last trade when asked at `sentAt`: `quiet` proves the silence until then; `open`
   * says nothing; `doubt` must be judged a little later.
   */
  compare(last: LastTrade, sentAt: number): 'quiet' | 'open' | 'doubt' {
    if (this.coverage.open && last.id < this.lastId) return 'open'
    if (this.coverage.open && last.id === this.lastId) {
      this.coverage.advance(this.lastId, sentAt)
      return 'quiet'
    }
    this.#expected = last
    return 'doubt'
  }

  /**
   * The expected trade did not come. Where none was due on this connection, which opened at `openedAt`, coverage
   * begins at it, from `from` on. Returns whether the connection is at fault.
   */
  judge(openedAt: number, from: number, connection: number): boolean {
    const expected = this.#expected
    this.#expected = undefined
    if (expected === undefined) return false
    if (this.coverage.open) return true
    // an answer from the past: coverage does not begin below what was published
    if (expected.id < this.lastId) return false
    // the last one was published: coverage had only ended for another reason
    if (expected.id === this.lastId) {
      this.coverage.start(expected.id, from, connection)
      return false
    }
    const tradedAt = expected.time * 1000 + this.#shared.clock.offset
    if (tradedAt > openedAt + YOUNGER_US) return true
    this.lastId = expected.id
    this.#latest = Math.max(this.#latest, expected.time)
    this.coverage.start(expected.id, from, connection)
    return false
  }

  encode(out: Encoder): void {
    out.id(this.lastId)
    out.id(this.#lastRow)
    out.integer(this.#latest)
    out.integer(this.#countsFrom)
    out.boolean(this.#changedOver)
    out.boolean(this.#expected !== undefined)
    out.id(this.#expected?.id ?? 0n)
    out.integer(this.#expected?.time ?? 0)
  }

  decode(from: Decoder): void {
    this.lastId = from.id()
    this.#lastRow = from.id()
    this.#latest = from.integer()
    this.#countsFrom = from.integer()
    this.#changedOver = from.boolean()
    const expected = from.boolean()
    const id = from.id()
    const time = from.integer()
    this.#expected = expected ? { id, time } : undefined
  }
}
