/**
 * The framing of the journal: `u32 LE body length, u32 LE CRC32C of the body, body`. A body is one byte of
 * kind and a payload, so it is never empty and no kind is 0: a stretch of zero bytes, which a file system may
 * leave behind after a power loss, is not a frame.
 */
import { crc32c } from '@node-rs/crc32'
import { JournalMisuse } from './errors.ts'

/** Bytes before a body: its length and its checksum. */
export const FRAME_HEAD_BYTES = 8
/** Longest body. The largest inputs (snapshots, listings of all symbols) and checkpoints stay far below. */
export const FRAME_BODY_BYTES_MAX = 32 * 1024 * 1024

/** The first byte of each body. Numbers are never reused; 0 is no kind. */
export const FRAME_KINDS = {
  header: 1,
  checkpoint: 2,
  trailer: 3,
  message: 16,
  opened: 17,
  closed: 18,
  sent: 19,
  refused: 20,
  response: 21,
  clock: 22,
  listing: 23,
  tick: 24,
  overload: 25,
  stop: 26,
} as const

/** Lowest kind number of a session input; the numbers below are the segment's own frames. */
export const INPUT_KIND_MIN = 16

/** What `checkFrame` returns instead of a length when the frame reaches beyond the given bytes. */
export const FRAME_INCOMPLETE = 0
/** What `checkFrame` returns instead of a length when the bytes are not a frame. */
export const FRAME_BAD = -1

/**
 * Completes the frame at `at`, whose body already stands at `at + FRAME_HEAD_BYTES`: writes length and
 * checksum in front of it, so that a body is encoded once, in its final place.
 */
export function finishFrame(target: Buffer, at: number, bodyBytes: number): void {
  const bodyAt = at + FRAME_HEAD_BYTES
  target.writeUInt32LE(bodyBytes, at)
  target.writeUInt32LE(crc32c(target.subarray(bodyAt, bodyAt + bodyBytes)), at + 4)
}

/**
 * Judges the frame that begins at `at`, of which the bytes before `end` are at hand.
 * Returns the length of its body in bytes, `FRAME_INCOMPLETE`, or `FRAME_BAD` (impossible length, or a
 * checksum that does not match). Allocates nothing but one view.
 */
export function checkFrame(source: Buffer, at: number, end: number): number {
  if (end - at < FRAME_HEAD_BYTES) return FRAME_INCOMPLETE
  const bodyBytes = source.readUInt32LE(at)
  if (bodyBytes === 0 || bodyBytes > FRAME_BODY_BYTES_MAX) return FRAME_BAD
  const bodyAt = at + FRAME_HEAD_BYTES
  if (end - bodyAt < bodyBytes) return FRAME_INCOMPLETE
  const crc = crc32c(source.subarray(bodyAt, bodyAt + bodyBytes))
  return crc === source.readUInt32LE(at + 4) ? bodyBytes : FRAME_BAD
}

/** One whole frame around a body, copied. For the rare frames; messages are encoded in place. */
export function encodeFrame(body: Uint8Array): Buffer {
  assertBodyFits(body.byteLength)
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + body.byteLength)
  frame.set(body, FRAME_HEAD_BYTES)
  finishFrame(frame, 0, body.byteLength)
  return frame
}

/**
 * The last frame boundary within the first `writtenBytes` of `frames`, which begins at a boundary and holds
 * whole frames of our own: where a file must be cut after a write stopped in the middle.
 */
export function lastBoundary(frames: Buffer, writtenBytes: number): number {
  let at = 0
  while (at + FRAME_HEAD_BYTES <= writtenBytes) {
    const next = at + FRAME_HEAD_BYTES + frames.readUInt32LE(at)
    if (next > writtenBytes) break
    at = next
  }
  return at
}

/** Throws `JournalMisuse` for a body beyond the limit: it could be written, but never read again. */
export function assertBodyFits(bodyBytes: number): void {
  if (bodyBytes <= FRAME_BODY_BYTES_MAX) return
  throw new JournalMisuse(
    `A journal frame of ${bodyBytes} bytes is beyond the limit of ${FRAME_BODY_BYTES_MAX}; ` +
      'limit the size of messages and responses where they come in',
  )
}
