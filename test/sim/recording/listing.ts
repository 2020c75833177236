/** A symbol's listing, as far as its recorded snapshot shows it. Pure. */
import { decimal } from '../market/profile.ts'
import type { Listing, WireLevel } from '../source.ts'
import type { SymbolRecording } from './file.ts'

/** Digits as the snapshot spells them; of a symbol without one, two and three, as BTCUSDT has. */
export function listingFrom(recording: SymbolRecording): Listing {
  const snapshot = recording.frames.find((frame) => frame.kind === 'snapshot')
  const bids =
    snapshot === undefined ? [] : (JSON.parse(snapshot.body.toString('utf8')) as { bids: WireLevel[] }).bids
  const [price, qty] = bids[0] ?? ['0.00', '0.000']
  const priceDecimals = decimalsOf(price)
  const qtyDecimals = decimalsOf(qty)
  return {
    symbol: recording.symbol,
    priceDecimals,
    qtyDecimals,
    tickSize: decimal(1, priceDecimals),
    stepSize: decimal(1, qtyDecimals),
  }
}

function decimalsOf(text: string): number {
  const point = text.indexOf('.')
  return point < 0 ? 0 : text.length - point - 1
}
