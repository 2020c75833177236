import type { Random } from '../sim/market/mod.ts'
import { type Fault, type FaultName, fault, inOrder, type Plan, pick } from './plan.ts'

/** Makes a plan about one thing. */
type Theme = (plan: Plan, random: Random) => Plan

/** All that a theme says about time is inside the first `troubleMs`, or makes it longer. */
function withFaults(plan: Plan, troubleMs: number, faults: readonly Fault[]): Plan {
  return { ...plan, troubleMs: Math.max(troubleMs, 20_000), faults: inOrder(faults) }
}

const ALL = ['books', 'depth', 'trades', 'mark_price'] as const

function everyStream(plan: Plan): Plan {
  return { ...plan, config: { ...plan.config, streams: [...ALL] } }
}

/** A market in which something happens all the time, so that faults of events find events. */
function busy(plan: Plan): Plan {
  return everyStream({ ...plan, market: { ...plan.market, rate: 25, quiet: undefined } })
}

function deep(plan: Plan): Plan {
  return busy({ ...plan, share: 1, market: { ...plan.market, levels: 220 } })
}

/** No fault at all: nothing may end coverage. */
const calm: Theme = (plan) => plan

/** The chain breaks again and again: more falls from live than a book may have. */
const storm: Theme = (plan, random) =>
  withFaults(busy({ ...plan, share: 1 }), 60_000, [
    fault('wrong_pu', 10_000 + random.below(5_000), { durationMs: 40_000 }),
  ])

/** Nothing comes for so long that three connections in a row are found frozen. */
const frozen: Theme = (plan, random) => {
  const guards = { ...plan.config.guards, staleAfterSeconds: 2 }
  const quick = busy({ ...plan, config: { ...plan.config, guards } })
  return withFaults(quick, 90_000, [
    fault('silence_depth', 12_000 + random.below(3_000), { durationMs: 75_000 }),
  ])
}

/** A side is empty, and stays so over three joins. */
const emptied: Theme = (plan, random) =>
  withFaults(busy(plan), 40_000, [
    fault('empty_side', 12_000 + random.below(4_000), { durationMs: 25_000, value: random.below(2) }),
  ])

/** A join of few levels, and then all of those go: what lies beyond is unknown. */
const short: Theme = (plan, random) =>
  withFaults(deep(plan), 40_000, [
    fault('drop', 10_000 + random.below(2_000)),
    fault('empty_side', 12_500 + random.below(500), { durationMs: 6_000, value: random.below(2) }),
  ])

/** A level is wrong and nothing shows it: the next audit must. */
const flipped: Theme = (plan, random) => {
  const guards = { ...plan.config.guards, auditSeconds: 30 }
  const audited = busy({ ...plan, config: { ...plan.config, guards } })
  return withFaults({ ...audited, market: { ...audited.market, rate: 4, levels: 60 } }, 50_000, [
    fault('flip_level', 10_000 + random.below(15_000)),
  ])
}

const crossed: Theme = (plan, random) =>
  withFaults(busy(plan), 30_000, [fault('crossed', 8_000 + random.below(15_000))])

const unreadable: Theme = (plan, random) =>
  withFaults(busy(plan), 40_000, [fault('garbage', 8_000 + random.below(9_000), { durationMs: 20_000 })])

const precise: Theme = (plan, random) =>
  withFaults(busy(plan), 30_000, [fault('digits16', 8_000 + random.below(9_000))])

/** A symbol that was never listed as far as this process knows; one that leaves later only pauses it. */
const gone: Theme = (plan, random) =>
  withFaults(busy(plan), 20_000, [fault('delist', random.chance(0.7) ? 0 : 8_000 + random.below(9_000))])

/** Connections are lost and new ones are not to be had. */
const refused: Theme = (plan, random) => {
  const kind = pick(random, ['refuse', 'refuse', 'refuse_429', 'refuse_429', 'hang_handshake'] as const)
  const atMs = 8_000 + random.below(15_000)
  const durationMs = 1_000 + random.below(15_000)
  return withFaults(busy(plan), 40_000, [
    fault(kind, atMs, { durationMs, place: 'any' }),
    fault('cut', atMs + random.below(1_000), { place: pick(random, ['public', 'market']) }),
  ])
}

/** Every snapshot is the one before it: too old, from the second on. */
const cached: Theme = (plan, random) => {
  const atMs = 8_000 + random.below(9_000)
  return withFaults(busy(plan), 40_000, [
    fault('cached_snapshot', atMs, { durationMs: 12_000 }),
    ...[500, 2_500, 5_000, 8_000].map((ms) => fault('wrong_pu', atMs + ms)),
  ])
}

/** The answers that a join needs are not what they should be. */
const badAnswers: Theme = (plan, random) => {
  const kinds = [
    'rest_5xx',
    'rest_hang',
    'rest_reset',
    'slow_body',
    'short_snapshot',
    'crossed_snapshot',
    'rest_418',
  ] as const
  const kind = pick(random, kinds)
  const atMs = 8_000 + random.below(15_000)
  const bad = fault(kind, atMs, {
    durationMs: random.below(3_000),
    value: VALUE[kind],
  })
  return withFaults(busy(plan), 40_000, [
    bad,
    fault('wrong_pu', atMs + 50),
    fault('wrong_pu', atMs + 2_000 + random.below(5_000)),
    fault('drop', atMs + 8_000 + random.below(5_000)),
  ])
}
const VALUE: Readonly<Partial<Record<FaultName, number>>> = { rest_418: 10, slow_body: 4, rest_5xx: 503 }

const notTrading: Theme = (plan, random) =>
  withFaults(busy(plan), 40_000, [
    fault('halt_trading', 8_000 + random.below(9_000), { durationMs: 20_000 + random.below(20_000) }),
  ])

const skewed: Theme = (plan, random) =>
  random.chance(0.5)
    ? { ...plan, wallOffsetMs: random.chance(0.5) ? 1_500 : -1_500, faults: [] }
    : withFaults(plan, 30_000, [fault('skew', 5_000 + random.below(9_000), { value: 2_000 })])

const diskFull: Theme = (plan, random) =>
  withFaults(busy(plan), 40_000, [
    fault(random.chance(0.5) ? 'disk_full' : 'disk_high', 8_000 + random.below(15_000), {
      durationMs: 3_000 + random.below(9_000),
    }),
  ])

const diskBroken: Theme = (plan, random) =>
  withFaults(busy(plan), 40_000, [fault('disk_fails', 8_000 + random.below(15_000), { durationMs: 4_000 })])

const stalled: Theme = (plan, random) =>
  withFaults(busy(plan), 40_000, [
    random.chance(0.5)
      ? fault('stall', 8_000 + random.below(15_000), { durationMs: 2_500 + random.below(9_000) })
      : fault('disk_slow', 8_000 + random.below(15_000), { durationMs: 4_000 + random.below(6_000) }),
  ])

const stepped: Theme = (plan, random) =>
  withFaults(busy(plan), 40_000, [
    fault('step', 8_000 + random.below(15_000), { value: -(300 + random.below(3_000)) }),
    fault('step', 28_000 + random.below(9_000), { value: 300 + random.below(90_000) }),
  ])

/** Trades stop although the exchange has newer ones; a minute of silence must pass before that is asked. */
const tradesLost: Theme = (plan, random) => {
  const quick = busy(plan)
  return withFaults({ ...quick, market: { ...quick.market, tradeShare: 0.4 } }, 110_000, [
    fault(random.chance(0.5) ? 'silence_trades' : 'silence', 8_000 + random.below(5_000), {
      durationMs: 85_000,
      place: '',
    }),
    fault('silence_mark', 40_000 + random.below(5_000), { durationMs: 10_000 }),
  ])
}

const limited: Theme = (plan, random) =>
  withFaults(busy(plan), 30_000, [
    fault(random.chance(0.5) ? 'rest_429' : 'rest_418', 1_000 + random.below(5_000), {
      value: 5 + random.below(15),
      place: 'any',
    }),
    fault('drop', 7_000 + random.below(5_000)),
    fault('rest_429', 7_000, { value: 5 + random.below(15), place: 'depth' }),
  ])

/** Silence of a market that does little: nothing is wrong, and that must be proven. */
const quiet: Theme = (plan, random) => {
  const market = { ...plan.market, rate: 3, bursts: undefined, quiet: { everyMs: 6_000, lastsMs: 20_000 } }
  return withFaults(
    { ...everyStream(plan), market },
    60_000,
    random.chance(0.3) ? [fault('drop', 20_000)] : [],
  )
}

export const THEMES: readonly Theme[] = [
  calm,
  storm,
  frozen,
  emptied,
  short,
  flipped,
  crossed,
  unreadable,
  precise,
  gone,
  notTrading,
  skewed,
  diskFull,
  diskBroken,
  stalled,
  stepped,
  tradesLost,
  limited,
  refused,
  refused,
  cached,
  badAnswers,
  badAnswers,
  quiet,
]
