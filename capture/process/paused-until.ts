/**
 * The exchange's wish to be left alone, kept over restarts: a process that forgot a ban would make it longer.
 * `paused-until` in the spool holds the end of the latest one, ms since the epoch, as plain digits.
 */
import { readFile } from 'node:fs/promises'
import { systemCode } from '../ship/mod.ts'
import { replaceFile } from './durable-file.ts'

/** Plain digits of a time that a number holds exactly. */
const TIME_MS = /^\d{1,15}$/

/** What the keeper of a pause tells of itself. */
export interface PauseLog {
  warn(fields: object, message: string): void
}

/** The end of the pause that an earlier process was given, ms since the epoch; 0 where none is known. */
export async function readPausedUntil(path: string, log: PauseLog): Promise<number> {
  try {
    const text = (await readFile(path, 'utf8')).trim()
    if (TIME_MS.test(text)) return Number(text)
    // the feed bounds what it is given; what is no time at all says nothing
    log.warn(
      { path },
      `${path} holds no time: it is ignored, a request that comes too early is refused again`,
    )
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') {
      log.warn({ path, error: String(error) }, 'the end of an earlier pause cannot be read: it is ignored')
    }
  }
  return 0
}

/** Writes each new end of a pause, the latest last. A disk that takes none is told; the process itself knows. */
export class PauseFile {
  readonly #path: string
  readonly #log: PauseLog
  #wanted = 0
  #writing: Promise<void> | undefined

  constructor(path: string, log: PauseLog) {
    this.#path = path
    this.#log = log
  }

  remember(pausedUntilMs: number): void {
    this.#wanted = pausedUntilMs
    this.#writing ??= this.#write()
  }

  /** Resolves when nothing is left to write. */
  async settled(): Promise<void> {
    await this.#writing
  }

  async #write(): Promise<void> {
    for (let written = 0; written !== this.#wanted; ) {
      written = this.#wanted
      try {
        await replaceFile(this.#path, `${Math.ceil(written)}\n`)
      } catch (error) {
        this.#log.warn({ error: String(error) }, 'the end of the pause cannot be kept: a restart forgets it')
      }
    }
    this.#writing = undefined
  }
}
