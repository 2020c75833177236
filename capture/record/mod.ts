/**
 * Recording: one closed journal segment becomes Parquet files and a manifest, by the session's own `step`, in a
 * worker thread. The same segment gives the same bytes; every file is read back before it is vouched for.
 * The rows (`rows`, `stage`, `columns`) are pure; files are touched by `parquet` and `record` alone. What is stated
 * here loads no encoder (Arrow and Parquet hold 40 MB): the worker does, or the first `recordSegment`.
 */
export { type Column, columnsOf, type FileStream, SCHEMA_VERSION } from './columns.ts'
export { type Cut, CutSink, cutOf, latest, positionsOf, reachedAfter } from './cut.ts'
export type { ClosingOptions, Lineage, RecordOptions, RecordOutcome } from './record.ts'
export { RecordError, Recorder, recordClosing, recordSegment } from './recorder.ts'
export { type BeginningLost, type OpenSegment, openSegment, Replay } from './replay.ts'
