/** Real frames for the decoder's tests: read once, grouped by what they are. */
import { type Frame, readFrames } from '../support/recordings.ts'

export interface Recorded {
  readonly symbol: string
  readonly payload: Buffer
}

export interface RecordedFrames {
  readonly depth: Recorded[]
  readonly trade: Recorded[]
  readonly markPrice: Recorded[]
  /** Streams that are never subscribed. */
  readonly other: Recorded[]
  readonly snapshots: Recorded[]
}

/** Mark prices are in one recording only; its first lines hold enough. */
const MARK_PRICES = { recording: 'binance-usdm/btcusdt-2023-04-04', linesMax: 3000 }
/** Small books of many symbols. */
const ALTS = ['binance-usdm/alts-2021-04-05', 'binance-usdm/alts-2021-04-17', 'binance-usdm/alts-2021-07-22']

export async function recordedFrames(): Promise<RecordedFrames> {
  const frames: RecordedFrames = { depth: [], trade: [], markPrice: [], other: [], snapshots: [] }
  for (const recording of ALTS) for await (const frame of readFrames(recording)) sort(frame, frames)
  let lines = 0
  for await (const frame of readFrames(MARK_PRICES.recording)) {
    sort(frame, frames)
    if (++lines === MARK_PRICES.linesMax) break
  }
  return frames
}

function sort({ via, payload }: Frame, into: RecordedFrames): void {
  if (via !== 'ws') {
    const symbol = new URL(via.slice('http '.length), 'http://recording').searchParams.get('symbol') ?? ''
    into.snapshots.push({ symbol, payload })
    return
  }
  const [, name = '', stream = ''] =
    payload.toString('latin1', 0, 60).match(/^\{"stream":"([a-z]+)@([a-zA-Z]+)/) ?? []
  const recorded = { symbol: name.toUpperCase(), payload }
  if (stream === 'depth') into.depth.push(recorded)
  else if (stream === 'aggTrade') into.trade.push(recorded)
  else if (stream === 'markPrice') into.markPrice.push(recorded)
  else into.other.push(recorded)
}
