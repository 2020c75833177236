/**
 * The session: states, chain, join, audits, take-overs, gaps, halts, coverage. Pure: inputs come in through `step`
 * in the order in which they happened, effects go out; the same inputs give the same rows and the same canonical
 * state. The live process and the recorder run exactly this code.
 */
export { SessionConfig } from './config.ts'
export { COUNTER_NAMES, type CounterName } from './counters.ts'
export type {
  CoverageRow,
  CoverageState,
  DepthRow,
  DepthRowKind,
  Effects,
  FetchRank,
  FetchRequest,
  FetchWait,
  RowHead,
  RowSink,
} from './effects.ts'
export type * from './input.ts'
export { isUpTo, type Position, type Standing } from './position.ts'
export { Session, type StreamState } from './session.ts'
export { BOOK_STATES, type BookState, PAUSE_REASONS, type PauseReason } from './standing.ts'
