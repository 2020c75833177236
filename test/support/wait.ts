import { setTimeout as moment } from 'node:timers/promises'

const DEADLINE_MS = 120_000
const EVERY_MS = 50

export interface WaitOptions {
  readonly deadlineMs?: number
  readonly everyMs?: number
  /** What there was instead, for the failure: a state, a log. */
  readonly show?: () => unknown
}

/**
 * Asks again and again until the answer is neither false nor undefined, and returns that answer. A check that
 * throws is asked again; its last error ends up in the failure. Throws at the deadline, and says what was
 * waited for and what there was.
 */
export async function waitFor<T>(
  what: string,
  check: () => T | Promise<T>,
  { deadlineMs = DEADLINE_MS, everyMs = EVERY_MS, show }: WaitOptions = {},
): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + deadlineMs
  let last: unknown
  let failed: unknown
  for (;;) {
    try {
      last = await check()
      failed = undefined
      if (last !== undefined && last !== false) return last as Exclude<T, undefined | false>
    } catch (error) {
      failed = error
    }
    if (performance.now() >= end) break
    await moment(everyMs)
  }
  const shown = show === undefined ? '' : `\nthere was: ${textOf(await show())}`
  const why = failed === undefined ? `the last answer was ${textOf(last)}` : `the last look failed: ${failed}`
  throw new Error(`waited ${deadlineMs / 1000} s for ${what}; ${why}${shown}`, { cause: failed })
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value, undefined, 2) ?? String(value))
}
