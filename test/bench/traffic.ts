/**
 * The traffic that is measured: recorded BTCUSDT, as it was recorded (`depth@0ms`) and merged to the 100 ms batches
 * that a capture subscribes to.
 */
import { readFrames } from '../support/recordings.ts'

export const SYMBOL = 'BTCUSDT'
export const RECORDINGS = ['btcusdt-2023-04-04', 'btcusdt-2024-07-18'] as const
/** A batch of the exchange's usual subscription. */
const BATCH_MS = 100
/** Ids left free between two passes over the same traffic. */
const ID_STEP = 1000

export type Level = readonly [price: string, qty: string]

/** A depthUpdate as the exchange sends it; its ids are below 2^53 in all recordings. */
export interface Depth {
  readonly e: 'depthUpdate'
  readonly E: number
  readonly T: number
  readonly s: string
  readonly U: number
  readonly u: number
  readonly pu: number
  readonly b: readonly Level[]
  readonly a: readonly Level[]
}

export interface SnapshotBody {
  readonly lastUpdateId: number
  readonly E: number
  readonly bids: readonly Level[]
  readonly asks: readonly Level[]
}

export interface Event {
  /** Microseconds since the epoch, by the recorder's clock. */
  readonly received: number
  readonly depth: Depth
  /** The frame: what comes out of the socket. */
  readonly payload: Buffer
}

/** A snapshot, and events that follow it without a hole; the first one meets it. */
export interface Traffic {
  readonly name: string
  readonly snapshot: Buffer
  readonly snapshotLimit: number
  readonly events: readonly Event[]
}

const frameOf = (depth: Depth, speed: string): Buffer =>
  Buffer.from(`{"stream":"${depth.s.toLowerCase()}@depth@${speed}","data":${JSON.stringify(depth)}}`)

/** Both profiles of a recording: as recorded, and merged. Throws RecordingError where it is missing. */
export async function loadTraffic(recording: string): Promise<{ raw: Traffic; merged: Traffic }> {
  let snapshot: Buffer | undefined
  let snapshotLimit = 0
  const all: Event[] = []
  for await (const { receivedNs, via, payload } of readFrames(`binance-usdm/${recording}`)) {
    if (via.startsWith('http ')) {
      snapshot = Buffer.from(payload)
      snapshotLimit = Number(new URL(via.slice(5), 'http://recording').searchParams.get('limit'))
    } else if (payload.indexOf('@depth@') > 0) {
      const { data } = JSON.parse(payload.toString('utf8')) as { data: Depth }
      // a copy: the frames of a recording are views of what was read
      all.push({ received: Number(receivedNs / 1000n), depth: data, payload: Buffer.from(payload) })
    }
  }
  if (snapshot === undefined) throw new Error(`the recording ${recording} holds no snapshot`)
  const { lastUpdateId } = JSON.parse(snapshot.toString('utf8')) as SnapshotBody
  const make = (profile: string, events: readonly Event[]): Traffic => ({
    name: `${recording.slice('btcusdt-'.length)} ${profile}`,
    snapshot: snapshot as Buffer,
    snapshotLimit,
    events: events.slice(events.findIndex(({ depth }) => depth.u >= lastUpdateId)),
  })
  return { raw: make('0 ms', all), merged: make('100 ms', mergeEvents(all)) }
}

/** Merges the events of each 100 ms of the exchange's clock: the last quantity a price, sorted as it sorts them. */
function mergeEvents(events: readonly Event[]): Event[] {
  const merged: Event[] = []
  for (let from = 0; from < events.length; ) {
    const batch = Math.floor(events[from].depth.E / BATCH_MS)
    let to = from + 1
    while (to < events.length && Math.floor(events[to].depth.E / BATCH_MS) === batch) to++
    const parts = events.slice(from, to)
    const first = parts[0].depth
    const last = parts[parts.length - 1]
    const side = (key: 'b' | 'a'): Level[] =>
      [...new Map(parts.flatMap(({ depth }) => depth[key])).entries()].sort(
        (x, y) => Number(x[0]) - Number(y[0]),
      )
    const depth = { ...last.depth, U: first.U, pu: first.pu, b: side('b'), a: side('a') }
    merged.push({ received: last.received, depth, payload: frameOf(depth, `${BATCH_MS}ms`) })
    from = to
  }
  return merged
}

/**
 * The same traffic `passes` times in one unbroken chain, for floods longer than a recording. Between two passes
 * stands one event that brings the book back to the snapshot's; ids and times go on.
 */
export function repeatTraffic(traffic: Traffic, passes: number): Traffic {
  const { events } = traffic
  const body = JSON.parse(traffic.snapshot.toString('utf8')) as SnapshotBody
  const last = events[events.length - 1]
  const idSpan = last.depth.u - body.lastUpdateId + ID_STEP
  const timeSpan = last.depth.E - body.E
  const back = { b: wayBack(body.bids, events, 'b'), a: wayBack(body.asks, events, 'a') }
  const result: Event[] = [...events]
  for (let pass = 1; pass < passes; pass++) {
    const ids = pass * idSpan
    const times = pass * timeSpan
    const returnId = body.lastUpdateId + ids
    const previousId = last.depth.u + ids - idSpan
    const move = ({ received, depth }: Event, changed: Partial<Depth>): Event => {
      const { E, T, U, u, pu } = depth
      const moved = { ...depth, E: E + times, T: T + times, U: U + ids, u: u + ids, pu: pu + ids, ...changed }
      return { received: received + times * 1000, depth: moved, payload: frameOf(moved, `${BATCH_MS}ms`) }
    }
    result.push(move(events[0], { U: previousId + 1, u: returnId, pu: previousId, ...back }))
    result.push(move(events[0], { U: returnId + 1, pu: returnId }))
    for (const event of events.slice(1)) result.push(move(event, {}))
  }
  return { ...traffic, events: result }
}

/** Levels that turn the book after the events into the snapshot's again. */
function wayBack(snapshot: readonly Level[], events: readonly Event[], side: 'b' | 'a'): Level[] {
  const wanted = new Map(snapshot)
  const touched = new Set(events.flatMap(({ depth }) => depth[side].map(([price]) => price)))
  for (const price of touched) if (!wanted.has(price)) wanted.set(price, '0.000')
  return [...wanted.entries()].sort((x, y) => Number(x[0]) - Number(y[0]))
}
