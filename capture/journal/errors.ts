/** What can go wrong with the journal, as messages to a person with a stable code. */

/**
 * `JournalFull`: no room (a short write, ENOSPC, EDQUOT); the owner pauses and starts a new run when there is
 * room again. `JournalFailed`: the disk gave an error, a sync failed, or the disk no longer keeps up; what
 * it would write cannot be trusted.
 */
export type JournalErrorCode = 'JournalFull' | 'JournalFailed'

/** The end of a segment writer. The writer is dead, its file is cut at `goodBytes` if the disk lets it. */
export class JournalError extends Error {
  override readonly name = 'JournalError'
  readonly code: JournalErrorCode
  /** The segment file. */
  readonly path: string
  /** Bytes of whole frames that the file system accepted. */
  readonly goodBytes: number
  /** Bytes known to survive a power loss; at most `goodBytes`. */
  readonly syncedBytes: number

  constructor(
    code: JournalErrorCode,
    message: string,
    at: { readonly path: string; readonly goodBytes: number; readonly syncedBytes: number },
    cause?: unknown,
  ) {
    super(message, { cause })
    this.code = code
    this.path = at.path
    this.goodBytes = at.goodBytes
    this.syncedBytes = at.syncedBytes
  }
}

/** A call that the journal cannot honour: a programming error of the caller, never the fault of a disk. */
export class JournalMisuse extends Error {
  override readonly name = 'JournalMisuse'
  readonly code = 'JournalMisuse'
}

/** A frame whose checksum is right but whose content this version cannot read. */
export class JournalUnreadable extends Error {
  override readonly name = 'JournalUnreadable'
  readonly code = 'JournalUnreadable'
}

/** Whether an error from the file system means that there is no room (rather than a broken disk). */
export function isFullError(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** The `code` of a Node error, or an empty string. */
export function errorCode(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}

/** The message of anything that was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
