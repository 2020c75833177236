import type { Decoder, Encoder } from '../book/mod.ts'
import type { DepthEvent } from '../exchange/mod.ts'
import { BookTakeOver } from './book-take-over.ts'
import type { Waiting } from './buffer.ts'
import type { Effects } from './effects.ts'
import type { Shared } from './shared.ts'

/** What the connections need of the book that follows them. */
export interface Follower {
  isLive(): boolean
  /** The id that the book is at. */
  cursor(): bigint
  /** An event of the followed connection. */
  take(event: DepthEvent, received: number, effects: Effects): void
  /** Evidence that is not published yet. */
  heard(received: number, effects: Effects): void
  /** Another connection is due to be followed: what compares the book with the exchange's now is void. */
  voidAudit(effects: Effects): void
  /** Another connection is followed from here on, beginning with these events. */
  changed(connection: number, events: readonly Waiting[], received: number, effects: Effects): void
  /** The book is lost: another connection is followed, whose events so far, chained, do not lead on from it. */
  lost(reason: 'reconnect' | 'stale', events: readonly Waiting[], received: number, effects: Effects): void
}

/** The connection that the book follows, and the one that is to take over from it. */
export class BookConnections {
  /** Connection that the book follows; 0 for none. */
  followed = 0
  openedAt = 0
  readonly #shared: Shared
  readonly #book: Follower
  readonly #takeOver: BookTakeOver
  #route = ''
  #lastEventAt = 0

  constructor(shared: Shared, book: Follower) {
    this.#shared = shared
    this.#book = book
    this.#takeOver = new BookTakeOver(shared)
  }

  get takingOver(): boolean {
    return this.#takeOver.active
  }

  /** Is the followed connection held back, for the other one to take over? */
  get holding(): boolean {
    return this.#takeOver.holding
  }

  /** Returns whether the connection is followed from now on. */
  opened(connection: number, route: string, received: number, effects: Effects): boolean {
    this.#route = route
    if (this.followed === 0) {
      this.#follow(connection, received)
      return true
    }
    const awaited = this.#book.isLive() && this.#takeOver.opened(connection, received)
    if (!awaited) effects.closeOne(connection, 'nobody waits for it')
    return false
  }

  event(event: DepthEvent, connection: number, received: number, effects: Effects): void {
    if (connection === this.#takeOver.candidate) {
      this.#takeOver.keep(event, received)
      if (this.holding) this.#changeOver(received, effects, 'open')
      return
    }
    if (connection !== this.followed) return this.#shared.counters.add('messages_ignored')
    this.#lastEventAt = received
    if (!this.holding) return this.#book.take(event, received, effects)
    this.#takeOver.holdBack(event, received)
    this.#book.heard(received, effects)
  }

  /** A socket is lost. Returns whether it was the followed one, and no other one has taken over. */
  closed(connection: number, received: number, effects: Effects): boolean {
    if (connection === this.#takeOver.candidate) this.#resume(received, effects)
    else if (connection === this.followed) {
      if (this.#takeOver.candidate === 0) return true
      this.releaseHeld(effects)
      if (!this.#book.isLive()) return true
      this.#changeOver(received, effects, 'gone')
    }
    return false
  }

  /**
   * The followed connection is frozen. Returns whether the second one is followed now: it has brought what the first
   * one did not, and so is alive.
   */
  leaveFrozen(received: number, effects: Effects): boolean {
    if (this.#takeOver.candidate === 0 || !this.#takeOver.isAhead(this.#book.cursor())) return false
    this.#changeOver(received, effects, 'frozen')
    return true
  }

  /** Nothing is followed. */
  none(): void {
    this.followed = 0
  }

  /** What was held back for a take-over still counts, whatever comes next. */
  releaseHeld(effects: Effects): void {
    for (const held of this.#takeOver.releaseHeld()) this.#book.take(held.event, held.received, effects)
  }

  /** Time passes over a live book. `mayBegin`: no other route changes its connection now. */
  turn(received: number, effects: Effects, mayBegin: boolean): void {
    const first = { route: this.#route, openedAt: this.openedAt, lastEventAt: this.#lastEventAt }
    switch (this.#takeOver.turn(first, received, effects, mayBegin)) {
      case 'ready':
        this.#book.voidAudit(effects)
        return this.#changeOver(received, effects, 'open')
      case 'quiet':
        return this.#changeOver(received, effects, 'quiet')
      case 'failed':
        return this.#refuse(received, effects)
      case 'wait':
        return
    }
  }

  /** The book is lost: so is what was to take over from it. */
  drop(received: number, effects: Effects): void {
    const { candidate } = this.#takeOver
    if (candidate !== 0) effects.closeOne(candidate, 'the book that it was to take over is lost')
    this.#shared.counters.add('events_dropped', this.#takeOver.failed(received).length)
  }

  #follow(connection: number, openedAt: number): void {
    this.followed = connection
    this.openedAt = openedAt
  }

  /** The second connection takes over, if it can. `first`: whether more is to be expected of the first one. */
  #changeOver(received: number, effects: Effects, first: 'open' | 'quiet' | 'gone' | 'frozen'): void {
    const { candidate, openedAt } = this.#takeOver
    const events = this.#takeOver.events(this.#book.cursor())
    const leaves = first === 'open' || first === 'quiet'
    if (events === 'broken' && leaves) return this.#refuse(received, effects)
    if (events.length === 0 && first === 'open') return
    if (first === 'frozen') effects.closeOne(this.followed, 'it is frozen')
    else if (leaves) effects.closeOne(this.followed, 'another connection has taken over')
    this.#follow(candidate, openedAt)
    const kept = this.#takeOver.end(received)
    // of one connection and chained, they are as good for the next join as what is still to come
    if (events === 'broken') {
      return this.#book.lost(first === 'frozen' ? 'stale' : 'reconnect', kept, received, effects)
    }
    const { counters } = this.#shared
    counters.add('events_dropped', kept.length - events.length)
    counters.add('take_overs')
    this.#book.changed(candidate, events, received, effects)
  }

  #refuse(received: number, effects: Effects): void {
    effects.closeOne(this.#takeOver.candidate, 'it cannot take over')
    this.#resume(received, effects)
  }

  /** The first connection goes on with what was held back. */
  #resume(received: number, effects: Effects): void {
    this.#shared.counters.add('take_overs_failed')
    for (const held of this.#takeOver.failed(received)) {
      this.#book.take(held.event, held.received, effects)
    }
  }

  encode(out: Encoder): void {
    out.integer(this.followed)
    out.integer(this.openedAt)
    out.string(this.#route)
    out.integer(this.#lastEventAt)
    this.#takeOver.encode(out)
  }

  decode(from: Decoder): void {
    this.followed = from.integer()
    this.openedAt = from.integer()
    this.#route = from.string()
    this.#lastEventAt = from.integer()
    this.#takeOver.decode(from)
  }
}
