/** Messages as the exchange could legally send them: any key order, white space, unknown fields, wrapped or bare. */
import fc from 'fast-check'

export const SYMBOL = 'BTCUSDT'
export const KINDS = ['depthUpdate', 'aggTrade', 'markPriceUpdate'] as const
export type Kind = (typeof KINDS)[number]

/** Needed fields of each kind, and no others. */
export const NEEDED: Readonly<Record<Kind, readonly string[]>> = {
  depthUpdate: ['e', 'E', 'T', 's', 'U', 'u', 'pu', 'b', 'a'],
  aggTrade: ['e', 'E', 's', 'a', 'p', 'q', 'f', 'l', 'T', 'm'],
  markPriceUpdate: ['e', 'E', 's', 'p', 'i', 'r', 'T'],
}

/** Sent today, needed by nobody: known, so not counted. */
export const KNOWN_UNNEEDED = ['ps', 'st', 'nq', 'ap'] as const
/** Names that mean something somewhere: no unknown field may take them. */
const RESERVED = new Set<string>([
  ...Object.values(NEEDED).flat(),
  'P',
  'stream',
  'data',
  'result',
  'id',
  'error',
  'code',
])

/** A decimal of at most `digitsMax` significant digits, with zeros added at either end of the fraction. */
export function decimalText(digitsMax = 15): fc.Arbitrary<string> {
  const digits = fc
    .nat(digitsMax)
    .chain((count) => fc.array(fc.nat(9), { minLength: count, maxLength: count }))
    .map((each) => each.join(''))
  return fc.tuple(digits, fc.nat(30), fc.nat(6)).map(([mantissa, scale, zeros]) => {
    const padded = mantissa.padStart(scale + 1, '0')
    const whole = padded.slice(0, padded.length - scale).replace(/^0+(?=\d)/, '')
    const fraction = padded.slice(padded.length - scale) + '0'.repeat(zeros)
    return fraction === '' ? whole : `${whole}.${fraction}`
  })
}

const quoted = (text: fc.Arbitrary<string>): fc.Arbitrary<string> => text.map((each) => `"${each}"`)
const priceText = decimalText().filter((text) => Number(text) > 0)
const time = fc.nat(999_999_999_999_999).map(String)
export const id = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  fc.bigInt({ min: 2n ** 53n - 2n, max: 2n ** 53n + 5n }),
  fc.nat().map(BigInt),
)
/** Tokens of one side; a level's own tokens take white space too. */
const side = fc.array(fc.tuple(quoted(priceText), quoted(decimalText())), { maxLength: 8 }).map((levels) => {
  const each = levels.map(([price, qty]) => ['[', price, ',', qty, ']'])
  return ['[', ...each.flatMap((tokens, i) => (i === 0 ? tokens : [',', ...tokens])), ']']
})
const nearest = quoted(
  fc.oneof(
    decimalText(24),
    decimalText().map((text) => `-${text}`),
    fc.constantFrom('', '0.00010000', '-0.00002754', '1e-7', '-1.5E+3', '28147.27373413'),
  ),
)

/** A field: its key and the tokens of its value. */
export type Field = readonly [key: string, tokens: readonly string[]]

const one = (value: fc.Arbitrary<string>): fc.Arbitrary<string[]> => value.map((token) => [token])
const fields = (values: Readonly<Record<string, fc.Arbitrary<string[]>>>): fc.Arbitrary<Field[]> =>
  fc.record(values).map((record) => Object.entries(record))

const only = (token: string): fc.Arbitrary<string[]> => fc.constant([token])
const common = (kind: Kind) => ({ e: only(`"${kind}"`), s: only(`"${SYMBOL}"`), E: one(time), T: one(time) })
const FIELDS: Readonly<Record<Kind, fc.Arbitrary<Field[]>>> = {
  depthUpdate: fc.tuple(id, id, id).chain((ids) => {
    const [pu, U, u] = ids.toSorted((a, b) => (a < b ? -1 : 1)).map(String)
    const chain = { pu: only(pu), U: only(U), u: only(u) }
    return fields({ ...common('depthUpdate'), ...chain, b: side, a: side })
  }),
  aggTrade: fields({
    ...common('aggTrade'),
    a: one(id.map(String)),
    f: one(id.map(String)),
    l: one(id.map(String)),
    p: one(quoted(decimalText())),
    q: one(quoted(decimalText())),
    m: one(fc.boolean().map(String)),
  }),
  markPriceUpdate: fields({
    ...common('markPriceUpdate'),
    p: one(nearest),
    i: one(nearest),
    r: one(nearest),
  }),
}

const unknownKey = fc.oneof(
  fc.constantFrom(
    'X',
    'EE',
    'pU',
    'Pu',
    'bb',
    '',
    '__proto__',
    'constructor',
    'toString',
    '币',
    '"',
    '\\',
    'u0065',
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
)
const unknown: fc.Arbitrary<Field[]> = fc
  .uniqueArray(fc.tuple(unknownKey, fc.jsonValue({ maxDepth: 3 })), {
    selector: ([key]) => key,
    maxLength: 4,
  })
  .map((entries) => entries.filter(([key]) => !RESERVED.has(key) && !isKnownUnneeded(key)))
  .map((entries) => entries.map(([key, value]) => [key, [JSON.stringify(value)]] as const))

function isKnownUnneeded(key: string): boolean {
  return KNOWN_UNNEEDED.some((known) => known === key)
}

const unneeded: fc.Arbitrary<Field[]> = fc
  .subarray([...KNOWN_UNNEEDED])
  .map((keys) => keys.map((key) => [key, ['"1"']] as const))

/** White space that is put between tokens, in turn. */
export const spaces = fc.oneof(
  fc.constant(['']),
  fc.array(fc.constantFrom('', '', ' ', '\n', '\t', '\r', ' \r\n\t '), { minLength: 1, maxLength: 17 }),
)

export interface Written {
  readonly kind: Kind
  readonly text: string
  /** Unknown fields, of the event and of its wrapper. */
  readonly unknownFields: number
  readonly wrapped: boolean
}

/** The text of an object of these fields, in this order. */
export function objectTokens(entries: readonly Field[]): string[] {
  const inner = entries.flatMap(([key, tokens], i) => [
    ...(i === 0 ? [] : [',']),
    JSON.stringify(key),
    ':',
    ...tokens,
  ])
  return ['{', ...inner, '}']
}

export function spaced(tokens: readonly string[], spaces: readonly string[]): string {
  return tokens.map((token, i) => spaces[i % spaces.length] + token).join('') + spaces[0]
}

function shuffled(entries: fc.Arbitrary<Field[]>): fc.Arbitrary<Field[]> {
  return entries.chain((list) =>
    fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length }),
  )
}

/** The needed fields of an event of this kind, in any order. */
export const neededFields = (kind: Kind): fc.Arbitrary<Field[]> => shuffled(FIELDS[kind])

export const message: fc.Arbitrary<Written> = fc.constantFrom(...KINDS).chain((kind) =>
  fc
    .record({
      event: shuffled(fc.tuple(FIELDS[kind], unknown, unneeded).map((parts) => parts.flat())),
      outer: shuffled(unknown),
      stream: fc.boolean(),
      dataAt: fc.nat(5),
      wrapped: fc.boolean(),
      spaces,
    })
    .map(({ event, outer, stream, dataAt, wrapped, spaces }) => {
      const inside = countUnknown(kind, event)
      if (!wrapped) return { kind, text: spaced(objectTokens(event), spaces), unknownFields: inside, wrapped }
      const entries: Field[] = stream ? [...outer, ['stream', ['"x@y"']]] : [...outer]
      entries.splice(dataAt % (entries.length + 1), 0, ['data', objectTokens(event)])
      const text = spaced(objectTokens(entries), spaces)
      return { kind, text, unknownFields: inside + outer.length, wrapped }
    }),
)

function countUnknown(kind: Kind, event: readonly Field[]): number {
  return event.filter(([key]) => !NEEDED[kind].includes(key) && !isKnownUnneeded(key)).length
}
