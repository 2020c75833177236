/**
 * What a segment file holds: a header, the checkpoint that the window starts from, its inputs, and (where it
 * was closed in order) a trailer. Header and trailer are JSON, so that a person can read them with any tool.
 */
import { z } from 'zod'
import { JournalMisuse, JournalUnreadable } from './errors.ts'
import { FRAME_KINDS } from './frame.ts'

/** The version of the segment format that this code reads and writes. */
export const SEGMENT_FORMAT = 2

/**
 * The longest frame of a trailer. It lets recovery see from the end of a file whether it was closed in order.
 */
export const TRAILER_BYTES_MAX = 4096
/** Longest hash and reason; with any escapes they keep a trailer below its limit. */
const HASH_CHARS_MAX = 128
const REASON_CHARS_MAX = 500

const microseconds = z.int().nonnegative()

const headerSchema = z.object({
  format: z.literal(SEGMENT_FORMAT),
  run: z.string(),
  window: z.int().nonnegative(),
  exchange: z.string(),
  symbol: z.string(),
  /** The session's configuration; opaque here. */
  session: z.unknown(),
  /** Version of the program that wrote the segment. */
  writtenBy: z.string(),
  writer: z.object({
    capture: z.string(),
    uid: z.string(),
    pod: z.string(),
    pod_uid: z.string().optional(),
    node: z.string(),
  }),
  /** Microseconds since the Unix epoch, by the receive clock. */
  openedAt: microseconds,
})

const trailerSchema = z.object({
  /** Microseconds since the Unix epoch, by the receive clock. */
  closedAt: microseconds,
  /** Number of inputs in the segment. */
  inputs: z.int().nonnegative(),
  /** Hash of the session's state after the last input: what a replay must end in. */
  stateHash: z
    .string()
    .max(HASH_CHARS_MAX)
    .regex(/^[0-9a-f]+$/),
  /** Why the segment was closed, such as `rotation` or an end reason. */
  reason: z.string().max(REASON_CHARS_MAX),
})

/** The first frame of a segment. */
export type SegmentHeader = Readonly<z.infer<typeof headerSchema>>

/** The last frame of a segment that was closed in order. */
export type SegmentTrailer = Readonly<z.infer<typeof trailerSchema>>

/** The body of a header's frame. Throws `JournalMisuse` for one that could not be read again. */
export function encodeHeader(header: SegmentHeader): Uint8Array {
  return encodeJson(FRAME_KINDS.header, header, headerSchema, 'header')
}

/** The body of a trailer's frame. Throws `JournalMisuse` for one that could not be read again. */
export function encodeTrailer(trailer: SegmentTrailer): Uint8Array {
  return encodeJson(FRAME_KINDS.trailer, trailer, trailerSchema, 'trailer')
}

/** The body of a checkpoint's frame: the bytes as they are. */
export function encodeCheckpoint(checkpoint: Uint8Array): Uint8Array {
  const body = Buffer.allocUnsafe(1 + checkpoint.byteLength)
  body[0] = FRAME_KINDS.checkpoint
  body.set(checkpoint, 1)
  return body
}

/** Throws `JournalUnreadable` for a header of another format or shape. */
export function decodeHeader(body: Buffer): SegmentHeader {
  return decodeJson(body, headerSchema, 'header')
}

/** Throws `JournalUnreadable` for a trailer of another shape. */
export function decodeTrailer(body: Buffer): SegmentTrailer {
  return decodeJson(body, trailerSchema, 'trailer')
}

function encodeJson<T>(kind: number, value: T, schema: z.ZodType<T>, what: string): Uint8Array {
  const result = schema.safeParse(value)
  if (!result.success) {
    throw new JournalMisuse(`The ${what} of a segment is not as it must be: ${z.prettifyError(result.error)}`)
  }
  return Buffer.concat([Uint8Array.of(kind), Buffer.from(JSON.stringify(value))])
}

function decodeJson<T>(body: Buffer, schema: z.ZodType<T>, what: string): T {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8', 1))
  } catch (cause) {
    throw new JournalUnreadable(`The ${what} of the segment is no JSON`, { cause })
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new JournalUnreadable(
    `The ${what} of the segment is not of format ${SEGMENT_FORMAT}: ${z.prettifyError(result.error)}; ` +
      'if a newer version wrote it, read it with that version',
  )
}
