/** The reader of JSON: its grammar is that of JSON.parse, its numbers are exact or refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { JsonScanner } from '../../capture/exchange/json/scanner.ts'
import { LevelBuffer, PrecisionError, ProtocolError } from '../../capture/exchange/mod.ts'
import { decimalText, id, spaced, spaces } from './arbitraries.ts'
import { significantDigits } from './oracle.ts'
import { SEED } from './seed.ts'

const scanner = new JsonScanner()

function over(text: string): JsonScanner {
  scanner.reset(Buffer.from(text))
  return scanner
}

const decimalOf = (text: string): number => over(`"${text}"`).decimal()

/** Is it one legal JSON value, as the scanner judges? */
function isLegal(text: string): boolean {
  try {
    over(text).skipValue()
    scanner.finish()
    return true
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error))
    return false
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false // the answer that was asked for
  }
}

test('decimals: up to 15 significant digits give the double that Number gives, bit for bit', () => {
  fc.assert(
    fc.property(decimalText(15), (text) => {
      assert.ok(Object.is(decimalOf(text), Number(text)), text)
    }),
    { seed: SEED, numRuns: 20_000 },
  )
  for (const text of [
    '0',
    '0.0',
    '1',
    '10',
    '100',
    '0.1',
    '1.50',
    '0.00000167',
    '999999999999999',
    '0.000000000000000000000000000123456789012345',
    `1${'0'.repeat(40)}`,
    `0.${'0'.repeat(60)}`,
    `1${'0'.repeat(308)}`,
    `0.${'0'.repeat(306)}123456789012345`,
  ]) {
    assert.ok(Object.is(decimalOf(text), Number(text)), text)
  }
})

test('decimals: equal decimals give equal doubles however they are spelt', () => {
  fc.assert(
    fc.property(decimalText(15), fc.nat(20), (text, zeros) => {
      const longer = (text.includes('.') ? text : `${text}.0`) + '0'.repeat(zeros)
      assert.equal(decimalOf(longer), decimalOf(text))
    }),
    { seed: SEED, numRuns: 2000 },
  )
})

test('decimals: 16 significant digits and more are PrecisionError, zeros stripped at both ends', () => {
  const digit = fc.integer({ min: 1, max: 9 })
  fc.assert(
    fc.property(
      digit,
      fc.array(fc.nat(9), { minLength: 14, maxLength: 40 }),
      digit,
      fc.nat(60),
      fc.nat(20),
      (first, middle, last, scale, zeros) => {
        const digits = `${first}${middle.join('')}${last}`
        const padded = digits.padStart(scale + 1, '0')
        const text =
          scale === 0
            ? `${digits}${'0'.repeat(zeros)}`
            : `${padded.slice(0, -scale).replace(/^0+(?=\d)/, '')}.${padded.slice(-scale)}${'0'.repeat(zeros)}`
        assert.ok(significantDigits(text) >= 16)
        assert.throws(() => decimalOf(text), { name: 'PrecisionError', code: 'PrecisionError' }, text)
      },
    ),
    { seed: SEED, numRuns: 3000 },
  )
  assert.throws(() => decimalOf('1000000000000001'), PrecisionError)
  assert.equal(decimalOf('1000000000000000'), 1e15)
  assert.equal(decimalOf('0.00100000000000001000'), 0.00100000000000001)
})

test('decimals: every other spelling is refused', () => {
  for (const text of [
    '',
    '.',
    '1.',
    '.5',
    '00',
    '01',
    '00.1',
    '-1',
    '+1',
    '-0',
    '1e5',
    '1E5',
    '1.5e-7',
    ' 1',
    '1 ',
    '1,5',
    '1.2.3',
    '1..2',
    '0x1',
    'NaN',
    'Infinity',
    '١',
    '1_000',
    '\\u0031',
    '1\\n',
  ]) {
    assert.throws(() => decimalOf(text), ProtocolError, JSON.stringify(text))
  }
  for (const text of ['1', '"1', '1"', "'1'", 'null', '["1"]', '', '"']) {
    assert.throws(() => over(text).decimal(), ProtocolError, text)
  }
})

test('decimals: what a double cannot hold by its size is refused: no infinity, no quantity that becomes a delete', () => {
  for (const text of [`1${'0'.repeat(309)}`, `0.${'0'.repeat(330)}1`, `0.${'0'.repeat(310)}123`]) {
    assert.throws(() => decimalOf(text), ProtocolError, text)
  }
  assert.throws(() => decimalOf(`0.${'0'.repeat(399)}`), ProtocolError, 'too long')
  assert.equal(decimalOf(`0.${'0'.repeat(398)}`), 0)
  assert.throws(() => over('"1e400"').nearestDecimal(), ProtocolError)
  assert.throws(() => over('"-1e400"').nearestDecimal(), ProtocolError)
})

test('ids: exact to the last bit up to 2^63 - 1, refused from 2^63 on', () => {
  fc.assert(
    fc.property(id, (value) => {
      assert.equal(over(`${value}`).id(), value)
    }),
    { seed: SEED, numRuns: 3000 },
  )
  assert.equal(over('9223372036854775807').id(), 2n ** 63n - 1n)
  fc.assert(
    fc.property(fc.bigInt({ min: 2n ** 63n, max: 2n ** 80n }), (value) => {
      assert.throws(() => over(`${value}`).id(), ProtocolError)
    }),
    { seed: SEED, numRuns: 300 },
  )
  assert.throws(() => over('9'.repeat(1_000_000)).id(), ProtocolError)
  for (const text of ['-1', '01', '1.0', '1e3', '1E3', '"1"', '', 'null', '+1', '-0', '00']) {
    assert.throws(() => over(text).id(), ProtocolError, text)
    assert.throws(() => over(text).time(), ProtocolError, text)
  }
})

test('times: exact up to 15 digits, refused beyond', () => {
  assert.equal(over('999999999999999').time(), 999_999_999_999_999)
  assert.equal(over('0').time(), 0)
  assert.throws(() => over('1000000000000000').time(), ProtocolError)
})

test('levels: exactly two decimals, a price above zero', () => {
  const into = new LevelBuffer()
  over(' [ "1.5" , "0.0" ] ').pair(into)
  assert.deepEqual([into.length, into.data[0], into.data[1]], [1, 1.5, 0])
  for (const text of [
    '["1"]',
    '["1","2","3"]',
    '[]',
    '["0","1"]',
    '["0.00","1"]',
    '[1,2]',
    '["1","2",]',
    '{"1":"2"}',
    '["1","2"',
  ]) {
    assert.throws(() => over(text).pair(into), ProtocolError, text)
  }
  assert.equal(into.length, 1)
})

/** Pieces from which nearly legal JSON arises by chance. */
const piece = fc.constantFrom(
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '"a"',
  '""',
  '"\\u00e9"',
  '"\\ud83d\\ude00"',
  '"\\x"',
  '"\\u12g4"',
  '"',
  '\\',
  '0',
  '-0',
  '1',
  '-',
  '01',
  '1.5',
  '1.',
  '.5',
  '1e5',
  '1E+5',
  '1e',
  '2e-',
  'true',
  'false',
  'null',
  'tru',
  'nul',
  ' ',
  '\n',
  '\t',
  '\u0000',
  '\u001f',
  '\u007f',
  '\u00a0',
  '\ufeff',
  '\u2028',
  '"\u2028"',
  '"\t"',
  'é',
  '"é"',
  '/',
  '//',
)

test('grammar: legal for the scanner is legal for JSON.parse, and the other way round', (t) => {
  let legal = 0
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 9 }), (pieces) => {
      const text = pieces.join('')
      assert.equal(isLegal(text), parses(text), JSON.stringify(text))
      if (isLegal(text)) legal++
    }),
    { seed: SEED, numRuns: 30_000 },
  )
  t.diagnostic(`${legal} of 30000 were legal`)
  assert.ok(legal > 100)
})

test('grammar: any JSON value is stepped over, and nothing that lacks its end or goes on', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), fc.nat(), spaces, (text, cut, blanks) => {
      assert.ok(isLegal(text))
      assert.ok(isLegal(spaced([JSON.stringify(JSON.parse(text), null, 2)], blanks)))
      const shorter = text.slice(0, cut % text.length)
      assert.equal(isLegal(shorter), parses(shorter), shorter)
      assert.equal(isLegal(`${text}1`), parses(`${text}1`))
    }),
    { seed: SEED, numRuns: 2000 },
  )
})

test('strings: decoded as JSON.parse decodes them', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      assert.equal(over(JSON.stringify(value)).string(), value)
      assert.equal(over(`"${value.replace(/./gs, escapeUnits)}"`).string(), value)
    }),
    { seed: SEED, numRuns: 1000 },
  )
})

function escapeUnits(text: string): string {
  return [...Array(text.length).keys()]
    .map((i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`)
    .join('')
}

test('errors: say what was expected, where, and show what was there', () => {
  assert.throws(() => over('{"a":1,}').skipValue(), /expected a key at byte 7 of 8, near "\{\\"a\\":1,\}"/)
  // bytes beyond the part that was handed over are never read
  scanner.reset(Buffer.from('123').subarray(0, 2))
  assert.equal(scanner.id(), 12n)
  scanner.finish()
})
