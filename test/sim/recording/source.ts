/** Plays a recording to those who subscribe, and answers REST from it. */

import type { Connection } from '../core/hub.ts'
import { SimError } from '../errors.ts'
import type { Emitted, Lie, Listing, SnapshotBody, Source, TradeRow, TrueBook } from '../source.ts'
import type { StreamName } from '../streams.ts'
import { derivable } from './derive.ts'
import type { Recording, SymbolRecording } from './file.ts'
import { listingFrom } from './listing.ts'
import { Playback, type RecordedWorld } from './playback.ts'

const NOTHING_DERIVED = { aggTrade: undefined, markPrice: undefined }

export interface PlaybackOptions {
  /** Divides the gaps between frames: of a symbol, by what it is when each of its frames has gone out. */
  readonly speed: number | ((symbol: string) => number)
  /** Leaves streams silent that the recording does not hold. */
  readonly onlyRecorded: boolean
  /** How long a snapshot request waits for the recorded one. */
  readonly snapshotWaitMs: number
}

export class RecordedSource implements Source {
  readonly symbols: readonly string[]
  readonly streams: readonly string[]
  readonly derived: readonly string[]
  readonly frames: number
  readonly seconds: number
  readonly controls = undefined
  readonly #options: PlaybackOptions
  readonly #playbacks = new Map<string, Playback>()
  readonly #listings: readonly Listing[]

  constructor(recording: Recording, options: PlaybackOptions, world: RecordedWorld) {
    const all = [...recording.symbols.values()]
    this.symbols = [...recording.symbols.keys()]
    this.frames = recording.lines
    this.seconds = recording.seconds
    this.streams = all.flatMap(sentStreams)
    this.#options = options
    this.#listings = all.map(listingFrom)
    const derived: string[] = []
    const { speed } = options
    for (const symbol of all) {
      const speedNow = typeof speed === 'number' ? () => speed : () => speed(symbol.symbol)
      const derive = options.onlyRecorded ? NOTHING_DERIVED : derivable(symbol)
      for (const name of [derive.aggTrade, derive.markPrice]) if (name !== undefined) derived.push(name)
      this.#playbacks.set(symbol.symbol, new Playback(symbol, derive, speedNow, world))
    }
    this.derived = derived
  }

  subscribed(_connection: Connection, stream: StreamName): void {
    // Depth alone starts a timeline: whoever subscribes something else first waits for it.
    if (stream.channel === 'depth') this.#playbacks.get(stream.symbol)?.start()
  }

  unsubscribed(): void {
    // A timeline runs once, whoever listens; the hub already knows who does.
  }

  async snapshot(symbol: string, limit: number): Promise<SnapshotBody> {
    return this.#playbacks.get(symbol)?.snapshot(limit, this.#options.snapshotWaitMs)
  }

  trades(symbol: string, fromId: bigint | undefined, limit: number): readonly TradeRow[] {
    return this.#playbacks.get(symbol)?.trades.rows(fromId, limit) ?? []
  }

  listings(): readonly Listing[] {
    return this.#listings
  }

  lastDepthId(symbol: string): bigint {
    return this.#playbacks.get(symbol)?.ledger.lastDepthId ?? 0n
  }

  emitted(symbol: string): Emitted {
    return this.#playback(symbol).ledger.emitted()
  }

  lied(symbol: string, lie: Lie): void {
    this.#playback(symbol).ledger.lie(lie)
  }

  bookAt(symbol: string, id: bigint): TrueBook {
    const { truth } = this.#playback(symbol)
    if (truth !== undefined) return truth.bookAt(id)
    throw new SimError('book_unknown', `${symbol}: the recording holds no snapshot, so no book is known.`)
  }

  stop(): void {
    for (const playback of this.#playbacks.values()) playback.stop()
  }

  #playback(symbol: string): Playback {
    const playback = this.#playbacks.get(symbol)
    if (playback === undefined) throw new SimError('wrong_call', `${symbol} is not in this recording.`)
    return playback
  }
}

/** What goes out under its recorded name: all but single trades. */
function sentStreams(recording: SymbolRecording): string[] {
  return [...recording.streams.values()].filter((stream) => !stream.single).map((stream) => stream.name)
}
