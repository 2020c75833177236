/**
 * One process a spool. The lock is SQLite's exclusive lock on `<spool>/lock`, a lock of the kernel: it goes
 * with the process however that dies, and needs no time-out and no guess about stale files.
 *
 * Nothing in this process may open `<spool>/lock` besides: closing any descriptor of a file releases the
 * process's POSIX locks on it.
 */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { errorMessage, isFullError } from './errors.ts'

const LOCK_FILE = 'lock'
/** Who holds the lock, for the message of the one who does not get it. */
const HOLDER_FILE = 'lock.json'
const SQLITE_BUSY = 5

const holderSchema = z.object({ pid: z.int(), host: z.string(), startedAt: z.string() })
type Holder = z.infer<typeof holderSchema>

/**
 * The open databases. A database that nobody refers to is closed by the garbage collector, and the lock with
 * it: a caller that keeps no `SpoolLock` must not lose the spool for that.
 */
const held = new Set<DatabaseSync>()

/** Another process, or another part of this one, holds the spool. */
export class SpoolLocked extends Error {
  override readonly name = 'SpoolLocked'
  readonly code = 'SpoolLocked'
}

/** The directory cannot serve as a spool. */
export class SpoolUnusable extends Error {
  override readonly name = 'SpoolUnusable'
  readonly code = 'SpoolUnusable'
}

export interface SpoolLock {
  readonly dir: string
  /** Why the holder could not be noted for others to read, or empty. The lock holds all the same. */
  readonly holderProblem: string
  /** Who held it before and never gave it back: a process that was killed. */
  readonly before: Holder | undefined
  /** Gives the spool back; harmless twice. */
  release(): void
}

/**
 * Locks a spool for the rest of this process, or until `release`.
 * Throws `SpoolLocked` (naming the holder) or `SpoolUnusable` (missing, not a directory, not writable).
 */
export function acquireSpoolLock(dir: string): SpoolLock {
  assertDirectory(dir)
  const database = lockDatabase(dir)
  // whoever leaves in order takes its note along
  const before = readHolder(dir)
  let holderProblem: string
  try {
    holderProblem = noteHolder(dir)
  } catch (error) {
    database.close()
    throw error
  }
  held.add(database)
  return {
    dir,
    holderProblem,
    before,
    release() {
      if (!held.delete(database)) return
      // The note goes first: one that outlives the lock would name the wrong holder to the next process.
      rmSync(join(dir, HOLDER_FILE), { force: true })
      database.close()
    },
  }
}

function assertDirectory(dir: string): void {
  let isDirectory = false
  try {
    isDirectory = statSync(dir).isDirectory()
  } catch (cause) {
    throw unusable(dir, errorMessage(cause), cause)
  }
  if (!isDirectory) throw unusable(dir, 'it is not a directory')
}

function lockDatabase(dir: string): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(join(dir, LOCK_FILE), { timeout: 0 })
    // With its undo log in memory nothing is ever written here: a full disk must not keep a process from the
    // lock, since shipping is what frees it.
    database.exec('PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE')
    return database
  } catch (cause) {
    database?.close()
    if (isBusy(cause)) throw new SpoolLocked(lockedMessage(dir), { cause })
    throw unusable(dir, errorMessage(cause), cause)
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY
}

function lockedMessage(dir: string): string {
  const holder = readHolder(dir)
  const who = holder
    ? `process ${holder.pid} on ${holder.host}, started ${holder.startedAt}`
    : 'another process, which left no note of itself'
  return `Spool ${dir} is in use by ${who}. Stop that process, or give this one another spool directory`
}

/** The holder's note. It helps a person and decides nothing, so that an unreadable one is merely left out. */
function readHolder(dir: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(readFileSync(join(dir, HOLDER_FILE), 'utf8')))
  } catch {
    return undefined
  }
}

/**
 * Notes who holds the lock; returns why that was not possible. A full disk must not keep a process from
 * shipping what fills it; any other failure shows a directory that cannot be written.
 */
function noteHolder(dir: string): string {
  const path = join(dir, HOLDER_FILE)
  const startedAt = new Date(Date.now() - process.uptime() * 1000).toISOString()
  const holder: Holder = { pid: process.pid, host: hostname(), startedAt }
  try {
    // By rename, so that nobody reads half a note.
    writeFileSync(`${path}.tmp`, JSON.stringify(holder))
    renameSync(`${path}.tmp`, path)
    return ''
  } catch (cause) {
    if (!isFullError(cause)) throw unusable(dir, errorMessage(cause), cause)
    // The note of an earlier holder would name the wrong one.
    rmSync(path, { force: true })
    return errorMessage(cause)
  }
}

function unusable(dir: string, reason: string, cause?: unknown): SpoolUnusable {
  return new SpoolUnusable(
    `Spool directory ${dir} cannot be used: ${reason}. Give a directory that exists and that user ` +
      `${process.getuid?.() ?? '?'} may write`,
    { cause },
  )
}
