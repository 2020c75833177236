import { z } from 'zod'
import { ProtocolError } from '../errors.ts'
import type { LastTrade, Listing } from '../exchange.ts'

/** Answers of the REST endpoints that are read once in a while: clarity before speed. */

const Clock = z.object({ serverTime: z.int().positive() })

const Limits = z.object({
  rateLimits: z.array(
    z.object({
      rateLimitType: z.string(),
      interval: z.string(),
      intervalNum: z.int(),
      limit: z.int().positive(),
    }),
  ),
  symbols: z.array(z.object({ symbol: z.string(), status: z.string() })),
})

// ids are read by JSON.parse: exact up to 2^53, which Zod's int checks; aggregate ids stay far below it
const AggTrades = z.array(z.object({ a: z.int().nonnegative(), T: z.int().positive() }))

/** GET /fapi/v1/aggTrades: the latest aggregated trade; undefined where the symbol never traded. */
export function decodeLastTrade(body: Uint8Array): LastTrade | undefined {
  const last = parse(AggTrades, body, 'aggTrades').at(-1)
  return last === undefined ? undefined : { id: BigInt(last.a), time: last.T }
}

/** GET /fapi/v1/time: the exchange's clock, ms since the epoch. */
export function decodeClock(body: Uint8Array): number {
  return parse(Clock, body, 'time').serverTime
}

/**
 * GET /fapi/v1/exchangeInfo: is the symbol listed, does it trade, and how much request weight has an address a
 * minute. Status words: https://developers.binance.com, "contractStatus" (TRADING, PENDING_TRADING, SETTLING, …).
 */
export function decodeListing(body: Uint8Array, symbol: string): Listing {
  const info = parse(Limits, body, 'exchangeInfo')
  const weight = info.rateLimits.find(
    (limit) =>
      limit.rateLimitType === 'REQUEST_WEIGHT' && limit.interval === 'MINUTE' && limit.intervalNum === 1,
  )
  const listed = info.symbols.find((candidate) => candidate.symbol === symbol)
  const status = listed === undefined ? 'absent' : listed.status === 'TRADING' ? 'trading' : 'not_trading'
  return { status, word: listed?.status ?? '', weightPerMinute: weight?.limit }
}

function parse<T>(schema: z.ZodType<T>, body: Uint8Array, name: string): T {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    throw new ProtocolError(
      `the answer to ${name} is no JSON: ${Buffer.from(body).toString('latin1').slice(0, 80)}`,
    )
  }
  const result = schema.safeParse(value)
  if (!result.success)
    throw new ProtocolError(`the answer to ${name} is not as documented: ${z.prettifyError(result.error)}`)
  return result.data
}
