/**
 * One pass over a recording, all of its symbols at once: the unpruned book that the golden files describe, beside
 * it bounded books joined at several depths, and the exchange's own best prices. The tests judge the outcome.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Book, type BookFault, type BookSide, levelsProven } from '../../capture/book/mod.ts'
import { BinanceUsdm } from '../../capture/exchange/binance-usdm/mod.ts'
import { LevelBuffer, Message, meets, Snapshot } from '../../capture/exchange/mod.ts'
import { type Golden, readFrames } from '../support/recordings.ts'
import { canonicalDecimal } from './decimal.ts'

/** Levels of the published book, which the horizon must vouch for. */
const TOP = 20

export interface Ticker {
  readonly bid: number
  readonly bidQty: number
  readonly ask: number
  readonly askQty: number
}

/** What of one symbol a recording holds. */
export interface SymbolFrames {
  readonly depth: Buffer[]
  /** The exchange's own best prices, by update id. */
  readonly tickers: Map<bigint, Ticker>
  snapshot: { readonly body: Buffer; readonly limit: number } | undefined
}

/** Reads a recording once. */
export async function readSymbols(recording: string): Promise<Map<string, SymbolFrames>> {
  const symbols = new Map<string, SymbolFrames>()
  const of = (symbol: string): SymbolFrames => {
    const known = symbols.get(symbol) ?? { depth: [], tickers: new Map(), snapshot: undefined }
    symbols.set(symbol, known)
    return known
  }
  for await (const { via, payload } of readFrames(recording)) {
    if (via === 'ws') {
      const stream = payload.toString('latin1', 0, 60).match(/^\{"stream":"([a-z]+)@(depth|bookTicker)/)
      if (stream === null) continue
      const frames = of(stream[1].toUpperCase())
      if (stream[2] === 'depth') frames.depth.push(payload)
      else readTicker(payload, frames.tickers)
    } else {
      const { pathname, searchParams } = new URL(via.slice('http '.length), 'http://recording')
      assert.equal(pathname, '/fapi/v1/depth')
      const frames = of(searchParams.get('symbol') ?? '')
      assert.equal(frames.snapshot, undefined, 'one snapshot a symbol')
      frames.snapshot = { body: payload, limit: Number(searchParams.get('limit')) }
    }
  }
  return symbols
}

function readTicker(payload: Buffer, into: Map<bigint, Ticker>): void {
  const { data } = JSON.parse(payload.toString('utf8')) as { data: Record<string, string | number> }
  const ticker = { bid: Number(data.b), bidQty: Number(data.B), ask: Number(data.a), askQty: Number(data.A) }
  const id = BigInt(data.u)
  const earlier = into.get(id)
  if (earlier !== undefined) assert.deepEqual(ticker, earlier, `two tickers at ${id}`)
  into.set(id, ticker)
}

/** The book at one depth event, in the words of the golden files. */
export interface State {
  readonly eventIndex: number
  readonly u: bigint
  readonly E: number
  readonly bids: number
  readonly asks: number
  readonly topBids: string[][]
  readonly topAsks: string[][]
  readonly sha256: string
}

/** How a book that was joined with the best `limit` levels a side fared. */
export interface Bounded {
  readonly limit: number
  /** Events after which each published level equalled the unpruned book's, or lay beyond the reach. */
  compared: number
  /** Times that fewer than 20 levels a side were proven. */
  shortOfTop: number
  /** Levels that events brought beyond the reach: not kept. */
  beyond: number
  ended: { readonly fault: BookFault; readonly eventIndex: number } | undefined
}

export interface Outcome {
  readonly snapshotId: bigint
  readonly depthEvents: number
  readonly firstAppliedIndex: number
  /** At the golden file's checkpoints. */
  readonly states: State[]
  /** Depth events compared with the exchange's best prices. */
  readonly tickersCompared: number
  readonly tickersDiffering: string[]
  readonly bounded: readonly Bounded[]
}

/** Replays one symbol by the documented rules; throws where the chain breaks or a book is at fault. */
export function replay(golden: Golden, frames: SymbolFrames, limits: readonly number[]): Outcome {
  const message = new Message()
  const snapshot = readSnapshot(frames)
  const whole = new Book()
  whole.load(snapshot, false)
  const walkers = limits.map((limit) => new Walker(snapshot, limit))
  const checkpoints = new Set(golden.checkpoints.map((checkpoint) => checkpoint.eventIndex))
  const states: State[] = []
  const differing: string[] = []
  let compared = 0
  let firstApplied = -1
  for (const [index, payload] of frames.depth.entries()) {
    BinanceUsdm.decode(payload, golden.symbol, message)
    assert.equal(message.kind, 'depth')
    assert.equal(message.unknownFields, 0)
    const event = message.depth
    if (firstApplied < 0) {
      if (event.finalId < snapshot.id) continue
      assert.ok(meets(event, snapshot.id), `event ${index} does not meet the snapshot`)
      firstApplied = index
    } else assert.equal(BinanceUsdm.link(event, whole.id), 'next', `event ${index} breaks the chain`)
    whole.apply(event)
    assert.equal(whole.fault(), undefined, `event ${index}`)
    const ticker = frames.tickers.get(event.finalId)
    if (ticker !== undefined) {
      compared++
      const best = bestOf(whole)
      if (!sameTicker(best, ticker))
        differing.push(`event ${index}: ${describe(best)}, not ${describe(ticker)}`)
    }
    for (const walker of walkers) walker.step(message, whole, index, ticker)
    if (checkpoints.has(index)) {
      states.push(stateOf(whole, index, event.eventTime))
      for (const walker of walkers) walker.compareAll(whole)
    }
  }
  return {
    snapshotId: snapshot.id,
    depthEvents: frames.depth.length,
    firstAppliedIndex: firstApplied,
    states,
    tickersCompared: compared,
    tickersDiffering: differing,
    bounded: walkers.map((walker) => walker.result),
  }
}

function readSnapshot(frames: SymbolFrames): Snapshot {
  const snapshot = new Snapshot()
  const method = BinanceUsdm.snapshot
  assert.ok(method.kind === 'rest' && frames.snapshot !== undefined, 'a recorded snapshot')
  method.decode(frames.snapshot.body, frames.snapshot.limit, snapshot)
  return snapshot
}

const bestOf = ({ bids, asks }: Book): Ticker => ({
  bid: bids.price(0),
  bidQty: bids.qty(0),
  ask: asks.price(0),
  askQty: asks.qty(0),
})

const sameTicker = (one: Ticker, other: Ticker): boolean =>
  one.bid === other.bid && one.bidQty === other.bidQty && one.ask === other.ask && one.askQty === other.askQty

const describe = (ticker: Ticker): string =>
  `${ticker.bidQty} at ${ticker.bid} / ${ticker.askQty} at ${ticker.ask}`

function stateOf(book: Book, eventIndex: number, E: number): State {
  const hash = createHash('sha256')
  const lines = (side: BookSide, letter: string): string[][] => {
    const levels: string[][] = []
    for (let i = 0; i < side.size; i++) {
      levels.push([canonicalDecimal(side.price(i)), canonicalDecimal(side.qty(i))])
      hash.update(`${letter} ${levels[i][0]} ${levels[i][1]}\n`)
    }
    return levels.slice(0, 5)
  }
  const topBids = lines(book.bids, 'b')
  const topAsks = lines(book.asks, 'a')
  const sizes = { bids: book.bids.size, asks: book.asks.size }
  return { eventIndex, u: book.id, E, ...sizes, topBids, topAsks, sha256: hash.digest('hex') }
}

/** Follows a bounded book until it is at fault, and compares it with the unpruned one after each event. */
class Walker {
  readonly #book = new Book()
  readonly result: Bounded

  constructor(snapshot: Snapshot, limit: number) {
    this.#book.load(cut(snapshot, limit))
    this.result = { limit, compared: 0, shortOfTop: 0, beyond: 0, ended: undefined }
  }

  step({ depth }: Message, whole: Book, eventIndex: number, ticker: Ticker | undefined): void {
    const { result } = this
    if (result.ended !== undefined) return
    const book = this.#book
    for (const [side, levels] of [
      [book.bids, depth.bids],
      [book.asks, depth.asks],
    ] as const) {
      for (let i = 0; i < levels.length; i++) if (!side.knows(levels.data[i * 2])) result.beyond++
    }
    book.apply(depth)
    const fault = book.fault()
    if (fault !== undefined) {
      result.ended = { fault, eventIndex }
      return
    }
    if (ticker !== undefined)
      assert.ok(sameTicker(bestOf(book), ticker), `event ${eventIndex}: ${describe(ticker)}`)
    compareSide(book.bids, whole.bids, TOP)
    compareSide(book.asks, whole.asks, TOP)
    if (levelsProven(book.bids, TOP) < TOP || levelsProven(book.asks, TOP) < TOP) result.shortOfTop++
    result.compared++
  }

  compareAll(whole: Book): void {
    if (this.result.ended !== undefined) return
    compareSide(this.#book.bids, whole.bids, Number.POSITIVE_INFINITY)
    compareSide(this.#book.asks, whole.asks, Number.POSITIVE_INFINITY)
  }
}

/** A bounded side is the unpruned one up to its reach: the same levels, then none. */
function compareSide(side: BookSide, whole: BookSide, count: number): void {
  if (side.size > 0) assert.ok(side.knows(side.price(side.size - 1)), 'no level beyond the reach is kept')
  const end = Math.min(count, side.size)
  for (let i = 0; i < end; i++) {
    if (side.price(i) === whole.price(i) && side.qty(i) === whole.qty(i)) continue
    assert.fail(`level ${i}: ${side.qty(i)} at ${side.price(i)}, not ${whole.qty(i)} at ${whole.price(i)}`)
  }
  // where the bounded side ends, the unpruned one goes on beyond the reach or ends too
  if (end === side.size && whole.size > end) assert.equal(side.knows(whole.price(end)), false)
}

/** What a snapshot asked for with a smaller limit would have held. */
function cut(snapshot: Snapshot, limit: number): Snapshot {
  const first = (side: LevelBuffer): LevelBuffer => {
    const shorter = new LevelBuffer(limit)
    for (let i = 0; i < Math.min(limit, side.length); i++)
      shorter.push(side.data[i * 2], side.data[i * 2 + 1])
    return shorter
  }
  const shorter = new Snapshot(first(snapshot.bids), first(snapshot.asks))
  shorter.id = snapshot.id
  shorter.limit = limit
  return shorter
}
