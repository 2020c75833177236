/** One symbol's timeline: plays its recorded frames at their gaps, once, from its first depth subscription. */
import type { Hub } from '../hub.ts'
import { Ledger } from '../ledger.ts'
import type { SourceEvents } from '../source.ts'
import { streamKey } from '../streams.ts'
import { RecentTrades } from '../trades.ts'
import { aggTradeFrom, type Derivable, type DueMark, dueMarks, markFrom, tickerPrices } from './derive.ts'
import { aggregateId, depthIds } from './fields.ts'
import type { RecordedFrame, SymbolRecording, WireFrame } from './file.ts'
import { Gate } from './gate.ts'
import { Truth } from './truth.ts'

/** Frames sent at a stretch before sockets and REST get their turn. */
const BURST_MAX = 1000
/** `setTimeout` takes no longer wait; a gap beyond it is waited for in portions. */
const TIMER_MS_MAX = 2 ** 31 - 1

type Step = RecordedFrame | DueMark

export class Playback {
  readonly ledger: Ledger
  readonly trades = new RecentTrades()
  /** Undefined where the recording holds no snapshot of this symbol. */
  readonly truth: Truth | undefined
  readonly #snapshot = new Gate()
  readonly #symbol: string
  readonly #steps: readonly Step[]
  readonly #derivable: Derivable
  readonly #speed: number
  readonly #hub: Hub
  readonly #events: SourceEvents
  readonly #startUs: number
  #next = 0
  #startedAtMs: number | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(
    recording: SymbolRecording,
    derivable: Derivable,
    speed: number,
    hub: Hub,
    events: SourceEvents,
  ) {
    this.#symbol = recording.symbol
    this.#derivable = derivable
    this.#speed = speed
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
    if (this.#startedAtMs !== undefined) return
    this.#startedAtMs = performance.now()
    this.#timer = setTimeout(() => this.#play(), 0)
    this.#events.depthSubscribed(this.#symbol)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#snapshot.settle(false)
  }

  /** Body of a snapshot, once the timeline has reached the recorded one; undefined where that takes too long. */
  async snapshot(limit: number, waitMs: number): Promise<string | Uint8Array | undefined> {
    return (await this.#snapshot.pass(waitMs)) ? this.truth?.body(limit) : undefined
  }

  #play(): void {
    const elapsedUs = (performance.now() - (this.#startedAtMs ?? 0)) * 1000 * this.#speed
    const burstTo = this.#next + BURST_MAX
    let step = this.#steps[this.#next]
    while (step !== undefined && step.atUs - this.#startUs <= elapsedUs && this.#next < burstTo) {
      this.#pass(step)
      step = this.#steps[++this.#next]
    }
    if (this.#stopped) return
    if (step === undefined) {
      this.#events.ended(this.#symbol, this.ledger.lastDepthId)
      return
    }
    const waitMs = (step.atUs - this.#startUs - elapsedUs) / this.#speed / 1000
    this.#timer = setTimeout(() => this.#play(), Math.min(Math.max(0, waitMs), TIMER_MS_MAX))
  }

  #pass(step: Step): void {
    if (step.kind === 'snapshot') {
      this.truth?.reach()
      this.#snapshot.settle(true)
    } else if (step.kind === 'mark') this.#mark(step)
    else if (step.stream.single) this.#single(step)
    else if (step.stream.channel === 'depth') this.#depth(step)
    else {
      if (step.stream.channel === 'aggTrade') {
        this.#traded(aggregateId(step.bare), step.bare.toString('utf8'))
      }
      this.#hub.broadcast(step.stream.key, step.wrapped, step.bare)
    }
  }

  #depth(frame: WireFrame): void {
    const ids = depthIds(frame.bare)
    const { key } = frame.stream
    let sent = true
    if (ids !== undefined) {
      if (this.#hub.listeners(key).size > 0) sent = this.#events.mayPass(this.#symbol, ids.lastId)
      this.ledger.batch({ connection: 0, ...ids, sent })
      this.truth?.pass(frame, ids.lastId)
    }
    if (sent) this.#hub.broadcast(key, frame.wrapped, frame.bare)
  }

  #single(frame: WireFrame): void {
    if (this.#derivable.aggTrade === undefined) return
    const { id, payload } = aggTradeFrom(frame.bare)
    this.#traded(id, payload)
    this.#publish(streamKey(this.#symbol, 'aggTrade'), this.#derivable.aggTrade, payload)
  }

  #traded(id: bigint, payload: string): void {
    this.ledger.trade(id)
    this.trades.add(id, payload)
  }

  #mark(mark: DueMark): void {
    const key = streamKey(this.#symbol, 'markPrice')
    if (this.#derivable.markPrice === undefined || this.#hub.listeners(key).size === 0) return
    const prices = mark.ticker === undefined ? this.truth?.touch() : tickerPrices(mark.ticker.bare)
    if (prices === undefined) return // before the recorded snapshot there is no price to make it of
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
