/**
 * The journal: the truth on disk. An append-only file a window, holding every input of the session in the
 * order in which the session got it, after a checkpoint and before a trailer.
 *
 * What may come in: session inputs, opaque checkpoints and configuration, a directory that is locked by us.
 * What it promises: what is read back is what was appended, or its absence is told (torn, corrupt, an error);
 * a killed process loses at most what waited 5 ms, a power loss at most what came after the last sync (1 s or 256 KiB);
 * a later segment has no file before the earlier one is sealed on disk.
 */
export {
  isRunId,
  makeRunId,
  parseRunId,
  parseSegmentName,
  segmentName,
} from '../../api/names.ts'
export { QUEUED_BYTES_MAX } from './append-file.ts'
export { decodeInput, encodeInput } from './codec.ts'
export {
  isFullError,
  JournalError,
  type JournalErrorCode,
  JournalMisuse,
  JournalUnreadable,
} from './errors.ts'
export { FRAME_BODY_BYTES_MAX } from './frame.ts'
export { type JournalFile, type JournalFs, type JournalTimer, nodeJournalFs } from './fs.ts'
export { acquireSpoolLock, type SpoolLock, SpoolLocked, SpoolUnusable } from './lock.ts'
export { type SegmentEnd, SegmentReader } from './reader.ts'
export {
  type CutResult,
  cutTornTail,
  type RecoveredSegment,
  type RecoveredSegments,
  recoverSegments,
} from './recover.ts'
export { FileReserve, RESERVE_BYTES, type Reserve } from './reserve.ts'
export { SEGMENT_FORMAT, type SegmentHeader, type SegmentTrailer } from './segment.ts'
export {
  type SealTrailer,
  type SegmentClose,
  SegmentWriter,
  type SegmentWriterOptions,
} from './writer.ts'
