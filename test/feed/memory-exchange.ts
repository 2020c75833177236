import type { Http, OpenSocket, Random, RawSocketEvents } from '../../capture/feed/mod.ts'
import { listingBody } from './local-exchange.ts'
import type { ManualTime } from './manual-time.ts'

const TIME_WEIGHT = 1
const LISTING_WEIGHT = 1
const DEPTH_WEIGHTS: Readonly<Record<string, number>> = { '50': 2, '100': 5, '500': 10, '1000': 20 }
const TRADES_WEIGHT = 20
const MINUTE_MS = 60_000

/** The exchange's side of one socket in memory. */
export interface MemorySocket {
  readonly url: string
  state: 'connecting' | 'open' | 'ended'
  readonly events: RawSocketEvents
  /** Pings are answered. */
  answers: boolean
}

export interface MemoryExchangeOptions {
  readonly time: ManualTime
  readonly random: Random
  /** Weight of a minute; beyond it 429 is answered. */
  readonly weightLimit?: number
  /** Longest way there, and back, milliseconds; each is at least a tenth of it. */
  readonly wayMsMax?: number
}

/**
 * An exchange without a network, in virtual time: sockets that open, speak once and stay open; REST with one
 * used weight for all who ask, in the exchange's fixed minutes, told by answers that take their time.
 */
export class MemoryExchange {
  /** Elapsed milliseconds of every attempt to connect, and of what was asked for by HTTP. */
  readonly attemptsAtMs: number[] = []
  readonly asked: string[] = []
  sockets: MemorySocket[] = []
  isUp = true
  /** Sockets are opened by the test itself. */
  opensByHand = false
  /** HTTP answers with 500. */
  isIll = false
  /** HTTP answers do not tell the weight. */
  isMute = false
  /** Requests beyond the limit. */
  limited = 0
  /** Largest weight of any minute. */
  weightMax = 0
  #minute = 0
  #used = 0
  readonly #options: MemoryExchangeOptions

  constructor(options: MemoryExchangeOptions) {
    this.#options = options
  }

  /** Weight used in the current minute, as others besides the feeds may use it too. */
  use(weight: number): number {
    const minute = Math.floor(this.#options.time.wallUs() / 1000 / MINUTE_MS)
    if (minute !== this.#minute) this.#used = 0
    this.#minute = minute
    this.#used += weight
    this.weightMax = Math.max(this.weightMax, this.#used)
    return this.#used
  }

  get open(): readonly MemorySocket[] {
    return this.sockets.filter((socket) => socket.state === 'open')
  }

  readonly openSocket: OpenSocket = (url, _limits, events) => {
    const { time } = this.#options
    const socket: MemorySocket = { url, state: 'connecting', events, answers: true }
    this.attemptsAtMs.push(time.monotonicUs() / 1000)
    this.sockets.push(socket)
    time.after(this.#wayMs(), () => {
      if (socket.state !== 'connecting') return
      if (!this.isUp) this.refuse(socket)
      else if (!this.opensByHand) this.accept(socket)
    })
    return {
      send: () => {},
      ping: () => time.after(this.#wayMs(), () => socket.answers && events.pong()),
      close: (code) => time.after(this.#wayMs(), () => socket.answers && this.cut(socket, code, '')),
      terminate: () =>
        socket.state === 'connecting' ? this.refuse(socket, 'terminated') : this.cut(socket, 1006, ''),
    }
  }

  accept(socket: MemorySocket): void {
    socket.state = 'open'
    socket.events.open()
    if (socket.state === 'open') socket.events.message(Buffer.from('data'))
  }

  refuse(socket: MemorySocket, why = 'ECONNREFUSED', status = 0, retryAfterMs = 0): void {
    this.#end(socket)
    socket.events.failed(why, status, retryAfterMs)
  }

  cut(socket: MemorySocket, code = 1006, reason = ''): void {
    if (socket.state === 'ended') return
    this.#end(socket)
    socket.events.closed(code, reason)
  }

  readonly http: Http = async (url, signal) => {
    const path = url.slice(url.indexOf('/', 'https://'.length))
    await this.#way(signal)
    this.asked.push(path)
    if (!this.isUp) throw new Error('ECONNREFUSED')
    const used = this.use(weightOf(path))
    const tooMuch = used > (this.#options.weightLimit ?? 2400)
    if (tooMuch) this.limited++
    const { isIll, isMute } = this
    const body = Buffer.from(this.#bodyOf(path))
    await this.#way(signal)
    return {
      status: tooMuch ? 429 : isIll ? 500 : 200,
      header: (name) => (name.startsWith('x-mbx-used-weight') && !isMute ? String(used) : null),
      body: (async function* () {
        yield body
      })(),
    }
  }

  #bodyOf(path: string): string {
    if (path.startsWith('/fapi/v1/time'))
      return JSON.stringify({ serverTime: Math.floor(this.#options.time.wallUs() / 1000) })
    return path.startsWith('/fapi/v1/exchangeInfo') ? listingBody('BTCUSDT', 'TRADING') : '{}'
  }

  #end(socket: MemorySocket): void {
    socket.state = 'ended'
    this.sockets = this.sockets.filter((other) => other !== socket)
  }

  #wayMs(): number {
    const { random, wayMsMax = 0 } = this.#options
    return wayMsMax * (0.1 + 0.9 * random())
  }

  #way(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#options.time.after(this.#wayMs(), resolve)
      signal.addEventListener('abort', () => {
        cancel()
        reject(new Error('aborted'))
      })
    })
  }
}

function weightOf(path: string): number {
  if (path.startsWith('/fapi/v1/time')) return TIME_WEIGHT
  if (path.startsWith('/fapi/v1/exchangeInfo')) return LISTING_WEIGHT
  if (path.startsWith('/fapi/v1/aggTrades')) return TRADES_WEIGHT
  const weight = DEPTH_WEIGHTS[new URL(path, 'http://exchange').searchParams.get('limit') ?? '']
  if (weight === undefined) throw new Error(`a request that this exchange does not know: ${path}`)
  return weight
}

/** A seeded random number generator (a linear congruence of 32 bits, good enough to spread a crowd). */
export function seeded(seed: number): Random {
  let state = (seed ^ 0x9e3779b9) >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
