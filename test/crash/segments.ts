/** Damage to segments, made on purpose: bytes flipped, tails cut, trailers that lie under a right checksum. */
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { encodeFrame, FRAME_HEAD_BYTES, FRAME_KINDS, INPUT_KIND_MIN } from '../../capture/journal/frame.ts'
import { decodeTrailer, encodeTrailer } from '../../capture/journal/segment.ts'

export interface FramePlace {
  readonly kind: number
  /** First byte of the frame, and of its body; the byte after it. */
  readonly at: number
  readonly bodyAt: number
  readonly end: number
}

/** The whole frames of a segment in order. */
export function framesOf(bytes: Buffer): FramePlace[] {
  const frames: FramePlace[] = []
  for (let at = 0; at + FRAME_HEAD_BYTES < bytes.length; ) {
    const bodyAt = at + FRAME_HEAD_BYTES
    const end = bodyAt + bytes.readUInt32LE(at)
    if (end > bytes.length) break
    frames.push({ kind: bytes[bodyAt], at, bodyAt, end })
    at = end
  }
  return frames
}

/** Flips a bit in the middle of a file. */
export async function flipMiddle(path: string): Promise<void> {
  const bytes = await readFile(path)
  await flip(path, bytes, bytes.length >> 1)
}

export type Victim = 'checkpoint' | 'first input' | 'middle input'

/** Flips a bit in the body of a frame of a segment. */
export async function flipFrame(path: string, victim: Victim): Promise<void> {
  const bytes = await readFile(path)
  const frames = framesOf(bytes)
  const inputs = frames.filter(({ kind }) => kind >= INPUT_KIND_MIN)
  const frame = {
    checkpoint: frames.find(({ kind }) => kind === FRAME_KINDS.checkpoint),
    'first input': inputs.at(0),
    'middle input': inputs.at(inputs.length >> 1),
  }[victim]
  if (frame === undefined) throw new Error(`${path} has no ${victim}`)
  await flip(path, bytes, (frame.bodyAt + frame.end) >> 1)
}

async function flip(path: string, bytes: Buffer, at: number): Promise<void> {
  bytes[at] ^= 0x10
  await writeFile(path, bytes)
}

/** Cuts a segment within one of its last frames; `fraction` in [0, 1) says where. */
export async function tearTail(path: string, fraction: number): Promise<void> {
  const frames = framesOf(await readFile(path))
  const victim = frames[Math.floor(frames.length * (0.75 + fraction / 4))]
  await truncate(path, victim.at + 1 + Math.floor((victim.end - victim.at - 1) * fraction))
}

/** Makes a closed segment's trailer say another state, under a right checksum. */
export async function alterStateHash(path: string): Promise<void> {
  const bytes = await readFile(path)
  const last = framesOf(bytes).at(-1)
  if (last?.kind !== FRAME_KINDS.trailer) throw new Error(`${path} is not closed`)
  const trailer = decodeTrailer(bytes.subarray(last.bodyAt, last.end))
  const frame = encodeFrame(encodeTrailer({ ...trailer, stateHash: 'f'.repeat(trailer.stateHash.length) }))
  await writeFile(path, Buffer.concat([bytes.subarray(0, last.at), frame]))
}
