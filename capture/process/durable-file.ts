import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncPath } from '../ship/mod.ts'

/** Replaces a small file whole or not at all, durably: a reader finds the old text or the new one. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const written = `${path}.new`
  const file = await open(written, 'w', 0o644)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(written, path)
  await syncPath(dirname(path))
}
