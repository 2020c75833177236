/**
 * A capture that is fed by hand, through the real run and journal, and that notes beside each input the rows that it
 * must become. It makes legal histories only: a wrong use of it fails.
 */
import assert from 'node:assert/strict'
import type { Stream } from '../../../api/streams.ts'
import { exchangeByName } from '../../../capture/exchange/mod.ts'
import { Run } from '../../../capture/process/run.ts'
import type { FetchRequest, Input } from '../../../capture/session/mod.ts'
import type { Spool } from '../../../capture/ship/mod.ts'
import { depthFrame, type Level, snapshotBody } from '../../support/frames.ts'
import { clockProbes, GUARDS, NO_REQUESTS, NO_ROWS } from '../../support/session.ts'
import {
  type Cell,
  MadeBook,
  MadeCoverage,
  type MadeEvent,
  type Row,
  type Stretch,
  sentLevels,
} from './book.ts'

export interface MadeOptions {
  readonly spool: Spool
  readonly run: string
  readonly symbol: string
  readonly levels: number
  readonly streams?: readonly Stream[]
  readonly startUs: number
  readonly rotationSeconds?: number
}

/** One expected file: the rows of a stream in a window, in order. */
export interface MadeFile {
  readonly stream: string
  readonly window: number
  readonly openedUs: number
  readonly rows: Row[]
}

/** A mark price is missed after so long; on a new connection after twice the time. */
const MARK_WAIT_US = 5_000_000
const ALL: readonly Stream[] = ['books', 'depth', 'trades', 'mark_price']

export class MadeCapture {
  readonly options: MadeOptions
  readonly files: MadeFile[] = []
  /** Stream and window of each row of the run, in the order of `seq`. */
  readonly order: (readonly [stream: string, window: number])[] = []
  readonly halts: string[] = []
  readonly book = new MadeBook()
  nowUs: number
  window = 0
  tradeId = 0n
  readonly #run: Run
  readonly #streams: readonly Stream[]
  readonly #coverage = new Map<Stream, MadeCoverage>()
  readonly #asked: FetchRequest[] = []
  #openedUs: number
  #inputs = 0
  #live = false
  #gapBefore = true
  #kept: MadeEvent[] = []
  #public = 0
  #market = 0
  #connections = 0
  /** Id of the last event that was sent, taken or not. */
  #sent = 0n
  #traded = false
  #markWaitUs = MARK_WAIT_US
  /** When a mark price that did not come is missed. */
  #markDueUs = Number.POSITIVE_INFINITY
  #lastTimes: Row = {}

  constructor(options: MadeOptions) {
    this.options = options
    this.nowUs = options.startUs
    this.#openedUs = options.startUs
    this.#streams = ALL.filter((stream) => (options.streams ?? ALL).includes(stream))
    for (const stream of this.#streams) this.#coverage.set(stream, new MadeCoverage(this.#path(stream)))
    this.#file('coverage')
    this.#run = new Run({
      run: options.run,
      journalDir: options.spool.paths.journal,
      config: {
        exchange: 'BinanceUsdm',
        symbol: options.symbol,
        streams: [...this.#streams],
        bookLevels: options.levels,
        guards: GUARDS,
      },
      exchange: exchangeByName('BinanceUsdm'),
      writer: { capture: 'made', uid: '', pod: '', node: '' },
      rotationSeconds: this.#rotation,
      clock: { now: () => this.nowUs, anchor: () => {}, wallDistance: () => 0 },
      requests: { ...NO_REQUESTS, fetch: (request) => this.#asked.push(request) },
      rows: NO_ROWS,
      onEnd: (reason) => assert.fail(reason),
      onHalt: (reason) => this.halts.push(reason),
      onWindow: () => {},
      onJournalError: (error) => assert.fail(error),
    })
    for (const probe of clockProbes(this.nowUs)) this.#input(probe)
  }

  wait(us: number): void {
    this.nowUs += us
  }

  /** Ended intervals of every stream. */
  get stretches(): { readonly stream: string; readonly ended: readonly Stretch[] }[] {
    return [...this.#coverage.values()]
  }

  get nowMs(): number {
    return Math.floor(this.nowUs / 1000)
  }

  connect(): void {
    this.#public = ++this.#connections
    this.#input({ kind: 'opened', received: this.nowUs, connection: this.#public, route: 'public' })
    this.#market = ++this.#connections
    this.#input({ kind: 'opened', received: this.nowUs, connection: this.#market, route: 'market' })
    this.#markDueUs = this.nowUs + this.#markWaitUs
  }

  disconnect(): void {
    for (const connection of [this.#public, this.#market]) {
      this.#input({
        kind: 'closed',
        received: this.nowUs,
        connection,
        code: 1006,
        reason: 'cut',
        silent: false,
      })
      if (connection === this.#public) this.#endBook('reconnect')
      else this.#end(['trades', 'mark_price'], 'reconnect')
    }
    this.#kept = []
    this.#markDueUs = Number.POSITIVE_INFINITY
  }

  tick(): void {
    this.#input({ kind: 'tick', received: this.nowUs, wallDistance: 0, share: 1 })
    if (!this.#streams.includes('mark_price') || this.nowUs < this.#markDueUs) return
    this.#end(['mark_price'], 'no_data')
    this.#markWaitUs *= 2
    this.#markDueUs = this.nowUs + this.#markWaitUs
  }

  /** One depth event; a `pu` other than the last event's id makes a gap. */
  depth(u: bigint, bids: readonly Level[], asks: readonly Level[], pu = this.#sent): void {
    const event = { received: this.nowUs, U: pu + 2n, u, pu, E: this.nowMs, bids, asks }
    const { symbol } = this.options
    this.#message(this.#public, depthFrame({ U: event.U, u, pu, b: bids, a: asks, E: event.E, symbol }))
    this.#sent = u
    if (this.#live && pu !== this.book.id) this.#endBook('sequence')
    if (this.#live) this.#apply(event)
    else this.#kept.push(event)
  }

  /** An event after which the best bid is not below the best ask: the run halts, and takes back what it vouched for. */
  crossing(u: bigint, bids: readonly Level[]): void {
    const pu = this.book.id
    const { symbol } = this.options
    this.#message(this.#public, depthFrame({ U: pu + 2n, u, pu, b: bids, E: this.nowMs, symbol }))
    assert.deepEqual(this.halts, ['CrossedBook'])
    for (const stream of ['books', 'depth'] as const) {
      const coverage = this.#coverage.get(stream)
      if (coverage !== undefined) this.#row('coverage', coverage.suspect(this.window, 'CrossedBook'))
    }
    this.#end(ALL, 'CrossedBook')
  }

  /** Answers the request for a snapshot; the kept events must meet its id. */
  snapshot(id: bigint, bids: readonly Level[], asks: readonly Level[]): void {
    const request = this.#asked.splice(0).findLast(({ rank }) => rank === 'join')
    assert.ok(request !== undefined, 'a snapshot was asked for')
    const body = snapshotBody(id, bids, asks)
    const answer = { request: request.id, status: 200, usedWeight: 20, retryAt: 0, error: '', body }
    this.#input({ kind: 'response', received: this.nowUs, ...answer })
    this.#kept = this.#kept.filter((event) => event.u >= id)
    const [first] = this.#kept
    assert.ok(first !== undefined && first.pu <= id, 'the snapshot joins')
    this.book.bids.load(bids, request.limit)
    this.book.asks.load(asks, request.limit)
    for (const stream of ['books', 'depth'] as const)
      this.#coverage.get(stream)?.start(first.pu, first.received, this.#public)
    const { E, T } = JSON.parse(body.toString('utf8')) as { E: number; T: number }
    this.#depthRow('snapshot', this.nowUs, {
      event_time: String(E),
      transaction_time: String(T),
      update_id: String(id),
      first_update_id: '0',
      prev_update_id: '0',
      gap_before: this.#gapBefore,
      ...sentLevels(bids, asks),
    })
    this.#live = true
    for (const event of this.#kept.splice(0)) this.#apply(event)
  }

  trade(price: string, qty: string, isSell = false, skip = 0n): void {
    const chained = this.#traded && skip === 0n
    this.#traded = true
    this.tradeId += 1n + skip
    const id = this.tradeId
    const { symbol } = this.options
    const E = this.nowMs
    const frame = `{"stream":"x","data":{"e":"aggTrade","E":${E},"s":"${symbol}","a":${id},"p":"${price}","q":"${qty}","nq":"${qty}","f":${id * 2n},"l":${id * 2n + 1n},"T":${E - 1},"m":${isSell}}}`
    this.#message(this.#market, Buffer.from(frame))
    const coverage = this.#coverage.get('trades')
    if (coverage === undefined) return
    if (coverage.open && !chained) this.#end(['trades'], 'sequence')
    if (!coverage.open) coverage.start(id - 1n, this.nowUs, this.#market)
    this.#row('trades', {
      ...this.#head(this.#market, this.nowUs),
      event_time: String(E),
      trade_time: String(E - 1),
      trade_id: String(id),
      first_trade_id: String(id * 2n),
      last_trade_id: String(id * 2n + 1n),
      price: Number(price),
      qty: Number(qty),
      side: isSell ? 'sell' : 'buy',
      gap_before: !chained,
    })
    coverage.row(id, this.nowUs)
  }

  /** Empty texts are what the exchange sends where a contract has no such figure. */
  mark(price: string, index: string, rate: string, next: number): void {
    const E = this.nowMs
    const { symbol } = this.options
    const frame = `{"stream":"x","data":{"e":"markPriceUpdate","E":${E},"s":"${symbol}","p":"${price}","i":"${index}","P":"0","r":"${rate}","T":${next}}}`
    this.#message(this.#market, Buffer.from(frame))
    const coverage = this.#coverage.get('mark_price')
    if (coverage === undefined) return
    this.#markWaitUs = MARK_WAIT_US
    this.#markDueUs = this.nowUs + MARK_WAIT_US
    if (!coverage.open) coverage.start(0n, this.nowUs, this.#market)
    const number = (text: string): Cell => (text === '' ? null : Number(text))
    this.#row('mark_price', {
      ...this.#head(this.#market, this.nowUs),
      event_time: String(E),
      mark_price: number(price),
      index_price: number(index),
      funding_rate: number(rate),
      next_funding_time: String(next),
    })
    coverage.row(0n, this.nowUs)
  }

  async stop(): Promise<void> {
    this.#beforeInput()
    await this.#run.end('stopped')
    if (this.halts.length === 0) this.#end(ALL, 'stopped')
  }

  /** Ends as a killed process does. */
  async crash(): Promise<void> {
    await this.#run.abandon()
    this.#end(ALL, 'crash')
  }

  get #rotation(): number {
    return this.options.rotationSeconds ?? 300
  }

  #path(stream: Stream): string {
    return stream === 'books' ? `books${this.options.levels}` : stream
  }

  #message(connection: number, payload: Buffer): void {
    this.#input({ kind: 'message', received: this.nowUs, connection, payload })
  }

  #input(input: Input): void {
    this.#beforeInput()
    this.#inputs++
    this.#run.input(input)
  }

  /** A window is cut before the first input at or after a boundary of UTC. */
  #beforeInput(): void {
    const windowUs = this.#rotation * 1e6
    const crossed = Math.floor(this.nowUs / windowUs) > Math.floor(this.#openedUs / windowUs)
    if (!crossed || this.#inputs === 0) return
    for (const coverage of this.#coverage.values()) {
      if (coverage.open) this.#row('coverage', coverage.write(this.window, null))
    }
    this.window++
    this.#openedUs = this.nowUs
    this.#inputs = 0
    this.#file('coverage')
    if (!this.#live) return
    const levels = (side: readonly [number, number][]): Level[] =>
      side.map(([price, qty]) => [String(price), String(qty)])
    this.#depthRow('book', this.nowUs, {
      ...this.#lastTimes,
      update_id: String(this.book.id),
      first_update_id: '0',
      prev_update_id: '0',
      gap_before: false,
      ...sentLevels(levels(this.book.bids.sorted()), levels(this.book.asks.sorted())),
    })
  }

  #apply(event: MadeEvent): void {
    this.book.bids.apply(event.bids)
    this.book.asks.apply(event.asks)
    this.book.id = event.u
    this.#lastTimes = { event_time: String(event.E), transaction_time: String(event.E - 3) }
    const ids = {
      ...this.#lastTimes,
      update_id: String(event.u),
      first_update_id: String(event.U),
      prev_update_id: String(event.pu),
    }
    const { received } = event
    this.#depthRow('delta', received, { ...ids, gap_before: false, ...sentLevels(event.bids, event.asks) })
    this.#coverage.get('depth')?.row(event.u, received)
    const top = this.book.top(this.options.levels)
    const head = this.#head(this.#public, received)
    if (this.#streams.includes('books'))
      this.#row(this.#path('books'), { ...head, ...ids, gap_before: this.#gapBefore, ...top })
    this.#coverage.get('books')?.row(event.u, received)
    this.#gapBefore = false
  }

  #depthRow(kind: string, received: number, cells: Row): void {
    if (!this.#streams.includes('depth')) return
    this.#row('depth', { ...this.#head(this.#public, received), ...cells, kind, ...this.book.reach() })
  }

  #endBook(by: string): void {
    this.#end(['books', 'depth'], by)
    this.#live = false
    this.#gapBefore = true
  }

  #end(streams: readonly Stream[], by: string): void {
    for (const stream of streams) {
      const coverage = this.#coverage.get(stream)
      if (coverage?.open === true) this.#row('coverage', coverage.write(this.window, by))
    }
  }

  #head(connection: number, received: number): Row {
    return { connection: String(connection), received_time: String(received) }
  }

  #row(stream: string, row: Row): void {
    this.#file(stream).rows.push({ run: this.options.run, ...row })
    this.order.push([stream, this.window])
  }

  #file(stream: string): MadeFile {
    const found = this.files.findLast((file) => file.stream === stream)
    if (found?.window === this.window) return found
    const file = { stream, window: this.window, openedUs: this.#openedUs, rows: [] }
    this.files.push(file)
    return file
  }
}
