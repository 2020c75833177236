/** Takes up a spool: its lock, and what earlier processes left in it. */
import { mkdir } from 'node:fs/promises'
import type { Logger } from 'pino'
import type { ProcessConfig } from '../../api/config.ts'
import type { Report } from '../../api/report.ts'
import {
  acquireSpoolLock,
  type RecoveredSegments,
  recoverSegments,
  type SpoolLock,
  SpoolUnusable,
} from '../journal/mod.ts'
import { type Bucket, openBucket, openSpool, Requests, type Spool } from '../ship/mod.ts'
import { endsBefore } from './killed.ts'
import { readPausedUntil } from './paused-until.ts'
import type { Halts } from './report.ts'
import { Succession } from './succession.ts'

/** What earlier processes left in the spool, and those before in the bucket. */
export interface Taken {
  readonly lock: SpoolLock
  readonly spool: Spool
  readonly segments: RecoveredSegments
  readonly report: Report | undefined
  readonly halts: Halts
  readonly pausedUntilMs: number
  readonly bucket: Bucket
  /** What is asked of it. */
  readonly requests: Requests
  readonly succession: Succession
}

/** Locks and opens the spool, and opens the bucket. Throws SpoolLocked, SpoolUnusable, BucketError. */
export async function takeUp(config: ProcessConfig, log: Logger): Promise<Taken> {
  await makeSpoolDirectory(config.spool.dir)
  const lock = acquireSpoolLock(config.spool.dir)
  try {
    const spool = await openSpool(config.spool.dir)
    const ends = await endsBefore(spool.paths, lock, config.symbol, log)
    const requests = new Requests()
    const bucket = openBucket(config.storage, process.env, { requests })
    return {
      ...ends,
      lock,
      spool,
      bucket,
      requests,
      succession: await Succession.open(config, spool, bucket, log),
      segments: await recoverSegments(spool.paths.journal),
      pausedUntilMs: await readPausedUntil(spool.paths.pausedUntil, log),
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

async function makeSpoolDirectory(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new SpoolUnusable(
      `Spool directory ${dir} cannot be made: ${why}. Give a directory that may be written`,
    )
  }
}
