/** One symbol's market and the connections that follow it. */
import type { Connection, Hub } from '../core/hub.ts'
import type { SimTime } from '../core/time.ts'
import { Ledger } from '../ledger.ts'
import { outgoing, type SourceEvents, type TrueBook } from '../source.ts'
import { type StreamName, streamKey } from '../streams.ts'
import { RecentTrades } from '../trades.ts'
import { Batcher, type Reported } from './batch.ts'
import { History, type Walk } from './history.ts'
import { type Change, type Mark, Market, type Trade } from './market.ts'
import type { Profile } from './profile.ts'
import { aggTrade, bookTicker, depthUpdate, markPriceUpdate, snapshotBody, trueBook } from './wire.ts'

const BATCH_MS = 100

export interface FeedOptions {
  readonly symbol: string
  readonly seed: number
  readonly profile: Profile
  /** Length of the market from its first subscription on; undefined for no end. */
  readonly endAfterMs: number | undefined
  /** Changes outside the best so many levels of their side are not reported; undefined: all are. */
  readonly forgetBeyond: number | undefined
  readonly historyChangesMax: number | undefined
  /** The market is brought up to the clock at most this often; 0: at each of its moments. */
  readonly stepMs: number
}

interface Follower {
  readonly connection: Connection
  readonly stream: StreamName
  readonly batcher: Batcher
}

/** What a feed stands in: clocks, listeners, and whoever decides what goes out. */
export interface FeedWorld {
  readonly time: SimTime
  /** The exchange's clock: milliseconds ahead of `time`. */
  skewMs(): number
  readonly hub: Hub
  readonly events: SourceEvents
}

export class Feed {
  readonly profile: Profile
  readonly ledger: Ledger
  readonly trades = new RecentTrades()
  readonly #symbol: string
  readonly #options: FeedOptions
  readonly #market: Market
  readonly #history: History
  readonly #world: FeedWorld
  readonly #reported: Reported | undefined
  /** Market time at which it ends. */
  #endAtMs: number
  #followers: Follower[] = []
  /** Host time at which the market's own time was 0; undefined until someone subscribes. */
  #epochMs: number | undefined
  /** Host time since when nothing happens in it. */
  #pausedAtMs: number | undefined
  #wake: { readonly atMs: number; cancel(): void } | undefined
  #depthSeen = false
  #ended = false
  #touch = ''

  constructor(options: FeedOptions, world: FeedWorld) {
    this.#options = options
    this.#symbol = options.symbol
    this.profile = options.profile
    this.#market = new Market(options)
    this.#history = new History(this.#market, options.historyChangesMax)
    this.ledger = new Ledger(options.symbol)
    this.#world = world
    this.#endAtMs = options.endAfterMs ?? Number.POSITIVE_INFINITY
    const { forgetBeyond } = options
    if (forgetBeyond !== undefined) {
      this.#reported = (side, price) => this.#market.within(side, price, forgetBeyond)
    }
  }

  /** `phase` in [0, 1) places this connection's cuts within the interval. */
  subscribed(connection: Connection, stream: StreamName, phase: number): void {
    const nowMs = this.#world.time.nowMs()
    if (this.#epochMs === undefined) {
      // Market time begins on a whole second of the exchange, so that mark prices fall on whole seconds.
      const skewMs = this.#world.skewMs()
      this.#epochMs = Math.floor(Math.floor((nowMs + skewMs) / 1000) * 1000 - skewMs)
      this.#endAtMs += nowMs - this.#epochMs
    }
    this.run()
    if (stream.channel !== 'depth') return
    const firstCutAtMs = this.#nowMs() + (stream.everyMs || BATCH_MS) * (1 - phase)
    const batcher = new Batcher(this.#market.lastId, firstCutAtMs, stream.everyMs)
    this.#followers.push({ connection, stream, batcher })
    if (this.#depthSeen) return
    this.#depthSeen = true
    this.#world.events.depthSubscribed(this.#symbol)
  }

  unsubscribed(connection: Connection, stream: StreamName): void {
    this.#followers = this.#followers.filter(
      (follower) => follower.connection !== connection || follower.stream.name !== stream.name,
    )
  }

  /** Lets the market live up to now; events and cuts happen in the order of their times. */
  run(): void {
    if (this.#epochMs === undefined || this.#ended || this.#pausedAtMs !== undefined) return
    const target = Math.min(this.#world.time.nowMs() - this.#epochMs, this.#endAtMs)
    for (;;) {
      const due = this.#nextCut()
      const cutAtMs = due?.batcher.cutAtMs ?? Number.POSITIVE_INFINITY
      const eventAtMs = this.#market.nextAtMs
      if (Math.min(eventAtMs, cutAtMs) > target) break
      // Events first: changes of one moment belong together.
      if (due !== undefined && cutAtMs < eventAtMs) this.#cut(due, cutAtMs)
      else this.#happen()
    }
    if (target === this.#endAtMs) this.#end()
    else this.#schedule(this.#epochMs)
  }

  snapshot(limit: number): string {
    this.run()
    return this.#body(trueBook(this.profile, this.#market.book(limit)), 0)
  }

  /** The snapshot as it was so many milliseconds ago, or at the beginning. */
  ago(limit: number, ms: number): string {
    this.run()
    const atMs = this.#world.time.nowMs() - (this.#epochMs ?? 0) - ms
    const { id, bids, asks } = this.#history.bookAtTime(Math.max(0, atMs))
    const book = { id, bids: bids.slice(0, limit), asks: asks.slice(0, limit) }
    return this.#body(trueBook(this.profile, book), ms)
  }

  bookAt(id: bigint): TrueBook {
    return trueBook(this.profile, this.#history.bookAt(id))
  }

  /** A cursor over the true book, by ticks and steps. */
  walk(): Walk {
    return this.#history.walk()
  }

  pause(): void {
    this.run()
    this.#pausedAtMs ??= this.#world.time.nowMs()
    this.stop()
  }

  /** Goes on a whole number of seconds later, so that mark prices keep to whole seconds. */
  resume(): void {
    if (this.#pausedAtMs === undefined) return
    const pausedMs = this.#world.time.nowMs() - this.#pausedAtMs
    if (this.#epochMs !== undefined) this.#epochMs += Math.ceil(pausedMs / 1000) * 1000
    this.#pausedAtMs = undefined
    this.run()
  }

  restartIds(): void {
    this.#market.restartIds()
    this.#history.restart(this.#nowMs(), this.#market)
    for (const { batcher } of this.#followers) batcher.restart(this.#market.lastId)
  }

  empty(side: 'bid' | 'ask'): void {
    this.run()
    this.#market.empty(side, this.#nowMs())
    this.run()
  }

  refill(): void {
    this.run()
    this.#market.refill(this.#nowMs())
    this.run()
  }

  stop(): void {
    this.#wake?.cancel()
    this.#wake = undefined
  }

  /** Market time. */
  #nowMs(): number {
    return Math.max(0, (this.#pausedAtMs ?? this.#world.time.nowMs()) - (this.#epochMs ?? Infinity))
  }

  #schedule(epochMs: number): void {
    const next = Math.min(
      this.#market.nextAtMs,
      this.#nextCut()?.batcher.cutAtMs ?? Number.POSITIVE_INFINITY,
      this.#endAtMs,
    )
    const nowMs = this.#world.time.nowMs()
    // Whole milliseconds: the sum of large and broken numbers could round to a moment before it is due.
    const atMs = Math.max(epochMs + Math.ceil(next), nowMs + this.#options.stepMs)
    if (this.#wake !== undefined && this.#wake.atMs <= atMs) return
    this.#wake?.cancel()
    const cancel = this.#world.time.after(atMs - nowMs, () => {
      this.#wake = undefined
      this.run()
    })
    this.#wake = { atMs, cancel }
  }

  #nextCut(): Follower | undefined {
    let next: Follower | undefined
    for (const follower of this.#followers) {
      if (next === undefined || follower.batcher.cutAtMs < next.batcher.cutAtMs) next = follower
    }
    return next
  }

  #cut({ connection, stream, batcher }: Follower, atMs: number): void {
    const batch = batcher.cut(this.#reported)
    if (batch === undefined) return
    const [cutAt, changedAt] = [this.#wall(atMs), this.#wall(batch.changedAtMs)]
    const payload = depthUpdate(this.#symbol, this.profile, batch, cutAt, changedAt)
    const { prevId, firstId, lastId } = batch
    const delivery = this.#world.events.depth({
      symbol: this.#symbol,
      connection,
      stream,
      prevId,
      firstId,
      lastId,
      payload: () => payload,
      book: (limit) => trueBook(this.profile, this.#market.book(limit)),
    })
    const { sent, fault, lie } = delivery
    this.ledger.batch({ connection: connection.id, prevId, firstId, lastId, sent, fault })
    if (lie !== undefined && fault !== undefined) {
      this.ledger.lie({ kind: fault, connection: connection.id, id: lastId, levels: lie })
    }
    for (const out of outgoing(delivery, payload)) connection.publish(stream, out)
  }

  #happen(): void {
    const event = this.#market.next()
    if (event.kind === 'change') this.#changed(event)
    else if (event.kind === 'trade') this.#traded(event)
    else this.#marked(event)
  }

  #changed(change: Change): void {
    this.#history.record(change, this.#market)
    for (const { batcher } of this.#followers) batcher.add(change)
    const key = streamKey(this.#symbol, 'bookTicker')
    if (this.#world.hub.listeners(key).size === 0) return
    const [bid, ask] = [this.#market.touch('bid'), this.#market.touch('ask')]
    const touch = `${bid} ${ask}`
    // Without a side there is no touch to tell of.
    if (bid === undefined || ask === undefined || touch === this.#touch) return
    this.#touch = touch
    if (this.#world.events.silenced(this.#symbol, 'bookTicker') !== undefined) return
    const time = this.#wall(change.atMs)
    this.#publish(key, bookTicker(this.#symbol, this.profile, change.id, bid, ask, time))
  }

  #traded(trade: Trade): void {
    const payload = aggTrade(this.#symbol, this.profile, trade, this.#wall(trade.atMs))
    this.trades.add(trade.id, payload)
    const delivery = this.#world.events.trade(this.#symbol, payload)
    this.ledger.trade({ id: trade.id, sent: delivery.sent, fault: delivery.fault })
    const key = streamKey(this.#symbol, 'aggTrade')
    for (const out of outgoing(delivery, payload)) this.#publish(key, out)
  }

  #marked(mark: Mark): void {
    const price = ((mark.price * this.profile.tick) / 10 ** this.profile.priceDecimals).toFixed(8)
    const time = this.#wall(mark.atMs)
    const sent = this.#world.events.silenced(this.#symbol, 'markPrice') === undefined
    this.ledger.mark({ eventTime: time, sent })
    if (!sent) return
    const payload = markPriceUpdate(this.#symbol, price, time)
    const second = Math.floor(time / 1000)
    this.#publish(streamKey(this.#symbol, 'markPrice'), payload, second)
  }

  /** `second`: streams that send at an interval get it only where it falls on theirs. */
  #publish(key: string, payload: string, second = 0): void {
    for (const [connection, streams] of this.#world.hub.listeners(key)) {
      for (const stream of streams) {
        if (stream.everyMs === 0 || second % (stream.everyMs / 1000) === 0)
          connection.publish(stream, payload)
      }
    }
  }

  /** What is still pending goes out, so that every change of a market that ended was sent. */
  #end(): void {
    this.#ended = true
    for (const follower of [...this.#followers]) this.#cut(follower, this.#endAtMs)
    this.#world.events.ended(this.#symbol, this.#market.lastId)
  }

  #body(book: TrueBook, agoMs: number): string {
    const time = String(Math.floor(this.#world.time.nowMs() + this.#world.skewMs() - agoMs))
    return snapshotBody(book, time, time)
  }

  #wall(atMs: number): number {
    return Math.floor((this.#epochMs ?? 0) + atMs + this.#world.skewMs())
  }
}
