/**
 * inspect: what a file is and what it holds, for a person or as data.
 *
 * Comes in: the path of one file, of whatever kind. Promises: nothing is written, damage is told and never hidden, a
 * file that is none of ours gets a sentence that says so.
 */
export { InspectError, inspectFile, inspectionOf } from './inspect.ts'
export type {
  Inspection,
  ManifestInspection,
  ParquetInspection,
  SegmentInspection,
  UnknownInspection,
} from './kinds.ts'
