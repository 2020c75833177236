import { type Exchange, exchangeByName } from '../../capture/exchange/mod.ts'
import type { FeedLog } from '../../capture/feed/mod.ts'
import { type SimEvent, SimExchange } from '../sim/core/mod.ts'
import { type Spooling, VirtualCapture } from './capture.ts'
import { exchangeWith } from './exchange.ts'
import type { Wire } from './network.ts'
import {
  DISK_TROUBLES,
  type Fault,
  injectionOf,
  isSimFault,
  type Plan,
  SYMBOL,
  troubleEndsMs,
} from './plan.ts'
import { Machine, WorldTime } from './time.ts'

/** The calm after the trouble is lived through in steps. */
const STEP_MS = 1_000
/** How long a live book is looked at before the world ends. */
const LIVE_FOR_MS = 4_000
/** Within this time after the last trouble a book must be live again: waits grow to a minute, and are random. */
const LIVE_WITHIN_MS = 200_000
/** Whether a symbol trades, or is listed at all, is asked every five minutes. */
const LISTED_WITHIN_MS = 330_000
const LISTING_FAULTS = ['halt_trading', 'delist']

const LOOK_EVERY_MS = 500
/** A clock that is off by this is left alone. */
const CLOCK_FINE_MS = 100

export interface FaultFired {
  readonly kind: string
  readonly elapsedMs: number
}

/** What became of a plan. */
export interface Outcome {
  readonly plan: Plan
  readonly exchange: Exchange
  readonly sim: SimExchange
  readonly capture: VirtualCapture
  /** Faults that acted, the exchange's and our own. */
  readonly fired: readonly FaultFired[]
  /** Why a book was paused. */
  readonly paused: ReadonlySet<string>
  /** The book was live (or no book is captured and all streams flowed) at the end. */
  readonly live: boolean
  readonly elapsedMs: number
}

/** The exchange and one capture, at the beginning of a plan. */
export interface World {
  readonly plan: Plan
  readonly time: WorldTime
  readonly exchange: Exchange
  readonly sim: SimExchange
  readonly machine: Machine
  readonly capture: VirtualCapture
  readonly fired: readonly FaultFired[]
}

/** What stands between the capture and the exchange, for tests that say how connections differ. */
export type Between = (sim: SimExchange, time: WorldTime) => Wire

/** What takes the segments of a capture, in the time of its world. */
export type Behind = (time: WorldTime) => Spooling

/** Makes the world of a plan and starts its capture; its faults wait for their time. */
export function begin(
  plan: Plan,
  log?: FeedLog,
  between: Between = (sim) => sim,
  prepare: (world: World) => void = () => undefined,
  behind?: Behind,
): World {
  const time = new WorldTime(plan.startMs)
  const sim = new SimExchange({
    time,
    seed: plan.seed,
    symbols: [SYMBOL],
    profile: plan.market,
    lagMs: plan.lagMs,
    restLatencyMs: plan.restMs,
    sockets: { pingEveryMs: plan.pingEveryMs, lifetimeMs: plan.lifetimeMs },
  })
  // the recorder of the product replays with the product's own exchange
  const exchange =
    behind === undefined ? exchangeWith(SYMBOL, plan.takeOverMs) : exchangeByName(plan.config.exchange)
  const machine = new Machine(time, plan.wallOffsetMs)
  const capture = new VirtualCapture({
    seed: plan.seed,
    name: 'capture',
    machine,
    wire: between(sim, time),
    exchange,
    address: '10.0.0.1',
    latency: plan.latency,
    config: plan.config,
    rotationSeconds: plan.rotationSeconds,
    share: plan.share,
    journals: plan.journals ?? true,
    pod: plan.pods === undefined ? undefined : 'pod-0',
    spooling: behind?.(time),
    log,
  })
  const fired: FaultFired[] = []
  sim.on((event: SimEvent) => {
    if (event.event === 'fault') fired.push({ kind: event.kind, elapsedMs: time.elapsedMs })
  })
  for (const fault of plan.faults) {
    time.after(fault.atMs, () => {
      if (isSimFault(fault.kind)) return sim.inject(injectionOf(fault))
      fired.push({ kind: fault.kind, elapsedMs: time.elapsedMs })
      act(fault, machine, capture)
    })
  }
  const world = { plan, time, exchange, sim, machine, capture, fired }
  prepare(world)
  capture.start()
  return world
}

/** Lives through a plan, into the calm after it. `log` hears what the feed says. */
export async function live(plan: Plan, log?: FeedLog): Promise<Outcome> {
  const world = begin(plan, log)
  const { time, machine, sim, capture } = world
  const paused = watchPauses(time, capture)
  await time.runUntil(plan.troubleMs)
  // from here on the clocks are right: a machine that is off for good is never live, as it should be
  if (machine.wallOffsetMs !== plan.wallOffsetMs || Math.abs(plan.wallOffsetMs) > CLOCK_FINE_MS) {
    machine.step(-machine.wallOffsetMs)
  }
  if (plan.faults.some(({ kind }) => kind === 'skew')) sim.inject(`skew:${SYMBOL}=0@0`)
  return await end(world, await calm(world), paused)
}

/** Ends the capture in order, and the world with it. */
export async function end(
  world: World,
  isLive: boolean,
  paused: ReadonlySet<string> = new Set(),
): Promise<Outcome> {
  const { plan, exchange, sim, capture, fired, time } = world
  await capture.stop()
  sim.stop()
  return { plan, exchange, sim, capture, fired, paused, live: isLive, elapsedMs: time.elapsedMs }
}

/** Lives on until the book is live, and a little longer. Returns whether it came to that. */
export async function calm({ plan, time, capture, fired }: World): Promise<boolean> {
  const withinMs = plan.faults.some(({ kind }) => LISTING_FAULTS.includes(kind))
    ? LISTED_WITHIN_MS
    : LIVE_WITHIN_MS
  let liveSinceMs: number | undefined
  await time.runUntil(troubleEndsMs(plan))
  for (;;) {
    // a fault may wait for what it acts on
    const last = Math.max(troubleEndsMs(plan), fired.at(-1)?.elapsedMs ?? 0)
    if (capture.isTerminal) return false
    liveSinceMs = isSettled(plan, capture) ? (liveSinceMs ?? time.elapsedMs) : undefined
    if (liveSinceMs !== undefined && time.elapsedMs - liveSinceMs >= LIVE_FOR_MS) return true
    if (time.elapsedMs > last + withinMs) return false
    await time.runUntil(time.elapsedMs + STEP_MS)
  }
}

/** Looks at the book's state now and then: a pause for a limit leaves no other trace. */
export function watchPauses(time: WorldTime, capture: VirtualCapture): ReadonlySet<string> {
  const paused = new Set<string>()
  const look = () => {
    const book = capture.keeper?.session?.book
    if (book?.state === 'paused') paused.add(book.reason)
    time.after(LOOK_EVERY_MS, look)
  }
  look()
  return paused
}

/** Nothing more is to come: all is well, or the symbol is found to be gone. */
function isSettled(plan: Plan, capture: VirtualCapture): boolean {
  if (!plan.faults.some(({ kind }) => kind === 'delist')) return isWell(plan, capture)
  const book = capture.keeper?.session?.book
  return book?.state === 'paused' && book.reason === 'not_trading'
}

function isWell({ config }: Plan, capture: VirtualCapture): boolean {
  const session = capture.keeper?.session
  if (session === undefined || capture.keeper?.run?.ended !== false) return false
  if (config.streams.includes('books') || config.streams.includes('depth'))
    return session.book.state === 'live'
  return config.streams.every((stream) => session.streamState(stream) === 'flowing')
}

function act(fault: Fault, machine: Machine, capture: VirtualCapture): void {
  const { kind, durationMs, value } = fault
  const later = (undo: () => void) => machine.time.after(durationMs, undo)
  const trouble = DISK_TROUBLES[kind]
  if (trouble !== undefined) {
    capture.disk.trouble = trouble
    later(() => {
      if (capture.disk.trouble === trouble) capture.disk.trouble = 'none'
      machine.time.unsettled()
    })
  } else if (kind === 'kill') capture.kill('process')
  else if (kind === 'power') capture.kill('power')
  else if (kind === 'restart') capture.restartInOrder()
  else if (kind === 'step') machine.step(value ?? 0)
  else if (kind === 'stall') machine.stall(durationMs)
  else if (kind === 'cut_off') {
    capture.cutOff = true
    later(() => {
      capture.cutOff = false
    })
  } else throw new Error(`${kind} is no fault of a capture`)
  machine.time.unsettled()
}
