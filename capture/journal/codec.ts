/**
 * Session inputs to and from the body of a frame, exactly: what comes back is what went in, or an error.
 *
 * A body is `u8 kind, u64 LE received`, then the fields of the kind in the order of their declaration:
 *   numbers      f64 LE, exact for every number a session can hold, whatever its sign or fraction
 *                (a message's connection, on the hot path, is an i32 LE)
 *   strings      u32 LE byte length, then JSON text in UTF-8: plain UTF-8 would alter unpaired surrogates
 *   raw bytes    last, to the end of the body
 */
import type {
  Input,
  ListingInput,
  MessageInput,
  OverloadInput,
  RefusedInput,
  ResponseInput,
  StopInput,
} from '../session/mod.ts'
import { JournalMisuse, JournalUnreadable } from './errors.ts'
import { assertBodyFits, FRAME_KINDS } from './frame.ts'

const RECEIVED_AT = 1
const FIELDS_AT = 9
const MESSAGE_PAYLOAD_AT = 13
const NUMBER_BYTES = 8
const TWO_TO_32 = 2 ** 32
/** Above this high word a u64 is beyond the safe integers. */
const HIGH_WORD_MAX = 2 ** 21 - 1

const REFUSALS: readonly RefusedInput['why'][] = ['weight', 'rate_limited', 'stopping']
const LISTINGS: readonly ListingInput['status'][] = ['trading', 'not_trading', 'absent']
const STALLS: readonly OverloadInput['what'][] = ['loop', 'journal']
const STOPS: readonly StopInput['reason'][] = [
  'stopped',
  'crash',
  'journal_corrupt',
  'disk_full',
  'clock_step',
]

/** The fields of a rare input, in order; messages never pass through this. */
type Field = number | string | Uint8Array

/**
 * The body of an input's frame, as a fresh array.
 * Throws `JournalMisuse` for a time or connection that does not fit, or a body beyond the frame limit.
 */
export function encodeInput(input: Input): Uint8Array {
  if (input.kind === 'message') {
    const body = Buffer.allocUnsafe(messageBytes(input))
    writeMessage(input, body, 0)
    return body
  }
  const fields = fieldsOf(input)
  const body = Buffer.allocUnsafe(fieldsBytes(fields))
  writeFields(input, fields, body, 0)
  return body
}

/** Length of a message's body in bytes. Throws `JournalMisuse` beyond the frame limit. */
export function messageBytes(input: MessageInput): number {
  const bytes = MESSAGE_PAYLOAD_AT + input.payload.byteLength
  assertBodyFits(bytes)
  return bytes
}

/** Writes a message's body at `at`: the hot path, with the payload's single copy into its final place. */
export function writeMessage(input: MessageInput, target: Buffer, at: number): void {
  const connection = input.connection
  if ((connection | 0) !== connection) {
    throw new JournalMisuse(`Connection number ${connection} does not fit 32 bits; this is a bug of the feed`)
  }
  writePrefix(FRAME_KINDS.message, input.received, target, at)
  target.writeInt32LE(connection, at + FIELDS_AT)
  target.set(input.payload, at + MESSAGE_PAYLOAD_AT)
}

/**
 * The input in a body. A `message`'s payload and a `response`'s body are views of the given bytes: valid as
 * long as those are. Throws `JournalUnreadable` for anything that `encodeInput` does not write.
 */
export function decodeInput(body: Uint8Array): Input {
  const source = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  if (source.length < FIELDS_AT)
    throw new JournalUnreadable(`An input of ${source.length} bytes is cut short`)
  if (source[0] === FRAME_KINDS.message) return decodeMessage(source)
  return decodeRare(new FieldReader(source))
}

function decodeMessage(source: Buffer): MessageInput {
  if (source.length < MESSAGE_PAYLOAD_AT) throw new JournalUnreadable('A message input is cut short')
  return {
    kind: 'message',
    received: readReceived(source),
    connection: source.readInt32LE(FIELDS_AT),
    payload: source.subarray(MESSAGE_PAYLOAD_AT),
  }
}

function decodeRare(fields: FieldReader): Input {
  const input = decodeFields(fields)
  fields.assertAllRead()
  return input
}

function decodeFields(fields: FieldReader): Input {
  const { kind, received } = fields
  switch (kind) {
    case FRAME_KINDS.opened:
      return { kind: 'opened', received, connection: fields.number(), route: fields.string() }
    case FRAME_KINDS.closed:
      return {
        kind: 'closed',
        received,
        connection: fields.number(),
        code: fields.number(),
        reason: fields.string(),
        silent: fields.boolean(),
      }
    case FRAME_KINDS.sent:
      return { kind: 'sent', received, request: fields.number(), limit: fields.number() }
    case FRAME_KINDS.refused: {
      const request = fields.number()
      return { kind: 'refused', received, request, why: fields.word(REFUSALS), until: fields.number() }
    }
    case FRAME_KINDS.response:
      return decodeResponse(fields)
    case FRAME_KINDS.clock:
      return { kind: 'clock', received, offset: fields.number(), rtt: fields.number() }
    case FRAME_KINDS.listing:
      return { kind: 'listing', received, status: fields.word(LISTINGS), word: fields.string() }
    case FRAME_KINDS.tick:
      return { kind: 'tick', received, wallDistance: fields.number(), share: fields.number() }
    case FRAME_KINDS.overload:
      return { kind: 'overload', received, stalledMs: fields.number(), what: fields.word(STALLS) }
    case FRAME_KINDS.stop:
      return { kind: 'stop', received, reason: fields.word(STOPS) }
    default:
      throw new JournalUnreadable(
        `Kind ${kind} is no input known to this version; read it with the one that wrote it`,
      )
  }
}

function decodeResponse(fields: FieldReader): ResponseInput {
  return {
    kind: 'response',
    received: fields.received,
    request: fields.number(),
    status: fields.number(),
    usedWeight: fields.number(),
    retryAt: fields.number(),
    error: fields.string(),
    body: fields.rest(),
  }
}

/** The fields of a rare input in the order in which `decodeFields` reads them. */
function fieldsOf(input: Exclude<Input, MessageInput>): readonly Field[] {
  switch (input.kind) {
    case 'opened':
      return [input.connection, input.route]
    case 'closed':
      return [input.connection, input.code, input.reason, Number(input.silent)]
    case 'sent':
      return [input.request, input.limit]
    case 'refused':
      return [input.request, input.why, input.until]
    case 'response':
      return [input.request, input.status, input.usedWeight, input.retryAt, input.error, input.body]
    case 'clock':
      return [input.offset, input.rtt]
    case 'listing':
      return [input.status, input.word]
    case 'tick':
      return [input.wallDistance, input.share]
    case 'overload':
      return [input.stalledMs, input.what]
    case 'stop':
      return [input.reason]
  }
}

function fieldsBytes(fields: readonly Field[]): number {
  let bytes = FIELDS_AT
  for (const field of fields) {
    if (typeof field === 'number') bytes += NUMBER_BYTES
    else if (typeof field === 'string') bytes += 4 + Buffer.byteLength(JSON.stringify(field))
    else bytes += field.byteLength
  }
  assertBodyFits(bytes)
  return bytes
}

function writeFields(input: Input, fields: readonly Field[], target: Buffer, at: number): void {
  writePrefix(FRAME_KINDS[input.kind], input.received, target, at)
  let next = at + FIELDS_AT
  for (const field of fields) {
    if (typeof field === 'number') {
      next = target.writeDoubleLE(field, next)
    } else if (typeof field === 'string') {
      const bytes = target.write(JSON.stringify(field), next + 4)
      target.writeUInt32LE(bytes, next)
      next += 4 + bytes
    } else {
      target.set(field, next)
      next += field.byteLength
    }
  }
}

function writePrefix(kind: number, received: number, target: Buffer, at: number): void {
  if (!Number.isSafeInteger(received) || received < 0) {
    throw new JournalMisuse(
      `Receive time ${received} is no count of microseconds; this is a bug of the feed's clock`,
    )
  }
  target[at] = kind
  target.writeUInt32LE(received >>> 0, at + RECEIVED_AT)
  target.writeUInt32LE(Math.floor(received / TWO_TO_32), at + RECEIVED_AT + 4)
}

function readReceived(source: Buffer): number {
  const high = source.readUInt32LE(RECEIVED_AT + 4)
  if (high > HIGH_WORD_MAX) throw new JournalUnreadable('A receive time lies beyond the safe integers')
  return high * TWO_TO_32 + source.readUInt32LE(RECEIVED_AT)
}

/** Reads the fields of one body in order; every read is checked against its end. */
class FieldReader {
  readonly kind: number
  readonly received: number
  readonly #source: Buffer
  #at = FIELDS_AT

  constructor(source: Buffer) {
    this.#source = source
    this.kind = source.readUInt8(0)
    this.received = readReceived(source)
  }

  number(): number {
    return this.#source.readDoubleLE(this.#advance(NUMBER_BYTES))
  }

  boolean(): boolean {
    const value = this.number()
    if (value !== 0 && value !== 1) throw new JournalUnreadable(`A flag of kind ${this.kind} is ${value}`)
    return value === 1
  }

  string(): string {
    const bytes = this.#source.readUInt32LE(this.#advance(4))
    const at = this.#advance(bytes)
    const text = this.#source.toString('utf8', at, at + bytes)
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (cause) {
      throw new JournalUnreadable(`A string of an input (kind ${this.kind}) is no JSON text`, { cause })
    }
    if (typeof value !== 'string') throw new JournalUnreadable(`A field of kind ${this.kind} is no string`)
    return value
  }

  /** A string out of a closed list. */
  word<T extends string>(words: readonly T[]): T {
    const value = this.string()
    const word = words.find((known) => known === value)
    if (word === undefined) throw new JournalUnreadable(`Kind ${this.kind} holds the unknown word "${value}"`)
    return word
  }

  rest(): Uint8Array {
    return this.#source.subarray(this.#advance(this.#source.length - this.#at))
  }

  assertAllRead(): void {
    const left = this.#source.length - this.#at
    if (left > 0) throw new JournalUnreadable(`An input (kind ${this.kind}) has ${left} bytes too many`)
  }

  #advance(bytes: number): number {
    const at = this.#at
    if (at + bytes > this.#source.length)
      throw new JournalUnreadable(`An input (kind ${this.kind}) is cut short`)
    this.#at = at + bytes
    return at
  }
}
