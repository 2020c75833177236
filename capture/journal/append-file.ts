/**
 * A file that frames are appended to without waiting for the disk: one write and one sync are in flight at
 * most, and waiting frames are written together. The first failure is the last thing that happens: the file
 * is cut at its last whole frame and closed, nothing is tried again.
 */
import { dirname } from 'node:path'
import { errorCode, errorMessage, isFullError, JournalError, type JournalErrorCode } from './errors.ts'
import { lastBoundary } from './frame.ts'
import { type JournalFile, type JournalFs, type JournalTimer, nodeJournalFs, nodeJournalTimer } from './fs.ts'
import { FrameQueue } from './queue.ts'

/** Frames wait at most this long for company before they are written: what a kill can cost. */
export const WRITE_DELAY_MS = 5
/** So many waiting bytes are written at once. */
export const WRITE_BYTES = 64 * 1024
/** Written bytes are synced after this time or this amount, whichever comes first: what a power loss can cost. */
export const SYNC_DELAY_MS = 1000
export const SYNC_BYTES = 256 * 1024
/** Bytes that may wait for a disk that does not keep up; beyond it the file is given up rather than the memory. */
export const QUEUED_BYTES_MAX = 64 * 1024 * 1024

export interface AppendFileOptions {
  /** The file does not exist until this resolves, and never if it rejects. */
  readonly after?: Promise<void> | undefined
  /** Called once, when the file dies, before it is cut (`closed` says when that is done). Must not throw. */
  readonly onError: (error: JournalError) => void
  /**
   * Called once, when the disk first has no room: whoever appends may add a last word now. Must not throw.
   */
  readonly onFull?: (() => void) | undefined
  /** Makes room on a full disk; false where there is none to make. What waits is then written once more. */
  readonly makeRoom?: (() => Promise<boolean>) | undefined
  readonly fs?: JournalFs | undefined
  readonly timer?: JournalTimer | undefined
  /** Default `QUEUED_BYTES_MAX`. */
  readonly queuedBytesMax?: number | undefined
}

/** How a file was left. */
export type FileClose =
  | { readonly how: 'closed'; readonly bytes: number }
  /** `cut`: the file ends at `error.goodBytes`; if not, `detail` says why, and recovery will cut it. */
  | {
      readonly how: 'failed'
      readonly error: JournalError
      readonly cut: boolean
      readonly detail: string
      /** A file stands there, if only an empty one. */
      readonly made: boolean
    }

interface Waiter {
  readonly bytes: number
  readonly resolve: () => void
}

export class AppendFile {
  readonly path: string
  /** Frames on their way: the owner encodes into it and then calls `appended`. */
  readonly queue = new FrameQueue()
  /** Resolves when the file is closed, in whatever way; never rejects. */
  readonly closed: Promise<FileClose>

  readonly #options: AppendFileOptions
  readonly #fs: JournalFs
  readonly #timer: JournalTimer
  readonly #resolveClosed: (close: FileClose) => void
  #waiters: Waiter[] = []
  #file: JournalFile | undefined
  #error: JournalError | undefined
  /** Calls on the file, or for it, that have not come back. */
  #creating = true
  #writing = false
  #syncing = false
  #closing = false
  #writeDue = false
  #syncDue = false
  /** The disk was full once: room is made only once for a file. */
  #full = false
  #cancelWriteTimer: (() => void) | undefined
  #cancelSyncTimer: (() => void) | undefined
  #written = 0
  #synced = 0

  constructor(path: string, options: AppendFileOptions) {
    this.path = path
    this.#options = options
    this.#fs = options.fs ?? nodeJournalFs
    this.#timer = options.timer ?? nodeJournalTimer
    const { promise, resolve } = Promise.withResolvers<FileClose>()
    this.closed = promise
    this.#resolveClosed = resolve
    void this.#create()
  }

  /** Bytes that the file system has accepted: they survive the end of this process. */
  get written(): number {
    return this.#written
  }

  /** Bytes that survive a power loss. */
  get synced(): number {
    return this.#synced
  }

  /** What the file died of. */
  get error(): JournalError | undefined {
    return this.#error
  }

  /** To be called after frames were committed to the queue: starts or arms what they need. */
  appended(): void {
    if (this.#error) return
    const queued = this.queue.bytes
    if (queued > (this.#options.queuedBytesMax ?? QUEUED_BYTES_MAX)) {
      this.#fail('JournalFailed', `has ${queued} bytes waiting: the disk does not keep up`, this.#written)
    } else if (queued < WRITE_BYTES) {
      this.#armWriteTimer()
    } else if (!this.#writing) {
      this.#advance()
    }
  }

  /** Resolves when all that is queued now is durable; rejects with `error`, once the file is cut and closed. */
  async sync(): Promise<void> {
    const bytes = this.#written + this.queue.bytes
    if (!this.#error && this.#synced < bytes) {
      await new Promise<void>((resolve) => {
        this.#waiters.push({ bytes, resolve })
        this.#advance()
      })
    }
    await this.#throwIfDead()
  }

  /** Syncs and closes. Nothing may be appended from this call on. Rejects as `sync` does. */
  async close(): Promise<void> {
    await this.sync()
    this.#stopTimers()
    try {
      await this.#file?.close()
    } catch (cause) {
      this.#fail('JournalFailed', 'could not be closed', this.#written, cause)
    }
    await this.#throwIfDead()
    this.#resolveClosed({ how: 'closed', bytes: this.#written })
  }

  /** Whoever learns of the failure here finds the file as it will stay. */
  async #throwIfDead(): Promise<void> {
    if (!this.#error) return
    await this.closed
    throw this.#error
  }

  async #create(): Promise<void> {
    try {
      await this.#options.after
    } catch (cause) {
      // The same kind of end for the whole chain: a full disk stays a full disk.
      const code = cause instanceof JournalError ? cause.code : 'JournalFailed'
      this.#creating = false
      this.#fail(code, 'was not begun because the segment before it could not be sealed', 0, cause)
      return
    }
    try {
      if (!this.#error) this.#file = await this.#makeFile()
    } catch (cause) {
      this.#creating = false
      const exists = errorCode(cause) === 'EEXIST'
      this.#fail(
        codeOf(cause),
        exists ? 'is there already and is not overwritten' : 'could not be made',
        0,
        cause,
      )
      return
    }
    this.#creating = false
    if (this.#error) {
      this.#cutWhenIdle()
      return
    }
    // The first sync is the directory's, so that no synced frame can lose its file's name.
    this.#runSync(() => this.#fs.syncDir(dirname(this.path)), 0)
    this.#advance()
  }

  async #makeFile(): Promise<JournalFile> {
    try {
      return await this.#fs.create(this.path)
    } catch (cause) {
      if (!isFullError(cause) || !(await this.#makeRoom())) throw cause
      return await this.#fs.create(this.path)
    }
  }

  #armWriteTimer(): void {
    this.#cancelWriteTimer ??= this.#timer(WRITE_DELAY_MS, () => {
      this.#cancelWriteTimer = undefined
      this.#writeDue = true
      this.#advance()
    })
  }

  #armSyncTimer(): void {
    this.#cancelSyncTimer ??= this.#timer(SYNC_DELAY_MS, () => {
      this.#cancelSyncTimer = undefined
      this.#syncDue = true
      this.#advance()
    })
  }

  #stopTimers(): void {
    this.#cancelWriteTimer?.()
    this.#cancelSyncTimer?.()
  }

  /** Starts whatever is due and not in flight. Called after each change; does nothing on a dead file. */
  #advance(): void {
    const file = this.#file
    if (!file || this.#error) return
    // Waiters stand in the order of their bytes, since those only grow.
    const wanted = this.#waiters.at(-1)?.bytes ?? 0
    if (!this.#writing && (this.#writeDue || wanted > this.#written || this.queue.bytes >= WRITE_BYTES)) {
      this.#startWrite(file)
    }
    const unsynced = this.#written - this.#synced
    const asked = (this.#waiters[0]?.bytes ?? Number.POSITIVE_INFINITY) <= this.#written
    if (!this.#syncing && unsynced > 0 && (this.#syncDue || unsynced >= SYNC_BYTES || asked)) {
      this.#runSync(() => file.datasync(), this.#written)
    }
  }

  #startWrite(file: JournalFile): void {
    this.#writeDue = false
    const slice = this.queue.take()
    if (slice) this.#write(file, slice)
  }

  #write(file: JournalFile, slice: Buffer): void {
    this.#writing = true
    file.write(slice).then(
      (bytes) => {
        this.#writing = false
        this.#wrote(slice, bytes)
      },
      (cause) => {
        // How much of the slice arrived is unknown: only what was accepted before it is good.
        const fail = () => {
          this.#writing = false
          this.#fail(codeOf(cause), 'could not be written', this.#written, cause)
        }
        if (isFullError(cause) && !this.#error) void this.#writeAgain(file, slice, fail)
        else fail()
      },
    )
  }

  /**
   * The disk is full: makes room, and writes the slice from its beginning. What arrived of it is cut off first,
   * so that it stands there once. Where that fails too, `fail` has the last word.
   */
  async #writeAgain(file: JournalFile, slice: Buffer, fail: () => void): Promise<void> {
    this.#writing = true
    try {
      if (!(await this.#makeRoom())) return fail()
      await file.truncate(this.#written)
    } catch {
      // whatever kept it from making room, the disk is still full: that is what is told
      return fail()
    }
    if (this.#error) {
      this.#writing = false
      return this.#cutWhenIdle()
    }
    this.#write(file, slice)
  }

  /** Tells the owner that the disk is full, and asks for room: the first time only. */
  async #makeRoom(): Promise<boolean> {
    if (this.#full) return false
    this.#full = true
    this.#options.onFull?.()
    return (await this.#options.makeRoom?.()) ?? false
  }

  #wrote(slice: Buffer, bytes: number): void {
    if (bytes !== slice.length) {
      // The kernel reports a disk that fills up as a short write; the error would come with the next one.
      const good = this.#written + lastBoundary(slice, bytes)
      const fail = () => {
        this.#writing = false
        this.#fail('JournalFull', `took only ${bytes} of ${slice.length} bytes: no room is left`, good)
      }
      if (this.#file && !this.#error) void this.#writeAgain(this.#file, slice, fail)
      else fail()
      return
    }
    this.queue.release()
    if (this.#error) {
      this.#cutWhenIdle()
      return
    }
    this.#written += bytes
    this.#armSyncTimer()
    if (this.queue.bytes > 0) this.#armWriteTimer()
    this.#advance()
  }

  /** Runs a sync after which `bytes` of the file are durable. */
  #runSync(sync: () => Promise<void>, bytes: number): void {
    this.#syncing = true
    this.#syncDue = false
    sync().then(
      () => {
        this.#syncing = false
        this.#didSync(bytes)
      },
      (cause) => {
        this.#syncing = false
        // Never tried again: the kernel may have dropped the pages and would report success.
        this.#fail('JournalFailed', 'could not be synced', this.#written, cause)
      },
    )
  }

  #didSync(bytes: number): void {
    if (this.#error) {
      this.#cutWhenIdle()
      return
    }
    this.#synced = bytes
    while (this.#waiters[0] && this.#waiters[0].bytes <= bytes) this.#waiters.shift()?.resolve()
    this.#advance()
  }

  /** The first call kills the file; a later one (of a call that was still in flight) only lets it be cut. */
  #fail(code: JournalErrorCode, what: string, goodBytes: number, cause?: unknown): void {
    if (!this.#error) {
      const reason = cause === undefined ? '' : ` (${errorMessage(cause)})`
      const advice =
        code === 'JournalFull' ? 'free room for the spool' : 'check the disk; what it held until then is kept'
      const at = { path: this.path, goodBytes, syncedBytes: this.#synced }
      this.#error = new JournalError(
        code,
        `Journal segment ${this.path} ${what}${reason}; ${advice}`,
        at,
        cause,
      )
      this.#stopTimers()
      this.#options.onError(this.#error)
    }
    this.#cutWhenIdle()
  }

  /** Cuts and closes a dead file as soon as no call on it is in flight; then lets waiters go. */
  #cutWhenIdle(): void {
    if (!this.#error || this.#creating || this.#writing || this.#syncing || this.#closing) return
    this.#closing = true
    void this.#cut(this.#error).then((close) => {
      this.#resolveClosed(close)
      for (const waiter of this.#waiters) waiter.resolve()
      this.#waiters = []
    })
  }

  async #cut(error: JournalError): Promise<FileClose> {
    const file = this.#file
    if (!file) return { how: 'failed', error, cut: true, detail: 'no file was made', made: false }
    const problems: string[] = []
    const note = (cause: unknown) => problems.push(errorMessage(cause))
    await file.truncate(error.goodBytes).catch(note)
    const cut = problems.length === 0
    // Not after a failed sync, which is never tried again: no more is claimed than `syncedBytes`.
    if (error.code === 'JournalFull') await file.datasync().catch(note)
    await file.close().catch(note)
    return { how: 'failed', error, cut, detail: problems.join('; '), made: true }
  }
}

function codeOf(cause: unknown): JournalErrorCode {
  return isFullError(cause) ? 'JournalFull' : 'JournalFailed'
}
