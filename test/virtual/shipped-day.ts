import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isReady } from '../../capture/process/status.ts'
import type { Bucket, Spool } from '../../capture/ship/mod.ts'
import { LEVELS } from '../support/judge.ts'
import { lineageIn } from '../support/lineage.ts'
import { type Plan, SYMBOL } from './plan.ts'
import { scene } from './scene.ts'
import { VirtualShipping } from './shipping.ts'
import { begin, end, type World } from './world.ts'

const HOUR_MS = 3_600_000
export const WINDOW_MS = 900_000
const BEFORE_MS = HOUR_MS
export const OUTAGE_HOURS = 24
/** The store is back, in milliseconds of the world. */
export const BACK_MS = BEFORE_MS + OUTAGE_HOURS * HOUR_MS
/** A store to which all captures come back at once: a commit of eleven requests takes over a minute. */
const SLOW_MS = 6_000
/** Half of the time is for the backlog: so it is gone after as long as it took to come. */
const DRAINS_WITHIN_MS = OUTAGE_HOURS * HOUR_MS
/** What the world goes on for when nothing waits any more. */
const AFTER_MS = 2 * WINDOW_MS
/** What the simulated exchange keeps of an event for its oracles, as seen in its heap. */
const MARK_BYTES = 60
const EVENT_BYTES = 250

/** What was seen at the end of an hour without the store. */
export interface HourSeen {
  readonly ready: boolean
  readonly paused: boolean
  readonly waiting: number
  readonly books: number
  readonly spoolBytes: number
  readonly secondsUntilFull: number
  /** Heap and buffers after a collection, less what the simulated exchange remembers. */
  readonly heldBytes: number
}

export interface Day {
  readonly world: World
  readonly shipping: VirtualShipping
  readonly hours: readonly HourSeen[]
  /** Tries to ship while the store was away. */
  readonly failures: number
}

export interface Store {
  readonly spool: Spool
  readonly bucket: Bucket
  /** Called at the beginning of each hour of the outage, counted from 0. */
  readonly refuse: (hour: number) => void
  readonly heal: () => void
}

/** Lives through an hour with a store, a day without, the backlog, and two windows more; all is shipped at the end. */
export async function liveThroughDay({ spool, bucket, refuse, heal }: Store): Promise<Day> {
  const made: VirtualShipping[] = []
  const plan = slowPlan()
  const lineage = await lineageIn(spool)
  const world = begin(plan, undefined, undefined, undefined, (time) => {
    const shipping = new VirtualShipping({ plan, time, spool, lineage, bucket, sizeLimitBytes: 2 ** 30 })
    made.push(shipping)
    return shipping.spooling
  })
  const [shipping] = made
  if (shipping === undefined) throw new Error('the world has no shipping')
  const { time } = world
  shipping.start()
  try {
    await time.runUntil(BEFORE_MS)
    const hours: HourSeen[] = []
    for (let hour = 0; hour < OUTAGE_HOURS; hour++) {
      refuse(hour)
      await time.runUntil(BEFORE_MS + (hour + 1) * HOUR_MS)
      hours.push(await look(world, shipping, spool))
    }
    const { failures } = shipping.shipper.counts
    heal()
    shipping.latencyMs = SLOW_MS
    while (shipping.waiting > 0 && time.elapsedMs < BACK_MS + DRAINS_WITHIN_MS) {
      await time.runUntil(time.elapsedMs + WINDOW_MS / 2)
    }
    await time.runUntil(time.elapsedMs + AFTER_MS)
    await end(world, true)
    await shipping.drain(HOUR_MS)
    return { world, shipping, hours, failures }
  } finally {
    await shipping.stop()
  }
}

/** A market in which an event comes each ten seconds, so that a day passes in seconds. */
function slowPlan(): Plan {
  const plan = scene(1)
  return {
    ...plan,
    market: { rate: 0.1, levels: 30, tradeShare: 0.1 },
    config: { ...plan.config, streams: ['books', 'depth', 'trades'], bookLevels: LEVELS },
    rotationSeconds: WINDOW_MS / 1000,
    journals: false,
  }
}

async function look(world: World, shipping: VirtualShipping, spool: Spool): Promise<HourSeen> {
  const { keeper } = world.capture
  const { bytes } = await spool.usage()
  return {
    ready: keeper !== undefined && isReady(world.plan.config.streams, keeper),
    paused: keeper?.pause !== undefined,
    waiting: shipping.waiting,
    books: keeper?.rows.rows.books ?? 0,
    spoolBytes: bytes,
    secondsUntilFull: shipping.room.secondsUntilFull,
    heldBytes: heldBytes() - remembered(world),
  }
}

function heldBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect !== 'function') throw new Error('this Node has no gc to call')
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function remembered({ sim }: World): number {
  const { marks, batches, trades } = sim.emitted(SYMBOL)
  return marks.length * MARK_BYTES + (batches.length + trades.length) * EVENT_BYTES
}
