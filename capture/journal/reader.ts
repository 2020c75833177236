/**
 * Reads one segment from its beginning to its end, in bounded memory, and says what the end is worth.
 * Each frame is checked before its content is seen.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import { parseSegmentName } from '../../api/names.ts'
import type { Input } from '../session/mod.ts'
import { decodeInput } from './codec.ts'
import { JournalMisuse, JournalUnreadable } from './errors.ts'
import {
  checkFrame,
  FRAME_BAD,
  FRAME_HEAD_BYTES,
  FRAME_INCOMPLETE,
  FRAME_KINDS,
  INPUT_KIND_MIN,
} from './frame.ts'
import { findFrame, readFully } from './scan.ts'
import { decodeHeader, decodeTrailer, type SegmentHeader, type SegmentTrailer } from './segment.ts'

/** Bytes read at once; the buffer grows beyond it only for a larger frame. */
const CHUNK_BYTES = 1024 * 1024

/**
 * How a segment ends. In each case the inputs given out before are sound.
 * `sealed`: with its trailer, whose count of inputs agrees.
 * `torn`: after whole frames, without a trailer; `tailBytes` of an unfinished or bad frame follow (0 where it
 * ends at a boundary). The mark of a crash; a segment of which not even the header is whole is torn too.
 * `corrupt`: damaged in its middle, or not made by this writer.
 * `goodBytes` is where the first bad frame begins.
 */
export type SegmentEnd =
  | { readonly end: 'sealed'; readonly trailer: SegmentTrailer }
  | { readonly end: 'torn'; readonly goodBytes: number; readonly tailBytes: number }
  | { readonly end: 'corrupt'; readonly goodBytes: number; readonly detail: string }

type Phase = 'header' | 'checkpoint' | 'inputs' | 'trailer'

/** Where the sync parser stopped, and why. */
type Stop = 'more' | 'bad' | 'preamble' | 'ended'

export class SegmentReader {
  readonly path: string
  /** Bytes of the file when it was opened; what is appended later is not read. */
  readonly bytes: number

  readonly #file: FileHandle
  readonly #chunkBytes: number
  #buffer: Buffer
  /** File offset of the buffer's first byte; parsed and filled bytes of the buffer. */
  #base = 0
  #at = 0
  #filled = 0
  #phase: Phase = 'header'
  #header: SegmentHeader | undefined
  #checkpoint: Uint8Array | undefined
  #trailer: SegmentTrailer | undefined
  #inputs = 0
  #end: SegmentEnd | undefined
  #started = false

  /**
   * Opens a segment and reads its header and checkpoint.
   * Rejects with the file system's error if the file cannot be opened or read; damage is told by `end`.
   */
  static async open(path: string, chunkBytes = CHUNK_BYTES): Promise<SegmentReader> {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      const reader = new SegmentReader(path, file, size, chunkBytes)
      await reader.#read([], true)
      if (reader.#end) await file.close()
      return reader
    } catch (error) {
      await file.close()
      throw error
    }
  }

  private constructor(path: string, file: FileHandle, bytes: number, chunkBytes: number) {
    this.path = path
    this.bytes = bytes
    this.#file = file
    this.#chunkBytes = chunkBytes
    this.#buffer = Buffer.allocUnsafe(Math.max(FRAME_HEAD_BYTES, Math.min(chunkBytes, bytes)))
  }

  /** Undefined where the file was torn or damaged before its header was whole. */
  get header(): SegmentHeader | undefined {
    return this.#header
  }

  /** The session's state at the start of the window; a copy that the caller may keep. Undefined as above. */
  get checkpoint(): Uint8Array | undefined {
    return this.#checkpoint
  }

  /** Inputs given out so far. */
  get inputs(): number {
    return this.#inputs
  }

  /** How the segment ends; undefined until `batches` is exhausted (or the end came before any input). */
  get end(): SegmentEnd | undefined {
    return this.#end
  }

  /**
   * The inputs in order, a batch for each chunk read, and the segment's end as return value. **Payloads and
   * bodies are views that hold until the next batch is asked for**; copy what must live longer. May be called
   * once; closes the file when done or left early.
   */
  async *batches(): AsyncGenerator<readonly Input[], SegmentEnd> {
    if (this.#started) throw new JournalMisuse(`Segment ${this.path} is already being read; open it again`)
    this.#started = true
    try {
      while (!this.#end) {
        const batch: Input[] = []
        await this.#read(batch, false)
        if (batch.length > 0) yield batch
      }
      return this.#end
    } finally {
      await this.close()
    }
  }

  /** Closes the file. Needed only by those who do not exhaust `batches`; harmless twice. */
  async close(): Promise<void> {
    await this.#file.close()
  }

  /** Parses until a batch is full, the preamble is read, or the end is known. */
  async #read(batch: Input[], preambleOnly: boolean): Promise<void> {
    while (!this.#end) {
      const stop = this.#parse(batch, preambleOnly)
      if (stop === 'ended' || stop === 'preamble') return
      if (stop === 'bad' || !this.#moreOfFrame()) {
        this.#end = await this.#judgeEnd()
        return
      }
      // Filling moves the bytes that the batch points into, so that the batch goes out first.
      if (batch.length > 0) return
      await this.#fill()
    }
  }

  /** Takes whole frames out of the buffer. */
  #parse(batch: Input[], preambleOnly: boolean): Stop {
    for (;;) {
      if (preambleOnly && this.#phase === 'inputs') return 'preamble'
      const bodyBytes = checkFrame(this.#buffer, this.#at, this.#filled)
      if (bodyBytes === FRAME_INCOMPLETE) return 'more'
      if (bodyBytes === FRAME_BAD) return 'bad'
      const bodyAt = this.#at + FRAME_HEAD_BYTES
      try {
        this.#accept(this.#buffer.subarray(bodyAt, bodyAt + bodyBytes), batch)
      } catch (error) {
        if (!(error instanceof JournalUnreadable)) throw error
        this.#end = { end: 'corrupt', goodBytes: this.#offset, detail: error.message }
        return 'ended'
      }
      this.#at = bodyAt + bodyBytes
      if (this.#phase === 'trailer') {
        this.#end = this.#sealedEnd()
        return 'ended'
      }
    }
  }

  /** Takes the content of one sound frame, in the only legal order of kinds. */
  #accept(body: Buffer, batch: Input[]): void {
    const kind = body[0] ?? 0
    if (this.#phase === 'inputs') {
      if (kind >= INPUT_KIND_MIN) {
        batch.push(decodeInput(body))
        this.#inputs += 1
      } else if (kind === FRAME_KINDS.trailer) this.#acceptTrailer(body)
      else throw new JournalUnreadable(`A frame of kind ${kind} stands among the inputs`)
    } else if (this.#phase === 'header' && kind === FRAME_KINDS.header) {
      this.#acceptHeader(body)
    } else if (this.#phase === 'checkpoint' && kind === FRAME_KINDS.checkpoint) {
      this.#checkpoint = new Uint8Array(body.subarray(1))
      this.#phase = 'inputs'
    } else {
      throw new JournalUnreadable(`A frame of kind ${kind} stands where the ${this.#phase} belongs`)
    }
  }

  #acceptHeader(body: Buffer): void {
    const header = decodeHeader(body)
    const named = parseSegmentName(basename(this.path))
    if (named && (named.run !== header.run || named.window !== header.window)) {
      throw new JournalUnreadable(
        `The header is that of window ${header.window} of run ${header.run}, not the name's`,
      )
    }
    this.#header = header
    this.#phase = 'checkpoint'
  }

  #acceptTrailer(body: Buffer): void {
    const trailer = decodeTrailer(body)
    if (trailer.inputs !== this.#inputs) {
      throw new JournalUnreadable(
        `The trailer counts ${trailer.inputs} inputs, but ${this.#inputs} were read`,
      )
    }
    this.#trailer = trailer
    this.#phase = 'trailer'
  }

  #sealedEnd(): SegmentEnd {
    const extra = this.bytes - this.#offset
    if (this.#trailer && extra === 0) return { end: 'sealed', trailer: this.#trailer }
    return { end: 'corrupt', goodBytes: this.#offset, detail: `${extra} bytes follow the trailer` }
  }

  /** File offset of the first byte not yet parsed. */
  get #offset(): number {
    return this.#base + this.#at
  }

  /** Bytes of the frame at hand as far as they are known. */
  #frameBytes(): number {
    if (this.#filled - this.#at < FRAME_HEAD_BYTES) return FRAME_HEAD_BYTES
    return FRAME_HEAD_BYTES + this.#buffer.readUInt32LE(this.#at)
  }

  /** Whether the file can still hold the rest of the frame at hand. */
  #moreOfFrame(): boolean {
    return this.#offset + this.#frameBytes() <= this.bytes
  }

  /** Moves what is left to the front, grows the buffer for a large frame, and reads on. */
  async #fill(): Promise<void> {
    const left = this.#filled - this.#at
    const frameBytes = this.#frameBytes()
    const target = frameBytes > this.#buffer.length ? Buffer.allocUnsafe(frameBytes) : this.#buffer
    this.#buffer.copy(target, 0, this.#at, this.#filled)
    this.#base += this.#at
    this.#at = 0
    this.#buffer = target
    const room = target.subarray(left, Math.max(this.#chunkBytes, frameBytes))
    const read = await readFully(this.#file, room, this.#base + left, this.bytes)
    this.#filled = left + read
    if (read === 0)
      throw new Error(`Segment ${this.path} became shorter while it was read; nothing may cut it now`)
  }

  async #judgeEnd(): Promise<SegmentEnd> {
    const goodBytes = this.#offset
    const tailBytes = this.bytes - goodBytes
    const scan = await findFrame(this.#file, goodBytes + 1, this.bytes)
    if (scan === 'nothing') return { end: 'torn', goodBytes, tailBytes }
    const detail =
      scan === 'frame'
        ? `The frame at byte ${goodBytes} is damaged, and whole frames follow it`
        : `The frame at byte ${goodBytes} is damaged, and what follows is too odd to be judged`
    return { end: 'corrupt', goodBytes, detail }
  }
}
