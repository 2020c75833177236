/**
 * Room kept for the last word: a file of really allocated bytes. When the disk is full it goes, and the closing
 * record of the run, or a report, takes its place.
 */
import { randomFillSync } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorCode } from './errors.ts'
import { syncDir } from './fs.ts'

/** A closing record is some hundred bytes, the frames that wait 5 ms for it at most some hundred kilobytes. */
export const RESERVE_BYTES = 1024 * 1024

/** Room that can be given up once, and must be taken again before the next run. */
export interface Reserve {
  /**
   * Makes the reserve whole. With `proofBytes` it takes that much more for a moment, as proof that there is room
   * to go on. False where there is no room for it. Throws the system's error for any other reason.
   */
  allocate(proofBytes?: number): Promise<boolean>
  /** Gives the room back. False where it was given back before. Throws the system's error. */
  release(): Promise<boolean>
}

/** The reserve as a file. */
export class FileReserve implements Reserve {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  async allocate(proofBytes = 0): Promise<boolean> {
    if (proofBytes === 0 && (await allocatedBytes(this.path)) >= RESERVE_BYTES) return true
    const file = await open(this.path, 'w', 0o640)
    let whole = false
    try {
      // random, because a file system may store equal bytes in less room than they will need later
      const piece = randomFillSync(Buffer.allocUnsafe(RESERVE_BYTES))
      for (let bytes = 0; bytes < RESERVE_BYTES + proofBytes; bytes += piece.length) {
        await file.writeFile(piece)
      }
      await file.sync()
      await file.truncate(RESERVE_BYTES)
      whole = true
    } catch (error) {
      if (!['ENOSPC', 'EDQUOT'].includes(errorCode(error))) throw error
    } finally {
      await file.close()
      // half a reserve is none, and its room is wanted by what ships
      if (!whole) await rm(this.path, { force: true })
    }
    if (whole) await syncDir(dirname(this.path))
    return whole
  }

  async release(): Promise<boolean> {
    try {
      await rm(this.path)
      return true
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false
      throw error
    }
  }
}

/** Bytes that a file takes on the disk; 0 where there is none. */
async function allocatedBytes(path: string): Promise<number> {
  try {
    const file = await open(path, 'r')
    try {
      const { size, blocks } = await file.stat()
      return Math.min(size, blocks * 512)
    } finally {
      await file.close()
    }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0
    throw error
  }
}
