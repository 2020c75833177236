import { PrecisionError, ProtocolError } from '../errors.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const MINUS = 0x2d
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39

/** Significant digits that float64 holds exactly, whatever they are. */
const DIGITS_EXACT_MAX = 15
/** Powers of ten that are themselves exact doubles: with an exact mantissa one division rounds once. */
const POWERS_OF_TEN = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent)
/** A number longer than this is not read; no exchange sends one. */
const NUMBER_LENGTH_MAX = 400
/** Nesting of values that are skipped because their key is unknown. */
const DEPTH_MAX = 64
const INT64_MAX = 2n ** 63n - 1n
const INT64_DIGITS_MAX = 19
/** Below it doubles hold fewer than 15 digits, and at last none: a tiny quantity would read as a delete. */
const DECIMAL_MIN = 2 ** -1022

/**
 * A strict JSON reader over bytes that builds no objects: the caller drives it through the structure it expects,
 * and every other byte is a ProtocolError with its offset. Keys are compared in place. Decimal strings become
 * doubles with their significant digits counted; ids become bigint.
 *
 * The grammar is JSON's (RFC 8259): numbers without leading zeros, no trailing commas, white space anywhere it is
 * legal, nothing after the value.
 */
export class JsonScanner {
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #end = 0
  /** Start and end of the key that `nextKey` found, without its quotes. */
  #keyStart = 0
  #keyEnd = 0

  reset(bytes: Uint8Array): void {
    this.#bytes = bytes
    this.#at = 0
    this.#end = bytes.length
  }

  get offset(): number {
    return this.#at
  }

  /** Goes back to an offset that `offset` gave, at a place between two tokens. */
  seek(offset: number): void {
    this.#at = offset
  }

  /** The value has ended: only white space may follow. */
  finish(): void {
    this.#space()
    if (this.#at !== this.#end) this.fail('nothing after the value')
  }

  fail(expected: string): never {
    const from = Math.max(0, this.#at - 20)
    const around = Buffer.from(this.#bytes.subarray(from, Math.min(this.#end, this.#at + 20))).toString(
      'latin1',
    )
    throw new ProtocolError(
      `expected ${expected} at byte ${this.#at} of ${this.#end}, near ${JSON.stringify(around)}`,
    )
  }

  openObject(): void {
    this.#expect(0x7b, '{')
  }

  openArray(): void {
    this.#expect(0x5b, '[')
  }

  /** Moves to the next key of the open object; false at its end. Keys with escapes compare as unknown. */
  nextKey(first: boolean): boolean {
    const byte = this.peek()
    if (byte === 0x7d) {
      this.#at++
      return false
    }
    if (!first) {
      if (byte !== 0x2c) this.fail('"," or "}"')
      this.#at++
      this.#space()
    }
    if (this.#bytes[this.#at] !== QUOTE || this.#at >= this.#end) this.fail('a key')
    this.#keyStart = this.#at + 1
    this.skipString()
    this.#keyEnd = this.#at - 1
    this.#expect(0x3a, ':')
    return true
  }

  /** Is the current key this one byte? (Binance's keys are mostly single letters.) */
  keyByte(): number {
    return this.#keyEnd - this.#keyStart === 1 ? this.#bytes[this.#keyStart] : 0
  }

  keyIs(name: string): boolean {
    if (this.#keyEnd - this.#keyStart !== name.length) return false
    for (let i = 0; i < name.length; i++)
      if (this.#bytes[this.#keyStart + i] !== name.charCodeAt(i)) return false
    return true
  }

  /** Moves to the next element of the open array; false at its end. */
  nextElement(first: boolean): boolean {
    const byte = this.peek()
    if (byte === 0x5d) {
      this.#at++
      return false
    }
    if (first) return true
    if (byte !== 0x2c) this.fail('"," or "]"')
    this.#at++
    return true
  }

  /** The first byte of what comes next, after white space; 0 at the end. */
  peek(): number {
    this.#space()
    return this.#at < this.#end ? this.#bytes[this.#at] : 0
  }

  /** Does the string that comes next equal the ASCII text? Consumes it either way. */
  stringIs(text: string): boolean {
    if (this.peek() !== QUOTE) this.fail('a string')
    const start = this.#at + 1
    this.skipString()
    if (this.#at - 1 - start !== text.length) return false
    for (let i = 0; i < text.length; i++) if (this.#bytes[start + i] !== text.charCodeAt(i)) return false
    return true
  }

  /** A string, decoded. For rare fields: it allocates. */
  string(): string {
    if (this.peek() !== QUOTE) this.fail('a string')
    const start = this.#at
    this.skipString()
    const text = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, this.#at - start).toString(
      'utf8',
    )
    const value: unknown = JSON.parse(text)
    return typeof value === 'string' ? value : this.fail('a string')
  }

  boolean(): boolean {
    const byte = this.peek()
    if (byte === 0x74) {
      this.#literal('true')
      return true
    }
    this.#literal('false')
    return false
  }

  /** A non-negative integer of at most 63 bits, exact. */
  id(): bigint {
    const start = this.#integer()
    const length = this.#at - start
    if (length <= 15) return BigInt(this.#digits(start, this.#at))
    // checked before the conversion, whose time grows with the square of the length
    if (length > INT64_DIGITS_MAX) this.fail('an id below 2^63')
    const value = BigInt(Buffer.from(this.#bytes.subarray(start, this.#at)).toString('latin1'))
    if (value > INT64_MAX) this.fail('an id below 2^63')
    return value
  }

  /** A non-negative integer that is exact as a number: times in milliseconds. */
  time(): number {
    const start = this.#integer()
    if (this.#at - start > 15) this.fail('a time in milliseconds')
    return this.#digits(start, this.#at)
  }

  /**
   * A decimal in a string, such as "0.0120": exact as a double, or PrecisionError beyond 15 significant digits
   * (zeros stripped at both ends). No sign, no exponent.
   */
  decimal(): number {
    if (this.peek() !== QUOTE) this.fail('a decimal in a string')
    const bytes = this.#bytes
    const start = this.#at + 1
    let at = start
    let mantissa = 0
    let digits = 0 // significant ones, trailing zeros included
    let zeros = 0 // trailing zeros seen so far
    let scale = 0 // digits after the point
    let dot = -1
    for (; at < this.#end; at++) {
      const byte = bytes[at]
      if (byte >= ZERO && byte <= NINE) {
        if (dot >= 0) scale++
        if (byte === ZERO) {
          if (digits > 0) zeros++
        } else {
          if (zeros > 0) {
            digits += zeros
            if (digits <= DIGITS_EXACT_MAX) mantissa *= POWERS_OF_TEN[zeros]
            zeros = 0
          }
          digits++
          if (digits <= DIGITS_EXACT_MAX) mantissa = mantissa * 10 + (byte - ZERO)
        }
      } else if (byte === DOT && dot < 0 && at > start) dot = at
      else break
    }
    if (
      at >= this.#end ||
      bytes[at] !== QUOTE ||
      at === start ||
      at === dot + 1 ||
      at - start > NUMBER_LENGTH_MAX
    ) {
      this.#at = Math.min(at, this.#end)
      this.fail('a decimal such as "1.50"')
    }
    if (bytes[start] === ZERO && at - start > 1 && dot !== start + 1)
      this.fail('a decimal without leading zeros')
    this.#at = at + 1
    if (digits > DIGITS_EXACT_MAX)
      throw new PrecisionError(Buffer.from(bytes.subarray(start, at)).toString('latin1'))
    // value = mantissa × 10^(zeros − scale); the mantissa is below 10^15, so one operation rounds at most once
    const exponent = zeros - scale
    if (exponent === 0) return mantissa
    if (exponent < 0 && exponent >= -22) return mantissa / POWERS_OF_TEN[-exponent]
    if (exponent > 0 && exponent <= 22) return mantissa * POWERS_OF_TEN[exponent]
    const value = Number(Buffer.from(bytes.subarray(start, at)).toString('latin1'))
    if (digits > 0 && !(value >= DECIMAL_MIN && value < Infinity))
      this.fail('a decimal in the range of a double')
    return value
  }

  /** An array of exactly two decimals in strings, as levels of a book are sent; gives `[price, qty]` to `take`. */
  pair(take: { push(price: number, qty: number): void }): void {
    this.#expect(0x5b, '[')
    const price = this.decimal()
    this.#expect(0x2c, ',')
    const qty = this.decimal()
    this.#expect(0x5d, ']')
    if (price === 0) this.fail('a price above zero')
    take.push(price, qty)
  }

  /** A decimal in a string with an optional sign, to the nearest double; an empty string is NaN. */
  nearestDecimal(): number {
    const text = this.string()
    if (text === '') return Number.NaN
    if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/.test(text)) this.fail('a decimal in a string')
    const value = Number(text)
    return Number.isFinite(value) ? value : this.fail('a decimal in the range of a double')
  }

  /** Steps over any value, checking its grammar. */
  skipValue(depth = 0): void {
    if (depth > DEPTH_MAX) this.fail(`at most ${DEPTH_MAX} levels of nesting`)
    const byte = this.peek()
    if (byte === QUOTE) this.skipString()
    else if (byte === 0x7b) {
      this.openObject()
      for (let first = true; this.nextKey(first); first = false) this.skipValue(depth + 1)
    } else if (byte === 0x5b) {
      this.openArray()
      for (let first = true; this.nextElement(first); first = false) this.skipValue(depth + 1)
    } else if (byte === 0x74) this.#literal('true')
    else if (byte === 0x66) this.#literal('false')
    else if (byte === 0x6e) this.#literal('null')
    else this.#skipNumber()
  }

  /** At an opening quote: steps over the string. */
  skipString(): void {
    const bytes = this.#bytes
    let at = this.#at + 1
    for (; at < this.#end; at++) {
      const byte = bytes[at]
      if (byte === QUOTE) {
        this.#at = at + 1
        return
      }
      if (byte < 0x20) break
      if (byte === BACKSLASH) at = this.#escape(at + 1)
    }
    this.#at = at
    this.fail('the end of a string')
  }

  /** `at` is behind a backslash; gives the last byte of the escape. */
  #escape(at: number): number {
    const byte = this.#bytes[at]
    if (byte === 0x75 && at + 4 < this.#end) {
      for (let i = at + 1; i <= at + 4; i++) {
        if (!isHex(this.#bytes[i])) {
          this.#at = i
          this.fail('a hexadecimal digit')
        }
      }
      return at + 4
    }
    // " \ / b f n r t
    if (at < this.#end && byte !== 0x75 && '"\\/bfnrt'.includes(String.fromCharCode(byte))) return at
    this.#at = at
    return this.fail('an escape')
  }

  #skipNumber(): void {
    const start = this.#at
    if (this.#bytes[this.#at] === MINUS) this.#at++
    const whole = this.#run()
    if (whole === 0 || (whole > 1 && this.#bytes[this.#at - whole] === ZERO)) this.fail('a value')
    if (this.#bytes[this.#at] === DOT && this.#at < this.#end) {
      this.#at++
      if (this.#run() === 0) this.fail('a digit')
    }
    const byte = this.#at < this.#end ? this.#bytes[this.#at] : 0
    if (byte === 0x65 || byte === 0x45) {
      this.#at++
      const sign = this.#at < this.#end ? this.#bytes[this.#at] : 0
      if (sign === MINUS || sign === 0x2b) this.#at++
      if (this.#run() === 0) this.fail('a digit')
    }
    if (this.#at - start > NUMBER_LENGTH_MAX) this.fail('a shorter number')
  }

  /** Steps over digits, gives how many. */
  #run(): number {
    const start = this.#at
    while (this.#at < this.#end && this.#bytes[this.#at] >= ZERO && this.#bytes[this.#at] <= NINE) this.#at++
    return this.#at - start
  }

  /** Steps over an unsigned integer literal, gives its first byte. */
  #integer(): number {
    this.#space()
    const start = this.#at
    const length = this.#run()
    if (length === 0 || (length > 1 && this.#bytes[start] === ZERO)) this.fail('an integer')
    if (this.#at < this.#end) {
      const byte = this.#bytes[this.#at]
      if (byte === DOT || byte === 0x65 || byte === 0x45) this.fail('an integer')
    }
    return start
  }

  #digits(start: number, end: number): number {
    let value = 0
    for (let i = start; i < end; i++) value = value * 10 + (this.#bytes[i] - ZERO)
    return value
  }

  #literal(text: string): void {
    for (let i = 0; i < text.length; i++) {
      if (this.#at + i >= this.#end || this.#bytes[this.#at + i] !== text.charCodeAt(i)) this.fail(text)
    }
    this.#at += text.length
  }

  #expect(byte: number, name: string): void {
    this.#space()
    if (this.#at >= this.#end || this.#bytes[this.#at] !== byte) this.fail(`"${name}"`)
    this.#at++
  }

  #space(): void {
    const bytes = this.#bytes
    while (this.#at < this.#end) {
      const byte = bytes[this.#at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
      this.#at++
    }
  }
}

function isHex(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66)
}
