import { STREAMS, type Stream, streamPath } from '../../api/streams.ts'
import { type Book, levelsProven } from '../book/mod.ts'
import type { DepthEvent, MarkPrice, Trade } from '../exchange/mod.ts'
import type { CoverageRow, DepthRow, DepthRowKind, RowHead, RowSink } from '../session/mod.ts'
import { columnsOf, type FileStream } from './columns.ts'
import { Stage } from './stage.ts'

/** What a manifest says of an object's rows. Times are receive times in microseconds. */
export interface RowRange {
  rows: number
  firstSeq: number
  lastSeq: number
  firstId: bigint
  lastId: bigint
  firstTime: number
  lastTime: number
}

/** Takes the row groups as they fill up. */
export type RowGroupSink = (stream: FileStream, ipc: Uint8Array) => void

/** The first four columns of every stream, by position. */
const RUN = 0
const SEQ = 1
const CONNECTION = 2
const RECEIVED = 3

/** Turns a session's rows into row groups of columns, one stage a stream. Pure: no file is touched. */
export class RowStager implements RowSink {
  readonly ranges = new Map<FileStream, RowRange>()
  readonly coverageRows: { readonly seq: number; readonly connection: number; readonly row: CoverageRow }[] =
    []
  readonly #run: string
  readonly #bookLevels: number
  readonly #stages = new Map<FileStream, Stage>()
  readonly #sink: RowGroupSink
  /** Stages by name: looked up once, not for each row. */
  readonly #books: Stage
  readonly #depth: Stage
  readonly #trades: Stage
  readonly #markPrice: Stage
  readonly #coverage: Stage

  constructor(run: string, bookLevels: number, sink: RowGroupSink) {
    this.#run = run
    this.#bookLevels = bookLevels
    this.#sink = sink
    this.#books = this.#stage('books')
    this.#depth = this.#stage('depth')
    this.#trades = this.#stage('trades')
    this.#markPrice = this.#stage('mark_price')
    this.#coverage = this.#stage('coverage')
  }

  #stage(stream: FileStream): Stage {
    const stage = new Stage(columnsOf(stream, this.#bookLevels))
    this.#stages.set(stream, stage)
    return stage
  }

  /** The schema's empty row group of a stream, for a file without rows. */
  emptyGroup(stream: FileStream): Uint8Array {
    return new Stage(columnsOf(stream, this.#bookLevels)).take()
  }

  /** Hands over what is staged and not yet full. */
  flush(): void {
    for (const stream of [...STREAMS, 'coverage'] as const) this.#flushOne(stream)
  }

  #flushOne(stream: FileStream): void {
    const stage = this.#stages.get(stream)
    if (stage !== undefined && stage.rows > 0) this.#sink(stream, stage.take())
  }

  books(head: RowHead, event: DepthEvent, book: Book, gapBefore: boolean): void {
    const stage = this.#books
    const { bids, asks } = book
    this.#head(stage, head)
    this.#ids(stage, event)
    stage.bool(9, gapBefore)
    const levels = this.#bookLevels
    stage.int(10, levelsProven(bids, levels))
    stage.int(11, levelsProven(asks, levels))
    const bidPrice = bids.price(0)
    const bidQty = bids.qty(0)
    const askPrice = asks.price(0)
    const askQty = asks.qty(0)
    stage.float(12, (bidPrice + askPrice) / 2)
    stage.float(13, askPrice - bidPrice)
    stage.float(14, (askPrice * bidQty + bidPrice * askQty) / (bidQty + askQty))
    stage.float(15, (bidQty - askQty) / (bidQty + askQty))
    stage.float(16, bidPrice)
    stage.float(17, bidQty)
    stage.float(18, askPrice)
    stage.float(19, askQty)
    for (let i = 0, column = 20; i < levels; i++, column += 4) {
      stage.float(column, bids.price(i))
      stage.float(column + 1, bids.qty(i))
      stage.float(column + 2, asks.price(i))
      stage.float(column + 3, asks.qty(i))
    }
    this.#end('books', stage, head, event.finalId)
  }

  depth(head: RowHead, kind: DepthRowKind, row: DepthRow, book: Book, gapBefore: boolean): void {
    const stage = this.#depth
    this.#head(stage, head)
    this.#ids(stage, row)
    stage.text(9, kind)
    stage.bool(10, gapBefore)
    stage.floats(11, row.bids.data, 0, 2, row.bids.length)
    stage.floats(12, row.bids.data, 1, 2, row.bids.length)
    stage.floats(13, row.asks.data, 0, 2, row.asks.length)
    stage.floats(14, row.asks.data, 1, 2, row.asks.length)
    stage.float(15, book.bids.unlimited ? 0 : book.bids.reach)
    stage.float(16, book.asks.reach)
    this.#end('depth', stage, head, row.finalId)
  }

  trade(head: RowHead, trade: Trade, gapBefore: boolean): void {
    const stage = this.#trades
    this.#head(stage, head)
    stage.integer(4, trade.eventTime)
    stage.integer(5, trade.tradeTime)
    stage.id(6, trade.id)
    stage.id(7, trade.firstTradeId)
    stage.id(8, trade.lastTradeId)
    stage.float(9, trade.price)
    stage.float(10, trade.qty)
    stage.text(11, trade.side)
    stage.bool(12, gapBefore)
    this.#end('trades', stage, head, trade.id)
  }

  markPrice(head: RowHead, mark: MarkPrice): void {
    const stage = this.#markPrice
    this.#head(stage, head)
    stage.integer(4, mark.eventTime)
    stage.float(5, mark.markPrice)
    stage.float(6, mark.indexPrice)
    stage.float(7, mark.fundingRate)
    stage.integer(8, mark.nextFundingTime)
    this.#end('mark_price', stage, head, 0n)
  }

  coverage(head: RowHead, row: CoverageRow): void {
    const stage = this.#coverage
    this.#head(stage, head)
    stage.text(4, streamPath(row.ofStream, this.#bookLevels))
    stage.integer(5, row.window)
    stage.integer(6, row.from)
    stage.integer(7, row.to)
    stage.id(8, row.previousId)
    stage.id(9, row.firstId)
    stage.id(10, row.lastId)
    stage.integer(11, row.rows)
    stage.text(12, row.state)
    stage.text(13, row.endedBy)
    stage.text(14, row.detail)
    this.coverageRows.push({ seq: head.seq, connection: head.connection, row })
    this.#end('coverage', stage, head, 0n)
  }

  #head(stage: Stage, head: RowHead): void {
    stage.text(RUN, this.#run)
    stage.integer(SEQ, head.seq)
    stage.int(CONNECTION, head.connection)
    stage.integer(RECEIVED, head.received)
  }

  /** Columns 4 to 8 of `books` and `depth`. */
  #ids(stage: Stage, row: Omit<DepthRow, 'bids' | 'asks'>): void {
    stage.integer(4, row.eventTime)
    stage.integer(5, row.transactionTime)
    stage.id(6, row.finalId)
    stage.id(7, row.firstId)
    stage.id(8, row.previousId)
  }

  #end(stream: FileStream, stage: Stage, head: RowHead, id: bigint): void {
    stage.endRow()
    const range = this.ranges.get(stream)
    if (range === undefined) {
      this.ranges.set(stream, {
        rows: 1,
        firstSeq: head.seq,
        lastSeq: head.seq,
        firstId: id,
        lastId: id,
        firstTime: head.received,
        lastTime: head.received,
      })
    } else {
      range.rows++
      range.lastSeq = head.seq
      range.lastId = id
      range.lastTime = head.received
    }
    if (stage.full) this.#flushOne(stream)
  }
}

/** The name of a stream's files. */
export function fileStreamPath(stream: FileStream, bookLevels: number): string {
  return stream === 'coverage' ? 'coverage' : streamPath(stream satisfies Stream, bookLevels)
}
