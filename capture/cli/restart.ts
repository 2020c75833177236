/** What to do when a capture process has ended. Pure. */
import {
  EXIT_DRAINED,
  EXIT_WRONG_CALL,
  HALT_EXIT_CODES,
  type HaltReason,
  TERMINAL_HALTS,
} from '../../api/reasons.ts'
import type { Report } from '../../api/report.ts'

const RESTART_DELAY_MS_MIN = 1000
const RESTART_DELAY_MS_MAX = 60_000
/** Report times are to the millisecond, the start of a process is not. */
const REPORT_TOLERANCE_MS = 1

/** How a process ended, as its parent sees it. */
export interface ProcessEnd {
  /** Null where a signal ended it. */
  readonly code: number | null
  readonly signal: string | null
  /** What it said on standard error at last; empty for nothing. */
  readonly lastWords: string
  /** The report that it left in its spool; undefined where it could not leave one. */
  readonly report: Report | undefined
}

export type Verdict =
  /** Ended in order. */
  | { readonly next: 'ended'; readonly reason: string; readonly message: string }
  | { readonly next: 'restart'; readonly reason: string; readonly message: string; readonly delayMs: number }
  /** A restart would end alike. */
  | { readonly next: 'terminal'; readonly reason: string; readonly message: string }
  /** It could not begin: its configuration, its spool or its port. */
  | { readonly next: 'wrong_call'; readonly reason: string; readonly message: string }

/** `failures`: restarts since the symbol was last up for long; `stopping`: we asked it to end. */
export function verdictOf(
  end: ProcessEnd,
  circumstances: { readonly failures: number; readonly stopping: boolean },
): Verdict {
  const { reason, message } = explain(end)
  // unasked, an end in order is no end: somebody else told it to stop
  if (end.code === EXIT_DRAINED && circumstances.stopping) return { next: 'ended', reason, message }
  // it was told to end before it listened to signals: it had received nothing yet
  if (circumstances.stopping && end.signal === 'SIGTERM') return { next: 'ended', reason, message }
  if (end.code === EXIT_WRONG_CALL) return { next: 'wrong_call', reason, message }
  const isTerminal = TERMINAL_HALTS.some((halt) => HALT_EXIT_CODES[halt] === end.code)
  // what it could not ship waits in the spool: the next start goes on from there
  if (isTerminal || circumstances.stopping) return { next: 'terminal', reason, message }
  return { next: 'restart', reason, message, delayMs: restartDelayMs(circumstances.failures) }
}

/** At once the first time, then one second doubling to a minute. */
export function restartDelayMs(failures: number): number {
  if (failures === 0) return 0
  return Math.min(RESTART_DELAY_MS_MIN * 2 ** (failures - 1), RESTART_DELAY_MS_MAX)
}

/** The report where it belongs to this process, or else what the exit itself tells. */
export function reportOf(report: Report | undefined, startedMs: number): Report | undefined {
  if (report === undefined) return undefined
  return Date.parse(report.at) + REPORT_TOLERANCE_MS >= startedMs ? report : undefined
}

function explain({ code, signal, lastWords, report }: ProcessEnd): { reason: string; message: string } {
  // a process that could not begin says so by its exit; its report only tells that it left again
  if (report !== undefined && report.exitCode === code)
    return { reason: report.reason, message: report.message }
  if (signal !== null) return { reason: 'Killed', message: `the process was ended by ${signal}` }
  const halts = Object.keys(HALT_EXIT_CODES) as HaltReason[]
  const halt = halts.find((name) => HALT_EXIT_CODES[name] === code)
  if (code === EXIT_DRAINED) {
    return { reason: 'NoReport', message: 'it left no report; what it had not shipped waits in its spool' }
  }
  const reason = halt ?? (code === EXIT_WRONG_CALL ? 'WrongCall' : 'InternalError')
  return { reason, message: lastWords === '' ? `the process ended with code ${code}` : lastWords }
}

/** The next power of two: `share` seldom changes, so that requests keep their rhythm when a symbol is added. */
export function shareOf(symbols: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, symbols)))
}
