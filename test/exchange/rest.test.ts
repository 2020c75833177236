/** The answers that are read once in a while: the exchange's clock and its listing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BinanceUsdm } from '../../capture/exchange/binance-usdm/mod.ts'
import { ProtocolError } from '../../capture/exchange/mod.ts'

const bytes = (value: unknown): Buffer =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
const clock = (value: unknown): number => BinanceUsdm.decodeClock(bytes(value))

const LISTING = {
  timezone: 'UTC',
  rateLimits: [
    { rateLimitType: 'ORDERS', interval: 'MINUTE', intervalNum: 1, limit: 1200 },
    { rateLimitType: 'REQUEST_WEIGHT', interval: 'SECOND', intervalNum: 1, limit: 99 },
    { rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 5, limit: 6000 },
    { rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: 2400 },
  ],
  symbols: [
    { symbol: 'BTCUSDT', status: 'TRADING', pair: 'BTCUSDT' },
    { symbol: 'OLDUSDT', status: 'SETTLING' },
    { symbol: 'NEWUSDT', status: 'PENDING_TRADING' },
    { symbol: '币安人生USDT', status: 'TRADING' },
  ],
}
const listing = (symbol: string, value: unknown = LISTING) => BinanceUsdm.decodeListing(bytes(value), symbol)

test('clock: milliseconds since the epoch, and nothing else', () => {
  assert.equal(clock('{"serverTime":1721347022504}'), 1_721_347_022_504)
  assert.equal(clock({ serverTime: 1, more: true }), 1)
  for (const wrong of [
    '',
    '{}',
    '{"serverTime":"1721347022504"}',
    '{"serverTime":0}',
    '{"serverTime":-1}',
    '{"serverTime":1.5}',
    '{"serverTime":1e300}',
    '{"serverTime":null}',
    '[1]',
    'null',
    '<html>busy</html>',
    '{"serverTime":1',
  ]) {
    assert.throws(() => clock(wrong), ProtocolError, wrong)
  }
  assert.throws(() => clock('<html>busy'), /the answer to time is no JSON: <html>busy/)
})

test('listing: a symbol trades, does not, or is absent; the word is the exchange’s own', () => {
  assert.deepEqual(listing('BTCUSDT'), { status: 'trading', word: 'TRADING', weightPerMinute: 2400 })
  assert.deepEqual(listing('OLDUSDT'), { status: 'not_trading', word: 'SETTLING', weightPerMinute: 2400 })
  assert.equal(listing('NEWUSDT').status, 'not_trading')
  assert.equal(listing('币安人生USDT').status, 'trading')
  for (const absent of ['ETHUSDT', 'btcusdt', 'BTCUSD', '']) {
    assert.deepEqual(listing(absent), { status: 'absent', word: '', weightPerMinute: 2400 })
  }
})

test('listing: the weight is that of one minute, or unknown', () => {
  const rateLimits = LISTING.rateLimits.slice(0, 3)
  assert.equal(listing('BTCUSDT', { ...LISTING, rateLimits }).weightPerMinute, undefined)
  assert.equal(listing('BTCUSDT', { ...LISTING, rateLimits: [] }).weightPerMinute, undefined)
})

test('listing: an answer that is not as documented is refused, never read as absent', () => {
  for (const wrong of [
    '',
    '{}',
    '[]',
    'null',
    { ...LISTING, symbols: undefined },
    { ...LISTING, rateLimits: {} },
    { ...LISTING, symbols: [{ symbol: 'BTCUSDT' }] },
    { ...LISTING, symbols: [{ status: 'TRADING' }] },
    { ...LISTING, rateLimits: [{ rateLimitType: 'REQUEST_WEIGHT' }] },
    '{"code":-1003,"msg":"Too many requests"}',
  ]) {
    assert.throws(() => listing('BTCUSDT', wrong), ProtocolError, JSON.stringify(wrong))
  }
})

test('requests: paths and weights of clock and listing', () => {
  assert.deepEqual(BinanceUsdm.clock, { path: '/fapi/v1/time', weight: 1 })
  assert.deepEqual(BinanceUsdm.listing('BTCUSDT'), { path: '/fapi/v1/exchangeInfo', weight: 1 })
})
