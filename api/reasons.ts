/**
 * The closed lists of reasons. A reason is a word that appears unchanged in data (`ended_by`), in reports,
 * in metrics and in status conditions; exit codes are never reused.
 */

/** Why coverage of a stream ended while the process went on, or ended with it. */
export const END_REASONS = [
  'sequence', // the exchange's chain of ids broke within one connection
  'reconnect', // the socket was lost; a new connection never resumes a book
  'horizon', // the proven reach of the book no longer holds a level on one side
  'empty_side', // a side whose reach is unlimited ran empty
  'stale', // the feed stayed silent and its silence could not be proven
  'no_data', // a stream that must have had data delivered none
  'audit_mismatch', // the exchange's snapshot and our book disagree at one common id
  'parse', // a frame did not decode
  'overload', // our own process stalled
  'not_trading', // the exchange lists the symbol, but it does not trade
  'rate_limited', // the exchange asked for a pause
  'disk_full', // journalling paused for want of room
  'clock_step', // the wall clock was stepped back
  'journal_corrupt', // the journal was found damaged; what follows in that segment is lost
  'stopped', // ended in order
  'crash', // the process ended without a word; evidence ends with its last journalled input
] as const
export type EndReason = (typeof END_REASONS)[number]

/** Exit code of each halt: a halt ends the process, because what it would write cannot be trusted. */
export const HALT_EXIT_CODES = {
  ResyncStorm: 10,
  CrossedBook: 11,
  EmptyBook: 12,
  StaleFeed: 13,
  ClockSkew: 14,
  PrecisionLoss: 15,
  ProtocolChanged: 16,
  SymbolUnknown: 17,
  DiskFailed: 18,
  ReplayMismatch: 19,
} as const
export type HaltReason = keyof typeof HALT_EXIT_CODES

/** Halts that a restart cannot cure: the symbol stays down until its specification changes. */
export const TERMINAL_HALTS: readonly HaltReason[] = ['SymbolUnknown', 'PrecisionLoss']

export const EXIT_DRAINED = 0
export const EXIT_INTERNAL_ERROR = 1
export const EXIT_WRONG_CALL = 2

/** What may stand in `ended_by` of a coverage row. */
export type EndedBy = EndReason | HaltReason

/** Type guard for the names of halts, for values that come back from disk. */
export function isHaltReason(value: string): value is HaltReason {
  return Object.hasOwn(HALT_EXIT_CODES, value)
}
