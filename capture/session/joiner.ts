import type { EndReason } from '../../api/reasons.ts'
import type { Decoder, Encoder } from '../book/mod.ts'
import { type DepthEvent, meets, type Snapshot } from '../exchange/mod.ts'
import { EventBuffer, type Waiting } from './buffer.ts'
import type { Effects, FetchWait } from './effects.ts'
import { decodeSnapshot, encodeSnapshot } from './encoding.ts'
import { RequestSlot } from './request-slot.ts'
import type { Shared } from './shared.ts'

/** The smallest join: enough for twice the levels that are published, and never fewer than this. */
const NARROW_MIN = 100
/** Events come and do not reach the snapshot for so long: it is of another count of ids. */
const AHEAD_WAIT_US = 10_000_000
/** So many snapshots in a row from before the last row: then the exchange counts anew. */
const EARLIER_MAX = 3
/** What may have hit all captures behind the address at once. */
const SHARED_CAUSES: readonly EndReason[] = ['reconnect', 'stale', 'rate_limited', 'not_trading']
const WAITS: readonly FetchWait[] = ['none', 'share', 'widen']

/** A snapshot and the events that bring it to now, the first of which meets it. */
export interface Match {
  readonly snapshot: Snapshot
  readonly events: readonly Waiting[]
}

/**
 * What a join is made of: events that wait, a snapshot that waits, and the request for one. First joins are as wide
 * as the address's weight allows; later ones as narrow as the published levels allow.
 */
export class Joiner {
  readonly slot: RequestSlot
  /** Joins whose cause many captures may share are spread over time. */
  wait: FetchWait = 'share'
  /** The snapshot that waits for its event. */
  snapshot: Snapshot | undefined
  /** When it came, receive time. */
  snapshotAt = 0
  readonly #shared: Shared
  readonly #buffer = new EventBuffer()
  readonly #limits: readonly number[]
  #first = true
  /** No fewer levels than this: the horizon of a smaller join ran out. */
  #least = 0
  /** Snapshots in a row that lay before the last row. */
  #earlier = 0

  constructor(shared: Shared) {
    this.#shared = shared
    this.slot = new RequestSlot(shared.numbers)
    const method = shared.exchange.snapshot
    this.#limits = method.kind === 'rest' ? method.limits.map(({ limit }) => limit) : []
  }

  get kept(): number {
    return this.#buffer.length
  }

  get widest(): number {
    return this.#limits.at(-1) ?? 0
  }

  keep(event: DepthEvent, received: number): void {
    const follows = (next: DepthEvent, lastId: bigint) => this.#shared.exchange.link(next, lastId) === 'next'
    this.#shared.counters.add('events_dropped', this.#buffer.push(event, received, follows))
  }

  /** Asks for a snapshot, unless one is on its way or the time has not come. */
  ask(received: number, effects: Effects): void {
    if (this.#limits.length === 0) return
    const narrow = this.#limitFrom(Math.max(NARROW_MIN, 2 * this.#shared.config.bookLevels, this.#least))
    const limit = this.#first ? this.widest : narrow
    const { wait } = this
    const wish = { what: 'snapshot', limit, limitWhenBusy: narrow, rank: 'join', wait } as const
    if (this.slot.ask(wish, received, effects)) this.#shared.counters.add('snapshots_asked')
  }

  /** The answer was of no use. */
  failed(): void {
    this.#shared.counters.add('snapshots_failed')
    this.slot.failed()
  }

  offer(snapshot: Snapshot, received: number): void {
    this.snapshot = snapshot
    this.snapshotAt = received
  }

  /**
   * Matches the waiting snapshot with the kept events. Those that end below it are passed over, the first one left
   * must meet it; if it begins above, the snapshot is too old, and the events are kept for the next one. So it is if
   * it lies before `lastRow`, the id of the last row: no id is published twice. One that stays `ahead` is of no use.
   */
  match(lastRow: bigint, received: number): Match | 'waits' | 'too_old' | 'ahead' {
    const { snapshot } = this
    if (snapshot === undefined) return 'waits'
    if (snapshot.id < lastRow && !this.#countsAnew(lastRow)) return 'too_old'
    // an event that ends at the last row was its own
    const start = this.#buffer.firstNotBelow(snapshot.id === lastRow ? lastRow + 1n : snapshot.id)
    if (start === this.#buffer.length) {
      const waitedUs = received - this.snapshotAt
      return this.kept > 0 && waitedUs >= AHEAD_WAIT_US ? 'ahead' : 'waits'
    }
    if (!meets(this.#buffer.at(start).event, snapshot.id)) return 'too_old'
    return { snapshot, events: this.#buffer.take().slice(start) }
  }

  /** Do the exchange's ids begin anew? Only if events say nothing else, and snapshots say so again and again. */
  #countsAnew(lastRow: bigint): boolean {
    const newest = this.#buffer.all().at(-1)
    if (newest !== undefined && newest.event.finalId >= lastRow) return false
    this.#earlier++
    return this.#earlier > EARLIER_MAX
  }

  dropSnapshot(): void {
    this.snapshot = undefined
    this.slot.failed()
  }

  joined(): void {
    this.snapshot = undefined
    this.#buffer.clear()
    this.slot.succeeded()
    this.#first = false
    this.#earlier = 0
  }

  /** A live book was lost: how the next join is asked for. `limit`: levels that it was joined or audited with. */
  fell(reason: EndReason, limit: number): void {
    this.wait = SHARED_CAUSES.includes(reason) ? 'share' : 'none'
    this.#least = reason === 'horizon' ? this.#limitFrom(limit + 1) : 0
  }

  dropEvents(): void {
    this.#shared.counters.add('events_dropped', this.#buffer.length)
    this.#buffer.clear()
  }

  /** Forgets events, snapshot and request. */
  clear(effects: Effects): void {
    this.dropEvents()
    this.snapshot = undefined
    this.slot.forget(effects)
  }

  /** The smallest legal limit from `levels` on; the widest where there is none. */
  #limitFrom(levels: number): number {
    return this.#limits.find((limit) => limit >= levels) ?? this.widest
  }

  encode(out: Encoder): void {
    this.slot.encode(out)
    out.string(this.wait)
    out.boolean(this.snapshot !== undefined)
    if (this.snapshot !== undefined) encodeSnapshot(this.snapshot, out)
    out.integer(this.snapshotAt)
    this.#buffer.encode(out)
    out.boolean(this.#first)
    out.integer(this.#least)
    out.count(this.#earlier)
  }

  decode(from: Decoder): void {
    this.slot.decode(from)
    this.wait = from.word(WAITS)
    this.snapshot = from.boolean() ? decodeSnapshot(from) : undefined
    this.snapshotAt = from.integer()
    this.#buffer.decode(from)
    this.#first = from.boolean()
    this.#least = from.integer()
    this.#earlier = from.count()
  }
}
