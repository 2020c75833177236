import { createHash } from 'node:crypto'

/**
 * Canonical bytes: fields in a fixed order, little endian, no padding, so that equal states give equal bytes and
 * a hash of them compares states. Numbers are float64 (negative zero is written as zero), ids are int64.
 */
export class Encoder {
  #bytes: Buffer
  #at = 0

  constructor(bytesInitial = 64 * 1024) {
    this.#bytes = Buffer.allocUnsafe(bytesInitial)
  }

  #room(bytes: number): number {
    const at = this.#at
    if (at + bytes > this.#bytes.length) {
      const wider = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, at + bytes))
      this.#bytes.copy(wider, 0, 0, at)
      this.#bytes = wider
    }
    this.#at = at + bytes
    return at
  }

  float(value: number): void {
    const at = this.#room(8)
    this.#bytes.writeDoubleLE(value === 0 ? 0 : value, at)
  }

  /** A non-negative integer below 2^32. */
  count(value: number): void {
    const at = this.#room(4)
    this.#bytes.writeUInt32LE(value, at)
  }

  /** A safe integer: counters and times in microseconds. */
  integer(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no safe integer`)
    this.float(value)
  }

  id(value: bigint): void {
    const at = this.#room(8)
    this.#bytes.writeBigInt64LE(value, at)
  }

  boolean(value: boolean): void {
    const at = this.#room(1)
    this.#bytes[at] = value ? 1 : 0
  }

  string(value: string): void {
    const bytes = Buffer.from(value, 'utf8')
    this.count(bytes.length)
    const at = this.#room(bytes.length)
    bytes.copy(this.#bytes, at)
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }
}

/** Reads what Encoder wrote. Throws RangeError where the bytes end early or go on. */
export class Decoder {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  #take(bytes: number): number {
    const at = this.#at
    if (at + bytes > this.#bytes.length) throw new RangeError('canonical bytes end early')
    this.#at = at + bytes
    return at
  }

  float(): number {
    return this.#bytes.readDoubleLE(this.#take(8))
  }

  count(): number {
    return this.#bytes.readUInt32LE(this.#take(4))
  }

  integer(): number {
    return this.float()
  }

  id(): bigint {
    return this.#bytes.readBigInt64LE(this.#take(8))
  }

  boolean(): boolean {
    return this.#bytes[this.#take(1)] === 1
  }

  string(): string {
    const length = this.count()
    const at = this.#take(length)
    return this.#bytes.toString('utf8', at, at + length)
  }

  /** A string out of a closed list. */
  word<T extends string>(words: readonly T[]): T {
    const text = this.string()
    const word = words.find((known) => known === text)
    if (word === undefined) throw new RangeError(`"${text}" is none of ${words.join(', ')}`)
    return word
  }

  /** Nothing may follow. */
  finish(): void {
    if (this.#at !== this.#bytes.length) throw new RangeError('canonical bytes go on after the state')
  }
}

/** Hash of canonical bytes: SHA-256, hex. */
export function hashBytes(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
