/** What `l2cap run` tells while it runs: events as plain values, and what two looks at a capture say. Pure. */
import type { CaptureStatus } from '../process/status.ts'

export type RunEvent =
  /** A capture process was started; `attempt` counts from 1. */
  | { readonly event: 'started'; readonly symbol: string; readonly pid: number; readonly attempt: number }
  /** The book is proven since `since`. */
  | { readonly event: 'live'; readonly symbol: string; readonly since: string }
  /** Coverage of a stream ended: one event a gap and stream, when it begins. `to` is null: it is open. */
  | ({ readonly event: 'gap'; readonly symbol: string; readonly to: null } & OpenGap)
  /** The same gap, once the stream is covered again. */
  | ({
      readonly event: 'gap_closed'
      readonly symbol: string
      /** Where coverage begins again. */
      readonly to: string
      readonly seconds: number
    } & OpenGap)
  /** Nothing is recorded until the reason is gone; the process is alive and ships. */
  | {
      readonly event: 'paused'
      readonly symbol: string
      readonly reason: string
      readonly why: string
      readonly since: string
    }
  /** It goes on after such a pause; `live` follows once the book is proven again. */
  | {
      readonly event: 'resumed'
      readonly symbol: string
      readonly reason: string
      /** When the pause began. */
      readonly since: string
    }
  /** A window is in the bucket, with its manifest. */
  | {
      readonly event: 'committed'
      readonly symbol: string
      readonly window: string
      readonly rows: Readonly<Record<string, number>>
    }
  /** Windows cannot be shipped and wait in the spool, or can again (`reason` null). */
  | { readonly event: 'shipping'; readonly symbol: string; readonly reason: string | null }
  /** The check of the bucket at a start failed, or has passed after all (`reason` null); windows may be shipped anyway. */
  | { readonly event: 'check'; readonly symbol: string; readonly reason: string | null }
  | {
      readonly event: 'ended'
      readonly symbol: string
      readonly next: 'ended' | 'restart' | 'terminal' | 'wrong_call'
      readonly reason: string
      readonly message: string
      readonly exitCode: number | null
      /** Until the restart; absent where there is none. */
      readonly delayMs?: number
      /** What waits in the spool for the next start, where the process could tell. */
      readonly unshippedBytes?: number
    }
  | { readonly event: 'stopping'; readonly why: string; readonly again: boolean }
  | ({ readonly event: 'status' } & SymbolStatus)
  /** A line of a capture's own log. */
  | {
      readonly event: 'log'
      readonly symbol: string
      readonly level: LogLevel
      readonly message: string
      /** As the capture wrote it. */
      readonly line: string
    }
  | { readonly event: 'done'; readonly exitCode: number; readonly symbols: readonly SymbolStatus[] }

export type LogLevel = 'info' | 'warn' | 'error'

/** A gap as coverage tells it; times are RFC 3339. */
export interface OpenGap {
  /** By its name in paths, such as `books20`. */
  readonly stream: string
  readonly reason: string
  readonly detail: string
  /** The last evidence before it. */
  readonly from: string
}

/** One symbol at a moment; counts are of all its processes since the command was started. */
export interface SymbolStatus {
  readonly symbol: string
  readonly state: string
  readonly rows: Readonly<Record<string, number>>
  /** Id of the last row of the book, or of the first stream where no book is captured. */
  readonly lastId: string
  /** Milliseconds since the evidence that carried it; null before any. */
  readonly lastIdAgeMs: number | null
  /** As many `gap` events were told, those of each stream counted. */
  readonly gaps: number
  readonly restarts: number
  /** Windows committed to the bucket. */
  readonly windows: number
  /** Closed windows that are not committed yet. */
  readonly windowsWaiting: number
  readonly unshippedBytes: number
  readonly ship: string
}

/**
 * What happened between two looks at one process. Gaps are none of it: coverage tells each of them, so also that of a
 * pause which nobody saw: it lasts a second at least and looks come twice as often, but a machine may stand still.
 */
export function eventsBetween(before: CaptureStatus | undefined, now: CaptureStatus): RunEvent[] {
  const { symbol, since, reason, why, ship } = now
  const events: RunEvent[] = []
  const isSame = before?.state === now.state && before.since === since
  if (before?.state === 'paused' && !isSame) {
    // one that ends meanwhile does not go on
    if (now.state !== 'ending')
      events.push({ event: 'resumed', symbol, reason: before.reason, since: before.since })
  }
  if (now.state === 'paused' && !isSame) events.push({ event: 'paused', symbol, reason, why, since })
  // it may have fallen and risen between two looks
  const rose = now.state === 'live' && (before?.state !== 'live' || before.since !== since)
  if (rose) events.push({ event: 'live', symbol, since })
  const waited = before?.ship.state === 'waiting'
  const waits = ship.state === 'waiting'
  if (waits !== waited) events.push({ event: 'shipping', symbol, reason: waits ? ship.reason : null })
  const fault = ship.check
  if ((before?.ship.check ?? null) !== fault) events.push({ event: 'check', symbol, reason: fault })
  return events
}

/** Whether a capture does all that it was asked for: the book is live, or where there is none every stream flows. */
export function isUp(status: CaptureStatus): boolean {
  const streams = Object.entries(status.streams)
  const hasBook = streams.some(([name]) => isBookStream(name))
  return hasBook ? status.state === 'live' : streams.every(([, { state }]) => state === 'flowing')
}

/** Id and age of the newest evidence of the book, or of the first stream. */
export function lastEvidence(status: CaptureStatus, nowMs: number): { id: string; ageMs: number | null } {
  const streams = Object.entries(status.streams)
  const [, stream] = streams.find(([name]) => isBookStream(name)) ?? streams[0] ?? []
  if (stream === undefined) return { id: '0', ageMs: null }
  const at = stream.lastReceived === null ? Number.NaN : Date.parse(stream.lastReceived)
  return { id: stream.lastId, ageMs: Number.isNaN(at) ? null : Math.max(0, Math.round(nowMs - at)) }
}

/** Is it the stream of the book's top levels, `books20` or another number? */
export function isBookRows(name: string): boolean {
  return name.startsWith('books')
}

function isBookStream(name: string): boolean {
  return name === 'depth' || isBookRows(name)
}
