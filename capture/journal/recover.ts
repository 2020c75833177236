/** What a starting process does with the segments it finds: list them, and cut the tails that a crash tore. */
import { type FileHandle, mkdir, open, readdir, rename, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { compareWindows, parseSegmentName } from '../../api/names.ts'
import { JournalMisuse } from './errors.ts'
import { checkFrame, FRAME_HEAD_BYTES, FRAME_KINDS } from './frame.ts'
import { syncDir } from './fs.ts'
import { type SegmentEnd, SegmentReader } from './reader.ts'
import { readFully } from './scan.ts'
import { TRAILER_BYTES_MAX } from './segment.ts'

const COPY_BYTES = 1024 * 1024
/** Folder of the spool, beside the journal's, for the bytes cut off. */
const TORN_DIR = 'torn'

export interface RecoveredSegment {
  readonly path: string
  readonly run: string
  readonly window: number
  readonly bytes: number
  /** A whole trailer stands at the end. Cheap to know; whether what lies before it is sound, a reader tells. */
  readonly sealed: boolean
}

export interface RecoveredSegments {
  /** By run, then by window. */
  readonly segments: readonly RecoveredSegment[]
  /** Paths of what is not ours in the directory: to be reported, never deleted. */
  readonly foreign: readonly string[]
}

export type CutResult =
  | { readonly done: 'nothing'; readonly end: SegmentEnd }
  /** The file now ends at `goodBytes`; `aside` holds the `tailBytes` that it lost. */
  | { readonly done: 'cut'; readonly goodBytes: number; readonly tailBytes: number; readonly aside: string }

/** The segments in a journal directory. Rejects with the file system's error. */
export async function recoverSegments(journalDir: string): Promise<RecoveredSegments> {
  const segments: RecoveredSegment[] = []
  const foreign: string[] = []
  for (const entry of await readdir(journalDir, { withFileTypes: true })) {
    const path = join(journalDir, entry.name)
    const position = entry.isFile() ? parseSegmentName(entry.name) : undefined
    if (!position) {
      foreign.push(path)
      continue
    }
    const { size } = await stat(path)
    segments.push({ path, ...position, bytes: size, sealed: await endsWithTrailer(path, size) })
  }
  return { segments: segments.sort(compareWindows), foreign: foreign.sort() }
}

/**
 * Cuts a torn segment at its first bad frame and keeps the cut bytes in `<spool>/torn/`, where the spool is
 * the parent of the segment's directory. Does nothing for one that is sealed, whole or corrupt.
 *
 * The bytes are durable aside before the segment is cut, so that a kill in between only means doing it again:
 * the same bytes then take the same name. Rejects with the file system's error.
 */
export async function cutTornTail(path: string): Promise<CutResult> {
  const position = parseSegmentName(basename(path))
  if (!position) throw new JournalMisuse(`${path} is no segment of a journal; nothing was cut`)
  const end = await endOf(path)
  if (end.end !== 'torn' || end.tailBytes === 0) return { done: 'nothing', end }
  const { goodBytes, tailBytes } = end
  const file = await open(path, 'r+')
  try {
    const aside = await keepAside(
      file,
      dirname(dirname(path)),
      basename(path),
      goodBytes,
      goodBytes + tailBytes,
    )
    await file.truncate(goodBytes)
    await file.sync()
    return { done: 'cut', goodBytes, tailBytes, aside }
  } finally {
    await file.close()
  }
}

async function endOf(path: string): Promise<SegmentEnd> {
  const batches = (await SegmentReader.open(path)).batches()
  for (;;) {
    const { done, value } = await batches.next()
    if (done) return value
  }
}

/** Copies a part of a segment to a file of its own, by temporary name, sync, rename, sync of the directory. */
async function keepAside(
  source: FileHandle,
  spool: string,
  name: string,
  from: number,
  to: number,
): Promise<string> {
  const dir = join(spool, TORN_DIR)
  await mkdir(dir, { recursive: true })
  await syncDir(spool)
  const aside = join(dir, `${name}.${from}.torn`)
  const temporary = `${aside}.tmp`
  const target = await open(temporary, 'w')
  try {
    const piece = Buffer.allocUnsafe(COPY_BYTES)
    for (let at = from; at < to; ) {
      const bytes = await readFully(source, piece, at, to)
      if (bytes === 0)
        throw new Error(`${name} became shorter while its torn tail was copied; nothing was cut`)
      // A handle's writeFile goes on after a short write, and fails aloud where there is no room.
      await target.writeFile(piece.subarray(0, bytes))
      at += bytes
    }
    await target.sync()
  } finally {
    await target.close()
  }
  await rename(temporary, aside)
  await syncDir(dir)
  return aside
}

async function endsWithTrailer(path: string, size: number): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    const from = Math.max(0, size - TRAILER_BYTES_MAX)
    const tail = Buffer.allocUnsafe(size - from)
    const bytes = await readFully(file, tail, from, size)
    for (let at = bytes - FRAME_HEAD_BYTES - 1; at >= 0; at--) {
      if (tail[at + FRAME_HEAD_BYTES] !== FRAME_KINDS.trailer) continue
      const reachesEnd = at + FRAME_HEAD_BYTES + tail.readUInt32LE(at) === bytes
      if (reachesEnd && checkFrame(tail, at, bytes) > 0) return true
    }
    return false
  } finally {
    await file.close()
  }
}
