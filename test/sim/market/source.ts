/** Drives seeded markets by the clock and sends what they do to those who subscribed. */
import type { Connection } from '../core/hub.ts'
import { SimError } from '../errors.ts'
import type { Emitted, Lie, Listing, MarketControls, Source, TradeRow, TrueBook } from '../source.ts'
import { type StreamName, streamOf } from '../streams.ts'
import { Feed, type FeedWorld } from './feed.ts'
import type { Walk } from './history.ts'
import { listingOf, type Numbers, type ProfileSettings, profileOf, profileSettings } from './profile.ts'
import { Random } from './random.ts'

export interface GeneratedOptions {
  readonly seed: number
  readonly symbols: readonly string[]
  /** Changes a second and symbol, whatever the profiles say. */
  readonly rate?: number | undefined
  /** The profile of each symbol that `profiles` does not name. */
  readonly profile?: string | ProfileSettings | undefined
  /** By symbol: the name of a profile, or settings. */
  readonly profiles?: Readonly<Record<string, string | ProfileSettings>> | undefined
  /** Length of each symbol's market from its first subscription on; undefined for no end. */
  readonly endAfterMs?: number | undefined
  /** Changes outside the best so many levels of their side, as the book is at the cut, are not reported. */
  readonly forgetBeyond?: number | undefined
  /** Changes a symbol for which `bookAt` knows the book; older ones are forgotten. */
  readonly historyChangesMax?: number | undefined
  /** The markets are brought up to the clock at most this often; 0, the default: at each of their moments. */
  readonly stepMs?: number | undefined
}

export class GeneratedSource implements Source {
  readonly symbols: readonly string[]
  readonly streams: readonly string[]
  readonly derived: readonly string[] = []
  readonly frames = 0
  readonly seconds: number
  readonly controls: MarketControls
  readonly #feeds = new Map<string, Feed>()
  readonly #phases: Random

  /** Throws SimError `wrong_call` for a profile that does not exist or makes no market. */
  constructor(options: GeneratedOptions, world: FeedWorld) {
    const { seed, symbols, rate, endAfterMs, forgetBeyond, historyChangesMax, stepMs = 0 } = options
    this.symbols = symbols
    this.seconds = (endAfterMs ?? 0) / 1000
    this.streams = symbols.flatMap((symbol) =>
      ['depth@100ms', 'bookTicker', 'aggTrade', 'markPrice@1s'].map((suffix) => streamOf(symbol, suffix)),
    )
    this.#phases = new Random(seed, 'phases')
    for (const symbol of symbols) {
      const settings = profileSettings(options.profiles?.[symbol] ?? options.profile ?? 'plain')
      const profile = profileOf(symbol, settings, { rate })
      const feed = { symbol, seed, profile, endAfterMs, forgetBeyond, historyChangesMax, stepMs }
      this.#feeds.set(symbol, new Feed(feed, world))
    }
    this.controls = {
      pause: (symbol) => this.#feed(symbol).pause(),
      resume: (symbol) => this.#feed(symbol).resume(),
      restartIds: (symbol) => this.#feed(symbol).restartIds(),
      empty: (symbol, side) => this.#feed(symbol).empty(side),
      refill: (symbol) => this.#feed(symbol).refill(),
      ago: (symbol, limit, ms) => this.#feed(symbol).ago(limit, ms),
    }
  }

  subscribed(connection: Connection, stream: StreamName): void {
    this.#feeds.get(stream.symbol)?.subscribed(connection, stream, this.#phases.next())
  }

  unsubscribed(connection: Connection, stream: StreamName): void {
    this.#feeds.get(stream.symbol)?.unsubscribed(connection, stream)
  }

  snapshot(symbol: string, limit: number): string {
    return this.#feed(symbol).snapshot(limit)
  }

  trades(symbol: string, fromId: bigint | undefined, limit: number): readonly TradeRow[] {
    const feed = this.#feed(symbol)
    feed.run()
    return feed.trades.rows(fromId, limit)
  }

  listings(): readonly Listing[] {
    return [...this.#feeds].map(([symbol, feed]) => listingOf(symbol, feed.profile))
  }

  lastDepthId(symbol: string): bigint {
    return this.#feeds.get(symbol)?.ledger.lastDepthId ?? 0n
  }

  emitted(symbol: string): Emitted {
    return this.#feed(symbol).ledger.emitted()
  }

  lied(symbol: string, lie: Lie): void {
    this.#feed(symbol).ledger.lie(lie)
  }

  bookAt(symbol: string, id: bigint): TrueBook {
    return this.#feed(symbol).bookAt(id)
  }

  /** A cursor over the true book, in ticks and steps, and how those are spelt. */
  walk(symbol: string): { readonly walk: Walk; readonly numbers: Numbers } {
    const feed = this.#feed(symbol)
    return { walk: feed.walk(), numbers: feed.profile }
  }

  stop(): void {
    for (const feed of this.#feeds.values()) feed.stop()
  }

  #feed(symbol: string): Feed {
    const feed = this.#feeds.get(symbol)
    if (feed === undefined) throw new SimError('wrong_call', `${symbol} is not a symbol of this simulator.`)
    return feed
  }
}
