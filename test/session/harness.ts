import { exchangeByName } from '../../capture/exchange/mod.ts'
import { type FetchRequest, type Input, Session, type SessionConfig } from '../../capture/session/mod.ts'
import { Collector } from '../support/collect.ts'
import {
  type DepthFrame,
  depthFrame,
  type Level,
  markPriceFrame,
  snapshotBody,
  tradeFrame,
} from '../support/frames.ts'
import { clockProbes, GUARDS } from '../support/session.ts'

/** Input without its receive time: `Distributive` keeps the union. */
type Untimed<T> = T extends Input ? Omit<T, 'received'> : never

export const CONFIG: SessionConfig = {
  exchange: 'BinanceUsdm',
  symbol: 'BTCUSDT',
  streams: ['books', 'depth', 'trades', 'mark_price'],
  bookLevels: 5,
  guards: GUARDS,
}

/** Receive time of the first input, microseconds: 2026-11-22T12:00:00Z. */
export const START = Date.UTC(2026, 10, 22, 12) * 1000

/** Sides of a book that is not at issue. */
export const BIDS: readonly Level[] = [
  ['100', '1'],
  ['99', '2'],
]
export const ASKS: readonly Level[] = [
  ['101', '1'],
  ['102', '2'],
]

export interface Answer {
  readonly status?: number
  readonly retryAt?: number
  /** Own time of the answer, ms; else the receive time. */
  readonly E?: number
}

/** Longer leaps go without a tick each second. */
const LEAP_TICKS_MAX = 700

/** Drives a session by hand: each input comes 100 ms after the last. */
export class Drive {
  readonly out = new Collector()
  readonly session: Session
  now = START
  readonly inputs: Input[] = []
  share = 1

  /** `probes`: how many good probes of the clock it has at its start; five are enough. */
  constructor(config: SessionConfig = CONFIG, probes = 5) {
    this.session = new Session(config, exchangeByName(config.exchange))
    this.session.openWindow(0, this.now, this.out)
    for (const probe of clockProbes(this.now).slice(0, probes)) this.#step(probe)
  }

  get state(): string {
    return this.session.book.state
  }

  /** Id that the live book is at. */
  get id(): bigint {
    return this.session.book.live.book.id
  }

  get counters() {
    return this.session.counters.values
  }

  get haltReasons(): string[] {
    return this.out.halts.map((halt) => halt.reason)
  }

  /** Ids of the rows of `books`. */
  get bookIds(): unknown[] {
    return this.out.of('books').map((row) => row.values['id'])
  }

  get tradeIds(): unknown[] {
    return this.out.of('trades').map((row) => row.values['id'])
  }

  #step(input: Input): void {
    this.inputs.push(input)
    this.session.step(input, this.out)
  }

  input(input: Untimed<Input>): this {
    this.now += 100_000
    this.#step({ ...input, received: this.now } as Input)
    return this
  }

  open(connection = 1, route = 'public'): this {
    return this.input({ kind: 'opened', connection, route })
  }

  close(connection = 1, { silent = false, reason = '' } = {}): this {
    return this.input({ kind: 'closed', connection, code: 1006, reason, silent })
  }

  depth(frame: DepthFrame, connection = 1): this {
    return this.input({ kind: 'message', connection, payload: depthFrame(frame) })
  }

  /** An event of one level that follows `pu` and ends at `u`. */
  event(pu: number, u: number, connection = 1, b: readonly Level[] = [['98', String(u)]]): this {
    return this.depth({ U: pu + 1, u, pu, b }, connection)
  }

  /** The latest request of that rank. Throws where there is none. */
  request(rank: FetchRequest['rank'], what: FetchRequest['what'] = 'snapshot'): FetchRequest {
    const found = this.out.requests.findLast((request) => request.rank === rank && request.what === what)
    if (found === undefined) throw new Error(`nothing of rank ${rank} was asked for`)
    return found
  }

  asked(rank: FetchRequest['rank'], what: FetchRequest['what'] = 'snapshot'): number {
    return this.out.requests.filter((request) => request.rank === rank && request.what === what).length
  }

  sent(request: number, limit: number): this {
    return this.input({ kind: 'sent', request, limit })
  }

  body(request: number, body: Buffer, { status = 200, retryAt = 0 }: Answer = {}): this {
    return this.input({ kind: 'response', request, status, usedWeight: 20, retryAt, error: '', body })
  }

  /** Answers a request for a snapshot. */
  answer(
    request: number,
    id: number | bigint,
    bids: readonly Level[] = BIDS,
    asks: readonly Level[] = ASKS,
    answer: Answer = {},
  ): this {
    const E = answer.E ?? Math.floor(this.now / 1000) + 100
    return this.body(request, snapshotBody(id, bids, asks, E), answer)
  }

  /** The answer to the latest request. */
  snapshot(id: number | bigint, bids: readonly Level[], asks: readonly Level[], status = 200): this {
    return this.answer(this.out.requests.at(-1)?.id ?? 0, id, bids, asks, { status })
  }

  /** The exchange's answer to the latest question for its last trade. */
  lastTrade(id: number, timeMs: number, answer: Answer = {}): this {
    const body = Buffer.from(`[{"a":${id},"p":"1","q":"1","f":1,"l":1,"T":${timeMs},"m":true}]`)
    return this.body(this.request('audit', 'last_trade').id, body, answer)
  }

  /** `later`: milliseconds after the time that trades have by default. */
  trade(id: number, { connection = 2, later = 0 } = {}): this {
    const payload = tradeFrame(id, '100.5', '1', 'BTCUSDT', 1_721_347_020_000 + later)
    return this.input({ kind: 'message', connection, payload })
  }

  markPrice(eventTime: number, connection = 2): this {
    return this.input({ kind: 'message', connection, payload: markPriceFrame(eventTime) })
  }

  tick(): this {
    return this.input({ kind: 'tick', wallDistance: 0, share: this.share })
  }

  /** So many seconds pass, with a tick at the end of each. */
  pass(seconds: number): this {
    for (let i = 0; i < seconds; i++) {
      this.now += 900_000
      this.tick()
    }
    return this
  }

  /** So much time passes, with a tick each second as long as that is not tedious, and one at its end. */
  leap(seconds: number): this {
    const until = this.now + Math.round(seconds * 1_000_000)
    if (seconds <= LEAP_TICKS_MAX) {
      while (until - this.now > 1_000_000) this.pass(1)
    }
    return this.stepClock((until - this.now) / 1_000_000)
  }

  /** The receive clock is set forward by so much: one tick, so much later. */
  stepClock(seconds: number): this {
    this.now += Math.round(seconds * 1_000_000) - 100_000
    return this.tick()
  }

  probe(offsetMs: number, rttMs = 20): this {
    return this.input({ kind: 'clock', offset: offsetMs * 1000, rtt: rttMs * 1000 })
  }

  rotate(window: number): this {
    this.session.closeWindow(this.out)
    this.session.openWindow(window, this.now, this.out)
    return this
  }

  stop(): this {
    return this.input({ kind: 'stop', reason: 'stopped' })
  }

  /** A live book at id 110: bids 100 and 99, asks 101 and 102. */
  live(): this {
    this.open().depth({ U: 101, u: 105, pu: 100 })
    this.snapshot(103, BIDS, ASKS)
    return this.depth({ U: 106, u: 110, pu: 105 })
  }
}
