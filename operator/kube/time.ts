/** Time and chance, handed in: everything in this folder can be run in virtual time. */
import { uptime } from 'node:os'
import { performance } from 'node:perf_hooks'

/** Three clocks, in milliseconds. Only differences of one and the same clock mean anything, save for `wallMs`. */
export interface Clock {
  /** Since 1970; steps when somebody sets it. For what is written down, never for deciding. */
  wallMs(): number
  /** CLOCK_MONOTONIC: never steps; goes on while the process is stopped, stands still while the machine sleeps. */
  monotonicMs(): number
  /** CLOCK_BOOTTIME: as `monotonicMs`, and goes on while the machine sleeps. Precise to 10 ms. */
  bootMs(): number
}

/** Who calls back later. */
export interface Timers {
  /** Calls `fn` once, no sooner than after `ms` milliseconds. Returns its cancellation, harmless when late. */
  after(ms: number, fn: () => void): () => void
}

/** An even random number in [0, 1). */
export type Random = () => number

/** What a part of this folder runs on. */
export interface System {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
}

/** setTimeout holds 31 bits of milliseconds; beyond that it would fire at once. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1

/** The clocks, timers and randomness of this process. Its timers keep the process alive. */
export const system: System = {
  clock: {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    bootMs: () => uptime() * 1000,
  },
  timers: {
    after(ms, fn) {
      const handle = setTimeout(fn, Math.min(Math.max(0, Math.ceil(ms)), TIMEOUT_MS_MAX))
      return () => clearTimeout(handle)
    },
  },
  random: Math.random,
}

/** Resolves after `ms`, or at once when `signal` aborts: who waits looks at the signal afterwards. */
export function sleep(timers: Timers, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = timers.after(ms, done)
    signal?.addEventListener('abort', done, { once: true })
  })
}

/** RFC 3339 with six digits of a second, as the API server wants it of a MicroTime: it refuses any other number. */
export function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z')
}
