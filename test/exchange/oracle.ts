/**
 * What a message says, read the plain way: JSON.parse, then the obvious conversion of each field. The decoder
 * must never say anything else. Numbers keep their source text, because ids do not fit a double.
 *
 * Bytes become text as UTF-8 with replacement characters. So invalid UTF-8 inside a string is legal here, as it is
 * for the decoder: it can only stand in strings that nobody reads (a wrong symbol is rejected as one), and the
 * journal keeps the frame as it came. Outside of strings it is rejected by both.
 */
import assert from 'node:assert/strict'
import { BinanceUsdm } from '../../capture/exchange/binance-usdm/mod.ts'
import { type LevelBuffer, type Message, PrecisionError, ProtocolError } from '../../capture/exchange/mod.ts'

/** A number as it was spelt. */
class Numeral {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Fields = Readonly<Record<string, unknown>>
/** What a legal message says, in comparable form; NaN stands for an empty index price. */
export type Reading = Readonly<Record<string, unknown>> & { readonly kind: string }
/** `imprecise`: legal, but for a decimal with too many digits. */
export type Verdict =
  | { readonly verdict: 'legal'; readonly reading: Reading }
  | { readonly verdict: 'illegal' | 'imprecise' }

class Illegal extends Error {}

const DECIMAL = /^(0|[1-9]\d*)(\.\d+)?$/
const NEAREST = /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/
const INT64_MAX = 2n ** 63n - 1n

export function parseWithSource(text: string): unknown {
  const keep = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === 'number' ? new Numeral(context?.source ?? '') : value
  return JSON.parse(text, keep)
}

/** Reads one message on a socket of `symbol`. */
export function readPlainly(payload: Uint8Array, symbol: string): Verdict {
  let imprecise = false
  const decimal = (value: unknown): number => {
    if (typeof value !== 'string' || !DECIMAL.test(value)) throw new Illegal('decimal')
    if (significantDigits(value) > 15) imprecise = true
    return Number(value)
  }
  try {
    const top = object(parseWithSource(Buffer.from(payload).toString('utf8')))
    const reading = readTop(top, symbol, decimal)
    return imprecise ? { verdict: 'imprecise' } : { verdict: 'legal', reading }
  } catch (error) {
    if (error instanceof Illegal || error instanceof SyntaxError) return { verdict: 'illegal' }
    throw error
  }
}

export function significantDigits(decimal: string): number {
  return decimal.replace('.', '').replace(/^0+/, '').replace(/0+$/, '').length
}

function readTop(top: Fields, symbol: string, decimal: (value: unknown) => number): Reading {
  if (Object.hasOwn(top, 'e')) return readEvent(top, symbol, decimal)
  if (Object.hasOwn(top, 'error') || Object.hasOwn(top, 'code')) throw new Illegal('refused')
  if (Object.hasOwn(top, 'data')) return readEvent(object(top.data), symbol, decimal)
  if (Object.hasOwn(top, 'result') || Object.hasOwn(top, 'id')) return { kind: 'none' }
  throw new Illegal('neither')
}

function readEvent(event: Fields, symbol: string, decimal: (value: unknown) => number): Reading {
  const levels = (value: unknown): number[] =>
    array(value).flatMap((level) => {
      const pair = array(level)
      if (pair.length !== 2) throw new Illegal('level')
      const [price, qty] = [decimal(pair[0]), decimal(pair[1])]
      if (price === 0) throw new Illegal('price')
      return [price, qty]
    })
  if (event.s !== symbol) throw new Illegal('symbol')
  if (event.e === 'depthUpdate') {
    const ids = { previousId: id(event.pu), firstId: id(event.U), finalId: id(event.u) }
    if (ids.firstId > ids.finalId || ids.previousId > ids.finalId) throw new Illegal('ids')
    const times = { eventTime: time(event.E), transactionTime: time(event.T) }
    return { kind: 'depth', ...ids, ...times, bids: levels(event.b), asks: levels(event.a) }
  }
  if (event.e === 'aggTrade') {
    if (typeof event.m !== 'boolean') throw new Illegal('m')
    return {
      kind: 'trade',
      id: id(event.a),
      firstTradeId: id(event.f),
      lastTradeId: id(event.l),
      eventTime: time(event.E),
      tradeTime: time(event.T),
      price: decimal(event.p),
      qty: decimal(event.q),
      side: event.m ? 'sell' : 'buy',
    }
  }
  if (event.e !== 'markPriceUpdate') throw new Illegal('type')
  const prices = { markPrice: nearest(event.p), indexPrice: nearest(event.i), fundingRate: nearest(event.r) }
  return { kind: 'mark_price', eventTime: time(event.E), ...prices, nextFundingTime: time(event.T) }
}

function object(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Numeral) {
    throw new Illegal('object')
  }
  return value as Fields
}

function array(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Illegal('array')
  return value
}

function integer(value: unknown): string {
  if (!(value instanceof Numeral) || !/^\d+$/.test(value.text)) throw new Illegal('integer')
  return value.text
}

function id(value: unknown): bigint {
  const exact = BigInt(integer(value))
  if (exact > INT64_MAX) throw new Illegal('id')
  return exact
}

function time(value: unknown): number {
  const text = integer(value)
  if (text.length > 15) throw new Illegal('time')
  return Number(text)
}

function nearest(value: unknown): number {
  if (value === '') return Number.NaN
  if (typeof value !== 'string' || !NEAREST.test(value) || !Number.isFinite(Number(value)))
    throw new Illegal('nearest')
  return Number(value)
}

/** What the decoder made of a message, in the same form. */
export function readingOf(message: Message): Reading {
  const { kind, depth, trade, markPrice } = message
  if (kind === 'depth') {
    const { previousId, firstId, finalId, eventTime, transactionTime } = depth
    const sides = { bids: numbers(depth.bids), asks: numbers(depth.asks) }
    return { kind, previousId, firstId, finalId, eventTime, transactionTime, ...sides }
  }
  if (kind === 'trade') return { kind, ...trade }
  if (kind === 'mark_price') return { kind, ...markPrice }
  return { kind }
}

export const numbers = (side: LevelBuffer): number[] => [...side.data.subarray(0, side.length * 2)]

/** The decoder's outcome; any exception but its own two is a failure. */
export function decoded(
  payload: Uint8Array,
  symbol: string,
  message: Message,
): ProtocolError | PrecisionError | undefined {
  try {
    BinanceUsdm.decode(payload, symbol, message)
    return undefined
  } catch (error) {
    if (error instanceof ProtocolError || error instanceof PrecisionError) return error
    throw new Error(`another exception for ${Buffer.from(payload).toString('latin1')}`, { cause: error })
  }
}

/**
 * Decodes and compares. `strict`: each legal message must be accepted. Otherwise a legal one may be rejected if a
 * key stands in it twice: JSON.parse silently takes the last one, which the decoder must not.
 */
export function compare(
  payload: Uint8Array,
  symbol: string,
  message: Message,
  strict: boolean,
): 'accepted' | 'rejected' {
  const error = decoded(payload, symbol, message)
  const plain = readPlainly(payload, symbol)
  const show = (): string => Buffer.from(payload).toString('latin1')
  if (error === undefined) {
    assert.equal(plain.verdict, 'legal', `accepted, but ${plain.verdict}: ${show()}`)
    if (plain.verdict === 'legal') assert.deepStrictEqual(readingOf(message), { ...plain.reading }, show())
    return 'accepted'
  }
  if (plain.verdict === 'imprecise' && !hasRepeatedKey(payload))
    assert.ok(error instanceof PrecisionError, show())
  if (plain.verdict === 'legal') {
    assert.ok(!strict && hasRepeatedKey(payload), `rejected (${error.message}), but legal: ${show()}`)
  }
  return 'rejected'
}

function hasRepeatedKey(payload: Uint8Array): boolean {
  const keys =
    Buffer.from(payload)
      .toString('latin1')
      .match(/"(?:[^"\\]|\\.)*"(?=\s*:)/g) ?? []
  return new Set(keys).size < keys.length
}
