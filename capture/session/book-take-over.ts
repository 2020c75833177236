import type { Decoder, Encoder } from '../book/mod.ts'
import { type DepthEvent, meets } from '../exchange/mod.ts'
import { EventBuffer, type Waiting } from './buffer.ts'
import type { Effects } from './effects.ts'
import { decodeEvent, encodeEvent } from './encoding.ts'
import type { Shared } from './shared.ts'
import { TakeOver } from './take-over.ts'

/** The second connection's chain must have held for so long. */
const CHAIN_HOLDS_US = 5_000_000
/** The first connection's events are held back for at most so long. */
const HOLDS_BACK_US = 2_000_000
/** A second connection without an event: after so long it is taken to be quiet, or broken if the first one is not. */
const QUIET_US = 60_000_000
/** One whose chain does not hold is given up. */
const WARMS_UP_US_MAX = 600_000_000

/** What the book's machine knows of the first connection. */
export interface FirstConnection {
  readonly route: string
  readonly openedAt: number
  readonly lastEventAt: number
}

/**
 * The change of the book to a fresh connection: events of the second one are kept from its first, those of the
 * first one are held back while the second one is due to take over.
 */
export class BookTakeOver {
  readonly #shared: Shared
  readonly #turn: TakeOver
  readonly #kept = new EventBuffer()
  #held: Waiting[] = []
  /** Since when the second connection's events chain without a break. */
  #chainSince = 0

  constructor(shared: Shared) {
    this.#shared = shared
    this.#turn = new TakeOver(shared.config.symbol, shared.exchange.limits.connectionLifetimeMs)
  }

  get active(): boolean {
    return this.#turn.phase !== 'none'
  }

  get holding(): boolean {
    return this.#turn.phase === 'holding'
  }

  get candidate(): number {
    return this.#turn.candidate
  }

  get openedAt(): number {
    return this.#turn.openedAt
  }

  /** A connection opened beside the first one; returns whether it is the one that was asked for. */
  opened(connection: number, received: number): boolean {
    if (this.#turn.phase !== 'asked') return false
    this.#kept.clear()
    this.#turn.opened(connection, received)
    return true
  }

  /** The second connection brought an event. */
  keep(event: DepthEvent, received: number): void {
    const { exchange, counters } = this.#shared
    const follows = (next: DepthEvent, lastId: bigint) => exchange.link(next, lastId) === 'next'
    counters.add('events_dropped', this.#kept.push(event, received, follows))
    if (this.#kept.length === 1) this.#chainSince = received
  }

  /** The first connection brought an event while the second one is due. */
  holdBack(event: DepthEvent, received: number): void {
    this.#held.push({ event: event.copy(), received })
  }

  /** Events of the second connection that lead on from the cursor; `broken` where the first of them does not meet it. */
  events(cursor: bigint): readonly Waiting[] | 'broken' {
    const start = this.#kept.firstNotBelow(cursor + 1n)
    if (start === this.#kept.length) return []
    return meets(this.#kept.at(start).event, cursor) ? this.#kept.all().slice(start) : 'broken'
  }

  /** Has the second connection brought what lies beyond the cursor? */
  isAhead(cursor: bigint): boolean {
    return this.#kept.firstNotBelow(cursor + 1n) < this.#kept.length
  }

  /** Time passes. `ready`: the second connection is due to take over; `quiet`: neither connection has events. */
  turn(
    first: FirstConnection,
    received: number,
    effects: Effects,
    mayBegin: boolean,
  ): 'wait' | 'ready' | 'quiet' | 'failed' {
    const turn = this.#turn
    switch (turn.phase) {
      case 'none':
        if (mayBegin) turn.begin(first.route, first.openedAt, received, effects)
        return 'wait'
      case 'asked':
        turn.giveUpUnopened(received)
        return 'wait'
      case 'warming':
        return this.#warm(first, received)
      case 'holding':
        return received - turn.since >= HOLDS_BACK_US ? 'failed' : 'wait'
    }
  }

  #warm(first: FirstConnection, received: number): 'wait' | 'ready' | 'quiet' | 'failed' {
    const age = received - this.#turn.openedAt
    if (this.#kept.length === 0 && age >= QUIET_US) {
      return first.lastEventAt < this.#turn.openedAt ? 'quiet' : 'failed'
    }
    if (this.#kept.length > 0 && received - this.#chainSince >= CHAIN_HOLDS_US) {
      this.#turn.hold(received)
      return 'ready'
    }
    return age >= WARMS_UP_US_MAX ? 'failed' : 'wait'
  }

  /** The second connection is the only one now. Returns all that was kept of it. */
  end(received: number): readonly Waiting[] {
    this.#shared.counters.add('events_dropped', this.releaseHeld().length)
    this.#turn.end(received)
    return this.#kept.take()
  }

  /** The first connection stays. Returns what was held back of it. */
  failed(received: number): readonly Waiting[] {
    const held = this.releaseHeld()
    this.#shared.counters.add('events_dropped', this.#kept.take().length)
    if (this.active) this.#turn.failed(received)
    return held
  }

  releaseHeld(): readonly Waiting[] {
    const held = this.#held
    this.#held = []
    return held
  }

  encode(out: Encoder): void {
    this.#turn.encode(out)
    this.#kept.encode(out)
    out.count(this.#held.length)
    for (const { event, received } of this.#held) {
      out.integer(received)
      encodeEvent(event, out)
    }
    out.integer(this.#chainSince)
  }

  decode(from: Decoder): void {
    this.#turn.decode(from)
    this.#kept.decode(from)
    this.#held = Array.from({ length: from.count() }, () => {
      const received = from.integer()
      return { event: decodeEvent(from), received }
    })
    this.#chainSince = from.integer()
  }
}
