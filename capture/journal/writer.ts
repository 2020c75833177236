/** Writes one segment: header and checkpoint first, then inputs as they come, then (in order) the trailer. */
import { join } from 'node:path'
import { segmentName } from '../../api/names.ts'
import type { Input, MessageInput } from '../session/mod.ts'
import { AppendFile, type AppendFileOptions, type FileClose } from './append-file.ts'
import { encodeInput, messageBytes, writeMessage } from './codec.ts'
import { JournalMisuse } from './errors.ts'
import { encodeFrame, FRAME_HEAD_BYTES, finishFrame } from './frame.ts'
import {
  encodeCheckpoint,
  encodeHeader,
  encodeTrailer,
  type SegmentHeader,
  type SegmentTrailer,
} from './segment.ts'

/**
 * `after` is the durability of the segment before (its `seal`): this one has no file until it resolves, and
 * dies if it rejects. Inputs are buffered meanwhile.
 */
export interface SegmentWriterOptions extends AppendFileOptions {
  /** The journal directory; it must exist. */
  readonly dir: string
  readonly header: SegmentHeader
  /** The session's canonical state at the start of the window. */
  readonly checkpoint: Uint8Array
}

/** The trailer as the session knows it. The writer counts the inputs; where given, the numbers must agree. */
export type SealTrailer = Omit<SegmentTrailer, 'inputs'> & { readonly inputs?: number | undefined }

/** How a segment's file was left. */
export type SegmentClose =
  | { readonly how: 'sealed' | 'abandoned'; readonly bytes: number }
  | Extract<FileClose, { how: 'failed' }>

export class SegmentWriter {
  /** The segment's file. */
  readonly path: string
  /** Resolves when the file is closed, in whatever way; never rejects. */
  readonly closed: Promise<SegmentClose>

  readonly #file: AppendFile
  #finishing: Promise<void> | undefined
  #how: 'sealed' | 'abandoned' = 'abandoned'
  #inputs = 0
  #dropped = 0

  /**
   * Begins a segment; inputs may be appended at once. The file is made behind the scenes, after `after`.
   * Throws `NameError` for a run or window that is none, `JournalMisuse` for a checkpoint that does not fit; every
   * later failure goes to `onError`.
   */
  static open(options: SegmentWriterOptions): SegmentWriter {
    const path = join(options.dir, segmentName(options.header.run, options.header.window))
    const preamble = [
      encodeFrame(encodeHeader(options.header)),
      encodeFrame(encodeCheckpoint(options.checkpoint)),
    ]
    const writer = new SegmentWriter(new AppendFile(path, options))
    for (const frame of preamble) writer.#appendBytes(frame)
    writer.#file.appended()
    return writer
  }

  private constructor(file: AppendFile) {
    this.path = file.path
    this.#file = file
    this.closed = file.closed.then((close) =>
      close.how === 'failed' ? close : { how: this.#how, bytes: close.bytes },
    )
  }

  /** Bytes appended that the file system has not yet accepted. */
  get queuedBytes(): number {
    return this.#file.queue.bytes
  }

  /** Bytes that the file system has accepted: they survive the end of this process. */
  get writtenBytes(): number {
    return this.#file.written
  }

  /** Bytes that survive a power loss. */
  get syncedBytes(): number {
    return this.#file.synced
  }

  /** Inputs appended. */
  get inputs(): number {
    return this.#inputs
  }

  /** Inputs offered after the writer died, which no segment holds. */
  get droppedInputs(): number {
    return this.#dropped
  }

  /**
   * Adds an input, copying its bytes. Returns at once. On a dead writer the input is counted in
   * `droppedInputs`. Throws `JournalMisuse` after `seal` or `abandon`, and for an input that does not fit.
   */
  append(input: Input): void {
    if (this.#file.error) {
      this.#dropped += 1
      return
    }
    if (this.#finishing) throw new JournalMisuse(`Segment ${this.path} is closed; append to the one after it`)
    if (input.kind === 'message') this.#appendMessage(input)
    else this.#appendBytes(encodeFrame(encodeInput(input)))
    this.#inputs += 1
    this.#file.appended()
  }

  /** Resolves when all that was appended before the call is durable; rejects with the writer's error. */
  sync(): Promise<void> {
    return this.#file.sync()
  }

  /**
   * Closes the segment with its trailer. Resolves when all of it is durable; rejects with the writer's error,
   * after its file was cut. A second call, or one after `abandon`, gives the first one's promise.
   */
  seal(trailer: SealTrailer): Promise<void> {
    if (this.#finishing) return this.#finishing
    if (trailer.inputs !== undefined && trailer.inputs !== this.#inputs) {
      throw new JournalMisuse(
        `Segment ${this.path} holds ${this.#inputs} inputs, but its trailer was to say ${trailer.inputs}`,
      )
    }
    this.#appendBytes(encodeFrame(encodeTrailer({ ...trailer, inputs: this.#inputs })))
    this.#how = 'sealed'
    this.#finishing = this.#file.close()
    return this.#finishing
  }

  /** Closes the segment without a trailer, when all that was appended is durable. Rejects as `seal` does. */
  abandon(): Promise<void> {
    this.#finishing ??= this.#file.close()
    return this.#finishing
  }

  /** The hot path: the message is encoded where it will be written from. */
  #appendMessage(input: MessageInput): void {
    const queue = this.#file.queue
    const bodyBytes = messageBytes(input)
    const at = queue.reserve(FRAME_HEAD_BYTES + bodyBytes)
    writeMessage(input, queue.chunk, at + FRAME_HEAD_BYTES)
    finishFrame(queue.chunk, at, bodyBytes)
    queue.commit(FRAME_HEAD_BYTES + bodyBytes)
  }

  #appendBytes(frame: Uint8Array): void {
    const queue = this.#file.queue
    const at = queue.reserve(frame.length)
    queue.chunk.set(frame, at)
    queue.commit(frame.length)
  }
}
