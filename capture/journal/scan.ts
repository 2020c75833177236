/**
 * Tells the end of a crash from damage: after a bad frame, does anything that we wrote follow? A crash tears
 * the end of a file and nothing comes after; if a whole frame comes after, something before it was destroyed.
 */
import type { FileHandle } from 'node:fs/promises'
import { crc32c } from '@node-rs/crc32'
import { FRAME_BODY_BYTES_MAX, FRAME_HEAD_BYTES, FRAME_KINDS, INPUT_KIND_MIN } from './frame.ts'

const WINDOW_BYTES = 1024 * 1024
/** Bytes that may be checksummed on suspicion, for one bad frame; a file that asks for more is no torn one. */
const SUSPECT_BYTES_MAX = 512 * 1024 * 1024
/** A frame needs a head and a kind; an input also its receive time, of which the top bits are always 0. */
const FRAME_BYTES_MIN = FRAME_HEAD_BYTES + 1
const INPUT_BYTES_MIN = FRAME_HEAD_BYTES + 9
const RECEIVED_HIGH_AT = FRAME_HEAD_BYTES + 5
const RECEIVED_HIGH_MAX = 2 ** 21 - 1

const KNOWN_KINDS: ReadonlySet<number> = new Set(Object.values(FRAME_KINDS))

/** `unsure`: the limit on work was reached first. */
export type ScanResult = 'nothing' | 'frame' | 'unsure'

/** Looks for a whole frame that begins at or after `from`, at any byte, in a file of `size` bytes. */
export async function findFrame(file: FileHandle, from: number, size: number): Promise<ScanResult> {
  const window = Buffer.allocUnsafe(Math.max(0, Math.min(WINDOW_BYTES, size - from)))
  let budgetBytes = SUSPECT_BYTES_MAX
  let base = from
  while (size - base >= FRAME_BYTES_MIN) {
    const bytes = await readFully(file, window, base, size)
    if (bytes < FRAME_BYTES_MIN) return 'nothing'
    const atEnd = base + bytes >= size
    // Near the end of a window an input's first bytes may lie in the next one, which begins with them.
    const limit = atEnd ? bytes - FRAME_BYTES_MIN : bytes - INPUT_BYTES_MIN
    for (let i = 0; i <= limit; i++) {
      const bodyBytes = suspectBytes(window, i, bytes, size - base)
      if (bodyBytes === 0) continue
      budgetBytes -= bodyBytes
      if (budgetBytes < 0) return 'unsure'
      const crc = await checksum(file, base + i + FRAME_HEAD_BYTES, bodyBytes)
      if (crc === window.readUInt32LE(i + 4)) return 'frame'
    }
    if (atEnd) return 'nothing'
    base += limit + 1
  }
  return 'nothing'
}

/** Body length of what may be a frame at `i`, or 0 for what cannot be one. `left`: bytes to the file's end. */
function suspectBytes(window: Buffer, i: number, bytes: number, left: number): number {
  const bodyBytes = window.readUInt32LE(i)
  if (bodyBytes === 0 || bodyBytes > FRAME_BODY_BYTES_MAX || i + FRAME_HEAD_BYTES + bodyBytes > left) return 0
  const kind = window[i + FRAME_HEAD_BYTES] ?? 0
  if (!KNOWN_KINDS.has(kind)) return 0
  if (kind < INPUT_KIND_MIN) return bodyBytes
  if (i + INPUT_BYTES_MIN > bytes || FRAME_HEAD_BYTES + bodyBytes < INPUT_BYTES_MIN) return 0
  return window.readUInt32LE(i + RECEIVED_HIGH_AT) <= RECEIVED_HIGH_MAX ? bodyBytes : 0
}

async function checksum(file: FileHandle, from: number, length: number): Promise<number> {
  const piece = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, length))
  let crc = 0
  for (let done = 0; done < length; ) {
    const bytes = await readFully(file, piece, from + done, from + length)
    if (bytes === 0) break
    crc = crc32c(piece.subarray(0, bytes), crc)
    done += bytes
  }
  return crc
}

/** Reads from `position` until `target` is full or `end` is reached; returns the bytes read. */
export async function readFully(
  file: FileHandle,
  target: Buffer,
  position: number,
  end: number,
): Promise<number> {
  const wanted = Math.min(target.length, end - position)
  let done = 0
  while (done < wanted) {
    const { bytesRead } = await file.read(target, done, wanted - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}
