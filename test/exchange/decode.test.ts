/** The decoder of messages: what is legal is read exactly, what is not is refused by a typed error. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BinanceUsdm } from '../../capture/exchange/binance-usdm/mod.ts'
import { Message, PrecisionError, ProtocolError } from '../../capture/exchange/mod.ts'
import {
  type Field,
  KINDS,
  type Kind,
  KNOWN_UNNEEDED,
  message as legalMessage,
  NEEDED,
  neededFields,
  objectTokens,
  SYMBOL,
} from './arbitraries.ts'
import { compare, decoded } from './oracle.ts'
import { SEED } from './seed.ts'

const STREAM_OF = { depthUpdate: 'depth', aggTrade: 'trades', markPriceUpdate: 'mark_price' } as const

const EXAMPLES: Readonly<Record<Kind, string>> = {
  depthUpdate:
    '{"e":"depthUpdate","E":1721347022504,"T":1721347022503,"s":"BTCUSDT","U":11,"u":20,"pu":9,"b":[["63943.90","46.371"]],"a":[["63944.00","0.000"]]}',
  aggTrade:
    '{"e":"aggTrade","E":1721347022504,"s":"BTCUSDT","a":77,"p":"63943.90","q":"0.003","f":100,"l":102,"T":1721347022500,"m":true}',
  markPriceUpdate:
    '{"e":"markPriceUpdate","E":1680652701000,"s":"BTCUSDT","p":"28147.27373413","P":"28142.15563565","i":"28159.75642857","r":"-0.00002754","T":1680652800000}',
}

const wrap = (event: string): string => `{"stream":"btcusdt@x","data":${event}}`
const join = (fields: readonly Field[]): string => objectTokens(fields).join('')

function decode(text: string, symbol = SYMBOL): Message {
  const message = new Message()
  BinanceUsdm.decode(Buffer.from(text), symbol, message)
  return message
}

/** The error of a message that must be refused; its stream is named where the type was readable. */
function refused(text: string, kind?: Kind, symbol = SYMBOL): ProtocolError {
  for (const [payload, stream] of [
    [text, kind],
    [wrap(text), kind],
  ] as const) {
    const error = decoded(Buffer.from(payload), symbol, new Message())
    assert.ok(error instanceof ProtocolError, `not refused: ${payload}`)
    assert.equal(error.code, 'ProtocolError')
    assert.equal(error.stream, stream === undefined ? undefined : STREAM_OF[stream], payload)
    if (payload !== text) return error
  }
  throw new Error('unreachable')
}

test('messages: any key order, white space, unknown fields, wrapped or bare, says what JSON.parse says', (t) => {
  const seen = new Map<string, number>()
  const message = new Message() // reused, as in production: nothing of an earlier message may show
  fc.assert(
    fc.property(legalMessage, ({ kind, text, unknownFields, wrapped }) => {
      assert.equal(compare(Buffer.from(text), SYMBOL, message, true), 'accepted')
      assert.equal(message.unknownFields, unknownFields)
      const name = `${kind} ${wrapped ? 'wrapped' : 'bare'}`
      seen.set(name, (seen.get(name) ?? 0) + 1)
    }),
    { seed: SEED, numRuns: 4000 },
  )
  assert.equal(seen.size, 6)
  t.diagnostic([...seen].map(([name, count]) => `${name}: ${count}`).join(', '))
})

test('messages: a needed field that is missing or comes twice is refused, and the error names the stream', () => {
  for (const kind of KINDS) {
    fc.assert(
      fc.property(neededFields(kind), fc.nat(), fc.nat(), (fields, which, where) => {
        const [key] = fields[which % fields.length]
        const missing = join(fields.filter(([other]) => other !== key))
        refused(missing, key === 'e' ? undefined : kind)
        const twice = fields.toSpliced(where % (fields.length + 1), 0, fields[which % fields.length])
        refused(join(twice), kind)
      }),
      { seed: SEED, numRuns: 200 },
    )
  }
})

test('messages: each needed field is needed, alone', () => {
  for (const kind of KINDS) {
    const example = JSON.parse(EXAMPLES[kind]) as Record<string, unknown>
    decode(JSON.stringify(example))
    for (const key of NEEDED[kind]) {
      refused(JSON.stringify({ ...example, [key]: undefined }), key === 'e' ? undefined : kind)
    }
  }
})

test('messages: fields of another type than documented are refused', () => {
  for (const kind of KINDS) {
    const example = JSON.parse(EXAMPLES[kind]) as Record<string, unknown>
    for (const key of NEEDED[kind]) {
      for (const wrong of [
        null,
        [],
        {},
        -1,
        1.5,
        'x',
        [['1']],
        [['1', '2', '3']],
        [[1, 2]],
        '1e5',
        ' 1',
        '+1',
        1e21,
      ]) {
        if (kind === 'markPriceUpdate' && 'pir'.includes(key) && wrong === '1e5') continue // its prices may
        if (kind === 'depthUpdate' && 'ba'.includes(key) && Array.isArray(wrong) && wrong.length === 0)
          continue
        refused(JSON.stringify({ ...example, [key]: wrong }), key === 'e' ? undefined : kind)
      }
    }
  }
})

test('messages: a type that comes twice is refused, not the last one taken', () => {
  const fields = EXAMPLES.markPriceUpdate.slice(0, -1)
  refused(`${fields},"e":"aggTrade"}`, 'markPriceUpdate')
  refused(`${fields},"e":"markPriceUpdate"}`, 'markPriceUpdate')
})

test('messages: an event of another symbol is refused, one whose symbol is spelt with escapes is not', () => {
  for (const kind of KINDS) {
    for (const other of ['ETHUSDT', 'BTCUSD', 'BTCUSDTT', 'btcusdt', '', '\\u0000']) {
      refused(EXAMPLES[kind].replace('BTCUSDT', other), kind)
    }
    assert.match(refused(EXAMPLES[kind].replace('BTCUSDT', 'ETHUSDT'), kind).message, /ETHUSDT.*BTCUSDT/)
    assert.notEqual(decode(EXAMPLES[kind].replace('BTCUSDT', 'BTC\\u0055SDT')).kind, 'none')
    assert.notEqual(decode(EXAMPLES[kind].replace('BTCUSDT', '币安人生USDT'), '币安人生USDT').kind, 'none')
    refused(EXAMPLES[kind].replace('BTCUSDT', '币安人USDT'), kind, '币安人生USDT')
  }
})

test('messages: an event of unknown type is refused, and no stream is blamed', () => {
  for (const type of ['bookTicker', 'depthUpdat', 'depthUpdate2', '', 'aggtrade', '24hrTicker']) {
    const error = refused(EXAMPLES.depthUpdate.replace('depthUpdate', type))
    assert.match(error.message, /unknown type/)
  }
  refused('{"E":1}')
})

test('messages: ids that run backwards are refused', () => {
  refused(EXAMPLES.depthUpdate.replace('"U":11', '"U":21'), 'depthUpdate')
  refused(EXAMPLES.depthUpdate.replace('"pu":9', '"pu":21'), 'depthUpdate')
  assert.equal(decode(EXAMPLES.depthUpdate.replace('"pu":9', '"pu":20')).depth.previousId, 20n)
})

test('messages: a price of zero is refused, a quantity of zero is a delete', () => {
  refused(EXAMPLES.depthUpdate.replace('63943.90', '0.00'), 'depthUpdate')
  assert.equal(decode(EXAMPLES.depthUpdate).depth.asks.data[1], 0)
})

test('messages: the maker decides the side: a buyer who was the maker means that the taker sold', () => {
  assert.equal(decode(EXAMPLES.aggTrade).trade.side, 'sell')
  assert.equal(decode(EXAMPLES.aggTrade.replace('true', 'false')).trade.side, 'buy')
})

test('messages: an empty index price is NaN, not an error', () => {
  const { markPrice } = decode(EXAMPLES.markPriceUpdate.replace('28159.75642857', ''))
  assert.ok(Number.isNaN(markPrice.indexPrice))
  assert.equal(markPrice.fundingRate, -0.00002754)
})

test('messages: too many digits are PrecisionError in books and trades, the nearest double in mark prices', () => {
  const long = '12345678.123456789'
  for (const [kind, decimal] of [
    ['depthUpdate', '46.371'],
    ['depthUpdate', '63943.90'],
    ['aggTrade', '0.003'],
    ['aggTrade', '63943.90'],
  ] as const) {
    const text = EXAMPLES[kind].replace(decimal, long)
    assert.ok(decoded(Buffer.from(text), SYMBOL, new Message()) instanceof PrecisionError)
  }
  assert.equal(
    decode(EXAMPLES.markPriceUpdate.replace('28147.27373413', long)).markPrice.markPrice,
    Number(long),
  )
})

test('messages: answers are no data, refusals are errors', () => {
  for (const answer of ['{"result":null,"id":1}', '{"id":1,"result":null}', ' {"id":"x","result":["a"]} ']) {
    assert.equal(decode(answer).kind, 'none')
  }
  for (const refusal of [
    '{"error":{"code":2,"msg":"bad"},"id":1}',
    '{"id":1,"error":{}}',
    '{"code":-1121,"msg":"Invalid symbol."}',
  ]) {
    const error = decoded(Buffer.from(refusal), SYMBOL, new Message())
    assert.match(error?.message ?? '', /refused/)
    assert.ok(error instanceof ProtocolError && error.stream === undefined)
  }
})

test('messages: what is neither an event nor an answer is refused', () => {
  const event = EXAMPLES.depthUpdate
  for (const text of [
    '',
    ' ',
    '{}',
    '[]',
    'null',
    '1',
    '"x"',
    '{"stream":"x"}',
    '{"data":1}',
    '{"data":[]}',
    `[${event}]`,
    `${event}${event}`,
    `${event} x`,
    `{"data":${event},"data":${event}}`,
    `{"data":${event}`,
    `\ufeff${event}`,
    event.slice(0, -1),
  ]) {
    const error = decoded(Buffer.from(text), SYMBOL, new Message())
    assert.ok(error instanceof ProtocolError, `not refused: ${text}`)
  }
})

test('messages: unknown fields are counted, each message anew; those known and unneeded are not', () => {
  const message = new Message()
  const run = (text: string): number => {
    BinanceUsdm.decode(Buffer.from(text), SYMBOL, message)
    return message.unknownFields
  }
  for (const kind of KINDS) {
    const open = EXAMPLES[kind].slice(0, -1)
    assert.equal(run(`${open},"x":{"y":[1,null,"\\u00e9\\ud800"]},"zz":-1.5e-7}`), 2)
    assert.equal(run(EXAMPLES[kind]), 0)
    assert.equal(run(`${open},${KNOWN_UNNEEDED.map((key) => `"${key}":"1"`).join(',')}}`), 0)
    assert.equal(run(wrap(`${open},"x":1}`).replace('{', '{"y":2,')), 2)
  }
  // the type last: what comes before it is looked at twice, and counted once
  assert.equal(
    run(EXAMPLES.aggTrade.replace('"e":"aggTrade",', '"x":1,').replace('}', ',"e":"aggTrade"}')),
    1,
  )
})

test('messages: a key that is spelt with escapes is an unknown field, never a needed one', () => {
  refused(EXAMPLES.aggTrade.replace('"p":', '"\\u0070":'), 'aggTrade')
  assert.equal(decode(EXAMPLES.aggTrade.replace('"p":', '"\\u0078":1,"p":')).unknownFields, 1)
})

test('messages: invalid UTF-8 is harmless in strings that nobody reads, and refused everywhere else', () => {
  const at = (text: string, bytes: readonly number[]): Buffer => {
    const [before, after] = text.split('@')
    return Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)])
  }
  for (const bytes of [[0xff], [0xc3], [0xe5, 0xb8], [0xed, 0xa0, 0x80], [0xc0, 0x80]]) {
    const message = new Message()
    const open = EXAMPLES.aggTrade.slice(0, -1)
    assert.equal(compare(at(`${open},"x":"@"}`, bytes), SYMBOL, message, true), 'accepted')
    assert.equal(compare(at(`${open},"x@":1}`, bytes), SYMBOL, message, true), 'accepted')
    for (const text of [
      `${open}@}`,
      `@${open}}`,
      `${open}}@`,
      `${open.replace('BTCUSDT', 'BTCUSDT@')}}`,
      `${open},"x":@1}`,
    ]) {
      assert.equal(compare(at(text, bytes), SYMBOL, message, true), 'rejected')
    }
  }
})

test('messages: nesting and numbers beyond the limits are refused, those at it are not', () => {
  const open = EXAMPLES.aggTrade.slice(0, -1)
  const nested = (depth: number): string => `${open},"x":${'['.repeat(depth)}${']'.repeat(depth)}}`
  assert.equal(decode(nested(65)).kind, 'trade')
  refused(nested(66), 'aggTrade')
  refused(nested(200_000), 'aggTrade')
  assert.equal(decode(`${open},"x":${'1'.repeat(400)}}`).kind, 'trade')
  refused(`${open},"x":${'1'.repeat(401)}}`, 'aggTrade')
})
