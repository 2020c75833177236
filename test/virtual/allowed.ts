import type { EndedBy } from '../../api/reasons.ts'
import type { FaultName, Plan } from './plan.ts'

/** What each fault may end coverage with. A reason that no fault of a plan allows is a violation. */
const STALE: readonly EndedBy[] = ['stale', 'reconnect', 'no_data', 'StaleFeed']
const CHAIN: readonly EndedBy[] = ['sequence', 'stale', 'reconnect', 'ResyncStorm']
const CLOCK: readonly EndedBy[] = ['clock_step', 'ClockSkew']

export const ALLOWED: Readonly<Record<FaultName, readonly EndedBy[]>> = {
  drop: CHAIN,
  drop_below: CHAIN,
  duplicate: CHAIN,
  reorder: CHAIN,
  wrong_pu: CHAIN,
  crossed: ['CrossedBook', 'audit_mismatch'],
  flip_level: ['audit_mismatch', 'CrossedBook'],
  garbage: ['parse', 'ProtocolChanged', ...CHAIN],
  oversized: ['reconnect', 'no_data'],
  digits16: ['PrecisionLoss'],
  unknown_field: [],
  trade_drop: ['sequence', 'no_data', 'reconnect'],
  trade_repeat: [],
  silence: ['sequence', ...STALE],
  silence_depth: ['sequence', ...STALE],
  silence_trades: ['sequence', 'no_data', 'reconnect'],
  silence_mark: ['no_data', 'reconnect'],
  half_open: STALE,
  cut: ['reconnect', 'no_data'],
  close: ['reconnect', 'no_data'],
  refuse: [],
  refuse_429: [],
  hang_handshake: [],
  stale_snapshot: [],
  cached_snapshot: [],
  short_snapshot: ['audit_mismatch', 'empty_side', 'EmptyBook', 'CrossedBook'],
  crossed_snapshot: [],
  ahead_snapshot: STALE,
  rest_429: ['rate_limited'],
  rest_418: ['rate_limited'],
  rest_5xx: [],
  rest_hang: [],
  slow_body: [],
  rest_reset: [],
  rest_garbage: [],
  rest_html: [],
  skew: ['ClockSkew'],
  empty_side: ['empty_side', 'horizon', 'EmptyBook', 'ResyncStorm'],
  maintenance: ['sequence', ...STALE],
  id_reset: ['sequence', ...STALE],
  halt_trading: ['not_trading', 'sequence', ...STALE],
  delist: ['SymbolUnknown', 'not_trading', ...STALE],
  kill: ['crash'],
  power: ['crash'],
  restart: [],
  step: CLOCK,
  stall: ['overload', 'sequence', ...STALE],
  disk_full: ['disk_full', 'crash'],
  disk_high: ['disk_full'],
  disk_slow: ['overload', 'disk_full', 'DiskFailed', 'crash'],
  disk_fails: ['DiskFailed', 'crash'],
  cut_off: ['sequence', ...STALE],
}

/** A second connection must have had so long before the first one is cut for its age. */
const TAKE_OVER_TAKES_MS = 20_000
/** A second connection must show events within two seconds of each other; one that cannot is tried after a minute. */
const BUSY_RATE = 5
/** Beyond this a clock is not what it should be. */
const OFFSET_FINE_MS = 100

/** Every reason that this plan may end coverage with. */
export function allowedIn(plan: Plan): ReadonlySet<EndedBy> {
  const allowed = new Set<EndedBy>(['stopped'])
  for (const { kind } of plan.faults) for (const reason of ALLOWED[kind]) allowed.add(reason)
  // processes of pods are killed
  if (plan.pods !== undefined) allowed.add('crash')
  if (Math.abs(plan.wallOffsetMs) > OFFSET_FINE_MS) for (const reason of CLOCK) allowed.add(reason)
  // where the exchange cuts early, or faults keep a take-over from being done in time
  const busy = plan.market.quiet === undefined && (plan.market.rate ?? 0) >= BUSY_RATE
  const room = plan.lifetimeMs - plan.takeOverMs > TAKE_OVER_TAKES_MS && plan.faults.length === 0 && busy
  if (!room && plan.lifetimeMs < 3_600_000) for (const reason of STALE) allowed.add(reason)
  return allowed
}
