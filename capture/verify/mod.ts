/**
 * verify: what a stranger can check, given a bucket and nothing else.
 *
 * Comes in: a bucket, read through the same interface that ships to it. Promises: what is reported as proven was
 * read, hashed, chained and rebuilt here; a problem names its object and the first thing that is wrong with it;
 * nothing is written. One window is in memory at a time, and a state for each run and stream: memory grows with gaps and
 * problems, not with windows. `coverage`, `overlap`, `table` and `totals` are pure.
 */
export {
  coverageByDay,
  type DayOfStream,
  holesById,
  type IdHole,
  type IdInterval,
  joinById,
  joinByTime,
  rest,
  type Span,
  type StreamEvidence,
  withdraw,
} from './coverage.ts'
export { type DecodedFile, Decoder, type FileSummary, UnreadableError } from './decoder.ts'
export {
  type Checked,
  type CoverageDay,
  type CoverageSeconds,
  compareKinds,
  PROBLEM_KINDS,
  type Problem,
  type ProblemKind,
  type VerifyProgress,
  type VerifyReport,
} from './report.ts'
export { ObjectReader, parseStreamName } from './rows.ts'
export { coverageTable, progressText, summary } from './table.ts'
export { listCoverage, type VerifyOptions, verifyBucket } from './verify.ts'
