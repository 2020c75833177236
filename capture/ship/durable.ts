/**
 * Making names and bytes survive a power cut. A file's fsync keeps its bytes, not its name; the name is kept
 * by the fsync of its directory. A failed fsync is never retried here: the kernel may have dropped the pages,
 * and a second call would say success for bytes that are gone.
 */
import fs from 'node:fs/promises'
import path from 'node:path'

/** Syncs the bytes of a file, or the names in a directory. Throws the system's error. */
export async function syncPath(fileOrDirectory: string): Promise<void> {
  const handle = await fs.open(fileOrDirectory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Writes a new file (it must not exist) and syncs its bytes; the caller syncs the directory. */
export async function writeNewFile(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await fs.open(file, 'wx', 0o644)
  try {
    // FileHandle.writeFile goes on after a short write and so meets ENOSPC; FileHandle.write does not.
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Creates a directory and its missing parents, each synced into its parent. Throws the system's error. */
export async function makeDirectories(directory: string): Promise<void> {
  const absolute = path.resolve(directory)
  try {
    const found = await fs.stat(absolute)
    if (found.isDirectory()) return
    throw Object.assign(new Error(`ENOTDIR: ${absolute} is not a directory`), { code: 'ENOTDIR' })
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
  await makeDirectories(path.dirname(absolute))
  await makeDirectory(absolute)
}

/** Creates one directory in an existing parent, if it is missing, and syncs the parent. */
export async function makeDirectory(directory: string): Promise<void> {
  try {
    await fs.mkdir(directory)
  } catch (error) {
    // Two writers may create one directory at once; whoever comes second needs it synced all the same.
    if (systemCode(error) !== 'EEXIST') throw error
  }
  await syncPath(path.dirname(directory))
}

/** The system's error code (`ENOENT`), or '' for any other error, also one with a code of ours. */
export function systemCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : ''
}
