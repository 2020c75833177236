import { QUEUED_BYTES_MAX } from '../journal/mod.ts'

/** A queue that is fuller than this does not drain as fast as it fills. */
const QUEUED_BYTES_HIGH = QUEUED_BYTES_MAX / 2
/** So long it may last before it counts as our own overload. */
const STUCK_MS_MAX = 2000

/** What the journal says of itself at a tick. */
export interface JournalLoad {
  readonly queuedBytes: number
  /** Bytes that the disk accepted so far. */
  readonly writtenBytes: number
}

/**
 * Notices a disk that does not keep up: the queue stays above half of its maximum, or bytes wait and none is
 * accepted. Each such time is told once.
 */
export class JournalWatch {
  #writtenBytes = 0
  #stuckSinceUs: number | undefined
  #told = false

  /** To be called at each tick. Returns for how long the journal has been stuck, in ms, when to tell; else 0. */
  tick({ queuedBytes, writtenBytes }: JournalLoad, nowUs: number): number {
    const accepted = writtenBytes > this.#writtenBytes
    this.#writtenBytes = writtenBytes
    if (queuedBytes <= QUEUED_BYTES_HIGH && (accepted || queuedBytes === 0)) {
      this.#stuckSinceUs = undefined
      this.#told = false
      return 0
    }
    this.#stuckSinceUs ??= nowUs
    const stuckMs = Math.floor((nowUs - this.#stuckSinceUs) / 1000)
    if (this.#told || stuckMs < STUCK_MS_MAX) return 0
    this.#told = true
    return stuckMs
  }
}
