import type { Stream } from '../../api/streams.ts'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { SimExchange } from '../sim/core/mod.ts'
import type { ProfileSettings } from '../sim/market/mod.ts'
import { VirtualCapture } from './capture.ts'
import { scene } from './scene.ts'
import { Machine, WorldTime } from './time.ts'

export interface FleetOptions {
  readonly seed: number
  readonly symbols: number
  /** What each capture is told of how many share its address. */
  readonly share: number
  /** Starts a minute, as the operator paces them. */
  readonly startsAMinute: number
  readonly market: ProfileSettings
  readonly streams: readonly Stream[]
}

/** Many captures, one a symbol, behind one address; no journal is kept. */
export class Fleet {
  readonly time: WorldTime
  readonly sim: SimExchange
  readonly captures: readonly VirtualCapture[]

  constructor({ seed, symbols, share, startsAMinute, market, streams }: FleetOptions) {
    const plan = scene(seed)
    this.time = new WorldTime(plan.startMs)
    const names = Array.from({ length: symbols }, (_, i) => `S${String(i).padStart(3, '0')}USDT`)
    this.sim = new SimExchange({
      time: this.time,
      seed,
      symbols: names,
      profile: market,
      lagMs: plan.lagMs,
      restLatencyMs: plan.restMs,
    })
    const machine = new Machine(this.time, plan.wallOffsetMs)
    this.captures = names.map(
      (symbol) =>
        new VirtualCapture({
          seed,
          name: symbol,
          machine,
          wire: this.sim,
          exchange: exchangeByName('BinanceUsdm'),
          address: '10.0.0.1',
          latency: plan.latency,
          config: { ...plan.config, symbol, streams: [...streams] },
          rotationSeconds: 3600,
          share,
          journals: false,
        }),
    )
    this.captures.forEach((capture, i) => {
      this.time.after((i * 60_000) / startsAMinute, () => capture.start())
    })
  }

  get live(): number {
    return this.captures.filter(({ isLive }) => isLive).length
  }

  /** Lives until every book is live; returns how long that took, at most `withinMs`. */
  async untilAllLive(withinMs: number): Promise<number> {
    const from = this.time.elapsedMs
    while (this.live < this.captures.length && this.time.elapsedMs - from < withinMs) {
      await this.time.runUntil(this.time.elapsedMs + 1_000)
    }
    return this.time.elapsedMs - from
  }

  /** What the sessions of all counted. */
  counted(name: string): number {
    return this.captures.reduce((sum, { keeper }) => {
      const counters: Readonly<Record<string, number>> = keeper?.counters ?? {}
      return sum + (counters[name] ?? 0)
    }, 0)
  }

  get halts(): string[] {
    return this.captures.flatMap(({ halts }) => halts.map(({ reason }) => reason))
  }
}
