/**
 * The session: states, chain, join, gaps, halts, coverage. Pure: inputs come in through `step` in the order in
 * which they happened, effects go out; the same inputs give the same rows and the same canonical state. The
 * live process and the recorder run exactly this code.
 */
export { BOOK_STATES, type BookState } from './book-machine.ts'
export { SessionConfig } from './config.ts'
export { COUNTER_NAMES, type CounterName } from './counters.ts'
export type {
  CoverageRow,
  CoverageState,
  DepthRow,
  DepthRowKind,
  Effects,
  RowHead,
  RowSink,
  SnapshotRequest,
} from './effects.ts'
export type * from './input.ts'
export { Session, type StreamState } from './session.ts'
