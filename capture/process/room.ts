/**
 * Room on the disk: a spool has a cap of its own below what the kubelet evicts at, and a file system is left some
 * air for others. Beyond either mark no run goes on; below the low-water mark one may begin again.
 */
import { statfs } from 'node:fs/promises'
import type { Reserve } from '../journal/mod.ts'
import { FillRate } from './fill-rate.ts'

/** Of `spool.sizeLimit`: beyond the limit itself the kubelet evicts the pod and deletes the data. */
const SPOOL_MARK = 0.8
/** Of the file system. */
const DISK_MARK = 0.9
/** Below these shares of a mark that was passed a run may begin: far enough for minutes of it, not to flap. */
const SPOOL_LOW = 0.7
const DISK_LOW = 0.95
/** The spool is walked this often; what is journalled in between is added to the last count. */
const WALK_EVERY_MS = 10_000
/** Room that is proven by taking it before a run begins: quotas do not show in what a file system says. */
const PROOF_BYTES = 4 * 1024 * 1024
/** The rate at which the spool fills is judged over so many rotations; over no less than a few walks. */
const RATE_OVER_ROTATIONS = 2
const RATE_OVER_MS_MIN = 6 * WALK_EVERY_MS

/** The disk below a spool, as the keeper of runs sees it. */
export interface Room {
  /** How the disk is now. `journalledBytes`: journalled by this process so far. Cheap enough for each second. */
  look(journalledBytes: number): Promise<RoomState>
  /** Takes the reserve for the next run; false where there is no room for it. */
  allocate(): Promise<boolean>
  /** Gives the reserve back, for the last words on a full disk; false where it is gone already. */
  release(): Promise<boolean>
}

export interface RoomState {
  /** Why no run may go on; empty where one may. */
  readonly full: string
  /** Below the low-water mark of what was full: a run may begin again. */
  readonly low: boolean
}

export interface DiskRoomOptions {
  readonly directory: string
  readonly sizeLimitBytes: number
  readonly reserve: Reserve
  /** Bytes of all files in the spool, and of those that are nowhere else. */
  readonly usage: () => Promise<SpoolBytes>
  /** A window is closed this often. */
  readonly rotationSeconds: number
  /** The spool has passed half of its cap: what is sealed needs its segment no more. */
  readonly onHalfFull: (bytesTooMany: number) => void
  /** Milliseconds that never run backwards. */
  readonly nowMs: () => number
  readonly statfs?: (directory: string) => Promise<DiskSize>
}

export interface SpoolBytes {
  readonly bytes: number
  /** Of windows that are not shipped: the rest goes when the spool passes half of its cap. */
  readonly unshippedBytes: number
}

/** What `statfs` says, in blocks of `bsize` bytes. */
export interface DiskSize {
  readonly bsize: number
  readonly blocks: number
  readonly bfree: number
  readonly bavail: number
}

/** The room of a real spool. */
export class DiskRoom implements Room {
  /** The spool's cap, bytes: 80 % of its size limit. */
  readonly capBytes: number
  /**
   * Until what cannot be made room for passes the next mark, at the rate of the last rotations; infinite while nothing
   * grows.
   */
  secondsUntilFull = Number.POSITIVE_INFINITY
  readonly #options: DiskRoomOptions
  #walkedAtMs = Number.NEGATIVE_INFINITY
  #walked: SpoolBytes = { bytes: 0, unshippedBytes: 0 }
  #walkedJournalled = 0
  /** Marks that were passed and not fallen well below since. */
  #spoolFull = false
  #diskFull = false
  /** The last full disk did not show in any mark: room must be proven. */
  #proofWanted = false
  readonly #rate: FillRate

  constructor(options: DiskRoomOptions) {
    this.#options = options
    this.capBytes = Math.floor(options.sizeLimitBytes * SPOOL_MARK)
    this.#rate = new FillRate(
      Math.max(options.rotationSeconds * 1000 * RATE_OVER_ROTATIONS, RATE_OVER_MS_MIN),
    )
  }

  async look(journalledBytes: number): Promise<RoomState> {
    const { bytes: spool, unshippedBytes: held } = await this.#spoolBytes(journalledBytes)
    const disk = await (this.#options.statfs ?? statfs)(this.#options.directory)
    // as df reckons: what is kept for root counts neither as used nor as free
    const used = (disk.blocks - disk.bfree) * disk.bsize
    const size = used + disk.bavail * disk.bsize
    const diskMark = Math.floor(size * DISK_MARK)
    const passed = spool > this.capBytes || used > diskMark
    const left = Math.min(this.capBytes - held, diskMark - used + spool - held)
    this.secondsUntilFull = passed ? 0 : this.#rate.secondsUntil(left)
    if (spool > this.capBytes / 2) this.#options.onHalfFull(Math.ceil(spool - this.capBytes / 2))
    this.#spoolFull = spool > this.capBytes || (this.#spoolFull && spool > this.capBytes * SPOOL_LOW)
    this.#diskFull = used > diskMark || (this.#diskFull && used > diskMark * DISK_LOW)
    if (spool > this.capBytes) {
      return { full: `the spool holds ${spool} bytes, its cap is ${this.capBytes}`, low: false }
    }
    if (used > diskMark) {
      const percent = Math.floor((used / size) * 100)
      return {
        full: `the file system of the spool is ${percent} % full, a capture stops at 90 %`,
        low: false,
      }
    }
    return { full: '', low: !this.#spoolFull && !this.#diskFull }
  }

  allocate(): Promise<boolean> {
    return this.#options.reserve.allocate(this.#proofWanted ? PROOF_BYTES : 0).then((allocated) => {
      if (allocated) this.#proofWanted = false
      return allocated
    })
  }

  async release(): Promise<boolean> {
    this.#proofWanted = true
    return await this.#options.reserve.release()
  }

  async #spoolBytes(journalledBytes: number): Promise<SpoolBytes> {
    const now = this.#options.nowMs()
    const isDue = now - this.#walkedAtMs >= WALK_EVERY_MS || this.#spoolFull
    // segments went meanwhile to make room: no run ends for what a count of seconds ago does not know of
    if (isDue || this.#sinceWalk(journalledBytes).bytes > this.capBytes) {
      this.#walkedAtMs = now
      this.#walkedJournalled = journalledBytes
      this.#walked = await this.#options.usage()
      // one out of turn would be of another phase of the rotation
      if (isDue) this.#rate.take(now, this.#walked.unshippedBytes)
    }
    return this.#sinceWalk(journalledBytes)
  }

  #sinceWalk(journalledBytes: number): SpoolBytes {
    const { bytes, unshippedBytes } = this.#walked
    const since = Math.max(0, journalledBytes - this.#walkedJournalled)
    return { bytes: bytes + since, unshippedBytes: unshippedBytes + since }
  }
}
