import { Book, type Decoder, type Encoder } from '../book/mod.ts'
import { type DepthEvent, type Exchange, meets, type Snapshot } from '../exchange/mod.ts'
import { EventBuffer } from './buffer.ts'
import type { Effects } from './effects.ts'
import { decodeSnapshot, encodeSnapshot } from './encoding.ts'
import { type RequestNumbers, RequestSlot, type Wish } from './request-slot.ts'

/** A snapshot ahead of the book waits so long for the book to catch up. */
const AHEAD_WAIT_US = 10_000_000
/** An audit that came to nothing is tried again after so long. */
const AGAIN_AFTER_US = 30_000_000
/** One that the horizon asked for is tried again sooner. */
const HORIZON_TRIED_AGAIN_US = 10_000_000
/** A horizon that is short right after an audit will not be longer after the next one. */
const HORIZON_AGAIN_US = 60_000_000

/** Why the book is compared with a fresh snapshot. */
export const AUDIT_CAUSES = ['periodic', 'widen', 'horizon', 'take_over'] as const
export type AuditCause = (typeof AUDIT_CAUSES)[number]

/**
 * Compares the live book with a fresh snapshot at one common id. A snapshot's own id falls inside merged events, so
 * comparing there would be wrong: the events since the request are kept, the snapshot is joined with them and
 * replayed up to the live cursor.
 */
export class Audit {
  readonly slot: RequestSlot
  readonly #events = new EventBuffer()
  #cause: AuditCause | '' = ''
  #snapshot: Snapshot | undefined
  /** Receive time until which a snapshot ahead of the book waits. */
  #waitUntil = 0
  /** Receive time at which the next one is due, and why. */
  #dueAt = Number.MAX_SAFE_INTEGER
  #dueFor: AuditCause = 'periodic'
  /** Receive time before which the horizon asks for nothing. */
  #horizonNotBefore = 0

  constructor(numbers: RequestNumbers) {
    this.slot = new RequestSlot(numbers)
  }

  /** One has begun and is not decided. */
  get active(): boolean {
    return this.#cause !== ''
  }

  /** A snapshot is there and waits for the book. */
  get waits(): boolean {
    return this.#snapshot !== undefined
  }

  /** Sets when the next one is due; an audit that has begun is not touched. */
  schedule(cause: AuditCause, at: number): void {
    this.#dueAt = at
    this.#dueFor = cause
  }

  /** The horizon runs out: whatever else was planned or has begun can wait. Returns whether one was overtaken. */
  hurry(received: number, effects: Effects): boolean {
    if (received < this.#horizonNotBefore || this.#cause === 'horizon') return false
    if (this.#dueFor === 'horizon' && !this.active) return false
    this.schedule('horizon', received)
    return this.cancel(effects)
  }

  /** The cause for which one is to begin now; undefined where none is due. */
  due(received: number): AuditCause | undefined {
    return this.active || received < this.#dueAt ? undefined : this.#dueFor
  }

  /** Begins one: from here on the events that the book takes are kept. Returns whether it could ask. */
  begin(cause: AuditCause, wish: Wish, received: number, effects: Effects): boolean {
    if (!this.slot.ask(wish, received, effects)) return false
    this.#cause = cause
    this.#events.clear()
    return true
  }

  /** The book took an event. */
  event(event: DepthEvent, received: number, exchange: Exchange): void {
    if (!this.active) return
    this.#events.push(event, received, (next, lastId) => exchange.link(next, lastId) === 'next')
  }

  /** The snapshot came. */
  snapshot(snapshot: Snapshot, received: number): void {
    this.#snapshot = snapshot
    this.#waitUntil = received + AHEAD_WAIT_US
  }

  /**
   * The snapshot replayed up to the cursor; `waiting` where the book has not reached the snapshot yet, `void` where
   * the two cannot be brought to one id.
   */
  replay(cursor: bigint, received: number, levelsMaintained: number): Book | 'waiting' | 'void' {
    const snapshot = this.#snapshot
    if (snapshot === undefined) return 'waiting'
    if (snapshot.id > cursor) return received < this.#waitUntil ? 'waiting' : 'void'
    const start = this.#events.firstNotBelow(snapshot.id)
    if (start === this.#events.length && snapshot.id !== cursor) return 'void'
    if (start < this.#events.length && !meets(this.#events.at(start).event, snapshot.id)) return 'void'
    const book = new Book()
    book.load(snapshot)
    for (let i = start; i < this.#events.length; i++) {
      book.apply(this.#events.at(i).event)
      // as the live book was: while a level is out of the best ones, its changes are not told
      book.trim(levelsMaintained)
    }
    return book.fault() === undefined ? book : 'void'
  }

  /** The snapshot that waited in vain for the book, if it is ahead of it. */
  ahead(cursor: bigint): Snapshot | undefined {
    return this.#snapshot !== undefined && this.#snapshot.id > cursor ? this.#snapshot : undefined
  }

  /** The book was right; the next one is due after `everyUs`. `short`: its horizon is too short all the same. */
  done(received: number, everyUs: number, short: boolean): void {
    this.#end()
    this.slot.succeeded()
    this.#horizonNotBefore = short ? received + HORIZON_AGAIN_US : 0
    this.schedule('periodic', received + everyUs)
  }

  /** It came to nothing: no gap, and tried again soon. */
  fail(received: number): void {
    const cause = this.#cause
    this.#end()
    this.slot.failed()
    if (cause === '') return
    this.schedule(cause, received + (cause === 'horizon' ? HORIZON_TRIED_AGAIN_US : AGAIN_AFTER_US))
  }

  /** Overtaken by a gap, a pause, a take-over or the end. Returns whether one had begun. */
  cancel(effects: Effects): boolean {
    const had = this.active
    this.slot.forget(effects)
    this.#end()
    return had
  }

  #end(): void {
    this.#cause = ''
    this.#snapshot = undefined
    this.#events.clear()
  }

  encode(out: Encoder): void {
    this.slot.encode(out)
    this.#events.encode(out)
    out.string(this.#cause)
    out.boolean(this.#snapshot !== undefined)
    if (this.#snapshot !== undefined) encodeSnapshot(this.#snapshot, out)
    out.integer(this.#waitUntil)
    out.integer(this.#dueAt)
    out.string(this.#dueFor)
    out.integer(this.#horizonNotBefore)
  }

  decode(from: Decoder): void {
    this.slot.decode(from)
    this.#events.decode(from)
    this.#cause = from.word(['', ...AUDIT_CAUSES])
    this.#snapshot = from.boolean() ? decodeSnapshot(from) : undefined
    this.#waitUntil = from.integer()
    this.#dueAt = from.integer()
    this.#dueFor = from.word(AUDIT_CAUSES)
    this.#horizonNotBefore = from.integer()
  }
}
