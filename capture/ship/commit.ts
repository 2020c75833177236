/**
 * The commit of one window. Order is everything:
 *
 *   is its manifest there? → every local file is what the manifest says → each object: PUT, GET, hash
 *   → manifest: PUT, GET, compare: committed. Only then may anything local go (`Spool.dropWindow`).
 *
 * A kill or an error anywhere is answered by beginning again: every step before the commit may be repeated.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { parseWindowName } from '../../api/names.ts'
import { type Bucket, BucketError, OBJECT_TOO_LARGE } from './bucket.ts'
import { systemCode } from './durable.ts'
import {
  keyOfManifest,
  MANIFEST_BYTES_MAX,
  type Manifest,
  ManifestError,
  type ManifestObject,
  parseManifest,
} from './manifest.ts'
import { MANIFEST_FILE, type Spool } from './spool.ts'

/** Each is told after it was done, with the key it was done to. */
export type CommitStep =
  | 'manifest_looked_up'
  | 'local_checked'
  | 'object_put'
  | 'object_proven'
  | 'manifest_put'
  | 'manifest_proven'

export interface CommitHooks {
  /** A throw ends the attempt; the next one begins again. */
  readonly onStep?: (step: CommitStep, key: string) => void
  /** The bucket holds a manifest of this window that differs from the sealed one. The committed one wins. */
  readonly onCommittedDiffers?: (key: string, committed: Manifest, sealed: Manifest) => void
  /** The bucket holds something under the manifest's key that commits nothing; it is written over. */
  readonly onNoManifest?: (key: string, why: string) => void
}

/**
 * Commits a sealed window: `committed` by this call, or `already` by an earlier one (a committed manifest is
 * never written again). Deletes nothing. Throws BucketError; the window is then as uncommitted as before.
 */
export async function commitWindow(
  bucket: Bucket,
  spool: Spool,
  name: string,
  hooks: CommitHooks = {},
): Promise<'committed' | 'already'> {
  const { manifest, bytes } = await readSealed(spool, name)
  const key = keyOfManifest(manifest)
  if (await isCommitted(bucket, key, manifest, bytes, hooks)) return 'already'

  // All files are checked before the first upload: of a damaged window nothing is uploaded.
  for (const object of manifest.objects) await readObject(spool, name, object)
  hooks.onStep?.('local_checked', key)
  for (const object of manifest.objects) await shipObject(bucket, spool, name, object, hooks)

  await bucket.put(key, bytes, sha256(bytes))
  hooks.onStep?.('manifest_put', key)
  const back = await bucket.get(key, bytes.byteLength)
  if (back === undefined || !back.equals(bytes))
    throw notStored(bucket, key, back?.byteLength, bytes.byteLength)
  hooks.onStep?.('manifest_proven', key)
  return 'committed'
}

/** Whether a valid manifest of this window is in the bucket, equal to the sealed one or not. */
async function isCommitted(
  bucket: Bucket,
  key: string,
  sealed: Manifest,
  sealedBytes: Buffer,
  hooks: CommitHooks,
): Promise<boolean> {
  const found = await lookUp(bucket, key, hooks)
  hooks.onStep?.('manifest_looked_up', key)
  if (found === undefined) return false
  if (found.equals(sealedBytes)) return true
  try {
    const committed = parseManifest(found)
    if (!sameWindow(committed, sealed)) {
      hooks.onNoManifest?.(
        key,
        `it is of ${committed.symbol}, run ${committed.run}, window ${committed.window}`,
      )
      return false
    }
    hooks.onCommittedDiffers?.(key, committed, sealed)
    return true
  } catch (error) {
    // A store that kept half of an earlier PUT: no reader takes it for a manifest, so nothing was committed.
    if (!(error instanceof ManifestError)) throw error
    hooks.onNoManifest?.(key, error.message)
    return false
  }
}

/** What lies under a manifest's key; nothing where it is too large for a manifest. */
async function lookUp(bucket: Bucket, key: string, hooks: CommitHooks): Promise<Buffer | undefined> {
  try {
    return await bucket.get(key, MANIFEST_BYTES_MAX)
  } catch (error) {
    if (!(error instanceof BucketError) || error.code !== OBJECT_TOO_LARGE) throw error
    hooks.onNoManifest?.(key, error.message)
    return undefined
  }
}

async function shipObject(
  bucket: Bucket,
  spool: Spool,
  name: string,
  object: ManifestObject,
  hooks: CommitHooks,
): Promise<void> {
  const body = await readObject(spool, name, object)
  await bucket.put(object.key, body, object.sha256)
  hooks.onStep?.('object_put', object.key)
  // A HEAD would tell what the store received; only the bytes tell what it keeps.
  const back = await bucket.get(object.key, object.bytes)
  if (back === undefined || sha256(back) !== object.sha256) {
    throw notStored(bucket, object.key, back?.byteLength, object.bytes)
  }
  hooks.onStep?.('object_proven', object.key)
}

async function readSealed(spool: Spool, name: string): Promise<{ manifest: Manifest; bytes: Buffer }> {
  const file = path.join(spool.sealedPath(name), MANIFEST_FILE)
  const bytes = await readLocal(file, `the sealed manifest of ${name}`)
  try {
    const manifest = parseManifest(bytes)
    const id = parseWindowName(name)
    if (id?.run === manifest.run && id.window === manifest.window) return { manifest, bytes }
    const found = `run ${manifest.run}, window ${manifest.window}`
    throw new BucketError('local_manifest', 'integrity', `${file} is of ${found}, not of ${name}`)
  } catch (cause) {
    if (!(cause instanceof ManifestError)) throw cause
    throw new BucketError('local_manifest', 'integrity', `${file}: ${cause.message}`, { cause })
  }
}

/** The bytes of a sealed object, proven to be those that the manifest speaks of. */
async function readObject(spool: Spool, name: string, object: ManifestObject): Promise<Buffer> {
  const file = spool.parquetPath(name, object.stream)
  const body = await readLocal(file, `the sealed ${object.stream} of ${name}`)
  const found = sha256(body)
  if (body.byteLength === object.bytes && found === object.sha256) return body
  throw new BucketError(
    'local_altered',
    'integrity',
    `${file} is not what was sealed: ${body.byteLength} bytes with hash ${found}, expected ${object.bytes} ` +
      `with ${object.sha256}; nothing of this window is uploaded, check the disk`,
  )
}

async function readLocal(file: string, what: string): Promise<Buffer> {
  try {
    return await fs.readFile(file)
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') {
      const why = 'if it was being deleted, the bucket must show its manifest before it can go on'
      throw new BucketError('local_missing', 'integrity', `${what} is missing (${file}); ${why}`, { cause })
    }
    throw new BucketError('local_unreadable', 'integrity', `${what} cannot be read (${file})`, { cause })
  }
}

/** The error for an object that was put and does not read back as it was. `found`: the bytes that came back. */
export function notStored(
  bucket: Bucket,
  key: string,
  found: number | undefined,
  bytes: number,
): BucketError {
  const what = found === undefined ? 'nothing' : `${found} bytes that are not those`
  return new BucketError(
    found === undefined ? 'not_stored' : 'stored_altered',
    'integrity',
    `${bucket.description} took ${key} (${bytes} bytes) and gives back ${what}; it is put again`,
  )
}

function sameWindow(a: Manifest, b: Manifest): boolean {
  return a.exchange === b.exchange && a.symbol === b.symbol && a.run === b.run && a.window === b.window
}

/** In hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
