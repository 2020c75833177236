/**
 * Recording: one closed journal segment becomes Parquet files and a manifest, by the session's own `step`, in a
 * worker thread. The same segment gives the same bytes; every file is read back before it is vouched for.
 * The rows (`rows`, `stage`, `columns`) are pure; files are touched by `parquet` and `record` alone.
 */
export { type Column, columnsOf, type FileStream, SCHEMA_VERSION } from './columns.ts'
export { type ParquetSummary, readSummary } from './parquet.ts'
export { type RecordOptions, type RecordOutcome, recordSegment, SealError } from './record.ts'
export { RecordError, Recorder } from './recorder.ts'
export { RowStager } from './rows.ts'
