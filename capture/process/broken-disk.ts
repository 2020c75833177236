import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ProcessConfig } from '../../api/config.ts'
import { HALT_EXIT_CODES } from '../../api/reasons.ts'
import { formatTimeUs, systemCode } from '../ship/mod.ts'
import { haltsInARow, readReport, writeReport } from './report.ts'

/** Errors of a disk, not of a call: what can be written there is up to the machine. */
const DISK_ERRORS: readonly string[] = ['EIO', 'EROFS']
const PROBE_FILE = 'probe'
const REPORT_FILE = 'report.json'

/**
 * Is the disk of a spool that could not be opened broken? A directory that is missing or belongs to somebody else
 * is a wrong call; a file system that turned read-only, or fails to write, is a fault that another machine cures.
 */
export async function isBroken(dir: string): Promise<boolean> {
  const path = join(dir, PROBE_FILE)
  try {
    const file = await open(path, 'w')
    try {
      await file.writeFile('l2cap')
      await file.sync()
    } finally {
      await file.close()
    }
    await rm(path, { force: true })
    return false
  } catch (error) {
    return DISK_ERRORS.includes(systemCode(error))
  }
}

/** Tells of a start that failed for its disk, where that can be written. Returns the exit code. */
export async function reportBroken(config: ProcessConfig, why: string): Promise<number> {
  const { spool, symbol, terminationLog } = config
  const exitCode = HALT_EXIT_CODES.DiskFailed
  const path = join(spool.dir, REPORT_FILE)
  const previous = await readReport(path)
  const report = {
    reason: 'DiskFailed',
    message: why,
    symbol,
    run: '',
    at: formatTimeUs(Date.now() * 1000),
    exitCode,
    haltsInARow: haltsInARow('DiskFailed', previous, 0),
    previous: previous === undefined ? null : { reason: previous.reason, at: previous.at },
    // what lies there cannot be counted
    unshippedBytes: -1,
    quarantinedBytes: -1,
  }
  try {
    await writeReport(report, path, terminationLog)
  } catch {
    // the spool cannot take it; the termination log was written first where there is one, and standard error says it
  }
  return exitCode
}
