import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { STREAMS } from '../../api/streams.ts'
import type { SegmentEnd, SegmentHeader } from '../journal/mod.ts'
import {
  formatTimeUs,
  MANIFEST_FILE,
  MANIFEST_FORMAT,
  type Manifest,
  type ManifestCoverage,
  type ManifestObject,
  objectKey,
  type Positions,
  sealManifest,
  serialiseManifest,
} from '../ship/mod.ts'
import { VERSION } from '../version.ts'
import { type FileStream, SCHEMA_VERSION } from './columns.ts'
import { CutSink, cutOf, positionsOf, reachedAfter } from './cut.ts'
import { ParquetWriter, readBytes, readSummary } from './parquet.ts'
import { openSegment, Replay } from './replay.ts'
import { fileStreamPath, type RowRange, RowStager } from './rows.ts'

const FILE_STREAMS: readonly FileStream[] = [...STREAMS, 'coverage']

export interface RecordOptions {
  readonly segmentPath: string
  /** An empty directory; afterwards it holds one Parquet file a stream and the manifest. */
  readonly outDir: string
  /** Prefix of the keys in the bucket; empty for none. */
  readonly prefix: string
  /** What was published before the segment's run; without it nothing was. */
  readonly lineage?: Lineage | undefined
}

/** How a run stands to those before it; the same for all of its windows. */
export interface Lineage {
  /** The pod that this one succeeded. */
  readonly predecessor: Manifest['predecessor']
  /** Rows up to it are left out; null where nothing was published before. */
  readonly cut: Positions | null
  /** Nobody can rule out that another pod publishes the same rows. */
  readonly overlaps: boolean
}

const FIRST_OF_ALL: Lineage = { predecessor: null, cut: null, overlaps: false }

/** A window of its own, without rows, after all that a pod publishes. */
export interface ClosingOptions {
  /** An empty directory, as above. */
  readonly outDir: string
  readonly prefix: string
  /** Of the window; nothing is journalled in it. */
  readonly header: Pick<SegmentHeader, 'exchange' | 'symbol' | 'run' | 'window' | 'writer' | 'openedAt'>
  readonly bookLevels: number
  readonly lineage: Lineage
  readonly reached: Positions
}

export type RecordOutcome =
  /** `damage`: what stopped the replay in the middle of a damaged segment; empty where nothing did. */
  | {
      readonly outcome: 'recorded'
      readonly manifest: Manifest
      readonly end: SegmentEnd['end']
      readonly damage: string
    }
  /** Replay by the version that wrote the segment did not end in the trailer's state. */
  | { readonly outcome: 'mismatch'; readonly detail: string }
  /**
   * The process died before the segment's first input was whole: nothing was captured in it. Or, `damaged`: its
   * beginning cannot be read, and so nothing of what it may hold: such a segment must be kept.
   */
  | { readonly outcome: 'empty'; readonly detail: string; readonly damaged: boolean }

/** A file that does not hold what was written to it. */
export class SealError extends Error {
  readonly code = 'SealFailed'

  constructor(message: string) {
    super(message)
    this.name = 'SealError'
  }
}

/**
 * Turns one closed segment into Parquet and a manifest by running the session's own `step` over it. The same
 * segment gives the same bytes. Every file is read back before its hash goes into the manifest.
 * Throws SealError, and the file system's errors.
 */
export async function recordSegment(options: RecordOptions): Promise<RecordOutcome> {
  const segment = await openSegment(options.segmentPath)
  if ('end' in segment) {
    const { end } = segment
    if (end.end === 'corrupt') return { outcome: 'empty', detail: end.detail, damaged: true }
    return { outcome: 'empty', detail: `${options.segmentPath} ends before its checkpoint`, damaged: false }
  }
  const { header, config } = segment
  const lineage = options.lineage ?? FIRST_OF_ALL
  const cut = cutOf(lineage.cut)
  const files = new Files(options.outDir, header, config.bookLevels)
  const sink = Object.keys(cut).length === 0 ? undefined : new CutSink(cut, files.stager)
  const replay = new Replay(segment, sink ?? files.stager, () => files.room())
  sink?.begin(replay.session)
  const end = await replay.run()
  // one that is damaged at its first input is recorded all the same: its coverage says what ended there
  if (replay.inputs === 0 && end.end === 'torn') {
    return { outcome: 'empty', detail: `${options.segmentPath} ends before its first input`, damaged: false }
  }
  const sameVersion = header.writtenBy === VERSION
  const hash = replay.session.hash()
  if (end.end === 'sealed' && sameVersion && hash !== end.trailer.stateHash) {
    const detail = `replay of ${header.run} window ${header.window} ends in state ${hash}, its trailer says ${end.trailer.stateHash}`
    return { outcome: 'mismatch', detail }
  }
  const witness = end.end !== 'sealed' ? 'none' : sameVersion ? 'replayed' : 'other_version'
  const objects = await files.seal(options.prefix)
  const closedAt = end.end === 'sealed' ? end.trailer.closedAt : replay.lastReceived
  const manifest = sealManifest({
    format: MANIFEST_FORMAT,
    exchange: header.exchange,
    symbol: header.symbol,
    run: header.run,
    window: header.window,
    opened: formatTimeUs(header.openedAt),
    // an input may have been stamped just before its window was opened
    closed: formatTimeUs(Math.max(header.openedAt, closedAt)),
    objects,
    coverage: files.coverage(),
    counts: { inputs: replay.inputs, ...replay.counts() },
    witness,
    written_by: header.writtenBy,
    recorded_by: VERSION,
    writer: header.writer,
    final: false,
    ...lineage,
    reached: positionsOf(reachedAfter(replay.session, cut)),
  })
  await writeFile(join(options.outDir, MANIFEST_FILE), serialiseManifest(manifest), { flag: 'wx' })
  return { outcome: 'recorded', manifest, end: end.end, damage: end.end === 'corrupt' ? end.detail : '' }
}

/**
 * Lays down the window that says that a pod publishes no more: an empty coverage file and a manifest marked `final`.
 * The same options give the same bytes. Throws SealError, and the file system's errors.
 */
export async function recordClosing(options: ClosingOptions): Promise<Manifest> {
  const { header, lineage, reached } = options
  const { exchange, symbol, run, window, writer, openedAt } = header
  const files = new Files(options.outDir, header, options.bookLevels)
  const at = formatTimeUs(openedAt)
  const manifest = sealManifest({
    format: MANIFEST_FORMAT,
    exchange,
    symbol,
    run,
    window,
    opened: at,
    closed: at,
    objects: await files.seal(options.prefix),
    coverage: [],
    counts: { inputs: 0 },
    witness: 'none',
    written_by: VERSION,
    recorded_by: VERSION,
    writer,
    final: true,
    ...lineage,
    reached,
  })
  await writeFile(join(options.outDir, MANIFEST_FILE), serialiseManifest(manifest), { flag: 'wx' })
  return manifest
}

/** The Parquet files of a window. */
class Files {
  readonly stager: RowStager
  readonly #dir: string
  readonly #header: ClosingOptions['header']
  readonly #levels: number
  readonly #writers = new Map<FileStream, ParquetWriter>()

  constructor(dir: string, header: ClosingOptions['header'], bookLevels: number) {
    this.#dir = dir
    this.#header = header
    this.#levels = bookLevels
    this.stager = new RowStager(header.run, bookLevels, (stream, ipc) => this.#writer(stream).push(ipc))
  }

  #path(stream: FileStream): string {
    return join(this.#dir, `${fileStreamPath(stream, this.#levels)}.parquet`)
  }

  #writer(stream: FileStream): ParquetWriter {
    let writer = this.#writers.get(stream)
    if (writer === undefined) {
      writer = new ParquetWriter(this.#path(stream), this.#metadata(stream))
      this.#writers.set(stream, writer)
    }
    return writer
  }

  #metadata(stream: FileStream): string {
    return JSON.stringify({
      schema: SCHEMA_VERSION,
      exchange: this.#header.exchange,
      symbol: this.#header.symbol,
      stream: fileStreamPath(stream, this.#levels),
      writer: `l2cap ${VERSION}`,
    })
  }

  async room(): Promise<void> {
    for (const writer of this.#writers.values()) await writer.room()
  }

  /** Ends every file, reads it back, and says what it holds. Every window has a coverage file. */
  async seal(prefix: string): Promise<ManifestObject[]> {
    this.stager.flush()
    this.#writer('coverage')
    const objects: ManifestObject[] = []
    for (const stream of FILE_STREAMS) {
      const writer = this.#writers.get(stream)
      if (writer === undefined) continue
      await writer.end(() => this.stager.emptyGroup(stream))
      objects.push(await this.#check(stream, prefix))
    }
    return objects
  }

  async #check(stream: FileStream, prefix: string): Promise<ManifestObject> {
    const path = this.#path(stream)
    const bytes = await readBytes(path)
    const found = await readSummary(bytes)
    const range = this.stager.ranges.get(stream)
    const expected = range?.rows ?? 0
    const { firstSeq, lastSeq } = boundsOf(range)
    if (found.rows !== expected)
      throw new SealError(`${path} holds ${found.rows} rows, ${expected} were written`)
    if (range !== undefined && (found.firstSeq !== firstSeq || found.lastSeq !== lastSeq)) {
      throw new SealError(
        `${path} begins at seq ${found.firstSeq} and ends at ${found.lastSeq}, not as written`,
      )
    }
    const name = fileStreamPath(stream, this.#levels)
    const { exchange, symbol, run, window, openedAt } = this.#header
    return {
      stream: name,
      key: objectKey({ prefix, exchange, symbol, stream: name, openedUs: openedAt, run, window }),
      bytes: bytes.length,
      rows: expected,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      first_seq: String(firstSeq),
      last_seq: String(lastSeq),
      first_id: String(range?.firstId ?? 0n),
      last_id: String(range?.lastId ?? 0n),
      first_time: range === undefined ? null : formatTimeUs(range.firstTime),
      last_time: range === undefined ? null : formatTimeUs(range.lastTime),
    }
  }

  coverage(): ManifestCoverage[] {
    return this.stager.coverageRows.map(({ seq, connection, row }) => ({
      of_stream: fileStreamPath(row.ofStream, this.#levels),
      from: formatTimeUs(row.from),
      to: formatTimeUs(row.to),
      prev_id: String(row.previousId),
      first_id: String(row.firstId),
      last_id: String(row.lastId),
      rows: row.rows,
      state: row.state,
      ended_by: row.endedBy,
      detail: row.detail,
      seq: String(seq),
      connection,
    }))
  }
}

function boundsOf(range: RowRange | undefined): { firstSeq: bigint; lastSeq: bigint } {
  return { firstSeq: BigInt(range?.firstSeq ?? 0), lastSeq: BigInt(range?.lastSeq ?? 0) }
}
