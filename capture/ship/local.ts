/**
 * A local directory as a bucket. An object appears under its key whole and durable, or not at all: it is
 * written under a hidden name in the same directory, synced, renamed, and the directory synced.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Dirent } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { type Bucket, type BucketEntry, BucketError, OBJECT_TOO_LARGE } from './bucket.ts'
import { makeDirectories, makeDirectory, syncPath, systemCode, writeNewFile } from './durable.ts'
import { keyFault } from './keys.ts'
import { explainLocalError } from './local-errors.ts'
import { type Asked, Requests } from './requests.ts'

/** The dot hides unfinished objects from folder readers (pandas, pyarrow) and from `*.parquet`. */
const TEMPORARY_PREFIX = '.l2cap-tmp-'
const TEMPORARY_PATTERN = /^\.l2cap-tmp-\d+-[0-9a-f]{16}$/
/** No put takes an hour: a temporary file this old has no writer left. */
const LEFTOVER_AGE_MS = 3_600_000
/** Directories remembered as synced; beyond it the memory starts anew and they are synced once more. */
const DIRECTORIES_REMEMBERED_MAX = 4096

/** Where a put stands; a kill after any of these must leave the old object, or the new one, whole. */
export type LocalPutStep = 'temporary_written' | 'renamed' | 'directory_synced'

export interface LocalBucketOptions {
  /** The wall clock, milliseconds since the Unix epoch; decides the age of leftovers. */
  readonly nowMs?: () => number
  readonly onStep?: (step: LocalPutStep, key: string) => void
  /** Told once, when the first put has looked for leftovers and found any. */
  readonly onLeftovers?: (found: Leftovers) => void
  /** Counts what is asked of it. */
  readonly requests?: Requests
}

/** Unfinished objects of earlier writers. */
export interface Leftovers {
  readonly removed: number
  /** Too young: their writer may live. */
  readonly kept: number
  /** Directories or files that this process may not read or remove; they are left to their owner. */
  readonly refused: number
}

/** A bucket in a directory. Reading creates nothing; the first put creates the root. */
export class LocalBucket implements Bucket {
  readonly description: string
  readonly #root: string
  readonly #options: LocalBucketOptions
  readonly #requests: Requests
  readonly #synced = new Set<string>()
  #started = false

  /** `root`: the directory; it may be missing. Touches nothing yet, so a faulty root is a put's error. */
  constructor(root: string, options: LocalBucketOptions = {}) {
    this.#root = path.resolve(root)
    this.#options = options
    this.#requests = options.requests ?? new Requests()
    this.description = `directory ${this.#root}`
  }

  async put(key: string, body: Buffer, sha256: string): Promise<void> {
    const parts = keyParts(key)
    const found = createHash('sha256').update(body).digest('hex')
    if (found !== sha256) {
      throw new BucketError('bad_digest', 'integrity', `${key}: the bytes hash to ${found}, not to ${sha256}`)
    }
    const asked = { operation: 'put', key, bytes: body.byteLength } as const
    await this.#asked(asked, `writing ${key}`, async () => {
      const root = await this.#start()
      const directory = await this.#directory(root, parts.slice(0, -1), key)
      await this.#replace(directory, parts.at(-1) ?? '', key, body)
    })
  }

  async get(key: string, bytesMax = Number.POSITIVE_INFINITY): Promise<Buffer | undefined> {
    const parts = keyParts(key)
    return await this.#asked({ operation: 'get', key }, `reading ${key}`, async () => {
      try {
        const root = await fs.realpath(this.#root)
        const file = await fs.realpath(path.join(root, ...parts))
        assertInside(root, file, key)
        await assertSize(file, bytesMax, key)
        return await fs.readFile(file)
      } catch (error) {
        // No such name, or a name on the way that is a file: there is no object under this key. A directory
        // of that name is no object either.
        if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes(systemCode(error))) return undefined
        throw error
      }
    })
  }

  async *list(prefix: string): AsyncIterable<BucketEntry> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    const parts = folder === '' ? [] : keyParts(folder.slice(0, -1))
    const directory = path.join(this.#root, ...parts)
    const asked = { operation: 'list', key: prefix } as const
    const found = await this.#asked(asked, `listing ${prefix}`, async () => {
      const real = await realPathIfThere(directory)
      if (real !== undefined) assertInside(await fs.realpath(this.#root), real, prefix)
      // A file where the prefix has a folder holds no keys; as the root it is a mistake that readdir names.
      return real !== undefined && (parts.length === 0 || (await fs.stat(real)).isDirectory())
    })
    if (found) yield* this.#walk(directory, folder, prefix)
  }

  /** Objects below one directory in the order of their keys. Symbolic links are not followed. */
  async *#walk(directory: string, folder: string, prefix: string): AsyncGenerator<BucketEntry> {
    const entries = await this.#explained(`listing ${folder || 'the root'}`, () => entriesOf(directory))
    // An object store sorts whole keys, in which a directory's name is followed by a slash.
    const named = entries.map((entry) => ({
      entry,
      key: `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`,
    }))
    named.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)))
    for (const { entry, key } of named) {
      const file = path.join(directory, entry.name)
      if (entry.isDirectory()) {
        if (key.startsWith(prefix) || prefix.startsWith(key)) yield* this.#walk(file, key, prefix)
      } else if (entry.isFile() && key.startsWith(prefix) && !entry.name.startsWith(TEMPORARY_PREFIX)) {
        const found = await this.#explained(`listing ${key}`, () => statIfThere(file))
        if (found !== undefined) yield { key, bytes: found.size, modifiedMs: found.mtimeMs }
      }
    }
  }

  /** Writes beside the target and renames; on an error the temporary file goes and the target is as it was. */
  async #replace(directory: string, name: string, key: string, body: Buffer): Promise<void> {
    const step = this.#options.onStep
    const temporary = path.join(
      directory,
      `${TEMPORARY_PREFIX}${process.pid}-${randomBytes(8).toString('hex')}`,
    )
    try {
      await writeNewFile(temporary, body)
      step?.('temporary_written', key)
      await fs.rename(temporary, path.join(directory, name))
    } catch (error) {
      // `force`: it may not exist. If even this fails, the name is hidden and a later start removes it.
      await fs.rm(temporary, { force: true }).catch(() => undefined)
      throw error
    }
    step?.('renamed', key)
    await syncPath(directory)
    step?.('directory_synced', key)
  }

  /** Creates the root and clears leftovers before the first put. Returns the root without symbolic links. */
  async #start(): Promise<string> {
    if (!this.#started) {
      await makeDirectories(this.#root)
      const found = { removed: 0, kept: 0, refused: 0 }
      await this.#clearLeftovers(this.#root, found)
      if (found.removed + found.kept + found.refused > 0) this.#options.onLeftovers?.(found)
      this.#started = true
    }
    return await fs.realpath(this.#root)
  }

  async #clearLeftovers(
    directory: string,
    found: { -readonly [K in keyof Leftovers]: number },
  ): Promise<void> {
    const nowMs = (this.#options.nowMs ?? Date.now)()
    try {
      for (const entry of await entriesOf(directory)) {
        const file = path.join(directory, entry.name)
        if (entry.isDirectory()) await this.#clearLeftovers(file, found)
        if (!entry.isFile() || !TEMPORARY_PATTERN.test(entry.name)) continue
        const status = await statIfThere(file)
        if (status === undefined) continue
        const old = nowMs - status.mtimeMs >= LEFTOVER_AGE_MS
        if (old) await fs.rm(file, { force: true })
        found[old ? 'removed' : 'kept'] += 1
      }
    } catch (error) {
      // Somebody else's directory below the root (a mount's lost+found): counted, and no reason not to write.
      if (!['EACCES', 'EPERM'].includes(systemCode(error))) throw error
      found.refused += 1
    }
  }

  /**
   * Creates the directories of a key. Each is synced into its parent once by this process, also if it was
   * there: a process killed between mkdir and fsync leaves directories that a power cut would still take.
   */
  async #directory(root: string, parts: readonly string[], key: string): Promise<string> {
    if (this.#synced.size > DIRECTORIES_REMEMBERED_MAX) this.#synced.clear()
    let directory = root
    for (const part of parts) {
      directory = path.join(directory, part)
      if (!this.#synced.has(directory)) {
        await makeDirectory(directory)
        // Before the next part is created in it: a link may lead elsewhere.
        assertInside(root, await fs.realpath(directory), key)
        this.#synced.add(directory)
      }
    }
    const real = await fs.realpath(directory)
    assertInside(root, real, key)
    return real
  }

  /** An operation that counts as a request; a directory that fails has answered. */
  async #asked<T>(asked: Asked, doing: string, work: () => Promise<T>): Promise<T> {
    return await this.#requests.run(
      asked,
      () => this.#explained(doing, work),
      () => 'error',
    )
  }

  /** Runs file operations; a system error becomes a BucketError that says what to do. */
  async #explained<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (systemCode(error) === '') throw error
      throw explainLocalError(error, `${this.description}: ${doing}`)
    }
  }
}

function keyParts(key: string): string[] {
  const hidden = key.split('/').some((part) => part.startsWith(TEMPORARY_PREFIX))
  const fault = hidden ? `parts beginning with ${TEMPORARY_PREFIX} are unfinished objects` : keyFault(key)
  if (fault !== undefined) {
    throw new BucketError('key_invalid', 'configuration', `the key "${key}" cannot be used: ${fault}`)
  }
  return key.split('/')
}

function assertInside(root: string, found: string, key: string): void {
  if (found === root || found.startsWith(root === path.sep ? root : root + path.sep)) return
  throw new BucketError('key_escapes', 'configuration', `${key} leads out of ${root}, to ${found}: a link?`)
}

async function assertSize(file: string, bytesMax: number, key: string): Promise<void> {
  if (bytesMax === Number.POSITIVE_INFINITY) return
  const found = await fs.stat(file)
  if (!found.isFile() || found.size <= bytesMax) return
  const what = `${key} has ${found.size} bytes, ${bytesMax} at most were expected`
  throw new BucketError(OBJECT_TOO_LARGE, 'integrity', what)
}

async function realPathIfThere(file: string): Promise<string | undefined> {
  try {
    return await fs.realpath(file)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error))) return undefined
    throw error
  }
}

/** The entries of a directory; none where it is missing or goes meanwhile. */
async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    return await fs.readdir(directory, { withFileTypes: true })
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

async function statIfThere(file: string): Promise<{ size: number; mtimeMs: number } | undefined> {
  try {
    return await fs.stat(file)
  } catch (error) {
    // Another writer renamed or removed it since the directory was read: it is not there.
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
