/** Recorded BTCUSDT traffic as an exchange sends it: one book event each 100 ms, trades, prices, and snapshots. */
import { RecordedBook } from '../pipeline/made/recorded-run.ts'
import { depthFrame, type Level } from '../support/frames.ts'
import { readFrames } from '../support/recordings.ts'

const RECORDING = 'binance-usdm/btcusdt-2023-04-04'
/** The recording holds each change by itself; the stream that is captured merges those of so much time. */
const MERGE_US = 100_000
/** More levels than a side of the recording has. */
const LEVELS_MAX = 100_000

export interface Moment {
  readonly kind: 'depth' | 'trade' | 'mark'
  /** Receive time, microseconds. */
  readonly atUs: number
  /** As the exchange sends it. */
  readonly payload: Buffer
}

/** What a recorded frame holds, as far as it is used here. */
interface Data {
  readonly E: number
  readonly U: number
  readonly u: number
  readonly pu: number
  readonly b: readonly Level[]
  readonly a: readonly Level[]
  readonly t: number
  readonly X: string
}

/** Changes that become one event. */
class Merged {
  readonly atUs: number
  readonly #first: Data
  #last: Data
  readonly #bids = new Map<string, string>()
  readonly #asks = new Map<string, string>()

  constructor(atUs: number, first: Data) {
    this.atUs = atUs
    this.#first = first
    this.#last = first
  }

  add(data: Data): void {
    this.#last = data
    for (const [price, qty] of data.b) this.#bids.set(price, qty)
    for (const [price, qty] of data.a) this.#asks.set(price, qty)
  }

  get payload(): Buffer {
    const { U, pu } = this.#first
    const { u, E } = this.#last
    return depthFrame({ U, u, pu, E, b: [...this.#bids], a: [...this.#asks] })
  }
}

/** The exchange's whole book after the event with this id: {price: quantity} a side. Throws where there is none. */
export async function trueBookAt(
  id: number,
): Promise<{ bids: Map<number, number>; asks: Map<number, number> }> {
  const exchange = new RecordedExchange()
  for await (const { kind, payload } of exchange.moments()) {
    if (kind !== 'depth' || (JSON.parse(payload.toString('utf8')) as { data: Data }).data.u !== id) continue
    const { bids, asks } = JSON.parse(exchange.snapshot(LEVELS_MAX).toString('utf8')) as Record<
      string,
      Level[]
    >
    const levels = (side: readonly Level[] = []) =>
      new Map(side.map(([price, qty]) => [Number(price), Number(qty)]))
    return { bids: levels(bids), asks: levels(asks) }
  }
  throw new Error(`the recording has no event ${id}`)
}

/** The exchange: what it sends, in order, and its book at this moment. */
export class RecordedExchange {
  readonly #book = new RecordedBook()
  #trades = 0

  /** Answer to a request for a snapshot: the book as the last event left it. */
  snapshot(levels: number): Buffer {
    return this.#book.snapshot(levels)
  }

  /** Everything from the recording's own snapshot on; receive times never run backwards. */
  async *moments(): AsyncGenerator<Moment> {
    let [loaded, nowUs] = [false, 0]
    let merged: Merged | undefined
    for await (const { receivedNs, via, payload } of readFrames(RECORDING)) {
      nowUs = Math.max(nowUs, Number(receivedNs / 1000n))
      if (via.startsWith('http')) {
        this.#book.load(payload)
        loaded = true
      }
      if (!loaded || via.startsWith('http')) continue
      if (merged !== undefined && nowUs - merged.atUs >= MERGE_US) {
        yield { kind: 'depth', atUs: nowUs, payload: merged.payload }
        merged = undefined
      }
      const stream = /"stream":"[^@"]*@(depth|trade|markPrice)/.exec(payload.toString('latin1', 0, 60))?.[1]
      if (stream === 'markPrice') yield { kind: 'mark', atUs: nowUs, payload }
      if (stream === 'trade') {
        const aggregate = this.#aggregate(payload)
        if (aggregate !== undefined) yield { kind: 'trade', atUs: nowUs, payload: aggregate }
      }
      if (stream !== 'depth') continue
      const { data } = JSON.parse(payload.toString('utf8')) as { readonly data: Data }
      merged ??= new Merged(nowUs, data)
      merged.add(data)
      this.#book.apply(payload)
    }
  }

  /** A single trade as an aggregate of one; undefined for those of the insurance fund, which are never aggregated. */
  #aggregate(payload: Buffer): Buffer | undefined {
    const { data } = JSON.parse(payload.toString('utf8')) as { readonly data: Data }
    if (data.X !== 'MARKET') return undefined
    const id = 100_000_000 + ++this.#trades
    const aggregate = { ...data, e: 'aggTrade', a: id, f: data.t, l: data.t, t: undefined, X: undefined }
    return Buffer.from(JSON.stringify({ stream: 'btcusdt@aggTrade', data: aggregate }))
  }
}
