import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import type { JournalFs } from '../../capture/journal/mod.ts'

/**
 * A real directory for segments in virtual time: each call is over before time goes on. Nothing is synced: no power
 * is lost here, and a day has a sync for each of its seconds.
 */
export const segmentFiles: JournalFs = {
  async create(path) {
    const file = openSync(path, 'ax', 0o640)
    return {
      write: async (bytes) => writeSync(file, bytes),
      datasync: async () => undefined,
      truncate: async (bytes) => ftruncateSync(file, bytes),
      close: async () => closeSync(file),
    }
  },
  syncDir: async () => undefined,
}
