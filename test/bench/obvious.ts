/**
 * The obvious way, the baseline of every ratio: what a straightforward capture in TypeScript does, without tricks
 * and without handicaps. JSON.parse a frame, a Map a side, sort it on each event for the top levels, an object a
 * row, a table of the objects at the end. It checks the chain and that the book is not crossed; what exactness,
 * horizons, coverage and crash safety cost ours is not in it.
 */
import { tableFromJSON, tableToIPC } from 'apache-arrow'
import { Compression, Table, WriterPropertiesBuilder, writeParquet } from 'parquet-wasm'
import type { Depth, Level, SnapshotBody } from './traffic.ts'

export const LEVELS = 20

export type Row = Record<string, number>

/** The frame as plain objects, prices and quantities as numbers. */
export function decode(payload: Buffer): { depth: Depth; bids: number[][]; asks: number[][] } {
  const { data } = JSON.parse(payload.toString()) as { data: Depth }
  return { depth: data, bids: data.b.map(toNumbers), asks: data.a.map(toNumbers) }
}

const toNumbers = ([price, qty]: Level): number[] => [Number(price), Number(qty)]

export class ObviousBook {
  readonly bids = new Map<number, number>()
  readonly asks = new Map<number, number>()
  lastId = 0

  load(body: Buffer): void {
    const snapshot = JSON.parse(body.toString()) as SnapshotBody
    this.bids.clear()
    this.asks.clear()
    change(this.bids, snapshot.bids.map(toNumbers))
    change(this.asks, snapshot.asks.map(toNumbers))
    this.lastId = snapshot.lastUpdateId
  }

  apply(bids: readonly number[][], asks: readonly number[][]): void {
    change(this.bids, bids)
    change(this.asks, asks)
  }

  /** The best levels of both sides. */
  top(count: number): { bids: [number, number][]; asks: [number, number][] } {
    return {
      bids: [...this.bids].sort((x, y) => y[0] - x[0]).slice(0, count),
      asks: [...this.asks].sort((x, y) => x[0] - y[0]).slice(0, count),
    }
  }
}

function change(side: Map<number, number>, levels: readonly number[][]): void {
  for (const [price, qty] of levels) {
    if (qty === 0) side.delete(price)
    else side.set(price, qty)
  }
}

/** Frames to rows. `joined` tells whether the book has met its snapshot. */
export class ObviousCapture {
  readonly book = new ObviousBook()
  readonly rows: Row[] = []
  joined = false

  load(snapshot: Buffer): void {
    this.book.load(snapshot)
    this.joined = false
  }

  step(payload: Buffer, received: number): void {
    const { depth, bids, asks } = decode(payload)
    const { book } = this
    if (!this.joined) {
      if (depth.u < book.lastId) return
      this.joined = true
    } else if (depth.pu !== book.lastId) throw new Error(`event ${depth.u} does not follow ${book.lastId}`)
    book.apply(bids, asks)
    book.lastId = depth.u
    const top = book.top(LEVELS)
    if (top.bids[0][0] >= top.asks[0][0]) throw new Error(`the book is crossed at ${depth.u}`)
    this.rows.push(rowOf(depth, top, received))
  }
}

function rowOf(depth: Depth, top: ReturnType<ObviousBook['top']>, received: number): Row {
  const [bidPrice, bidQty] = top.bids[0]
  const [askPrice, askQty] = top.asks[0]
  const row: Row = {
    received_time: received,
    event_time: depth.E,
    transaction_time: depth.T,
    update_id: depth.u,
    first_update_id: depth.U,
    prev_update_id: depth.pu,
    mid: (bidPrice + askPrice) / 2,
    spread: askPrice - bidPrice,
    microprice: (askPrice * bidQty + bidPrice * askQty) / (bidQty + askQty),
    imbalance: (bidQty - askQty) / (bidQty + askQty),
  }
  for (let i = 0; i < LEVELS; i++) {
    row[`bid_price_${i}`] = top.bids[i]?.[0] ?? Number.NaN
    row[`bid_qty_${i}`] = top.bids[i]?.[1] ?? Number.NaN
    row[`ask_price_${i}`] = top.asks[i]?.[0] ?? Number.NaN
    row[`ask_qty_${i}`] = top.asks[i]?.[1] ?? Number.NaN
  }
  return row
}

/** The rows as one Parquet file. */
export function toParquet(rows: Row[]): Uint8Array {
  const table = Table.fromIPCStream(tableToIPC(tableFromJSON(rows), 'stream'))
  return writeParquet(table, new WriterPropertiesBuilder().setCompression(Compression.ZSTD).build())
}
