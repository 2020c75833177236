/** Bytes to a guarded book, and its parts, in this process: what one core does. */
import { Book } from '../../capture/book/mod.ts'
import { exchangeByName, Message, Snapshot } from '../../capture/exchange/mod.ts'
import { RowStager } from '../../capture/record/rows.ts'
import { type Effects, type FetchRequest, type RowSink, Session } from '../../capture/session/mod.ts'
import { NO_REQUESTS } from '../support/session.ts'
import { Answers, CONFIG, inputsOf } from './drive.ts'
import { measure, type Sample, type Subject } from './measure.ts'
import { decode, LEVELS, ObviousBook, ObviousCapture } from './obvious.ts'
import { SYMBOL, type Traffic } from './traffic.ts'

const exchange = exchangeByName('BinanceUsdm')

/** Takes rows as the live process does: it counts them. */
class CountingRows implements RowSink {
  rows = 0
  books(): void {
    this.rows++
  }
  depth(): void {
    this.rows++
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
  /** Bytes to book with all guards on, over all events. */
  readonly whole: Sample
  /** Audits among them. */
  readonly audits: number
  /** From here on over the first `slice` events, ours and the baseline alike. */
  readonly slice: number
  readonly guarded: Sample
  /** Without ticks: no clock, no silence, no audit; the chain and the checks of each event alone. */
  readonly bare: Sample
  /** With rows of books and depth staged in columns. */
  readonly staged: Sample
  readonly obvious: Sample
  readonly decode: Sample
  readonly obviousDecode: Sample
  readonly book: Sample
  readonly obviousBook: Sample
}

/**
 * Runs a session over the events: opens, joins with the snapshot, follows; with `answers` all guards are on. Gives
 * the number of audits. Throws where the book did not stay live or an audit was not clean.
 */
export function runSession(traffic: Traffic, rows: RowSink, answers: Answers | undefined): number {
  const session = new Session(CONFIG, exchange)
  let request: FetchRequest | undefined
  const asked = () => {
    const latest = request
    request = undefined
    return latest
  }
  const effects: Effects = {
    ...NO_REQUESTS,
    rows,
    fetch: (wanted) => {
      request = wanted
    },
    halt: (reason, message) => {
      throw new Error(`${reason}: ${message}`)
    },
  }
  session.openWindow(0, traffic.events[0].received, effects)
  for (const input of inputsOf(traffic, answers, asked)) session.step(input, effects)
  const { gaps, audits_clean, audits_void } = session.counters.values
  if (session.book.state !== 'live' || gaps > 0 || audits_void > 0) {
    throw new Error(
      `the traffic "${traffic.name}" did not stay live: ${session.book.lastGap || 'an audit came to nothing'}`,
    )
  }
  return audits_clean
}

/**
 * Measures one profile. The baseline, a hundred times slower, sees only the first `slice` events (which favours it:
 * its book grows with time), and fewer repeats; ratios are of the same events.
 */
export function measureHot(
  traffic: Traffic,
  slice: number,
  repeats: number,
  repeatsObvious: number,
): HotResult {
  const { events } = traffic
  const part = { ...traffic, events: events.slice(0, slice) }
  const answers = new Answers(traffic)
  const audits = runSession(traffic, new CountingRows(), answers)
  const [whole, guarded, bare, staged, obvious, decoded, obviousDecode, book, obviousBook] = measure([
    { repeats, run: () => countRows(traffic, answers) },
    { repeats, run: () => countRows(part, answers) },
    { repeats, run: () => countRows(part, undefined) },
    { repeats, run: () => stageRows(part, answers) },
    { repeats: repeatsObvious, run: () => obviousWay(part) },
    { repeats, run: () => decodeAll(part) },
    { repeats: repeatsObvious, run: () => decodeObviously(part) },
    ...bookSubjects(part, repeats, repeatsObvious),
  ])
  const levels = events.reduce((sum, { depth }) => sum + depth.b.length + depth.a.length, 0)
  const bytes = events.reduce((sum, { payload }) => sum + payload.length, 0)
  return {
    traffic: traffic.name,
    events: events.length,
    levelsAnEvent: levels / events.length,
    bytesAnEvent: bytes / events.length,
    whole,
    audits,
    slice: part.events.length,
    guarded,
    bare,
    staged,
    obvious,
    decode: decoded,
    obviousDecode,
    book,
    obviousBook,
  }
}

function countRows(traffic: Traffic, answers: Answers | undefined): number {
  const counting = new CountingRows()
  const audits = runSession(traffic, counting, answers)
  // a row of books and one of depth an event, the snapshot's, and the book after each audit
  const expected = traffic.events.length * 2 + 1 + audits
  if (counting.rows !== expected) throw new Error(`${counting.rows} rows instead of ${expected}`)
  return traffic.events.length
}

/** The recorder's share: rows staged in columns and handed over as Arrow, without the Parquet encoder. */
const stager = new RowStager('bench', LEVELS, () => {})

function stageRows(traffic: Traffic, answers: Answers): number {
  runSession(traffic, stager, answers)
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
  let best = 0
  const ours = () => {
    const book = new Book()
    book.load(snapshot)
    let sum = 0
    for (const event of decoded) {
      book.apply(event)
      if (book.fault() !== undefined) throw new Error(`the book is at fault: ${book.fault()}`)
      for (let i = 0; i < LEVELS; i++) {
        sum += book.bids.price(i) + book.bids.qty(i) + book.asks.price(i) + book.asks.qty(i)
      }
    }
    if (sum <= 0) throw new Error('a book without prices')
    best = book.bids.price(0)
    return decoded.length
  }
  const obvious = () => {
    const book = new ObviousBook()
    book.load(traffic.snapshot)
    let last = 0
    for (const { bids, asks } of plain) {
      book.apply(bids, asks)
      last = book.top(LEVELS).bids[0][0]
    }
    if (last !== best) throw new Error(`the two books differ: best bids ${best} and ${last}`)
    return plain.length
  }
  return [
    { repeats, run: ours },
    { repeats: repeatsObvious, run: obvious },
  ]
}
