/** A tiny exchange in virtual time. What it sends is spelt as Binance USD-M spells it. */
import { createHash } from 'node:crypto'
import { parseTimeUs } from '../../capture/ship/mod.ts'

export const START_US = parseTimeUs('2026-11-22T12:00:00.000000Z')
export const SYMBOL = 'BTCUSDT'

/** Mulberry32: the same seed gives the same market. */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

type Levels = Map<number, number>

/** The market's truth: a book in ticks of 0.1, ids, trades. `nowUs` is everybody's clock. */
export class Market {
  nowUs: number
  id = 1000
  tradeId = 5000
  readonly #random: () => number
  readonly #bids: Levels = new Map()
  readonly #asks: Levels = new Map()
  #mid = 600_000

  /** `depth`: levels a side; beyond 1000 a snapshot's reach is finite. */
  constructor(startUs = START_US, depth = 30, seed = 7) {
    this.nowUs = startUs
    this.#random = random(seed)
    for (let i = 1; i <= depth; i++) {
      this.#bids.set(this.#mid - i, 1 + (i % 5))
      this.#asks.set(this.#mid + i, 1 + (i % 7))
    }
  }

  #ms(): number {
    return Math.floor(this.nowUs / 1000)
  }

  /** One depth event: a few changes near the touch, ids that jump. */
  depth(): string {
    const previous = this.id
    this.id += 1 + Math.floor(this.#random() * 9)
    const bids: [string, string][] = []
    const asks: [string, string][] = []
    for (let i = 0; i < 3; i++) {
      const distance = 1 + Math.floor(this.#random() * 12)
      const qty = distance > 2 && this.#random() < 0.3 ? 0 : (100 + Math.floor(this.#random() * 900)) / 100
      const isBid = this.#random() < 0.5
      change(
        isBid ? this.#bids : this.#asks,
        this.#mid + (isBid ? -distance : distance),
        qty,
        isBid ? bids : asks,
      )
    }
    return JSON.stringify({
      e: 'depthUpdate',
      E: this.#ms(),
      T: this.#ms() - 3,
      s: SYMBOL,
      U: previous + 1,
      u: this.id,
      pu: previous,
      b: bids,
      a: asks,
    })
  }

  /** A depth event that crosses the book: a bid above the best ask. */
  crossing(): string {
    const bids: [string, string][] = []
    const previous = this.id++
    change(this.#bids, this.#mid + 30, 5, bids)
    const times = { E: this.#ms(), T: this.#ms() }
    return JSON.stringify({
      e: 'depthUpdate',
      ...times,
      s: SYMBOL,
      U: this.id,
      u: this.id,
      pu: previous,
      b: bids,
      a: [],
    })
  }

  trade(): string {
    const id = ++this.tradeId
    const side = this.#random() < 0.5
    return JSON.stringify({
      e: 'aggTrade',
      E: this.#ms(),
      s: SYMBOL,
      a: id,
      p: price(this.#mid),
      q: '0.5',
      f: id * 2,
      l: id * 2 + 1,
      T: this.#ms() - 1,
      m: side,
    })
  }

  mark(): string {
    return JSON.stringify({
      e: 'markPriceUpdate',
      E: this.#ms(),
      s: SYMBOL,
      p: '60000.1',
      i: '60000.2',
      P: '0',
      r: '0.0001',
      T: this.#ms() + 3_600_000,
    })
  }

  snapshot(limit: number): string {
    const side = (levels: Levels, sign: number) =>
      [...levels]
        .sort(([a], [b]) => (a - b) * sign)
        .slice(0, limit)
        .map(([tick, qty]) => [price(tick), String(qty)])
    const [bids, asks] = [side(this.#bids, -1), side(this.#asks, 1)]
    return JSON.stringify({ lastUpdateId: this.id, E: this.#ms(), T: this.#ms() - 2, bids, asks })
  }
}

function price(tick: number): string {
  return (tick / 10).toFixed(1)
}

function change(side: Levels, tick: number, qty: number, into: [string, string][]): void {
  if (qty === 0) side.delete(tick)
  else side.set(tick, qty)
  into.push([price(tick), String(qty)])
}
