/** What every test that drives a session needs and none of them is about. */
import type { ClockInput, Effects, RowSink, SessionConfig } from '../../capture/session/mod.ts'

/** The defaults of the pod's configuration. */
export const GUARDS: SessionConfig['guards'] = {
  staleAfterSeconds: 5,
  clockSkewMillis: 500,
  auditSeconds: 600,
}

/** Requests that nobody carries out. */
export const NO_REQUESTS: Omit<Effects, 'halt' | 'rows'> = {
  fetch: () => undefined,
  forget: () => undefined,
  reconnect: () => undefined,
  openBeside: () => undefined,
  closeOne: () => undefined,
  checkListing: () => undefined,
}

/** Rows that nobody looks at. */
export const NO_ROWS: RowSink = {
  books: () => undefined,
  depth: () => undefined,
  trade: () => undefined,
  markPrice: () => undefined,
  coverage: () => undefined,
}

/** Probes of a true clock, as many as a session wants before anything is live. */
export function clockProbes(received: number): ClockInput[] {
  return Array.from({ length: 5 }, () => ({ kind: 'clock', received, offset: 0, rtt: 20_000 }))
}
