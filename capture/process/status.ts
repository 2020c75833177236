import type { ProcessConfig } from '../../api/config.ts'
import { isHaltReason } from '../../api/reasons.ts'
import { type Stream, streamPath } from '../../api/streams.ts'
import type { FeedStatus } from '../feed/mod.ts'
import { formatTimeUs, type ShipState, type SpoolUsage } from '../ship/mod.ts'
import { VERSION } from '../version.ts'
import type { Report } from './report.ts'
import type { Run } from './run.ts'

/** What /status answers, and what a capture tells the command line. */
export interface CaptureStatus {
  readonly version: string
  readonly run: string
  readonly exchange: string
  readonly symbol: string
  readonly state: string
  /** RFC 3339; empty before the first connection. */
  readonly since: string
  /** Why the last live book ended; empty before the first gap. */
  readonly reason: string
  readonly streams: Readonly<Record<string, StreamStatus>>
  readonly gaps: number
  readonly connections: readonly {
    readonly route: string
    readonly state: string
    readonly since: string
    readonly why: string
  }[]
  readonly spool: {
    readonly bytes: number
    readonly unshippedBytes: number
    readonly quarantinedBytes: number
    readonly windowsWaiting: number
  }
  readonly ship: {
    readonly state: string
    readonly reason: string | null
    readonly lastCommit: string | null
  }
  readonly clock: { readonly offsetMs: number | null }
  readonly halts: readonly { readonly reason: string; readonly at: string }[]
}

export interface StreamStatus {
  readonly state: string
  readonly lastId: string
  readonly lastReceived: string | null
  readonly rows: number
}

/** What a status is made of. */
export interface StatusSources {
  readonly config: ProcessConfig
  readonly runId: string
  readonly run: Run
  readonly ending: boolean
  readonly feed: FeedStatus
  readonly usage: SpoolUsage
  readonly ship: ShipState
  readonly previous: Report | undefined
}

export function statusOf(sources: StatusSources): CaptureStatus {
  const { config, runId, run, ending, feed, usage, ship, previous } = sources
  const { book, counters } = run.session
  return {
    version: VERSION,
    run: runId,
    exchange: config.exchange,
    symbol: config.symbol,
    state: ending ? 'ending' : book.state,
    since: timeOrEmpty(book.since),
    reason: book.lastGap,
    streams: Object.fromEntries(
      config.streams.map((stream) => [streamPath(stream, config.bookLevels), streamStatus(run, stream)]),
    ),
    gaps: counters.values.gaps,
    connections: feed.routes.map(({ route, state, since, why }) => ({
      route,
      state,
      since: timeOrEmpty(since),
      why,
    })),
    spool: {
      bytes: usage.bytes,
      unshippedBytes: usage.unshippedBytes,
      quarantinedBytes: usage.quarantinedBytes,
      // the open one waits for nothing yet
      windowsWaiting: Math.max(0, usage.windows - (run.ended ? 0 : 1)),
    },
    ship: { state: ship.state, reason: ship.reason, lastCommit: ship.lastCommit },
    clock: { offsetMs: feed.clock === null ? null : feed.clock.offsetMs },
    halts:
      previous !== undefined && isHaltReason(previous.reason)
        ? [{ reason: previous.reason, at: previous.at }]
        : [],
  }
}

function streamStatus(run: Run, stream: Stream): StreamStatus {
  const coverage = run.session.coverage(stream)
  const lastReceived = coverage === undefined || coverage.to === 0 ? null : formatTimeUs(coverage.to)
  return {
    state: run.session.streamState(stream),
    lastId: String(coverage?.lastId ?? 0n),
    lastReceived,
    rows: run.counts.rows[stream],
  }
}

/** A time in microseconds, or nothing where there was none yet. */
function timeOrEmpty(us: number): string {
  return us === 0 ? '' : formatTimeUs(us)
}
