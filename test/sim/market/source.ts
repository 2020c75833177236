/** Drives seeded markets in real time and sends what they do to those who subscribed. */
import type { Connection, Hub } from '../hub.ts'
import type { Emitted, Listing, Source, SourceEvents, TradeRow, TrueBook } from '../source.ts'
import { type StreamName, streamOf } from '../streams.ts'
import { Feed } from './feed.ts'
import { listingOf } from './profile.ts'
import { Random } from './random.ts'

/** How often the markets are brought up to the clock. Cuts and events keep their own times meanwhile. */
const STEP_MS = 5

export interface GeneratedOptions {
  readonly seed: number
  readonly symbols: readonly string[]
  /** Changes a second and symbol. */
  readonly rate: number
  /** Length of each symbol's market from its first subscription on; undefined for no end. */
  readonly endAfterMs: number | undefined
}

export class GeneratedSource implements Source {
  readonly symbols: readonly string[]
  readonly streams: readonly string[]
  readonly derived: readonly string[] = []
  readonly frames = 0
  readonly seconds: number
  readonly #feeds = new Map<string, Feed>()
  readonly #phases: Random
  readonly #now: () => number
  readonly #timer: NodeJS.Timeout

  /** `now` is the exchange's clock, milliseconds since the epoch. */
  constructor(options: GeneratedOptions, hub: Hub, events: SourceEvents, now: () => number) {
    this.symbols = options.symbols
    this.seconds = (options.endAfterMs ?? 0) / 1000
    this.streams = options.symbols.flatMap((symbol) =>
      ['depth@100ms', 'bookTicker', 'aggTrade', 'markPrice@1s'].map((suffix) => streamOf(symbol, suffix)),
    )
    this.#phases = new Random(options.seed, 'phases')
    this.#now = now
    for (const symbol of options.symbols) this.#feeds.set(symbol, new Feed(symbol, options, hub, events))
    this.#timer = setInterval(() => {
      for (const feed of this.#feeds.values()) feed.runTo(this.#now())
    }, STEP_MS)
  }

  subscribed(connection: Connection, stream: StreamName): void {
    this.#feeds.get(stream.symbol)?.subscribed(connection, stream, this.#now(), this.#phases.next())
  }

  unsubscribed(connection: Connection, stream: StreamName): void {
    this.#feeds.get(stream.symbol)?.unsubscribed(connection, stream)
  }

  async snapshot(symbol: string, limit: number): Promise<string | undefined> {
    return this.#feeds.get(symbol)?.snapshot(limit, this.#now())
  }

  trades(symbol: string, fromId: bigint | undefined, limit: number): readonly TradeRow[] {
    return this.#feeds.get(symbol)?.trades.rows(fromId, limit) ?? []
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

  bookAt(symbol: string, id: bigint): TrueBook {
    return this.#feed(symbol).bookAt(id)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #feed(symbol: string): Feed {
    const feed = this.#feeds.get(symbol)
    if (feed === undefined) throw new Error(`${symbol} is not a symbol of this simulator`)
    return feed
  }
}
