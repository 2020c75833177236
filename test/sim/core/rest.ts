/** The REST side of the protocol: four public endpoints, their weights, and the exchange's own errors. */
import type { Endpoint, Faults } from '../faults/mod.ts'
import type { SnapshotBody, Source } from '../source.ts'
import { exchangeInfo, type Listed } from './exchange-info.ts'
import type { Limits, Refusal } from './limits.ts'
import type { SimAnswer } from './transport.ts'

const DEPTH_WEIGHTS: ReadonlyMap<number, number> = new Map([
  [5, 2],
  [10, 2],
  [20, 2],
  [50, 2],
  [100, 5],
  [500, 10],
  [1000, 20],
])
const DEPTH_LIMIT_DEFAULT = 500
const TRADES_WEIGHT = 20
const TRADES_LIMIT_DEFAULT = 500
const TRADES_LIMIT_MAX = 1000

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  '/fapi/v1/depth': 'depth',
  '/fapi/v1/aggTrades': 'trades',
  '/fapi/v1/time': 'time',
  '/fapi/v1/exchangeInfo': 'info',
}

interface Said {
  readonly status: number
  readonly body: string | Uint8Array
}

export interface RestWorld {
  readonly source: Source
  readonly faults: Faults
  readonly limits: Limits
  /** The exchange's clock as this host is told it, milliseconds since the epoch. */
  now(address: string): number
  /** Milliseconds until the head of an answer goes out. */
  latencyMs(): number
  /** Whether the exchange is under maintenance. */
  down(): boolean
  listed(): readonly Listed[]
}

export class Rest {
  readonly #world: RestWorld

  constructor(world: RestWorld) {
    this.#world = world
  }

  /** Answers a GET; at once, except where a snapshot waits for its moment of a recording. */
  get(url: string, address: string): SimAnswer | Promise<SimAnswer> {
    const { pathname, searchParams } = new URL(url, 'http://sim')
    const refused = this.#world.limits.request(address, weightOf(pathname, searchParams))
    if (refused !== undefined) return this.#refusal(refused, address)
    if (this.#world.down()) return this.#answer(error(-1001, 'Under maintenance.', 503), address)
    const endpoint = Object.hasOwn(ENDPOINTS, pathname) ? ENDPOINTS[pathname] : undefined
    if (endpoint === undefined) {
      return this.#answer(error(-1000, `Path ${pathname} is not served by this simulator.`, 404), address)
    }
    const finish = (said: Said) =>
      this.#world.faults.answer(endpoint, searchParams.get('symbol'), address, this.#answer(said, address))
    const said = this.#say(endpoint, searchParams, address)
    return said instanceof Promise ? said.then(finish) : finish(said)
  }

  /** The answer to a request of another method than GET; it costs its weight like any. */
  refuseMethod(method: string, address: string): SimAnswer {
    const refused = this.#world.limits.request(address, 1)
    if (refused !== undefined) return this.#refusal(refused, address)
    return this.#answer(error(-1000, `Method ${method} is not supported.`, 405), address)
  }

  #refusal({ status, retryAfterSeconds }: Refusal, address: string): SimAnswer {
    const refused = error(-1003, 'Too many requests; please use the websocket for live updates.', status)
    return this.#answer(refused, address, { 'retry-after': String(retryAfterSeconds) })
  }

  #answer(said: Said, address: string, headers: Readonly<Record<string, string>> = {}): SimAnswer {
    const bytes = typeof said.body === 'string' ? Buffer.from(said.body) : said.body
    return {
      status: said.status,
      headers: {
        'content-type': 'application/json',
        'content-length': String(bytes.byteLength),
        // As of the answer, not the request: a snapshot may have waited, and others have asked meanwhile.
        'x-mbx-used-weight-1m': String(this.#world.limits.used(address)),
        ...headers,
      },
      pieces: [{ afterMs: 0, bytes }],
      end: 'complete',
      afterMs: this.#world.latencyMs(),
    }
  }

  #say(endpoint: Endpoint, query: URLSearchParams, address: string): Said | Promise<Said> {
    const now = Math.floor(this.#world.now(address))
    if (endpoint === 'time') return ok(JSON.stringify({ serverTime: now }))
    if (endpoint === 'info') return ok(exchangeInfo(this.#world.listed(), now))
    return endpoint === 'depth' ? this.#depth(query) : this.#trades(query)
  }

  #depth(query: URLSearchParams): Said | Promise<Said> {
    const text = query.get('limit') ?? String(DEPTH_LIMIT_DEFAULT)
    const limit = Number(text)
    if (!DEPTH_WEIGHTS.has(limit)) return error(-4021, `${text} is not valid depth limit.`)
    const wrong = this.#wrongSymbol(query)
    if (wrong !== undefined) return wrong
    const symbol = query.get('symbol') ?? ''
    const body = this.#world.source.snapshot(symbol, limit)
    return body instanceof Promise
      ? body.then((waited) => this.#snapshot(symbol, limit, waited))
      : this.#snapshot(symbol, limit, body)
  }

  #snapshot(symbol: string, limit: number, body: SnapshotBody): Said {
    const { source, faults } = this.#world
    if (body === undefined) {
      return error(-1000, `No snapshot of ${symbol}: subscribe its depth first, or it has none.`, 503)
    }
    const fresh = typeof body === 'string' ? body : Buffer.from(body).toString('utf8')
    const ago = (ms: number) => source.controls?.ago(symbol, limit, ms) ?? fresh
    const faulty = faults.snapshot(symbol, limit, fresh, ago)
    if (faulty === undefined) return ok(body)
    if (faulty.lie !== undefined) {
      const { lastUpdateId } = JSON.parse(faulty.body) as { readonly lastUpdateId: number }
      const id = BigInt(lastUpdateId)
      source.lied(symbol, { kind: faulty.kind, connection: undefined, id, levels: faulty.lie })
    }
    return ok(faulty.body)
  }

  #trades(query: URLSearchParams): Said {
    const wrong = this.#wrongSymbol(query)
    if (wrong !== undefined) return wrong
    const limit = Number(query.get('limit') ?? TRADES_LIMIT_DEFAULT)
    if (!Number.isInteger(limit) || limit < 1) {
      return error(-1130, "Data sent for parameter 'limit' is not valid.")
    }
    const from = query.get('fromId')
    if (from !== null && !/^\d{1,18}$/.test(from)) {
      return error(-1130, "Data sent for parameter 'fromId' is not valid.")
    }
    const rows = this.#world.source.trades(
      query.get('symbol') ?? '',
      from === null ? undefined : BigInt(from),
      Math.min(limit, TRADES_LIMIT_MAX),
    )
    return ok(JSON.stringify(rows))
  }

  #wrongSymbol(query: URLSearchParams): Said | undefined {
    const symbol = query.get('symbol') ?? ''
    if (symbol === '') {
      return error(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    }
    const listed = this.#world.listed().some((listing) => listing.symbol === symbol)
    return listed ? undefined : error(-1121, 'Invalid symbol.')
  }
}

/** Weights of the public endpoints, as the exchange documents them; anything else counts 1. */
function weightOf(path: string, query: URLSearchParams): number {
  if (path === '/fapi/v1/aggTrades') return TRADES_WEIGHT
  if (path !== '/fapi/v1/depth') return 1
  return DEPTH_WEIGHTS.get(Number(query.get('limit') ?? DEPTH_LIMIT_DEFAULT)) ?? 1
}

function ok(body: string | Uint8Array): Said {
  return { status: 200, body }
}

function error(code: number, msg: string, status = 400): Said {
  return { status, body: JSON.stringify({ code, msg }) }
}
