/**
 * Writes the windows of a run by hand: rows and coverage of what a session may do, from a book of its own, through the
 * columns and manifests of the real writers. For histories that are easier to write down than to bring about.
 */
import { SCHEMA_VERSION } from '../../capture/record/mod.ts'
import {
  formatTimeUs,
  keyOfManifest,
  MANIFEST_FORMAT,
  type Manifest,
  type ManifestCoverage,
  type ManifestObject,
  objectKey,
  sealManifest,
  serialiseManifest,
} from '../../capture/ship/mod.ts'
import { encode, type Row, there } from './damage.ts'
import { type Place, START_US, SYMBOL, sha256 } from './world.ts'

export type Levels = readonly (readonly [price: number, qty: number])[]

const EXCHANGE = 'BinanceUsdm'
const LEVELS = 3
export const BOOKS = `books${LEVELS}`
type StreamName = typeof BOOKS | 'depth' | 'trades' | 'mark_price'
const STREAMS: readonly StreamName[] = [BOOKS, 'depth', 'trades', 'mark_price']

/** One side of the truth: levels by price, within a reach. `sign` is 1 for bids. */
class Side {
  readonly levels = new Map<number, number>()
  readonly sign: 1 | -1
  reach: number

  constructor(sign: 1 | -1) {
    this.sign = sign
    this.reach = this.unlimited
  }

  get unlimited(): number {
    return this.sign > 0 ? 0 : Number.POSITIVE_INFINITY
  }

  set(levels: Levels): void {
    for (const [price, qty] of levels) {
      if (qty === 0) this.levels.delete(price)
      else this.levels.set(price, qty)
    }
    for (const price of this.levels.keys())
      if ((price - this.reach) * this.sign < 0) this.levels.delete(price)
  }

  /** Best first. */
  sorted(): [number, number][] {
    return [...this.levels].sort(([a], [b]) => (b - a) * this.sign)
  }
}

interface Interval {
  readonly prevId: bigint
  firstId: bigint
  lastId: bigint
  readonly fromUs: number
  toUs: number
  rows: number
}

export class Scribe {
  nowUs = START_US
  connection = 1
  id = 0n
  tradeId = 5000n
  readonly bids = new Side(1)
  readonly asks = new Side(-1)
  readonly manifests: Manifest[] = []
  readonly #place: Pick<Place, 'bucket'>
  readonly #run: string
  #window = 0
  #openedUs = START_US
  #seq = 0n
  #gapBefore = true
  #rows = new Map<string, Row[]>()
  #coverage: ManifestCoverage[] = []
  readonly #open = new Map<StreamName, Interval>()

  constructor(place: Pick<Place, 'bucket'>, run: string, startUs = START_US) {
    this.#place = place
    this.#run = run
    this.nowUs = startUs
    this.#openedUs = startUs
  }

  wait(seconds: number): this {
    this.nowUs += Math.round(seconds * 1e6)
    return this
  }

  /** Goes live at a snapshot. `prevId`: what the first event chains to; the snapshot's id while there is none. */
  snapshot(
    id: bigint,
    bids: Levels,
    asks: Levels,
    reach?: readonly [bid: number, ask: number],
    prevId = id,
  ): this {
    this.id = id
    this.#replace(bids, asks, reach)
    this.begin(BOOKS, prevId).begin('depth', prevId)
    this.#depthRow('snapshot', bids, asks, 0n, this.#gapBefore)
    return this
  }

  /** One event that reaches `id`, with a row of depth and one of books. */
  delta(id: bigint, bids: Levels, asks: Levels, prevId = this.id, receivedUs = this.nowUs): this {
    this.id = id
    this.bids.set(bids)
    this.asks.set(asks)
    this.#depthRow('delta', bids, asks, prevId, false, receivedUs)
    this.#evidence('depth', id, receivedUs)
    this.#booksRow(prevId, receivedUs)
    this.#evidence(BOOKS, id, receivedUs)
    this.#gapBefore = false
    return this
  }

  /** A clean audit: what it found at the cursor becomes the book, within its own reach. */
  audit(bids: Levels, asks: Levels, reach?: readonly [bid: number, ask: number]): this {
    this.#replace(bids, asks, reach)
    this.#depthRow('book', bids, asks, 0n, false)
    return this
  }

  /** Gives up levels: from the next event on the reach is this one. */
  cut(bidReach: number, askReach: number): this {
    this.bids.reach = bidReach
    this.asks.reach = askReach
    return this
  }

  trade(skip = 0n): this {
    const id = this.tradeId + 1n + skip
    this.tradeId = id
    if (!this.#open.has('trades')) this.begin('trades', id - 1n)
    const ids = { trade_id: id, first_trade_id: id * 2n, last_trade_id: id * 2n + 1n }
    const facts = {
      event_time: this.#ms(),
      trade_time: this.#ms(),
      price: 100,
      qty: 1,
      side: 'buy',
      gap_before: false,
    }
    this.#row('trades', { ...ids, ...facts })
    this.#evidence('trades', id)
    return this
  }

  mark(receivedUs = this.nowUs): this {
    if (!this.#open.has('mark_price')) this.begin('mark_price', 0n)
    const prices = { mark_price: 100, index_price: 100, funding_rate: 0.0001 }
    this.#row('mark_price', { event_time: this.#ms(), next_funding_time: 0n, ...prices }, receivedUs)
    this.#evidence('mark_price', 0n, receivedUs)
    return this
  }

  begin(stream: StreamName, prevId: bigint): this {
    const { nowUs } = this
    this.#open.set(stream, { prevId, firstId: 0n, lastId: prevId, fromUs: nowUs, toUs: nowUs, rows: 0 })
    return this
  }

  /** Evidence without a row: nothing was missed until now. */
  silent(...streams: StreamName[]): this {
    for (const stream of streams) there(this.#open.get(stream)).toUs = this.nowUs
    return this
  }

  /** Withdraws what books and depth proved since an id and a time, and ends both. */
  suspect(prevId: bigint, fromUs: number, by: ManifestCoverage['ended_by']): this {
    for (const stream of [BOOKS, 'depth'] as const) {
      const { lastId, toUs } = there(this.#open.get(stream))
      this.#cover(stream, { prevId, firstId: 0n, lastId, fromUs, toUs, rows: 0 }, 'suspect', by)
    }
    this.end(by, BOOKS, 'depth')
    this.#gapBefore = true
    return this
  }

  end(by: ManifestCoverage['ended_by'], ...streams: StreamName[]): this {
    for (const stream of streams) {
      const open = this.#open.get(stream)
      if (open !== undefined) this.#cover(stream, open, stream === 'mark_price' ? 'observed' : 'proven', by)
      this.#open.delete(stream)
    }
    return this
  }

  /** Publishes the window and opens the next one: with the whole book where it is live. */
  async rotate(): Promise<this> {
    const goOn = [...this.#open]
    this.end(null, ...STREAMS)
    await this.#publish()
    this.#window++
    this.#openedUs = this.nowUs
    for (const [stream, { lastId, toUs }] of goOn) {
      this.#open.set(stream, { prevId: lastId, firstId: 0n, lastId, fromUs: toUs, toUs, rows: 0 })
    }
    if (this.#open.has('depth')) this.#depthRow('book', this.bids.sorted(), this.asks.sorted(), 0n, false)
    return this
  }

  async stop(): Promise<Manifest[]> {
    this.end('stopped', ...STREAMS)
    await this.#publish()
    return this.manifests
  }

  #ms(): bigint {
    return BigInt(Math.floor(this.nowUs / 1000))
  }

  #replace(bids: Levels, asks: Levels, reach: readonly [bid: number, ask: number] | undefined): void {
    for (const [side, levels, limit] of [
      [this.bids, bids, reach?.[0]],
      [this.asks, asks, reach?.[1]],
    ] as const) {
      side.levels.clear()
      side.reach = limit ?? side.unlimited
      side.set(levels)
    }
  }

  #depthRow(
    kind: string,
    bids: Levels,
    asks: Levels,
    prevId: bigint,
    gapBefore: boolean,
    receivedUs = this.nowUs,
  ): void {
    const lists = {
      bid_prices: bids.map(([price]) => price),
      bid_qtys: bids.map(([, qty]) => qty),
      ask_prices: asks.map(([price]) => price),
      ask_qtys: asks.map(([, qty]) => qty),
    }
    const reach = { bid_reach: this.bids.reach, ask_reach: this.asks.reach }
    this.#row('depth', { ...this.#ids(prevId), kind, gap_before: gapBefore, ...lists, ...reach }, receivedUs)
  }

  #booksRow(prevId: bigint, receivedUs: number): void {
    const row: Row = { ...this.#ids(prevId), gap_before: this.#gapBefore }
    for (const [name, side] of [
      ['bid', this.bids],
      ['ask', this.asks],
    ] as const) {
      const sorted = side.sorted()
      const proven = side.reach === side.unlimited ? LEVELS : Math.min(LEVELS, sorted.length)
      row[`${name}_levels_proven`] = BigInt(proven)
      for (let i = 0; i < LEVELS; i++) {
        row[`${name}_price_${i}`] = sorted[i]?.[0] ?? null
        row[`${name}_qty_${i}`] = sorted[i]?.[1] ?? null
      }
    }
    const [bid, bidQty, ask, askQty] = ['bid_price_0', 'bid_qty_0', 'ask_price_0', 'ask_qty_0'].map((name) =>
      Number(row[name]),
    ) as [number, number, number, number]
    Object.assign(row, {
      best_bid_price: bid,
      best_bid_qty: bidQty,
      best_ask_price: ask,
      best_ask_qty: askQty,
    })
    row.mid = (bid + ask) / 2
    row.spread = ask - bid
    row.microprice = (ask * bidQty + bid * askQty) / (bidQty + askQty)
    row.imbalance = (bidQty - askQty) / (bidQty + askQty)
    this.#row(BOOKS, row, receivedUs)
  }

  #ids(prevId: bigint): Row {
    const times = { event_time: this.#ms(), transaction_time: this.#ms() }
    const firstId = prevId === 0n ? 0n : prevId + 1n
    return { ...times, update_id: this.id, first_update_id: firstId, prev_update_id: prevId }
  }

  #row(stream: string, row: Row, receivedUs = this.nowUs): void {
    const rows = this.#rows.get(stream) ?? []
    this.#rows.set(stream, rows)
    const head = { run: this.#run, seq: ++this.#seq, connection: BigInt(this.connection) }
    rows.push({ ...head, received_time: BigInt(receivedUs), ...row })
  }

  #evidence(stream: StreamName, id: bigint, receivedUs = this.nowUs): void {
    const open = there(this.#open.get(stream), `interval of ${stream}`)
    if (open.rows++ === 0) open.firstId = id
    open.lastId = id
    open.toUs = Math.max(open.toUs, receivedUs)
  }

  #cover(
    stream: StreamName,
    { prevId, firstId, lastId, fromUs, toUs, rows }: Interval,
    state: ManifestCoverage['state'],
    by: ManifestCoverage['ended_by'],
  ): void {
    const from = rows === 0 && state !== 'suspect' ? lastId : prevId
    this.#row('coverage', {
      of_stream: stream,
      window: BigInt(this.#window),
      from_time: BigInt(fromUs),
      to_time: BigInt(toUs),
      prev_id: from,
      first_id: firstId,
      last_id: lastId,
      rows: BigInt(rows),
      state,
      ended_by: by,
      detail: '',
    })
    this.#coverage.push({
      of_stream: stream,
      from: formatTimeUs(fromUs),
      to: formatTimeUs(toUs),
      prev_id: String(from),
      first_id: String(firstId),
      last_id: String(lastId),
      rows,
      state,
      ended_by: by,
      detail: '',
      seq: String(this.#seq),
      connection: this.connection,
    })
  }

  async #publish(): Promise<void> {
    const objects: ManifestObject[] = []
    const id = { prefix: '', exchange: EXCHANGE, symbol: SYMBOL, run: this.#run, window: this.#window }
    for (const stream of [...STREAMS, 'coverage']) {
      const rows = this.#rows.get(stream) ?? []
      if (rows.length === 0 && stream !== 'coverage') continue
      const metadata = {
        schema: SCHEMA_VERSION,
        exchange: EXCHANGE,
        symbol: SYMBOL,
        stream,
        writer: 'scribe',
      }
      const body = encode(rows, stream, JSON.stringify(metadata))
      const key = objectKey({ ...id, stream, openedUs: this.#openedUs })
      await this.#place.bucket.put(key, body, sha256(body))
      objects.push({ stream, key, bytes: body.length, sha256: sha256(body), ...rangeOf(rows) })
    }
    const manifest = sealManifest({
      format: MANIFEST_FORMAT,
      exchange: EXCHANGE,
      symbol: SYMBOL,
      run: this.#run,
      window: this.#window,
      opened: formatTimeUs(this.#openedUs),
      closed: formatTimeUs(this.nowUs),
      objects,
      coverage: this.#coverage,
      counts: {},
      witness: 'replayed',
      written_by: 'scribe',
      recorded_by: 'scribe',
      writer: { capture: 'test', uid: '', pod: '', node: '' },
      predecessor: null,
      final: false,
      overlaps: false,
    })
    const bytes = serialiseManifest(manifest)
    await this.#place.bucket.put(keyOfManifest(manifest), bytes, sha256(bytes))
    this.manifests.push(manifest)
    this.#rows = new Map()
    this.#coverage = []
  }
}

function rangeOf(rows: readonly Row[]) {
  const fact = (row: Row | undefined, name: string) => String(row?.[name] ?? 0n)
  const idOf = (row: Row | undefined) => String(row?.update_id ?? row?.trade_id ?? 0n)
  const time = (row: Row | undefined) => (row === undefined ? null : formatTimeUs(Number(row.received_time)))
  const [first, last] = [rows[0], rows.at(-1)]
  return {
    rows: rows.length,
    first_seq: fact(first, 'seq'),
    last_seq: fact(last, 'seq'),
    first_id: idOf(first),
    last_id: idOf(last),
    first_time: time(first),
    last_time: time(last),
  }
}
