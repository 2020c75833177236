/** Frames of the exchange as it sends them, for tests that make their own traffic. */

export type Level = readonly [price: string, qty: string]

export interface DepthFrame {
  readonly U: bigint | number
  readonly u: bigint | number
  readonly pu: bigint | number
  readonly b?: readonly Level[]
  readonly a?: readonly Level[]
  readonly E?: number
  readonly symbol?: string
}

const EVENT_TIME = 1_721_347_020_000

export function depthFrame({
  U,
  u,
  pu,
  b = [],
  a = [],
  E = EVENT_TIME,
  symbol = 'BTCUSDT',
}: DepthFrame): Buffer {
  const data = `{"e":"depthUpdate","E":${E},"T":${E - 3},"s":"${symbol}","U":${U},"u":${u},"pu":${pu},"b":${JSON.stringify(b)},"a":${JSON.stringify(a)}}`
  return Buffer.from(`{"stream":"${symbol.toLowerCase()}@depth@100ms","data":${data}}`)
}

export function tradeFrame(
  id: number,
  price = '100.5',
  qty = '1',
  symbol = 'BTCUSDT',
  tradeTime = EVENT_TIME - 1,
): Buffer {
  const data = `{"e":"aggTrade","E":${EVENT_TIME},"s":"${symbol}","a":${id},"p":"${price}","q":"${qty}","f":${id * 2},"l":${id * 2 + 1},"T":${tradeTime},"m":${id % 2 === 0}}`
  return Buffer.from(`{"stream":"${symbol.toLowerCase()}@aggTrade","data":${data}}`)
}

export function markPriceFrame(E: number, price = '100.25', symbol = 'BTCUSDT'): Buffer {
  const data = `{"e":"markPriceUpdate","E":${E},"s":"${symbol}","p":"${price}","i":"100.3","P":"100.1","r":"0.0001","T":${EVENT_TIME + 3_600_000}}`
  return Buffer.from(`{"stream":"${symbol.toLowerCase()}@markPrice@1s","data":${data}}`)
}

/** `E`: the snapshot's own time, ms. */
export function snapshotBody(
  id: bigint | number,
  bids: readonly Level[],
  asks: readonly Level[],
  E = EVENT_TIME,
): Buffer {
  return Buffer.from(
    `{"lastUpdateId":${id},"E":${E},"T":${E - 2},"bids":${JSON.stringify(bids)},"asks":${JSON.stringify(asks)}}`,
  )
}
