import { STREAMS, type Stream } from '../../api/streams.ts'
import type { SessionConfig } from '../../capture/session/mod.ts'
import { FAULT_KINDS, type FaultKindName, kindOf } from '../sim/faults/mod.ts'
import { type ProfileSettings, Random } from '../sim/market/mod.ts'
import type { DiskTrouble } from './disk.ts'
import type { Latency } from './network.ts'
import { type PodsPlan, podsOf } from './pods-plan.ts'
import { THEMES } from './themes.ts'

export const SYMBOL = 'BTCUSDT'
/** A Sunday in November, ten minutes before noon UTC. */
const START_MS = Date.UTC(2026, 10, 22, 11, 50)
const FAULTS_MAX = 4

/** What goes wrong on the capture's own side. */
export const OWN_FAULTS = {
  kill: 'the process is killed',
  power: 'the machine loses its power: what was not synced may be lost',
  restart: 'the process ends in order, and another one begins',
  step: 'the wall clock is stepped by `value` milliseconds',
  stall: 'nothing runs on the machine for a while',
  disk_full: 'the disk is full for a while, which shows at the next write',
  disk_high: 'the disk is told to be nearly full for a while',
  disk_slow: 'no write returns for a while',
  disk_fails: 'syncs fail for a while',
  cut_off: 'nothing comes through the network for a while, and nobody learns of it',
} as const
export type OwnFaultName = keyof typeof OWN_FAULTS

export const DISK_TROUBLES: Readonly<Partial<Record<FaultName, DiskTrouble>>> = {
  disk_full: 'full',
  disk_high: 'high',
  disk_slow: 'slow',
  disk_fails: 'sync_fails',
}

export type FaultName = FaultKindName | OwnFaultName
export const SIM_FAULTS = Object.keys(FAULT_KINDS) as FaultKindName[]
export const ALL_FAULTS: readonly FaultName[] = [
  ...SIM_FAULTS,
  ...(Object.keys(OWN_FAULTS) as OwnFaultName[]),
]

export interface Fault {
  readonly kind: FaultName
  readonly atMs: number
  /** 0: it acts once. */
  readonly durationMs: number
  /** What it means depends on the kind; undefined: the kind's own. */
  readonly value: number | undefined
  /** Route or endpoint, for kinds of the exchange that choose; empty: the kind's own. */
  readonly place: string
}

/** Everything about one run of the world. */
export interface Plan {
  readonly seed: number
  readonly startMs: number
  /** Length of the part in which faults begin. */
  readonly troubleMs: number
  readonly market: ProfileSettings
  readonly config: SessionConfig
  readonly rotationSeconds: number
  readonly share: number
  readonly latency: Latency
  /** How long frames and answers take beside the latency. */
  readonly lagMs: readonly [number, number]
  readonly restMs: readonly [number, number]
  /** The machine's clock against the exchange's at the start, milliseconds. */
  readonly wallOffsetMs: number
  readonly pingEveryMs: number
  /** Age at which a connection is replaced before the exchange cuts it. */
  readonly takeOverMs: number
  /** Age at which the exchange cuts it. */
  readonly lifetimeMs: number
  readonly faults: readonly Fault[]
  /** False: nothing is journalled, and so nothing can be judged by what was recorded. */
  readonly journals?: boolean
  /** Pods that follow each other; undefined: one capture, whose journal alone is judged. */
  readonly pods?: PodsPlan | undefined
}

/** Is it a fault of the exchange? */
export function isSimFault(kind: FaultName): kind is FaultKindName {
  return Object.hasOwn(FAULT_KINDS, kind)
}

/** The fault as the simulator is told of it. */
export function injectionOf({ kind, place, value, durationMs }: Fault): string {
  const where = place === '' ? '' : `/${place}`
  const what = value === undefined ? '' : `=${value}`
  const long = durationMs === 0 ? '' : `+${durationMs / 1000}`
  return `${kind}:${SYMBOL}${where}${what}@0${long}`
}

/** When the last fault is over, milliseconds since the beginning: faults that act once are over at once. */
export function troubleEndsMs(plan: Plan): number {
  const ends = plan.faults.map((fault) => fault.atMs + lastsMs(fault))
  return Math.max(0, ...ends)
}

/** Bans last as long as their value says. */
function lastsMs({ kind, durationMs, value }: Fault): number {
  const banMs = kind === 'rest_429' ? (value ?? 10) * 1000 : kind === 'rest_418' ? (value ?? 120) * 1000 : 0
  const own = isSimFault(kind) ? (kindOf(kind).durationMs ?? 0) : 0
  return (durationMs === 0 ? own : durationMs) + banMs
}

/** The plan of a seed. The same seed gives the same plan. */
export function planOf(seed: number): Plan {
  const plan = singleOf(seed)
  const pods = podsOf(seed, plan.troubleMs)
  return pods === undefined ? plan : { ...plan, pods }
}

function singleOf(seed: number): Plan {
  const random = new Random(seed, 'plan')
  const troubleMs = 1000 * (25 + random.below(50))
  const base: Plan = {
    seed,
    startMs: START_MS + random.below(3_600_000) + (random.chance(0.1) ? 12 * 3_600_000 : 0),
    troubleMs,
    market: marketOf(random),
    config: configOf(random),
    rotationSeconds: pick(random, [10, 15, 20, 30, 60]),
    share: pick(random, [1, 1, 1, 1, 2, 4]),
    latency: latencyOf(random),
    lagMs: [0, random.below(60)],
    restMs: [1, 2 + random.below(120)],
    wallOffsetMs: Math.round((random.next() - 0.5) * 120),
    pingEveryMs: pick(random, [20_000, 60_000, 180_000]),
    ...agesOf(random),
    faults: [],
  }
  // a part of the seeds each follows one theme: what chance alone would bring together too seldom
  if (random.chance(0.35)) return pick(random, THEMES)(base, random)
  const count = random.below(FAULTS_MAX + 1)
  const faults = Array.from({ length: count }, () => randomFault(random, troubleMs))
  return { ...base, faults: inOrder(faults) }
}

export function inOrder(faults: readonly Fault[]): Fault[] {
  return [...faults].sort((a, b) => a.atMs - b.atMs)
}

/** A fault that acts at once, where nothing else is said. */
export function fault(kind: FaultName, atMs: number, rest: Partial<Fault> = {}): Fault {
  return { kind, atMs: Math.round(atMs), durationMs: 0, value: undefined, place: '', ...rest }
}

function randomFault(random: Random, troubleMs: number): Fault {
  const kind = pick(random, ALL_FAULTS)
  const atMs = random.below(troubleMs)
  if (isSimFault(kind)) return fault(kind, atMs, randomSettings(kind, random))
  const durationMs = 500 + random.below(9_000)
  switch (kind) {
    case 'kill':
    case 'power':
    case 'restart':
      return fault(kind, atMs)
    case 'step':
      return fault(kind, atMs, {
        value: pick(random, [-90_000, -5_000, -400, -200, 200, 400, 5_000, 90_000]),
      })
    case 'stall':
    case 'disk_full':
    case 'disk_high':
    case 'disk_slow':
    case 'disk_fails':
    case 'cut_off':
      return fault(kind, atMs, { durationMs })
  }
}

function randomSettings(kind: FaultKindName, random: Random): Partial<Fault> {
  const entry = kindOf(kind)
  const lasting = entry.durationMs !== undefined
  const place = placeOf(kind, entry.at, random)
  // one that acts once now and then acts each time for a while
  const durationMs = lasting ? 1_000 + random.below(20_000) : random.chance(0.1) ? random.below(4_000) : 0
  const value = VALUES[kind]?.(random)
  return { durationMs, place, value }
}

const VALUES: Readonly<Partial<Record<FaultKindName, (random: Random) => number>>> = {
  rest_429: (random) => 1 + random.below(15),
  rest_418: (random) => 5 + random.below(30),
  skew: (random) => pick(random, [-2000, -600, -300, 300, 600, 2000]),
  empty_side: (random) => random.below(2),
  stale_snapshot: (random) => 1 + random.below(20),
  ahead_snapshot: (random) => 1 + random.below(12),
  slow_body: (random) => 1 + random.below(12),
  rest_5xx: (random) => pick(random, [500, 502, 503, 504, 400]),
  close: (random) => pick(random, [1000, 1001, 1008, 1011]),
}

function placeOf(kind: FaultKindName, at: string, random: Random): string {
  if (at === 'socket' || kind === 'silence') return pick(random, ['public', 'market'])
  if (at === 'handshake') return pick(random, ['public', 'market', 'any'])
  return at === 'answer' ? pick(random, ['depth', 'depth', 'trades', 'time', 'info', 'any']) : ''
}

function marketOf(random: Random): ProfileSettings {
  const deep = random.chance(0.1)
  return {
    rate: 3 + random.below(random.chance(0.2) ? 40 : 15),
    levels: deep ? 120 + random.below(130) : 5 + random.below(56),
    tradeShare: 0.02 + random.next() * 0.3,
    bursts: random.chance(0.15) ? { everyMs: 20_000, lastsMs: 1_000, times: 10 } : undefined,
    quiet: random.chance(0.3) ? { everyMs: 15_000, lastsMs: 4_000 + random.below(12_000) } : undefined,
  }
}

function configOf(random: Random): SessionConfig {
  const some = STREAMS.filter(() => random.chance(0.6))
  const streams: Stream[] = random.chance(0.8) || some.length === 0 ? [...STREAMS] : some
  return {
    exchange: 'BinanceUsdm',
    symbol: SYMBOL,
    streams,
    bookLevels: 1 + random.below(20),
    guards: {
      staleAfterSeconds: pick(random, [2, 3, 5, 5]),
      clockSkewMillis: pick(random, [250, 500]),
      auditSeconds: pick(random, [30, 30, 40, 60, 600]),
    },
  }
}

/** Connections that live for a minute instead of a day, so that a short run holds take-overs. */
function agesOf(random: Random): { takeOverMs: number; lifetimeMs: number } {
  if (random.chance(0.7)) return { takeOverMs: 23 * 3_600_000, lifetimeMs: 24 * 3_600_000 }
  const takeOverMs = 1000 * (12 + random.below(40))
  // some are cut while the take-over is under way
  return { takeOverMs, lifetimeMs: takeOverMs + 1000 * (2 + random.below(40)) }
}

function latencyOf(random: Random): Latency {
  const minMs = 0.2 + random.next() * (random.chance(0.2) ? 150 : 30)
  return { minMs, maxMs: minMs * (1 + random.next()) }
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[random.below(from.length)]
}
