/** A market's events as the exchange's JSON. Pure; times are the exchange's, milliseconds since the epoch. */
import type { TrueBook, WireLevel } from '../source.ts'
import type { Batch } from './batch.ts'
import type { TickBook, Trade } from './market.ts'
import { type Profile, priceString, qtyString } from './profile.ts'
import type { TickLevel } from './side.ts'

const FUNDING_EVERY_MS = 8 * 3600 * 1000

export function wireLevels(profile: Profile, levels: readonly TickLevel[]): WireLevel[] {
  return levels.map(([price, qty]) => [priceString(profile, price), qtyString(profile, qty)] as const)
}

export function trueBook(profile: Profile, book: TickBook): TrueBook {
  return {
    lastUpdateId: book.id,
    bids: wireLevels(profile, book.bids),
    asks: wireLevels(profile, book.asks),
  }
}

/** `depthUpdate`: `eventTime` is when it was cut, `changeTime` when the last of its changes was made. */
export function depthUpdate(
  symbol: string,
  profile: Profile,
  batch: Batch,
  eventTime: number,
  changeTime: number,
): string {
  const bids = JSON.stringify(wireLevels(profile, batch.bids))
  const asks = JSON.stringify(wireLevels(profile, batch.asks))
  const name = JSON.stringify(symbol)
  return `{"e":"depthUpdate","E":${eventTime},"T":${changeTime},"s":${name},"ps":${name},"U":${batch.firstId},"u":${batch.lastId},"pu":${batch.prevId},"b":${bids},"a":${asks}}`
}

export function bookTicker(
  symbol: string,
  profile: Profile,
  id: bigint,
  bid: TickLevel,
  ask: TickLevel,
  time: number,
): string {
  const [bidPrice, bidQty] = [priceString(profile, bid[0]), qtyString(profile, bid[1])]
  const [askPrice, askQty] = [priceString(profile, ask[0]), qtyString(profile, ask[1])]
  return `{"e":"bookTicker","u":${id},"s":${JSON.stringify(symbol)},"b":"${bidPrice}","B":"${bidQty}","a":"${askPrice}","A":"${askQty}","T":${time},"E":${time}}`
}

/** `aggTrade`; `nq` is the quantity without retail orders, the same here. */
export function aggTrade(symbol: string, profile: Profile, trade: Trade, time: number): string {
  const price = priceString(profile, trade.price)
  const qty = qtyString(profile, trade.qty)
  return `{"e":"aggTrade","E":${time},"a":${trade.id},"s":${JSON.stringify(symbol)},"p":"${price}","q":"${qty}","nq":"${qty}","f":${trade.firstId},"l":${trade.lastId},"T":${time},"m":${trade.buyerIsMaker}}`
}

/** `markPriceUpdate`; `price` is a decimal string, and stands for the index and the settlement too. */
export function markPriceUpdate(symbol: string, price: string, time: number): string {
  const funding = (Math.floor(time / FUNDING_EVERY_MS) + 1) * FUNDING_EVERY_MS
  return `{"e":"markPriceUpdate","E":${time},"s":${JSON.stringify(symbol)},"p":"${price}","P":"${price}","i":"${price}","r":"0.00010000","T":${funding}}`
}

/** Body of `/fapi/v1/depth`. */
export function snapshotBody(book: TrueBook, eventTime: string, changeTime: string): string {
  return `{"lastUpdateId":${book.lastUpdateId},"E":${eventTime},"T":${changeTime},"bids":${JSON.stringify(book.bids)},"asks":${JSON.stringify(book.asks)}}`
}
