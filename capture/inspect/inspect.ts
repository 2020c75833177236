import { type FileHandle, open, readFile } from 'node:fs/promises'
import { ManifestError, parseManifest, systemCode } from '../ship/mod.ts'
import { UnreadableError } from '../verify/mod.ts'
import type { Inspection, ManifestInspection, UnknownInspection } from './kinds.ts'
import { inspectParquet } from './parquet.ts'
import { inspectSegment } from './segment.ts'
import { linesOf } from './text.ts'

/** Parquet and JSON are read whole; no file of ours comes near. */
const FILE_BYTES_MAX = 1024 ** 3
/** Enough for the magic of Parquet, and for the first frame's head and kind of a segment. */
const HEAD_BYTES = 9
const PARQUET_MAGIC = Buffer.from('PAR1')
/** Where a segment's first frame has its kind, and the kind of a header. */
const SEGMENT_KIND_AT = 8
const SEGMENT_HEADER_KIND = 1

/** The file cannot be looked at: it is not there, not a file, or not ours to read. */
export class InspectError extends Error {
  override readonly name = 'InspectError'
  readonly code = 'inspect_failed'
}

/** Looks at one file and says what it is, as data. Throws InspectError. */
export async function inspectionOf(path: string): Promise<Inspection> {
  const { bytes, head } = await headOf(path)
  const isOf = (name: string) => path.endsWith(name)
  if (head.subarray(0, 4).equals(PARQUET_MAGIC) || isOf('.parquet')) {
    return bytes > FILE_BYTES_MAX ? tooLarge(path, bytes) : await parquet(path, bytes)
  }
  if (head[SEGMENT_KIND_AT] === SEGMENT_HEADER_KIND || isOf('.journal')) return await inspectSegment(path)
  if (/^\s*\{/.test(head.toString('latin1')) || isOf('.json')) {
    return bytes > FILE_BYTES_MAX ? tooLarge(path, bytes) : manifest(path, await readFile(path))
  }
  return unknown(
    path,
    bytes,
    bytes === 0 ? 'it is empty' : 'it is no Parquet, no manifest and no journal segment',
  )
}

/** The same as lines of text. Throws InspectError. */
export async function inspectFile(path: string): Promise<string[]> {
  return linesOf(await inspectionOf(path))
}

async function headOf(path: string): Promise<{ readonly bytes: number; readonly head: Buffer }> {
  let file: FileHandle | undefined
  try {
    file = await open(path, 'r')
    const status = await file.stat()
    if (!status.isFile())
      throw new InspectError(`${path} is no file; give the path of one object, manifest or segment`)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return { bytes: status.size, head: buffer.subarray(0, bytesRead) }
  } catch (cause) {
    if (cause instanceof InspectError) throw cause
    const code = systemCode(cause)
    if (code === 'ENOENT') throw new InspectError(`there is no file ${path}`, { cause })
    throw new InspectError(`${path} cannot be read (${code || String(cause)})`, { cause })
  } finally {
    await file?.close()
  }
}

async function parquet(path: string, bytes: number): Promise<Inspection> {
  try {
    return await inspectParquet(path, new Uint8Array(await readFile(path)))
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error
    return unknown(path, bytes, error.message)
  }
}

function manifest(path: string, body: Buffer): ManifestInspection | UnknownInspection {
  const base = { kind: 'manifest', path, bytes: body.byteLength } as const
  try {
    return { ...base, intact: true, fault: null, manifest: parseManifest(body) }
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    if (!resemblesManifest(body)) return unknown(path, body.byteLength, 'it may be JSON, and is no manifest')
    return { ...base, intact: false, fault: error.message, manifest: null }
  }
}

/** Damaged manifests are worth the word; other JSON is not. */
function resemblesManifest(body: Buffer): boolean {
  return body.includes('"objects"') && body.includes('"run"')
}

function tooLarge(path: string, bytes: number): UnknownInspection {
  return unknown(
    path,
    bytes,
    `it has ${bytes} bytes, at most ${FILE_BYTES_MAX} are looked at: no capture writes such a file`,
  )
}

function unknown(path: string, bytes: number, message: string): UnknownInspection {
  return { kind: 'unknown', path, bytes, message }
}
