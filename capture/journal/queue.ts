/**
 * Frames on their way to the disk: encoded once into large chunks, handed to the file system as slices of
 * those chunks in order, and the chunks used again. Nothing is copied or allocated a frame.
 */
import { JournalMisuse } from './errors.ts'

/** Size of a chunk, and so of the largest usual write. */
export const CHUNK_BYTES = 256 * 1024
/** Empty chunks kept for reuse; more are only needed while the disk lags. */
const SPARES_MAX = 2

/** A queue of bytes with room at its end and at most one slice out for writing. */
export class FrameQueue {
  /** The chunk that is being filled. `reserve` may replace it. */
  chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #start = 0
  #end = 0
  #bytes = 0
  readonly #full: Buffer[] = []
  readonly #spares: Buffer[] = []
  #taken: Buffer | undefined

  /** Bytes committed and not yet released, including the slice that is out. */
  get bytes(): number {
    return this.#bytes
  }

  /** Makes room for `bytes` in `chunk` and returns where; nothing counts until `commit`. */
  reserve(bytes: number): number {
    if (this.chunk.length - this.#end < bytes) this.#replaceChunk(bytes)
    return this.#end
  }

  /** Adds the reserved bytes, a whole frame, to the queue. */
  commit(bytes: number): void {
    this.#end += bytes
    this.#bytes += bytes
  }

  /** The next slice to write, made of whole frames; undefined where nothing waits. */
  take(): Buffer | undefined {
    if (this.#taken) throw new JournalMisuse('A slice of the journal is already being written')
    this.#taken = this.#full.shift() ?? this.#rest()
    return this.#taken
  }

  /** The slice taken last is written; its chunk may be used again. */
  release(): void {
    const taken = this.#taken
    if (!taken) throw new JournalMisuse('No slice of the journal is being written')
    this.#taken = undefined
    this.#bytes -= taken.length
    if (taken.buffer !== this.chunk.buffer) {
      // A later slice of the same chunk may still wait; the chunk is free with its last one.
      if (this.#full[0]?.buffer !== taken.buffer) this.#keepSpare(Buffer.from(taken.buffer))
    } else if (this.#start === this.#end) {
      this.#start = 0
      this.#end = 0
      // A chunk made for one huge frame does not stay for the usual ones.
      if (this.chunk.length > CHUNK_BYTES)
        this.chunk = this.#spares.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
    }
  }

  /** The bytes of `chunk` that nobody has taken yet. */
  #rest(): Buffer | undefined {
    if (this.#start === this.#end) return undefined
    const slice = this.chunk.subarray(this.#start, this.#end)
    this.#start = this.#end
    return slice
  }

  #replaceChunk(bytes: number): void {
    const last = this.chunk
    const rest = this.#rest()
    if (rest) this.#full.push(rest)
    else if (this.#taken?.buffer !== last.buffer) this.#keepSpare(last)
    const spare = bytes <= CHUNK_BYTES ? this.#spares.pop() : undefined
    this.chunk = spare ?? Buffer.allocUnsafeSlow(Math.max(bytes, CHUNK_BYTES))
    this.#start = 0
    this.#end = 0
  }

  #keepSpare(chunk: Buffer): void {
    if (chunk.length === CHUNK_BYTES && this.#spares.length < SPARES_MAX) this.#spares.push(chunk)
  }
}
