import type { ProcessConfig } from '../../api/config.ts'
import { type Stream, streamPath } from '../../api/streams.ts'
import { formatTimeUs, type ShipState, type SpoolUsage } from '../ship/mod.ts'
import { VERSION } from '../version.ts'
import type { RunKeeper } from './keeper.ts'
import type { Halts } from './report.ts'
import type { HandoverStatus } from './succession.ts'

/** What /status answers, and what a capture tells the command line. Times are RFC 3339, with microseconds. */
export interface CaptureStatus {
  readonly version: string
  readonly run: string
  readonly exchange: string
  readonly symbol: string
  /** Whose answer this is, since an address may come to another pod; empty outside of a cluster. */
  readonly writer: { readonly pod: string; readonly podUid: string }
  /** The book's, or `paused` where no run is kept, or `ending`. */
  readonly state: string
  /** Empty before the first connection. */
  readonly since: string
  /** Why it is paused, or why the last live book ended; empty before the first gap. */
  readonly reason: string
  /** Why it is paused, as a sentence for a person; empty where it is not. */
  readonly why: string
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
    /** When the window that waits longest was last written to; null where none waits. */
    readonly oldest: string | null
  }
  readonly ship: {
    /** `idle`, `shipping`, or `waiting` from the first failure to the next success. */
    readonly state: string
    /** Since when. */
    readonly since: string
    readonly reason: string | null
    /** What the check of the bucket found wrong, whether windows are shipped all the same or not. */
    readonly check: string | null
    /** What the bucket has not answered for seconds, and for how long; null where there is no such thing. */
    readonly unanswered: string | null
    readonly lastCommit: string | null
  }
  /** The receive clock's distance to the exchange's; null before the first probe. */
  readonly clock: { readonly offsetMs: number | null }
  /** The last five, the latest first. */
  readonly halts: readonly { readonly reason: string; readonly message: string; readonly at: string }[]
  /** The pod that this one succeeds, while nothing is published for its sake; null otherwise. */
  readonly handover: HandoverStatus | null
}

export interface StreamStatus {
  readonly state: string
  readonly since: string
  readonly lastId: string
  readonly lastReceived: string | null
  readonly rows: number
}

/** What a status is made of. */
export interface StatusSources {
  readonly config: ProcessConfig
  readonly keeper: RunKeeper
  readonly ending: boolean
  readonly usage: SpoolUsage
  readonly ship: ShipState
  readonly unanswered: string | null
  readonly halts: Halts
  readonly handover: HandoverStatus | null
}

export function statusOf(sources: StatusSources): CaptureStatus {
  const { config, keeper, usage, ship } = sources
  const { feed } = keeper
  const feedStatus = feed?.stopped === false ? feed.status() : undefined
  // the open window waits for nothing yet
  const windowsWaiting = waitingWindows(usage, keeper)
  const offsetMs = feedStatus?.clock?.offsetMs ?? null
  return {
    version: VERSION,
    run: keeper.runId,
    exchange: config.exchange,
    symbol: config.symbol,
    writer: { pod: config.writer.pod, podUid: config.writer.podUid },
    ...stateOf(sources),
    streams: Object.fromEntries(
      config.streams.map((stream) => [streamPath(stream, config.bookLevels), streamStatus(keeper, stream)]),
    ),
    gaps: keeper.counters.gaps,
    connections: (feedStatus?.routes ?? []).map(({ route, state, since, why }) => ({
      route,
      state,
      since: timeOrEmpty(since),
      why,
    })),
    spool: {
      bytes: usage.bytes,
      unshippedBytes: usage.unshippedBytes,
      quarantinedBytes: usage.quarantinedBytes,
      windowsWaiting,
      oldest:
        usage.oldestMs === null || windowsWaiting === 0
          ? null
          : formatTimeUs(Math.floor(usage.oldestMs * 1000)),
    },
    ship: {
      state: ship.state,
      since: ship.since,
      reason: ship.reason,
      check: ship.check,
      unanswered: sources.unanswered,
      lastCommit: ship.lastCommit,
    },
    clock: { offsetMs },
    halts: sources.halts.map(({ reason, message, at }) => ({ reason, message, at })),
    handover: sources.handover,
  }
}

/** Closed windows that are not committed. */
export function waitingWindows(usage: SpoolUsage, keeper: RunKeeper): number {
  return Math.max(0, usage.windows - (keeper.run?.ended === false ? 1 : 0))
}

/** The longest time without a break that the book was live, or where none is captured every stream was covered; ms. */
export function healthyMs(streams: readonly Stream[], { liveForUs, rows }: RunKeeper): number {
  return (hasBook(streams) ? liveForUs : rows.coveredForUs(streams)) / 1000
}

/** Live, or where no book is captured: every stream flows. */
export function isReady(streams: readonly Stream[], keeper: RunKeeper): boolean {
  const { session, pause } = keeper
  if (session === undefined || pause !== undefined) return false
  return hasBook(streams)
    ? session.book.state === 'live'
    : streams.every((stream) => session.streamState(stream) === 'flowing')
}

function hasBook(streams: readonly Stream[]): boolean {
  return streams.includes('books') || streams.includes('depth')
}

function stateOf({
  config,
  keeper,
  ending,
}: StatusSources): Pick<CaptureStatus, 'state' | 'since' | 'reason' | 'why'> {
  const { pause, session } = keeper
  if (pause !== undefined && !ending) {
    return { state: 'paused', since: formatTimeUs(pause.since), reason: pause.reason, why: pause.why }
  }
  const { book } = session ?? {}
  const { streams } = config
  const isPaused = book?.state === 'paused'
  if (!hasBook(streams) && !ending && !isPaused) {
    const since = Math.max(0, ...streams.map((stream) => keeper.since.since(stream)))
    return {
      state: isReady(streams, keeper) ? 'live' : 'connecting',
      since: timeOrEmpty(since),
      reason: '',
      why: '',
    }
  }
  return {
    state: ending ? 'ending' : (book?.state ?? 'connecting'),
    since: timeOrEmpty(book?.since ?? 0),
    reason: book?.reason ?? '',
    why: isPaused ? whyPaused(book.reason, keeper) : '',
  }
}

function whyPaused(reason: string, { session, pausedUntilMs }: RunKeeper): string {
  if (reason === 'not_trading') return `the exchange says ${session?.listing}`
  const until = pausedUntilMs === 0 ? '' : ` before ${formatTimeUs(Math.floor(pausedUntilMs * 1000))}`
  return `the exchange wants no request${until}`
}

function streamStatus(keeper: RunKeeper, stream: Stream): StreamStatus {
  const { session, pause } = keeper
  const coverage = session?.coverage(stream)
  const isBook = stream === 'books' || stream === 'depth'
  const since = isBook ? (session?.book.since ?? 0) : keeper.since.since(stream)
  return {
    state: pause === undefined ? (session?.streamState(stream) ?? 'waiting') : 'paused',
    since: timeOrEmpty(pause?.since ?? since),
    lastId: String(coverage?.lastId ?? 0n),
    lastReceived: coverage === undefined || coverage.to === 0 ? null : formatTimeUs(coverage.to),
    rows: keeper.rows.rows[stream],
  }
}

/** A time in microseconds, or nothing where there was none yet. */
function timeOrEmpty(us: number): string {
  return us === 0 ? '' : formatTimeUs(us)
}
