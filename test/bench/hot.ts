/** Bytes to a guarded book, and its parts, in this process: what one core does. */
import { Book } from '../../capture/book/mod.ts'
import { exchangeByName, Message, Snapshot } from '../../capture/exchange/mod.ts'
import { RowStager } from '../../capture/record/mod.ts'
import { type Effects, type RowSink, Session, type SnapshotRequest } from '../../capture/session/mod.ts'
import { measure, type Sample, type Subject } from './measure.ts'
import { decode, LEVELS, ObviousBook, ObviousCapture } from './obvious.ts'
import { SYMBOL, type Traffic } from './traffic.ts'

const exchange = exchangeByName('BinanceUsdm')
const CONFIG = {
  exchange: 'BinanceUsdm',
  symbol: SYMBOL,
  streams: ['books' as const, 'depth' as const],
  bookLevels: LEVELS,
}

/** Takes rows as the live process does: it counts them. */
class CountingRows implements RowSink {
  books_ = 0
  depth_ = 0
  books(): void {
    this.books_++
  }
  depth(): void {
    this.depth_++
  }
  trade(): void {}
  markPrice(): void {}
  coverage(): void {}
}

/** What one profile's traffic costs, CPU microseconds an event. */
export interface HotResult {
  readonly traffic: string
  readonly events: number
  readonly levelsAnEvent: number
  readonly bytesAnEvent: number
  readonly guarded: Sample
  readonly staged: Sample
  readonly obvious: Sample
  readonly decode: Sample
  readonly obviousDecode: Sample
  readonly book: Sample
  readonly obviousBook: Sample
}

/** Runs a session over the events: opens, joins with the snapshot, follows. Throws where the book is not live. */
export function runSession(traffic: Traffic, rows: RowSink): void {
  const session = new Session(CONFIG, exchange)
  let request: SnapshotRequest | undefined
  const effects: Effects = {
    rows,
    fetch: (asked) => {
      request = asked
    },
    reconnect: () => {},
    halt: (reason, message) => {
      throw new Error(`${reason}: ${message}`)
    },
  }
  const start = traffic.events[0].received
  session.openWindow(0, start, effects)
  session.step({ kind: 'opened', received: start, connection: 1, route: 'public' }, effects)
  for (const { received, payload } of traffic.events) {
    session.step({ kind: 'message', received, connection: 1, payload }, effects)
    if (request === undefined) continue
    const { id } = request
    request = undefined
    const body = traffic.snapshot
    session.step(
      { kind: 'response', received, request: id, status: 200, usedWeight: 20, retryAt: 0, error: '', body },
      effects,
    )
  }
  if (session.book.state !== 'live' || session.counters.values.gaps > 0) {
    throw new Error(`the traffic "${traffic.name}" did not stay live: ${session.book.lastGap}`)
  }
}

/** Measures one profile. `repeats` is for ours; the baseline, 30 times slower, gets fewer. */
export function measureHot(traffic: Traffic, repeats: number, repeatsObvious: number): HotResult {
  const { events } = traffic
  const count = events.length
  const subjects: Subject[] = [
    { name: 'guarded', repeats, run: () => countRows(traffic) },
    { name: 'staged', repeats: Math.ceil(repeats / 3), run: () => stageRows(traffic) },
    { name: 'obvious', repeats: repeatsObvious, run: () => obviousWay(traffic) },
    { name: 'decode', repeats, run: () => decodeAll(traffic) },
    { name: 'obviousDecode', repeats: repeatsObvious, run: () => decodeObviously(traffic) },
    ...bookSubjects(traffic, repeats, repeatsObvious),
  ]
  const [guarded, staged, obvious, decoded, obviousDecode, book, obviousBook] = measure(subjects)
  const levels = events.reduce((sum, { depth }) => sum + depth.b.length + depth.a.length, 0)
  const bytes = events.reduce((sum, { payload }) => sum + payload.length, 0)
  return {
    traffic: traffic.name,
    events: count,
    levelsAnEvent: levels / count,
    bytesAnEvent: bytes / count,
    guarded,
    staged,
    obvious,
    decode: decoded,
    obviousDecode,
    book,
    obviousBook,
  }
}

function countRows(traffic: Traffic): number {
  const rows = new CountingRows()
  runSession(traffic, rows)
  if (rows.books_ !== traffic.events.length) throw new Error(`${rows.books_} rows of ${traffic.events.length}`)
  return rows.books_
}

/** The recorder's share: rows staged in columns and handed over as Arrow, without the Parquet encoder. */
function stageRows(traffic: Traffic): number {
  runSession(traffic, new RowStager('bench', LEVELS, () => {}))
  return traffic.events.length
}

function obviousWay(traffic: Traffic): number {
  const capture = new ObviousCapture()
  capture.load(traffic.snapshot)
  for (const { payload, received } of traffic.events) capture.step(payload, received)
  return capture.rows.length
}

const message = new Message()

function decodeAll({ events }: Traffic): number {
  for (const { payload } of events) exchange.decode(payload, SYMBOL, message)
  return events.length
}

function decodeObviously({ events }: Traffic): number {
  let levels = 0
  for (const { payload } of events) levels += decode(payload).bids.length
  return levels >= 0 ? events.length : 0
}

/** The books alone, fed with decoded events, and asked for their top after each. */
function bookSubjects(traffic: Traffic, repeats: number, repeatsObvious: number): Subject[] {
  const snapshot = new Snapshot()
  if (exchange.snapshot.kind === 'rest')
    exchange.snapshot.decode(traffic.snapshot, traffic.snapshotLimit, snapshot)
  const decoded = traffic.events.map(({ payload }) => {
    exchange.decode(payload, SYMBOL, message)
    return message.depth.copy()
  })
  const plain = traffic.events.map(({ payload }) => decode(payload))
  let sum = 0
  const ours = () => {
    const book = new Book()
    book.load(snapshot)
    for (const event of decoded) {
      book.apply(event)
      if (book.fault() !== undefined) throw new Error(`the book is at fault: ${book.fault()}`)
      for (let i = 0; i < LEVELS; i++) {
        sum += book.bids.price(i) + book.bids.qty(i) + book.asks.price(i) + book.asks.qty(i)
      }
    }
    return decoded.length
  }
  const obvious = () => {
    const book = new ObviousBook()
    book.load(traffic.snapshot)
    for (const { bids, asks } of plain) {
      book.apply(bids, asks)
      sum += book.top(LEVELS).bids[0][0]
    }
    return plain.length
  }
  return [
    { name: 'book', repeats, run: ours },
    { name: 'obviousBook', repeats: repeatsObvious, run: obvious },
  ]
}
