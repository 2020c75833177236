/**
 * A small exchange in a process of its own, for measuring: one symbol's recorded traffic over a real WebSocket, as
 * fast as the client takes it or at a pace, and the REST answers that a capture needs. It writes frames encoded
 * beforehand, many at once, so that the client is what limits a flood. The simulated exchange of the tests (test/sim)
 * is the one with the real one's rules; this one has none.
 *
 * Argument: ExchangeOptions as JSON. Tells its parent ExchangeNews.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Event, loadTraffic, repeatTraffic, SYMBOL, type Traffic } from './traffic.ts'
import { Truth } from './truth.ts'

export interface ExchangeOptions {
  readonly recording: string
  readonly profile: 'raw' | 'merged'
  readonly passes: number
  /** Only so many events; 0 for all. */
  readonly eventsMax: number
  /** 0: as fast as the client takes them. Else the recorded pace times this. */
  readonly speed: number
  /** Events a second, evenly; instead of a speed. */
  readonly rate?: number
  /** Where to leave when each event was sent, as JSON: [final id, milliseconds since the epoch][]. */
  readonly sentFile?: string
}

/** Times are milliseconds since the epoch. */
export type ExchangeNews =
  | {
      readonly news: 'ready'
      readonly endpoints: string
      readonly events: number
      readonly lastId: string
      readonly bytes: number
    }
  | { readonly news: 'connected' | 'asked' | 'flowing' | 'sent'; readonly at: number }

const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const CHUNK_BYTES = 64 * 1024
/**
 * Of a recording, by its events: so far the price stays within the reach of one snapshot. Audits follow the price by
 * the clock, and here hours of market go by in seconds.
 */
const CALM_SHARE = 0.66
const FIN_TEXT = 0x81
const PONG = Buffer.from([0x8a, 0])
const CLOSE = Buffer.from([0x88, 0])
const OPCODE_CLOSE = 0x88
/** Symbols that the exchange's listing has: a client's memory depends on its size (1 MB). */
const LISTED_SYMBOLS = 600

function tell(news: ExchangeNews): void {
  process.send?.(news)
}

function now(): number {
  return performance.timeOrigin + performance.now()
}

/** One unmasked text frame (RFC 6455, 5.2). */
function frame(payload: Buffer): Buffer {
  const { length } = payload
  const head = length < 126 ? Buffer.from([FIN_TEXT, length]) : Buffer.alloc(length < 65_536 ? 4 : 10)
  if (length >= 126) {
    head[0] = FIN_TEXT
    head[1] = length < 65_536 ? 126 : 127
    if (length < 65_536) head.writeUInt16BE(length, 2)
    else head.writeBigUInt64BE(BigInt(length), 2)
  }
  return Buffer.concat([head, payload])
}

interface Chunk {
  readonly bytes: Buffer
  readonly events: number
}

/** Whole frames together, in writes of about 64 KiB. */
function chunksOf(events: readonly Event[]): Chunk[] {
  const chunks: Chunk[] = []
  let parts: Buffer[] = []
  let bytes = 0
  for (const { payload } of events) {
    const encoded = frame(payload)
    parts.push(encoded)
    bytes += encoded.length
    if (bytes < CHUNK_BYTES) continue
    chunks.push({ bytes: Buffer.concat(parts), events: parts.length })
    parts = []
    bytes = 0
  }
  if (parts.length > 0) chunks.push({ bytes: Buffer.concat(parts), events: parts.length })
  return chunks
}

/** A listing as long as the real one. */
function listing(): string {
  const symbols = Array.from({ length: LISTED_SYMBOLS }, (_, i) => ({
    symbol: i === 0 ? SYMBOL : `COIN${i}USDT`,
    pair: i === 0 ? SYMBOL : `COIN${i}USDT`,
    contractType: 'PERPETUAL',
    deliveryDate: 4133404800000,
    onboardDate: 1569398400000,
    status: 'TRADING',
    baseAsset: `COIN${i}`,
    quoteAsset: 'USDT',
    marginAsset: 'USDT',
    pricePrecision: 2,
    quantityPrecision: 3,
    baseAssetPrecision: 8,
    quotePrecision: 8,
    underlyingType: 'COIN',
    underlyingSubType: ['PoW'],
    triggerProtect: '0.0500',
    liquidationFee: '0.012500',
    marketTakeBound: '0.05',
    maxMoveOrderLimit: 10000,
    filters: [
      'PRICE_FILTER',
      'LOT_SIZE',
      'MARKET_LOT_SIZE',
      'MAX_NUM_ORDERS',
      'MIN_NOTIONAL',
      'PERCENT_PRICE',
    ].map((filterType) => ({
      filterType,
      minPrice: '556.80',
      maxPrice: '4529764',
      tickSize: '0.10',
      limit: 200,
    })),
    orderTypes: ['LIMIT', 'MARKET', 'STOP', 'STOP_MARKET', 'TAKE_PROFIT', 'TAKE_PROFIT_MARKET'],
    timeInForce: ['GTC', 'IOC', 'FOK', 'GTX', 'GTD'],
  }))
  const rateLimits = [{ rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: 2400 }]
  return JSON.stringify({ timezone: 'UTC', serverTime: Date.now(), rateLimits, exchangeFilters: [], symbols })
}

/**
 * Sends the events to one client: the first at once, the others when the snapshot has been asked for; a flood also
 * waits for the parent's word, so that it can take the client's measure before.
 */
class Delivery {
  readonly #socket: Duplex
  readonly #events: readonly Event[]
  readonly #chunks: readonly Chunk[]
  readonly #options: ExchangeOptions
  readonly #sentAt: [id: number, at: number][] = []
  #begun = false
  /** Events sent. */
  #sent = 1
  #snapshots = 0

  constructor(socket: Duplex, traffic: Traffic, chunks: readonly Chunk[], options: ExchangeOptions) {
    this.#socket = socket
    this.#events = traffic.events
    this.#chunks = chunks
    this.#options = options
    socket.write(frame(traffic.events[0].payload))
    if (options.speed > 0) this.begin()
  }

  begin(): void {
    if (this.#begun) return
    this.#begun = true
    tell({ news: 'flowing', at: now() })
    if (this.#options.speed > 0 || this.#options.rate !== undefined) this.#pace(now())
    else this.#flood(0)
  }

  /** Every event counts: the first join gets the snapshot with which the traffic begins, all later ones the true book. */
  snapshot(first: Buffer, truth: Truth): Buffer {
    return this.#snapshots++ === 0 ? first : truth.after(this.#sent)
  }

  #flood(from: number): void {
    for (let i = from; i < this.#chunks.length; i++) {
      const { bytes, events } = this.#chunks[i]
      this.#sent += events
      if (this.#socket.write(bytes)) continue
      this.#socket.once('drain', () => this.#flood(i + 1))
      return
    }
    this.#socket.write(PONG, () => tell({ news: 'sent', at: now() }))
  }

  #pace(startedAt: number): void {
    const events = this.#events
    const { speed, rate, sentFile } = this.#options
    const dueAt = () =>
      rate === undefined
        ? (events[this.#sent].received - events[0].received) / 1000 / speed + startedAt
        : (this.#sent / rate) * 1000 + startedAt
    for (; this.#sent < events.length && dueAt() <= now(); this.#sent++) {
      const { payload, depth } = events[this.#sent]
      if (sentFile !== undefined) this.#sentAt.push([depth.u, now()])
      this.#socket.write(frame(payload))
    }
    if (this.#sent < events.length) {
      if (!this.#socket.destroyed) setTimeout(() => this.#pace(startedAt), Math.max(1, dueAt() - now()))
      return
    }
    if (sentFile !== undefined) writeFileSync(sentFile, JSON.stringify(this.#sentAt))
    tell({ news: 'sent', at: now() })
  }
}

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2]) as ExchangeOptions
  const loaded = (await loadTraffic(options.recording))[options.profile]
  const calm = { ...loaded, events: loaded.events.slice(0, Math.floor(loaded.events.length * CALM_SHARE)) }
  const whole = repeatTraffic(calm, options.passes)
  const traffic = { ...whole, events: whole.events.slice(0, options.eventsMax || undefined) }
  const isFlood = options.speed === 0 && options.rate === undefined
  const chunks = isFlood ? chunksOf(traffic.events.slice(1)) : []
  const info = listing()
  const truth = new Truth(traffic)
  let delivery: Delivery | undefined

  process.on('message', (word) => {
    if (word === 'flood') delivery?.begin()
  })

  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    response.setHeader('x-mbx-used-weight-1m', '1')
    response.setHeader('content-type', 'application/json')
    if (request.url?.startsWith('/fapi/v1/depth') === true) {
      tell({ news: 'asked', at: now() })
      const body = delivery?.snapshot(traffic.snapshot, truth) ?? traffic.snapshot
      response.end(body, () => {
        if (!isFlood) delivery?.begin()
      })
    } else if (request.url?.startsWith('/fapi/v1/exchangeInfo') === true) response.end(info)
    else response.end(`{"serverTime":${Date.now()}}`)
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    const key = createHash('sha1').update(`${request.headers['sec-websocket-key']}${WEBSOCKET_GUID}`)
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key.digest('base64')}\r\n\r\n`,
    )
    socket.on('data', (bytes: Buffer) => {
      // a client sends pings and at last a close; both get the short answer
      if (bytes[0] === OPCODE_CLOSE) socket.end(CLOSE)
      else socket.write(PONG)
    })
    socket.on('error', () => socket.destroy()) // the client is gone: what it missed is its parent's to notice
    tell({ news: 'connected', at: now() })
    delivery = new Delivery(socket, traffic, chunks, options)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  const last = traffic.events[traffic.events.length - 1]
  tell({
    news: 'ready',
    endpoints: `http://127.0.0.1:${port}`,
    events: traffic.events.length,
    lastId: String(last.depth.u),
    bytes: traffic.events.reduce((sum, { payload }) => sum + payload.length, 0),
  })
}

// the parent's end is ours
process.on('disconnect', () => process.exit(0))
await main()
