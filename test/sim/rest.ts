/** The REST side of the protocol: four public endpoints, their weights, and the exchange's own errors. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { messageOf } from './errors.ts'
import { exchangeInfo } from './exchange-info.ts'
import type { Source } from './source.ts'
import { WeightCounter } from './weight.ts'

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

interface Answer {
  readonly status: number
  readonly body: string | Uint8Array
}

/**
 * A request handler for `node:http`. `now` is the exchange's clock, milliseconds since the epoch: the
 * machine's plus whatever skew is injected.
 */
export function serveRest(source: Source, now: () => number, note: (text: string) => void) {
  const weights = new WeightCounter(now)
  return (request: IncomingMessage, response: ServerResponse): void => {
    respond(request, response).catch((thrown: unknown) => {
      note(`${request.method} ${request.url} failed: ${messageOf(thrown)}`)
      if (!response.headersSent) response.writeHead(500)
      response.end()
    })
  }

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://sim')
    const { retryAfterSeconds } = weights.take(weightOf(pathname, searchParams))
    if (retryAfterSeconds > 0) {
      const refused = error(-1003, 'Too many requests; please use the websocket for live updates.', 429)
      send(response, refused, { 'retry-after': String(retryAfterSeconds) })
    } else if (request.method !== 'GET') {
      send(response, error(-1000, `Method ${request.method} is not supported.`, 405))
    } else send(response, await route(pathname, searchParams))
  }

  function send(response: ServerResponse, answer: Answer, headers: Record<string, string> = {}): void {
    response.writeHead(answer.status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(answer.body),
      // As of the answer, not the request: a snapshot may have waited, and others have asked meanwhile.
      'x-mbx-used-weight-1m': weights.used(),
      ...headers,
    })
    response.end(answer.body)
  }

  function route(path: string, query: URLSearchParams): Answer | Promise<Answer> {
    switch (path) {
      case '/fapi/v1/time':
        return ok(JSON.stringify({ serverTime: Math.floor(now()) }))
      case '/fapi/v1/exchangeInfo':
        return ok(exchangeInfo(source.listings(), Math.floor(now())))
      case '/fapi/v1/depth':
        return depth(query)
      case '/fapi/v1/aggTrades':
        return trades(query)
      default:
        return error(-1000, `Path ${path} is not served by this simulator.`, 404)
    }
  }

  async function depth(query: URLSearchParams): Promise<Answer> {
    const text = query.get('limit') ?? String(DEPTH_LIMIT_DEFAULT)
    const limit = Number(text)
    if (!DEPTH_WEIGHTS.has(limit)) return error(-4021, `${text} is not valid depth limit.`)
    const wrong = wrongSymbol(query)
    if (wrong !== undefined) return wrong
    const symbol = query.get('symbol') ?? ''
    const body = await source.snapshot(symbol, limit)
    if (body !== undefined) return ok(body)
    return error(-1000, `No snapshot of ${symbol}: subscribe its depth first, or it has none.`, 503)
  }

  function trades(query: URLSearchParams): Answer {
    const wrong = wrongSymbol(query)
    if (wrong !== undefined) return wrong
    const limit = Number(query.get('limit') ?? TRADES_LIMIT_DEFAULT)
    if (!Number.isInteger(limit) || limit < 1)
      return error(-1130, "Data sent for parameter 'limit' is not valid.")
    const from = query.get('fromId')
    if (from !== null && !/^\d{1,18}$/.test(from)) {
      return error(-1130, "Data sent for parameter 'fromId' is not valid.")
    }
    const rows = source.trades(
      query.get('symbol') ?? '',
      from === null ? undefined : BigInt(from),
      Math.min(limit, TRADES_LIMIT_MAX),
    )
    return ok(JSON.stringify(rows))
  }

  function wrongSymbol(query: URLSearchParams): Answer | undefined {
    const symbol = query.get('symbol') ?? ''
    if (symbol === '') {
      return error(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    }
    return source.symbols.includes(symbol) ? undefined : error(-1121, 'Invalid symbol.')
  }
}

/** Weights of the public endpoints, as the exchange documents them; anything else counts 1. */
function weightOf(path: string, query: URLSearchParams): number {
  if (path === '/fapi/v1/aggTrades') return TRADES_WEIGHT
  if (path !== '/fapi/v1/depth') return 1
  return DEPTH_WEIGHTS.get(Number(query.get('limit') ?? DEPTH_LIMIT_DEFAULT)) ?? 1
}

function ok(body: string | Uint8Array): Answer {
  return { status: 200, body }
}

function error(code: number, msg: string, status = 400): Answer {
  return { status, body: JSON.stringify({ code, msg }) }
}
