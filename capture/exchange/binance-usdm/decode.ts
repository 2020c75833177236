import type { Stream } from '../../../api/streams.ts'
import { ProtocolError } from '../errors.ts'
import type { LevelBuffer, Message, Snapshot } from '../event.ts'
import { JsonScanner } from '../json/scanner.ts'

/**
 * Decodes Binance USD-M messages. Field names are from the exchange's documentation of its market streams
 * (depthUpdate, aggTrade, markPriceUpdate) and of GET /fapi/v1/depth. Fields may come in any order; each one that
 * is needed must be there exactly once; unknown ones are counted.
 */

const scanner = new JsonScanner()

/** The byte of a one-letter key. */
const key = (letter: string): number => letter.charCodeAt(0)
const K = {
  E: key('E'),
  P: key('P'),
  T: key('T'),
  U: key('U'),
  a: key('a'),
  b: key('b'),
  e: key('e'),
  f: key('f'),
  i: key('i'),
  l: key('l'),
  m: key('m'),
  p: key('p'),
  q: key('q'),
  r: key('r'),
  s: key('s'),
  u: key('u'),
} as const

/** Which needed fields of an event were seen, as bits; a field that comes twice is an error. */
let seen = 0
function once(bit: number): void {
  if ((seen & bit) !== 0) scanner.fail('each field once')
  seen |= bit
}

/** Reads one message of a socket of `symbol`, wrapped (`{"stream":…,"data":…}`) or bare. */
export function decodeMessage(payload: Uint8Array, symbol: string, into: Message): void {
  into.kind = 'none'
  into.unknownFields = 0
  scanner.reset(payload)
  scanner.openObject()
  let understood = false
  for (let first = true; scanner.nextKey(first); first = false) {
    if (scanner.keyByte() === K.e) {
      scanner.seek(0)
      into.unknownFields = 0 // fields before the type are read again, as the event's
      readEvent(symbol, into)
      understood = true
      break
    }
    if (scanner.keyIs('stream')) scanner.skipValue()
    else if (scanner.keyIs('data')) {
      if (understood) scanner.fail('one event in a message')
      readEvent(symbol, into)
      understood = true
    } else if (scanner.keyIs('result') || scanner.keyIs('id')) {
      scanner.skipValue()
      understood = true
    } else if (scanner.keyIs('error') || scanner.keyIs('code')) {
      throw new ProtocolError(`the exchange refused: ${Buffer.from(payload).toString('utf8').slice(0, 200)}`)
    } else {
      scanner.skipValue()
      into.unknownFields++
    }
  }
  scanner.finish()
  if (!understood) throw new ProtocolError('a message with neither an event nor an answer in it')
}

/** At the opening brace of an event. */
function readEvent(symbol: string, into: Message): void {
  scanner.peek()
  const start = scanner.offset
  const stream = readType()
  scanner.seek(start)
  scanner.openObject()
  seen = 0
  try {
    if (stream === 'depth') readDepth(symbol, into)
    else if (stream === 'trades') readTrade(symbol, into)
    else readMarkPrice(symbol, into)
  } catch (error) {
    if (error instanceof ProtocolError) error.stream = stream
    throw error
  }
}

/** Looks for the event's type, which is its first field in all that the exchange sends today. */
function readType(): Stream {
  scanner.openObject()
  for (let first = true; scanner.nextKey(first); first = false) {
    if (scanner.keyByte() !== K.e) {
      scanner.skipValue()
      continue
    }
    scanner.peek()
    const at = scanner.offset
    if (scanner.stringIs('depthUpdate')) return 'depth'
    scanner.seek(at)
    if (scanner.stringIs('aggTrade')) return 'trades'
    scanner.seek(at)
    if (scanner.stringIs('markPriceUpdate')) return 'mark_price'
    scanner.seek(at)
    throw new ProtocolError(`an event of unknown type ${JSON.stringify(scanner.string().slice(0, 40))}`)
  }
  throw new ProtocolError('an event without a type')
}

/** Two-letter keys and settings that the exchange sends and we do not need: pair, stream type, RPI-free quantity. */
function skipKnown(into: Message): void {
  if (!(scanner.keyIs('ps') || scanner.keyIs('st') || scanner.keyIs('nq') || scanner.keyIs('ap')))
    into.unknownFields++
  scanner.skipValue()
}

function readSymbol(symbol: string): void {
  if (scanner.peek() !== 0x22) scanner.fail('a symbol')
  const at = scanner.offset
  if (scanner.stringIs(symbol)) return
  scanner.seek(at)
  const other = scanner.string()
  if (other !== symbol)
    throw new ProtocolError(`an event of ${JSON.stringify(other.slice(0, 40))} on a socket of ${symbol}`)
}

function readLevels(side: LevelBuffer): void {
  side.clear()
  scanner.openArray()
  for (let first = true; scanner.nextElement(first); first = false) scanner.pair(side)
}

function readDepth(symbol: string, into: Message): void {
  const event = into.depth
  for (let first = true; scanner.nextKey(first); first = false) {
    const field = scanner.keyByte()
    if (field === K.b) {
      once(1)
      readLevels(event.bids)
    } else if (field === K.a) {
      once(2)
      readLevels(event.asks)
    } else if (field === K.E) {
      once(4)
      event.eventTime = scanner.time()
    } else if (field === K.T) {
      once(8)
      event.transactionTime = scanner.time()
    } else if (field === K.s) {
      once(16)
      readSymbol(symbol)
    } else if (field === K.U) {
      once(32)
      event.firstId = scanner.id()
    } else if (field === K.u) {
      once(64)
      event.finalId = scanner.id()
    } else if (field === K.e) {
      once(128)
      scanner.skipValue()
    } else if (scanner.keyIs('pu')) {
      once(256)
      event.previousId = scanner.id()
    } else skipKnown(into)
  }
  if (seen !== 511) scanner.fail('e, E, T, s, U, u, pu, b and a in a depthUpdate')
  if (event.firstId > event.finalId) scanner.fail('U not above u')
  if (event.previousId > event.finalId) scanner.fail('pu not above u')
  into.kind = 'depth'
}

function readTrade(symbol: string, into: Message): void {
  const trade = into.trade
  for (let first = true; scanner.nextKey(first); first = false) {
    const field = scanner.keyByte()
    if (field === K.E) {
      once(1)
      trade.eventTime = scanner.time()
    } else if (field === K.s) {
      once(2)
      readSymbol(symbol)
    } else if (field === K.a) {
      once(4)
      trade.id = scanner.id()
    } else if (field === K.p) {
      once(8)
      trade.price = scanner.decimal()
    } else if (field === K.q) {
      once(16)
      trade.qty = scanner.decimal()
    } else if (field === K.f) {
      once(32)
      trade.firstTradeId = scanner.id()
    } else if (field === K.l) {
      once(64)
      trade.lastTradeId = scanner.id()
    } else if (field === K.T) {
      once(128)
      trade.tradeTime = scanner.time()
    } else if (field === K.m) {
      once(256)
      // m: the buyer was the maker, so the taker sold
      trade.side = scanner.boolean() ? 'sell' : 'buy'
    } else if (field === K.e) {
      once(512)
      scanner.skipValue()
    } else skipKnown(into)
  }
  if (seen !== 1023) scanner.fail('e, E, s, a, p, q, f, l, T and m in an aggTrade')
  into.kind = 'trade'
}

function readMarkPrice(symbol: string, into: Message): void {
  const mark = into.markPrice
  for (let first = true; scanner.nextKey(first); first = false) {
    const field = scanner.keyByte()
    if (field === K.E) {
      once(1)
      mark.eventTime = scanner.time()
    } else if (field === K.s) {
      once(2)
      readSymbol(symbol)
    } else if (field === K.p) {
      once(4)
      mark.markPrice = scanner.nearestDecimal()
    } else if (field === K.i) {
      once(8)
      mark.indexPrice = scanner.nearestDecimal()
    } else if (field === K.r) {
      once(16)
      mark.fundingRate = scanner.nearestDecimal()
    } else if (field === K.T) {
      once(32)
      mark.nextFundingTime = scanner.time()
    } else if (field === K.e) {
      once(64)
      scanner.skipValue()
    } else if (field === K.P) {
      scanner.skipValue() // estimated settlement price: meaningful in the last hour of a delivery contract only
    } else skipKnown(into)
  }
  if (seen !== 127) scanner.fail('e, E, s, p, i, r and T in a markPriceUpdate')
  into.kind = 'mark_price'
}

/** Reads the body of GET /fapi/v1/depth. Levels must be sorted best first, each side strictly. */
export function decodeSnapshot(body: Uint8Array, limit: number, into: Snapshot): void {
  scanner.reset(body)
  scanner.openObject()
  seen = 0
  into.limit = limit
  for (let first = true; scanner.nextKey(first); first = false) {
    const field = scanner.keyByte()
    if (field === K.E) {
      once(1)
      into.eventTime = scanner.time()
    } else if (field === K.T) {
      once(2)
      into.transactionTime = scanner.time()
    } else if (scanner.keyIs('lastUpdateId')) {
      once(4)
      into.id = scanner.id()
    } else if (scanner.keyIs('bids')) {
      once(8)
      readLevels(into.bids)
    } else if (scanner.keyIs('asks')) {
      once(16)
      readLevels(into.asks)
    } else scanner.skipValue()
  }
  scanner.finish()
  if (seen !== 31) throw new ProtocolError('a snapshot without lastUpdateId, E, T, bids or asks')
  if (into.bids.length > limit || into.asks.length > limit) {
    throw new ProtocolError(`a snapshot with more than the ${limit} levels a side that were asked for`)
  }
  checkSorted(into.bids, -1)
  checkSorted(into.asks, 1)
}

function checkSorted(side: LevelBuffer, direction: 1 | -1): void {
  for (let i = 0; i < side.length; i++) {
    if (side.data[i * 2 + 1] === 0) throw new ProtocolError('a snapshot with an empty level')
    if (i > 0 && (side.data[i * 2] - side.data[i * 2 - 2]) * direction <= 0) {
      throw new ProtocolError('a snapshot whose levels are not sorted best first')
    }
  }
}
