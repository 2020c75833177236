/** The few calls that the writer makes to the file system and to timers, handed in so that tests can fail them. */
import { open } from 'node:fs/promises'

/** One open segment file. Each call may reject with a Node error. */
export interface JournalFile {
  /** Appends; resolves with the bytes accepted, which may be fewer: the kernel's way to say "full". */
  write(bytes: Uint8Array): Promise<number>
  datasync(): Promise<void>
  truncate(bytes: number): Promise<void>
  close(): Promise<void>
}

export interface JournalFs {
  /** Creates a file for appending; rejects with `EEXIST` where one is. */
  create(path: string): Promise<JournalFile>
  /** Makes the names in a directory durable. */
  syncDir(path: string): Promise<void>
}

/** Runs `run` once after `delayMs`; returns what cancels it. Must not keep the process alive. */
export type JournalTimer = (delayMs: number, run: () => void) => () => void

export const nodeJournalFs: JournalFs = {
  async create(path) {
    // appending: after a cut the next write goes to the new end
    const handle = await open(path, 'ax', 0o640)
    return {
      // A bare write, because the higher calls of Node retry a short write and thereby hide where it stopped.
      write: async (bytes) => (await handle.write(bytes)).bytesWritten,
      datasync: () => handle.datasync(),
      truncate: (bytes) => handle.truncate(bytes),
      close: () => handle.close(),
    }
  },
  syncDir,
}

/** Fsyncs a directory: without it a new or renamed file may lose its name in a power loss. */
export async function syncDir(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export const nodeJournalTimer: JournalTimer = (delayMs, run) => {
  const timer = setTimeout(run, delayMs)
  timer.unref()
  return () => clearTimeout(timer)
}
