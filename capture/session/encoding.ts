/** Canonical bytes of what a session keeps of the exchange's messages. */
import type { Decoder, Encoder } from '../book/mod.ts'
import { DepthEvent, LevelBuffer, Snapshot, Trade } from '../exchange/mod.ts'

function encodeLevels(levels: LevelBuffer, out: Encoder): void {
  out.count(levels.length)
  for (let i = 0; i < levels.length * 2; i++) out.float(levels.data[i])
}

function decodeLevels(from: Decoder): LevelBuffer {
  const count = from.count()
  const levels = new LevelBuffer(count)
  for (let i = 0; i < count; i++) {
    const price = from.float()
    levels.push(price, from.float())
  }
  return levels
}

export function encodeEvent(event: DepthEvent, out: Encoder): void {
  out.id(event.previousId)
  out.id(event.firstId)
  out.id(event.finalId)
  out.integer(event.eventTime)
  out.integer(event.transactionTime)
  encodeLevels(event.bids, out)
  encodeLevels(event.asks, out)
}

export function decodeEvent(from: Decoder): DepthEvent {
  const previousId = from.id()
  const firstId = from.id()
  const finalId = from.id()
  const eventTime = from.integer()
  const transactionTime = from.integer()
  const event = new DepthEvent(decodeLevels(from), decodeLevels(from))
  event.previousId = previousId
  event.firstId = firstId
  event.finalId = finalId
  event.eventTime = eventTime
  event.transactionTime = transactionTime
  return event
}

export function encodeSnapshot(snapshot: Snapshot, out: Encoder): void {
  out.id(snapshot.id)
  out.integer(snapshot.eventTime)
  out.integer(snapshot.transactionTime)
  out.integer(snapshot.limit)
  encodeLevels(snapshot.bids, out)
  encodeLevels(snapshot.asks, out)
}

export function decodeSnapshot(from: Decoder): Snapshot {
  const id = from.id()
  const eventTime = from.integer()
  const transactionTime = from.integer()
  const limit = from.integer()
  const snapshot = new Snapshot(decodeLevels(from), decodeLevels(from))
  snapshot.id = id
  snapshot.eventTime = eventTime
  snapshot.transactionTime = transactionTime
  snapshot.limit = limit
  return snapshot
}

export function encodeTrade(trade: Trade, out: Encoder): void {
  out.id(trade.id)
  out.id(trade.firstTradeId)
  out.id(trade.lastTradeId)
  out.integer(trade.eventTime)
  out.integer(trade.tradeTime)
  out.float(trade.price)
  out.float(trade.qty)
  out.string(trade.side)
}

export function decodeTrade(from: Decoder): Trade {
  const trade = new Trade()
  trade.id = from.id()
  trade.firstTradeId = from.id()
  trade.lastTradeId = from.id()
  trade.eventTime = from.integer()
  trade.tradeTime = from.integer()
  trade.price = from.float()
  trade.qty = from.float()
  trade.side = from.word(['buy', 'sell'])
  return trade
}
