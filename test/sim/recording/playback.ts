/** One symbol's timeline: plays its recorded frames at their gaps, once, from its first depth subscription. */
import type { Hub } from '../core/hub.ts'
import type { SimTime } from '../core/time.ts'
import { Ledger } from '../ledger.ts'
import { AS_IT_IS, type Delivery, outgoing, type SnapshotBody, type SourceEvents } from '../source.ts'
import { streamKey } from '../streams.ts'
import { RecentTrades } from '../trades.ts'
import { aggTradeFrom, type Derivable, type DueMark, dueMarks, markFrom, tickerPrices } from './derive.ts'
import { aggregateId, depthIds } from './fields.ts'
import type { RecordedFrame, SymbolRecording, WireFrame } from './file.ts'
import { Gate } from './gate.ts'
import { Truth } from './truth.ts'

/** Frames sent at a stretch before sockets and REST get their turn. */
const BURST_MAX = 1000

type Step = RecordedFrame | DueMark

/** What a recording is played in. */
export interface RecordedWorld {
  readonly time: SimTime
  readonly hub: Hub
  readonly events: SourceEvents
}

export class Playback {
  readonly ledger: Ledger
  readonly trades = new RecentTrades()
  /** Undefined where the recording holds no snapshot of this symbol. */
  readonly truth: Truth | undefined
  readonly #snapshot: Gate
  readonly #symbol: string
  readonly #steps: readonly Step[]
  readonly #derivable: Derivable
  readonly #speed: () => number
  readonly #time: SimTime
  readonly #hub: Hub
  readonly #events: SourceEvents
  readonly #startUs: number
  #next = 0
  #started = false
  /** How far the timeline was at a moment, and how fast it goes since then. */
  #reachedUs = 0
  #reachedAtMs = 0
  #speedNow = 0
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(
    recording: SymbolRecording,
    derivable: Derivable,
    speed: () => number,
    { time, hub, events }: RecordedWorld,
  ) {
    this.#symbol = recording.symbol
    this.#derivable = derivable
    this.#speed = speed
    this.#time = time
    this.#snapshot = new Gate(time)
    this.#hub = hub
    this.#events = events
    this.ledger = new Ledger(recording.symbol)
    const recorded = recording.frames.find((frame) => frame.kind === 'snapshot')
    if (recorded === undefined) this.#snapshot.settle(false)
    else this.truth = new Truth(recording.symbol, recorded)
    const marks = derivable.markPrice === undefined ? [] : dueMarks(recording)
    this.#steps = merged(recording.frames, marks)
    this.#startUs = recording.frames[0]?.atUs ?? 0
  }

  /** Begins, unless it has begun. The first frames follow in a later turn, after the answer to the client. */
  start(): void {
    if (this.#started) return
    this.#started = true
    this.#reachedAtMs = this.#time.nowMs()
    // Faults first: one that is due at once is armed before the first frame, however late both timers come.
    this.#events.depthSubscribed(this.#symbol)
    this.#cancel = this.#time.after(0, () => this.#play())
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
    this.#snapshot.settle(false)
  }

  /** Body of a snapshot, once the timeline has reached the recorded one; undefined where that takes too long. */
  async snapshot(limit: number, waitMs: number): Promise<SnapshotBody> {
    return (await this.#snapshot.pass(waitMs)) ? this.truth?.body(limit) : undefined
  }

  #play(): void {
    const nowMs = this.#time.nowMs()
    this.#reachedUs += (nowMs - this.#reachedAtMs) * 1000 * this.#speedNow
    this.#reachedAtMs = nowMs
    const burstTo = this.#next + BURST_MAX
    let step = this.#steps[this.#next]
    while (step !== undefined && step.atUs - this.#startUs <= this.#reachedUs && this.#next < burstTo) {
      this.#pass(step)
      step = this.#steps[++this.#next]
    }
    if (this.#stopped) return
    if (step === undefined) {
      this.#events.ended(this.#symbol, this.ledger.lastDepthId)
      return
    }
    this.#speedNow = this.#speed()
    // whole microseconds: a clock moved by hand does not go on by less than it can tell apart
    const waitUs = Math.ceil((step.atUs - this.#startUs - this.#reachedUs) / this.#speedNow)
    this.#cancel = this.#time.after(Math.max(0, waitUs) / 1000, () => this.#play())
  }

  #pass(step: Step): void {
    if (step.kind === 'snapshot') {
      this.truth?.reach()
      this.#snapshot.settle(true)
    } else if (step.kind === 'mark') this.#mark(step)
    else if (step.stream.single) this.#single(step)
    else if (step.stream.channel === 'depth') this.#depth(step)
    else if (step.stream.channel === 'aggTrade') this.#trade(step)
    else if (this.#events.silenced(this.#symbol, step.stream.channel) === undefined) {
      this.#hub.broadcast(step.stream.key, step.wrapped, step.bare)
    }
  }

  #depth(frame: WireFrame): void {
    const ids = depthIds(frame.bare)
    const { stream } = frame
    let delivery = AS_IT_IS
    if (ids !== undefined) {
      this.truth?.pass(frame, ids.lastId)
      if (this.#hub.listeners(stream.key).size > 0) {
        delivery = this.#events.depth({
          symbol: this.#symbol,
          connection: undefined,
          stream,
          ...ids,
          payload: () => frame.bare.toString('utf8'),
          book: (limit) => this.truth?.now(limit) ?? { lastUpdateId: ids.lastId, bids: [], asks: [] },
        })
      }
      const { sent, fault, lie } = delivery
      this.ledger.batch({ connection: 0, ...ids, sent, fault })
      if (fault !== undefined && lie !== undefined) {
        this.ledger.lie({ kind: fault, connection: 0, id: ids.lastId, levels: lie })
      }
    }
    this.#send(frame, delivery)
  }

  #trade(frame: WireFrame): void {
    const delivery = this.#traded(aggregateId(frame.bare), frame.bare.toString('utf8'))
    this.#send(frame, delivery)
  }

  /** The recorded bytes, unless a fault put something in their place. */
  #send(frame: WireFrame, delivery: Delivery): void {
    const { key, name } = frame.stream
    if (delivery.payloads !== undefined) {
      for (const payload of delivery.payloads) this.#publish(key, name, payload)
    } else if (delivery.sent) this.#hub.broadcast(key, frame.wrapped, frame.bare)
  }

  #single(frame: WireFrame): void {
    if (this.#derivable.aggTrade === undefined) return
    const { id, payload } = aggTradeFrom(frame.bare)
    const delivery = this.#traded(id, payload)
    const key = streamKey(this.#symbol, 'aggTrade')
    for (const out of outgoing(delivery, payload)) this.#publish(key, this.#derivable.aggTrade, out)
  }

  #traded(id: bigint, payload: string): Delivery {
    const delivery = this.#events.trade(this.#symbol, payload)
    this.ledger.trade({ id, sent: delivery.sent, fault: delivery.fault })
    this.trades.add(id, payload)
    return delivery
  }

  #mark(mark: DueMark): void {
    const key = streamKey(this.#symbol, 'markPrice')
    if (this.#derivable.markPrice === undefined || this.#hub.listeners(key).size === 0) return
    const prices = mark.ticker === undefined ? this.truth?.touch() : tickerPrices(mark.ticker.bare)
    if (prices === undefined) return // before the recorded snapshot there is no price to make it of
    const sent = this.#events.silenced(this.#symbol, 'markPrice') === undefined
    this.ledger.mark({ eventTime: mark.eventTime, sent })
    if (!sent) return
    const payload = markFrom(this.#symbol, prices.bid, prices.ask, mark.eventTime)
    this.#publish(key, this.#derivable.markPrice, payload)
  }

  #publish(key: string, name: string, payload: string): void {
    const wrapped = `{"stream":${JSON.stringify(name)},"data":${payload}}`
    this.#hub.broadcast(key, Buffer.from(wrapped), Buffer.from(payload))
  }
}

/** Two lists in the order of time; at equal times marks come first. */
function merged(frames: readonly RecordedFrame[], marks: readonly DueMark[]): Step[] {
  const steps: Step[] = []
  let next = 0
  for (const frame of frames) {
    for (let mark = marks[next]; mark !== undefined && mark.atUs <= frame.atUs; mark = marks[next]) {
      steps.push(mark)
      next++
    }
    steps.push(frame)
  }
  return steps
}
