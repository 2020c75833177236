/**
 * The spool: one directory that is the whole state between the exchange and the bucket. There is no ledger:
 * what is there, and under which name, says what is left to do.
 *
 *   journal/<run>-000042.journal   the inputs; the recorder's until the window is sealed; deleted last
 *   sealed/<run>-000042/           <stream>.parquet and manifest.json; its existence is the seal
 *   tmp/                           unfinished work of this process; emptied at start
 *   torn/  quarantine/             what recovery cut off; what replay could not vouch for, empty once it is shipped
 *   lock/  report.json             who works here; how the last process ended
 *   halts.json  paused-until       how earlier processes halted; until when the exchange wants no request
 *   lineage.json                   what was published, where runs cut, how the predecessor ended
 *   reserve                        room for the last words on a full disk
 */
import { randomBytes } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import {
  compareWindows,
  parseSegmentName,
  parseWindowName,
  segmentName,
  type WindowId,
  windowName,
} from '../../api/names.ts'
import { makeDirectories, syncPath, systemCode } from './durable.ts'
import { type Manifest, parseManifest } from './manifest.ts'

export const MANIFEST_FILE = 'manifest.json'
const PARQUET_SUFFIX = '.parquet'

export interface SpoolPaths {
  readonly journal: string
  readonly sealed: string
  readonly tmp: string
  readonly torn: string
  readonly quarantine: string
  readonly lock: string
  readonly report: string
  readonly halts: string
  readonly reserve: string
  readonly pausedUntil: string
  readonly lineage: string
}

/** A window in the spool. Without `hasSealed` it belongs to the recorder, not to the shipper. */
export interface SpoolWindow extends WindowId {
  readonly name: string
  readonly hasSegment: boolean
  readonly hasSealed: boolean
}

export interface SpoolUsage {
  /** All files below the spool, bytes. */
  readonly bytes: number
  /** Windows with a segment or a seal. */
  readonly windows: number
  /** What a loss of the spool would cost: of each window the sealed files, or else the segment. */
  readonly unshippedBytes: number
  /** In quarantine and not shipped. */
  readonly quarantinedBytes: number
  /** When the window that waits longest was last written to, ms since the epoch; null where none waits. */
  readonly oldestMs: number | null
}

/** Where a drop stands; a kill after any of these leaves a state that the next start finishes. */
export type DropStep = 'parquet_removed' | 'unsealed' | 'sealed_removed' | 'segment_removed'

export type SpoolErrorCode = 'window_name_invalid' | 'window_sealed_already' | 'window_incomplete'

/** A wrong call, or a window that is not what its seal would say. */
export class SpoolError extends Error {
  override readonly name = 'SpoolError'
  readonly code: SpoolErrorCode

  constructor(code: SpoolErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** The places in a spool directory; touches nothing (for workers that are handed one path). */
export function spoolPaths(directory: string): SpoolPaths {
  return {
    journal: path.join(directory, 'journal'),
    sealed: path.join(directory, 'sealed'),
    tmp: path.join(directory, 'tmp'),
    torn: path.join(directory, 'torn'),
    quarantine: path.join(directory, 'quarantine'),
    lock: path.join(directory, 'lock'),
    report: path.join(directory, 'report.json'),
    halts: path.join(directory, 'halts.json'),
    reserve: path.join(directory, 'reserve'),
    pausedUntil: path.join(directory, 'paused-until'),
    lineage: path.join(directory, 'lineage.json'),
  }
}

/**
 * Creates what is missing and empties `tmp/`. Whoever may share the directory takes the spool's lock before.
 * Throws the system's error.
 */
export async function openSpool(directory: string): Promise<Spool> {
  const paths = spoolPaths(path.resolve(directory))
  for (const each of [paths.journal, paths.sealed, paths.tmp, paths.torn, paths.quarantine]) {
    await makeDirectories(each)
  }
  for (const name of await fs.readdir(paths.tmp)) {
    await fs.rm(path.join(paths.tmp, name), { recursive: true, force: true })
  }
  return new Spool(path.resolve(directory), paths)
}

/** The safe operations on an open spool. Make one with `openSpool`. */
export class Spool {
  readonly directory: string
  readonly paths: SpoolPaths
  #counting: Promise<SpoolUsage> | undefined
  /** Sizes of sealed windows as they were counted last, with the time at which each directory had changed. */
  #sealedBefore = new Map<string, { readonly changedMs: number; readonly bytes: number }>()

  constructor(directory: string, paths: SpoolPaths) {
    this.directory = directory
    this.paths = paths
  }

  /** Where a window's segment lies. Throws SpoolError for a name that is none. */
  segmentPath(name: string): string {
    const { run, window } = checkedId(name)
    return path.join(this.paths.journal, segmentName(run, window))
  }

  /** Where a window's sealed directory lies. */
  sealedPath(name: string): string {
    return path.join(this.paths.sealed, checkedName(name))
  }

  /** Where the sealed Parquet file of a stream lies. */
  parquetPath(name: string, stream: string): string {
    return path.join(this.sealedPath(name), `${stream}${PARQUET_SUFFIX}`)
  }

  /** A fresh directory under `tmp/` to record a window in; `sealWindow` takes it. */
  async makeTmp(name: string): Promise<string> {
    const directory = path.join(this.paths.tmp, `${checkedName(name)}-${randomBytes(4).toString('hex')}`)
    await fs.mkdir(directory)
    return directory
  }

  /**
   * Seals a window: syncs every file of `tmpDir` and the directory, renames it as a whole, syncs the parent.
   * Throws SpoolError if the directory is not exactly what its manifest says, or the window is sealed already.
   */
  async sealWindow(tmpDir: string, name: string): Promise<void> {
    const target = this.sealedPath(name)
    const manifest = parseManifest(await fs.readFile(path.join(tmpDir, MANIFEST_FILE)))
    await assertComplete(tmpDir, name, manifest)
    if (await exists(target)) {
      throw new SpoolError('window_sealed_already', `${name} is sealed already; it is shipped as it is`)
    }
    for (const file of await fs.readdir(tmpDir)) await syncPath(path.join(tmpDir, file))
    await syncPath(tmpDir)
    await fs.rename(tmpDir, target)
    await syncPath(this.paths.sealed)
  }

  /**
   * Deletes a committed window: Parquet, then the seal with its manifest, then the segment. The order is the
   * state: with its manifest left, a start reads the bucket and goes on deleting; with the segment alone left,
   * it is recorded again and found committed. The seal goes by a rename, so it never stands half.
   */
  async dropWindow(name: string, onStep?: (step: DropStep, name: string) => void): Promise<void> {
    const sealed = this.sealedPath(name)
    if (await exists(sealed)) {
      for (const file of await fs.readdir(sealed)) {
        if (file === MANIFEST_FILE) continue
        await fs.rm(path.join(sealed, file), { force: true })
        onStep?.('parquet_removed', name)
      }
      await syncPath(sealed)
      const going = await this.#unseal(name)
      onStep?.('unsealed', name)
      await fs.rm(going, { recursive: true, force: true })
      onStep?.('sealed_removed', name)
    }
    await fs.rm(this.segmentPath(name), { force: true })
    await syncPath(this.paths.journal)
    onStep?.('segment_removed', name)
  }

  /**
   * Takes back the seal of a window whose sealed files are damaged, so that it is recorded again from its
   * segment. False, and nothing is touched, where the segment is gone: the sealed files are all there is.
   */
  async unsealWindow(name: string): Promise<boolean> {
    if (!(await exists(this.segmentPath(name)))) return false
    if (await exists(this.sealedPath(name))) {
      await fs.rm(await this.#unseal(name), { recursive: true, force: true })
    }
    return true
  }

  /** When a window was last written to; null where it went meanwhile. */
  async #writtenMs({ name, hasSegment }: SpoolWindow): Promise<number | null> {
    const file = hasSegment ? this.segmentPath(name) : path.join(this.sealedPath(name), MANIFEST_FILE)
    try {
      return (await fs.stat(file)).mtimeMs
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return null
      throw error
    }
  }

  /** Moves a seal away by one rename, durably; returns where its files went. */
  async #unseal(name: string): Promise<string> {
    const going = path.join(this.paths.tmp, `${checkedName(name)}-unsealed-${randomBytes(4).toString('hex')}`)
    await fs.rename(this.sealedPath(name), going)
    await syncPath(this.paths.sealed)
    return going
  }

  /**
   * Deletes the segments of sealed windows, oldest first, until so many bytes are freed: what was read back from
   * Parquet needs its segment no more. `keep` names windows whose seal is in doubt. Returns the bytes freed.
   */
  async dropSegments(bytesToFree: number, keep: (name: string) => boolean): Promise<number> {
    let freed = 0
    for (const { name, hasSealed, hasSegment } of await this.listWindows()) {
      if (freed >= bytesToFree) break
      if (!hasSealed || !hasSegment) continue
      const bytes = await bytesBelow(this.segmentPath(name))
      // asked last, just before it goes: a window that is unsealed from here on finds no segment, and says so
      if (keep(name)) continue
      await fs.rm(this.segmentPath(name), { force: true })
      freed += bytes
    }
    if (freed > 0) await syncPath(this.paths.journal)
    return freed
  }

  /** Every window of the spool, oldest first by run and number. Foreign names are left out. */
  async listWindows(): Promise<SpoolWindow[]> {
    const hasSegment = new Set<string>()
    for (const file of await fs.readdir(this.paths.journal)) {
      const id = parseSegmentName(file)
      if (id !== undefined) hasSegment.add(windowName(id.run, id.window))
    }
    const hasSealed = new Set(await fs.readdir(this.paths.sealed))
    const windows: SpoolWindow[] = []
    for (const name of new Set([...hasSegment, ...hasSealed])) {
      const id = parseWindowName(name)
      if (id === undefined) continue
      windows.push({ name, ...id, hasSegment: hasSegment.has(name), hasSealed: hasSealed.has(name) })
    }
    return windows.sort(compareWindows)
  }

  /**
   * Sizes for `/status`, room and reports. Files that go while it counts are counted as gone. Whoever asks while it
   * counts gets the same count: a backlog of thousands of windows must not cost a capture its time.
   */
  usage(): Promise<SpoolUsage> {
    this.#counting ??= this.#count().finally(() => {
      this.#counting = undefined
    })
    return this.#counting
  }

  async #count(): Promise<SpoolUsage> {
    const windows = await this.listWindows()
    const sealed = await this.#sealedSizes()
    const segments = await sizesIn(this.paths.journal)
    let unshippedBytes = 0
    let oldestMs: number | null = null
    for (const window of windows) {
      const { name, hasSealed } = window
      const size = hasSealed ? sealed.get(name) : segments.get(path.basename(this.segmentPath(name)))
      unshippedBytes += size ?? 0
      // the first that is still there
      oldestMs ??= await this.#writtenMs(window)
    }
    let bytes = sumOf(sealed) + sumOf(segments)
    const counted = [this.paths.sealed, this.paths.journal].map((folder) => path.basename(folder))
    for (const name of await fs.readdir(this.directory)) {
      if (!counted.includes(name)) bytes += await bytesBelow(path.join(this.directory, name))
    }
    const quarantinedBytes = await bytesBelow(this.paths.quarantine)
    return { bytes, windows: windows.length, unshippedBytes, quarantinedBytes, oldestMs }
  }

  /** Bytes of each sealed window, by name. Its files are looked at again only where its directory has changed. */
  async #sealedSizes(): Promise<Map<string, number>> {
    const before = this.#sealedBefore
    this.#sealedBefore = new Map()
    for (const name of await fs.readdir(this.paths.sealed)) {
      const directory = path.join(this.paths.sealed, name)
      const changedMs = await changedMsOf(directory)
      if (changedMs === undefined) continue
      const known = before.get(name)
      const bytes = known?.changedMs === changedMs ? known.bytes : await bytesBelow(directory)
      this.#sealedBefore.set(name, { changedMs, bytes })
    }
    return new Map([...this.#sealedBefore].map(([name, { bytes }]) => [name, bytes]))
  }
}

/** The name itself, once it is known to be one: it becomes part of paths. */
function checkedName(name: string): string {
  checkedId(name)
  return name
}

function checkedId(name: string): WindowId {
  const id = parseWindowName(name)
  if (id !== undefined) return id
  throw new SpoolError('window_name_invalid', `"${name}" is no window: expected <run>-000042`)
}

async function assertComplete(directory: string, name: string, manifest: Manifest): Promise<void> {
  const id = parseWindowName(name)
  if (id?.run !== manifest.run || id.window !== manifest.window) {
    const found = `${manifest.run}, window ${manifest.window}`
    throw new SpoolError('window_incomplete', `${name} cannot be sealed: its manifest is of ${found}`)
  }
  const expected = new Map(
    manifest.objects.map((object) => [`${object.stream}${PARQUET_SUFFIX}`, object.bytes]),
  )
  for (const file of await fs.readdir(directory)) {
    if (file === MANIFEST_FILE) continue
    const { size } = await fs.stat(path.join(directory, file))
    if (expected.get(file) !== size) {
      const wanted = expected.has(file) ? `${expected.get(file)} bytes` : 'no such file'
      throw new SpoolError(
        'window_incomplete',
        `${name} cannot be sealed: ${file} has ${size} bytes, its manifest says ${wanted}`,
      )
    }
    expected.delete(file)
  }
  if (expected.size > 0) {
    const missing = [...expected.keys()].join(', ')
    throw new SpoolError('window_incomplete', `${name} cannot be sealed: ${missing} missing`)
  }
}

/** When a file or directory last changed; undefined where there is none (any more). */
async function changedMsOf(file: string): Promise<number | undefined> {
  try {
    return (await fs.lstat(file)).mtimeMs
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Bytes of each entry of a directory, by name. */
async function sizesIn(directory: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>()
  for (const name of await fs.readdir(directory)) {
    sizes.set(name, await bytesBelow(path.join(directory, name)))
  }
  return sizes
}

function sumOf(sizes: ReadonlyMap<string, number>): number {
  return [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0)
}

async function exists(file: string): Promise<boolean> {
  try {
    await fs.lstat(file)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

/** Bytes of a file, or of all files below a directory; 0 where there is none (any more). */
async function bytesBelow(file: string): Promise<number> {
  try {
    const found = await fs.lstat(file)
    if (!found.isDirectory()) return found.size
    let bytes = 0
    for (const name of await fs.readdir(file)) bytes += await bytesBelow(path.join(file, name))
    return bytes
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0
    throw error
  }
}
