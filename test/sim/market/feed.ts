/** One symbol's market and the connections that follow it. Time comes from the caller. */
import type { Connection, Hub } from '../hub.ts'
import { Ledger } from '../ledger.ts'
import type { SourceEvents, TrueBook } from '../source.ts'
import { type StreamName, streamKey } from '../streams.ts'
import { RecentTrades } from '../trades.ts'
import { Batcher } from './batch.ts'
import { History } from './history.ts'
import { type Change, type Mark, Market, type Trade } from './market.ts'
import { type Profile, profileOf } from './profile.ts'
import type { GeneratedOptions } from './source.ts'
import { aggTrade, bookTicker, depthUpdate, markPriceUpdate, snapshotBody, trueBook } from './wire.ts'

const BATCH_MS = 100

interface Follower {
  readonly connection: Connection
  readonly stream: StreamName
  readonly batcher: Batcher
}

export class Feed {
  readonly profile: Profile
  readonly ledger: Ledger
  readonly trades = new RecentTrades()
  readonly #symbol: string
  readonly #market: Market
  readonly #history: History
  readonly #hub: Hub
  readonly #events: SourceEvents
  /** Market time at which it ends. */
  #endAtMs: number
  #followers: Follower[] = []
  /** Exchange time at which the market's own time was 0; undefined until someone subscribes. */
  #epochMs: number | undefined
  #depthSeen = false
  #ended = false
  #touch = ''

  constructor(symbol: string, options: GeneratedOptions, hub: Hub, events: SourceEvents) {
    this.#symbol = symbol
    this.profile = profileOf(symbol)
    this.#market = new Market({ symbol, seed: options.seed, profile: this.profile, rate: options.rate })
    this.#history = new History(this.#market)
    this.ledger = new Ledger(symbol)
    this.#hub = hub
    this.#events = events
    this.#endAtMs = options.endAfterMs ?? Number.POSITIVE_INFINITY
  }

  /** `phase` in [0, 1) places this connection's cuts within the interval. */
  subscribed(connection: Connection, stream: StreamName, nowMs: number, phase: number): void {
    // Market time begins on a whole second, so that mark prices fall on whole seconds, as the real ones do.
    if (this.#epochMs === undefined) {
      this.#epochMs = Math.floor(nowMs / 1000) * 1000
      this.#endAtMs += nowMs - this.#epochMs
    }
    this.runTo(nowMs)
    if (stream.channel !== 'depth') return
    const firstCutAtMs = nowMs - this.#epochMs + (stream.everyMs || BATCH_MS) * (1 - phase)
    const batcher = new Batcher(this.#market.lastId, firstCutAtMs, stream.everyMs)
    this.#followers.push({ connection, stream, batcher })
    if (this.#depthSeen) return
    this.#depthSeen = true
    this.#events.depthSubscribed(this.#symbol)
  }

  unsubscribed(connection: Connection, stream: StreamName): void {
    this.#followers = this.#followers.filter(
      (follower) => follower.connection !== connection || follower.stream.name !== stream.name,
    )
  }

  /** Lets the market live up to this exchange time; events and cuts happen in the order of their times. */
  runTo(nowMs: number): void {
    if (this.#epochMs === undefined || this.#ended) return
    const target = Math.min(nowMs - this.#epochMs, this.#endAtMs)
    for (;;) {
      const due = this.#nextCut()
      const eventAtMs = this.#market.nextAtMs
      if (Math.min(eventAtMs, due?.batcher.cutAtMs ?? Number.POSITIVE_INFINITY) > target) break
      if (due !== undefined && due.batcher.cutAtMs <= eventAtMs) this.#cut(due, due.batcher.cutAtMs)
      else this.#happen()
    }
    if (target === this.#endAtMs) this.#end()
  }

  snapshot(limit: number, nowMs: number): string {
    this.runTo(nowMs)
    const time = String(Math.floor(nowMs))
    return snapshotBody(trueBook(this.profile, this.#market.book(limit)), time, time)
  }

  bookAt(id: bigint): TrueBook {
    return trueBook(this.profile, this.#history.bookAt(id))
  }

  #nextCut(): Follower | undefined {
    let next: Follower | undefined
    for (const follower of this.#followers) {
      if (next === undefined || follower.batcher.cutAtMs < next.batcher.cutAtMs) next = follower
    }
    return next
  }

  #cut({ connection, stream, batcher }: Follower, atMs: number): void {
    const batch = batcher.cut()
    if (batch === undefined) return
    const sent = this.#events.mayPass(this.#symbol, batch.lastId)
    const { prevId, firstId, lastId } = batch
    this.ledger.batch({ connection: connection.id, prevId, firstId, lastId, sent })
    if (!sent) return
    const payload = depthUpdate(
      this.#symbol,
      this.profile,
      batch,
      this.#wall(atMs),
      this.#wall(batch.changedAtMs),
    )
    connection.publish(stream, payload)
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
    const listeners = this.#hub.listeners(streamKey(this.#symbol, 'bookTicker'))
    if (listeners.size === 0) return
    const [bid, ask] = [this.#market.touch('bid'), this.#market.touch('ask')]
    const touch = `${bid} ${ask}`
    if (touch === this.#touch) return
    this.#touch = touch
    this.#publish(
      'bookTicker',
      bookTicker(this.#symbol, this.profile, change.id, bid, ask, this.#wall(change.atMs)),
    )
  }

  #traded(trade: Trade): void {
    this.ledger.trade(trade.id)
    const payload = aggTrade(this.#symbol, this.profile, trade, this.#wall(trade.atMs))
    this.trades.add(trade.id, payload)
    this.#publish('aggTrade', payload)
  }

  #marked(mark: Mark): void {
    const price = ((mark.price * this.profile.tick) / 10 ** this.profile.priceDecimals).toFixed(8)
    const time = this.#wall(mark.atMs)
    const payload = markPriceUpdate(this.#symbol, price, time)
    for (const [connection, streams] of this.#hub.listeners(streamKey(this.#symbol, 'markPrice'))) {
      for (const stream of streams) if (time % stream.everyMs === 0) connection.publish(stream, payload)
    }
  }

  #publish(channel: 'bookTicker' | 'aggTrade', payload: string): void {
    for (const [connection, streams] of this.#hub.listeners(streamKey(this.#symbol, channel))) {
      for (const stream of streams) connection.publish(stream, payload)
    }
  }

  /** What is still pending goes out, so that every change of a market that ended was sent. */
  #end(): void {
    this.#ended = true
    for (const follower of [...this.#followers]) this.#cut(follower, this.#endAtMs)
    this.#events.ended(this.#symbol, this.#market.lastId)
  }

  #wall(atMs: number): number {
    return Math.floor((this.#epochMs ?? 0) + atMs)
  }
}
