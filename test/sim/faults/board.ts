/**
 * The faults of one exchange: planned, then armed, then announced when they acted.
 *
 * A plan is armed when its moment comes, counted from the first depth subscription of its symbol. A fault that
 * acts once stays armed until it could, so that an announced fault is one that someone felt; one with a
 * duration ends when that is over, felt or not.
 */
import type { Connection } from '../core/hub.ts'
import type { SimTime } from '../core/time.ts'
import type { Handshake, SimAnswer } from '../core/transport.ts'
import type { Random } from '../market/mod.ts'
import { AS_IT_IS, type Delivery, type DepthEvent, type LieLevel } from '../source.ts'
import type { Channel, Route } from '../streams.ts'
import type { Altered, Endpoint, FaultKind, FaultStage } from './kind.ts'
import type { FaultPlan } from './plan.ts'
import { FAULT_KINDS, type FaultKindName, kindOf } from './table.ts'

const CHANNEL_ROUTES: Readonly<Record<Channel, Route>> = {
  depth: 'public',
  bookTicker: 'public',
  aggTrade: 'market',
  markPrice: 'market',
  other: 'market',
}

export interface FaultWorld {
  readonly time: SimTime
  readonly random: Random
  readonly stage: FaultStage
  readonly symbols: readonly string[]
  lastDepthId(symbol: string): bigint
  announce(plan: FaultPlan, symbol: string, id: bigint): void
}

/** A fault of the exchange itself that lasts: how to be rid of it before its time. */
interface Lasting {
  readonly symbol: string
  readonly cancel: () => void
  readonly end: () => void
}

interface Armed {
  readonly plan: FaultPlan
  readonly kind: FaultKind
  /** Undefined for one that acts once. */
  readonly untilMs: number | undefined
  readonly memory: Map<string, string>
  announced: boolean
}

/** What a fault makes of a snapshot. */
export interface FaultySnapshot {
  readonly kind: FaultKindName
  readonly body: string
  readonly lie: readonly LieLevel[] | undefined
}

export class Faults {
  /** How often each kind acted. */
  readonly fired: Readonly<Record<FaultKindName, number>>
  readonly #count: Record<FaultKindName, number>
  readonly #waiting: FaultPlan[]
  readonly #world: FaultWorld
  #armed: Armed[] = []
  readonly #lasting = new Set<Lasting>()
  readonly #timers = new Set<() => void>()
  /** Events that wait for the next one of their connection and stream, to go out after it. */
  readonly #swapped = new Map<string, string>()

  constructor(plans: readonly FaultPlan[], world: FaultWorld) {
    const kinds = Object.keys(FAULT_KINDS) as FaultKindName[]
    this.#count = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<FaultKindName, number>
    this.fired = this.#count
    this.#waiting = [...plans]
    this.#world = world
  }

  /** The first depth subscription of a symbol came: its faults begin to count. */
  depthSubscribed(symbol: string): void {
    for (const plan of this.#waiting.filter((waiting) => concerns(waiting, symbol))) {
      this.#waiting.splice(this.#waiting.indexOf(plan), 1)
      this.#later(plan.afterMs, () => this.inject(plan))
    }
  }

  /** Arms a fault now, whatever its time says. */
  inject(plan: FaultPlan): void {
    const kind = kindOf(plan.kind)
    const durationMs = plan.durationMs ?? kind.durationMs
    if (kind.at === 'exchange') {
      this.#strike(plan, kind, durationMs)
      return
    }
    const untilMs = durationMs === undefined ? undefined : this.#world.time.nowMs() + durationMs
    const armed: Armed = { plan, kind, untilMs, memory: new Map(), announced: false }
    this.#armed.push(armed)
    // Undone at its moment, not at the next look: nothing may look for hours.
    if (durationMs !== undefined) this.#later(durationMs, () => this.#disarm(armed))
    if (kind.at === 'socket') this.#sockets(armed)
  }

  /** Ends now what waits or lasts for this symbol, as faults name it; what has acted once and for all stays. */
  lift(symbol: string): void {
    this.#armed = this.#armed.filter(({ plan }) => plan.symbol !== symbol)
    for (const lasting of [...this.#lasting].filter((one) => one.symbol === symbol)) {
      lasting.cancel()
      lasting.end()
    }
  }

  /** A connection subscribed something: faults of connections may concern it. */
  subscribed(connection: Connection, symbol: string): void {
    if (this.#armed.length === 0) return
    // Later, because nothing may be done to a connection while it is being made.
    this.#later(0, () => {
      for (const armed of this.#of('socket', symbol)) {
        if (connection.open && armed.untilMs !== undefined) this.#sockets(armed)
      }
    })
  }

  /** Asked before a depth event goes out to someone. One fault an event: the next armed one takes the next. */
  depth(event: DepthEvent): Delivery {
    const muted = this.silenced(event.symbol, 'depth') ?? event.connection?.mute
    if (muted !== undefined) return { sent: false, fault: muted }
    for (const armed of this.#armed.length === 0 ? [] : [...this.#armed]) {
      const { plan, kind } = armed
      if (!concerns(plan, event.symbol)) continue
      if (kind.at === 'socket' && plan.route === 'public' && this.#sockets(armed)) {
        const over = event.connection?.open === false || event.connection?.mute !== undefined
        return over ? { sent: false, fault: plan.kind } : this.#inOrder(event, AS_IT_IS)
      }
      const altered = kind.at === 'depth' ? kind.alter(event, this.#world.random) : undefined
      if (altered === undefined) continue
      // One at a time waits for its successor.
      if (altered.swap === true && this.#swapped.has(chainOf(event))) continue
      this.#acted(armed, event.symbol, event.lastId)
      return this.#altered(event, plan.kind, altered)
    }
    return this.#inOrder(event, AS_IT_IS)
  }

  /** Asked of each trade. */
  trade(symbol: string, payload: string): Delivery {
    const muted = this.silenced(symbol, 'aggTrade')
    if (muted !== undefined) return { sent: false, fault: muted }
    for (const armed of this.#of('socket', symbol)) if (armed.plan.route === 'market') this.#sockets(armed)
    for (const armed of this.#of('trade', symbol)) {
      if (armed.kind.at !== 'trade') continue
      this.#acted(armed, symbol)
      const { copies } = armed.kind
      return { sent: copies > 0, fault: armed.plan.kind, payloads: Array(copies).fill(payload) }
    }
    return AS_IT_IS
  }

  /** The kind that leaves this channel of the symbol silent. */
  silenced(symbol: string, channel: Channel): FaultKindName | undefined {
    for (const armed of this.#of('silence', symbol)) {
      if (armed.kind.at !== 'silence') continue
      const { channels } = armed.kind
      const concerned =
        channels === 'route' ? CHANNEL_ROUTES[channel] === armed.plan.route : channels.includes(channel)
      if (!concerned) continue
      this.#actedOnce(armed, symbol)
      return armed.plan.kind
    }
    return undefined
  }

  /** What becomes of a new connection on this route that names these symbols, if not the usual. */
  handshake(route: Route, symbols: readonly string[]): Handshake | undefined {
    for (const armed of [...this.#armed]) {
      const { plan, kind, untilMs } = armed
      if (kind.at !== 'handshake' || (plan.route !== 'any' && plan.route !== route)) continue
      if (symbols.length > 0 && !symbols.some((symbol) => concerns(plan, symbol))) continue
      this.#actedOnce(armed, plan.symbol)
      const leftMs = untilMs === undefined ? 0 : untilMs - this.#world.time.nowMs()
      return kind.answer(this.#world.random, Math.max(1, Math.ceil(leftMs / 1000)))
    }
    return undefined
  }

  /** What becomes of a snapshot, if not the usual. */
  snapshot(
    symbol: string,
    limit: number,
    fresh: string,
    ago: (ms: number) => string,
  ): FaultySnapshot | undefined {
    for (const armed of this.#of('snapshot', symbol)) {
      const { kind, plan, memory } = armed
      if (kind.at !== 'snapshot') continue
      const hold = (ms: number) => {
        const untilMs = this.#world.time.nowMs() + ms
        for (const connection of this.#world.stage.following(symbol, 'public')) connection.hold(untilMs)
      }
      const outcome = kind.answer({ symbol, limit, fresh, ago, hold, memory }, numberOf(armed))
      if (outcome === undefined) continue
      this.#acted(armed, symbol)
      return { kind: plan.kind, body: outcome.body, lie: outcome.lie }
    }
    return undefined
  }

  /** What becomes of a REST answer, if not the usual. */
  answer(endpoint: Endpoint, symbol: string | null, address: string, answer: SimAnswer): SimAnswer {
    for (const armed of [...this.#armed]) {
      const { kind, plan } = armed
      if (kind.at !== 'answer' || (plan.route !== 'any' && plan.route !== endpoint)) continue
      if (symbol !== null && !concerns(plan, symbol)) continue
      this.#acted(armed, symbol ?? plan.symbol)
      return kind.spoil({ answer, address, value: numberOf(armed), stage: this.#world.stage })
    }
    return answer
  }

  stop(): void {
    for (const cancel of this.#timers) cancel()
    this.#armed = []
  }

  #of(at: FaultKind['at'], symbol: string): Armed[] {
    if (this.#armed.length === 0) return []
    return this.#armed.filter((armed) => armed.kind.at === at && concerns(armed.plan, symbol))
  }

  #strike(plan: FaultPlan, kind: FaultKind & { at: 'exchange' }, durationMs: number | undefined): void {
    const { stage, symbols } = this.#world
    // What concerns all symbols at once takes the plan's own name for them.
    const concerned = plan.symbol === '*' ? symbols : [plan.symbol]
    const value = plan.value ?? kind.value?.otherwise ?? 0
    for (const symbol of kind.whole === true ? ['*'] : concerned) {
      kind.begin(stage, symbol, value)
      if (durationMs !== undefined) this.#last(plan.symbol, durationMs, () => kind.end?.(stage, symbol))
    }
    this.#count[plan.kind]++
    this.#world.announce(plan, plan.symbol, this.#world.lastDepthId(plan.symbol))
  }

  /** Acts on the connections that are there; whether there were any. */
  #sockets(armed: Armed): boolean {
    const { plan, kind } = armed
    if (kind.at !== 'socket') return false
    const route = plan.route === 'market' ? 'market' : 'public'
    const connections = this.#world.stage.following(plan.symbol, route)
    if (connections.length === 0) return false
    for (const connection of connections) kind.act(connection, numberOf(armed))
    this.#acted(armed, plan.symbol)
    return true
  }

  #altered(event: DepthEvent, kind: FaultKindName, altered: Altered): Delivery {
    const { payloads, sent, swap, lie } = altered
    if (swap !== true) return this.#inOrder(event, { sent, fault: kind, payloads, lie })
    this.#swapped.set(chainOf(event), event.payload())
    return { sent: true, fault: kind, payloads: [] }
  }

  /** Puts what waited for this event behind it. */
  #inOrder(event: DepthEvent, delivery: Delivery): Delivery {
    if (this.#swapped.size === 0) return delivery
    const waited = this.#swapped.get(chainOf(event))
    if (waited === undefined) return delivery
    this.#swapped.delete(chainOf(event))
    return { ...delivery, payloads: [...(delivery.payloads ?? [event.payload()]), waited] }
  }

  #acted(armed: Armed, symbol: string, id = this.#world.lastDepthId(symbol)): void {
    armed.announced = true
    this.#count[armed.plan.kind]++
    this.#world.announce(armed.plan, symbol, id)
    if (armed.untilMs === undefined) this.#disarm(armed)
  }

  /** For what lasts: told of and counted once, however often it is felt. */
  #actedOnce(armed: Armed, symbol: string): void {
    if (!armed.announced) this.#acted(armed, symbol)
  }

  #disarm(armed: Armed): void {
    this.#armed = this.#armed.filter((other) => other !== armed)
  }

  #last(symbol: string, ms: number, over: () => void): void {
    const end = () => {
      this.#lasting.delete(lasting)
      over()
    }
    const lasting: Lasting = { symbol, cancel: this.#later(ms, end), end }
    this.#lasting.add(lasting)
  }

  /** Returns how to prevent it. */
  #later(ms: number, fn: () => void): () => void {
    const cancel = this.#world.time.after(ms, () => {
      this.#timers.delete(cancel)
      fn()
    })
    this.#timers.add(cancel)
    return () => {
      this.#timers.delete(cancel)
      cancel()
    }
  }
}

function concerns(plan: FaultPlan, symbol: string): boolean {
  return plan.symbol === '*' || plan.symbol === symbol
}

function numberOf({ plan, kind }: Armed): number {
  return plan.value ?? kind.value?.otherwise ?? 0
}

function chainOf(event: DepthEvent): string {
  return `${event.connection?.id ?? 0} ${event.stream.name}`
}
