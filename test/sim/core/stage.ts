/** The state of the exchange as a whole: its clock, its upkeep, and how it stands to each symbol. */
import type { FaultStage } from '../faults/mod.ts'
import type { Source } from '../source.ts'
import type { Route } from '../streams.ts'
import type { Listed } from './exchange-info.ts'
import type { Connection, Hub } from './hub.ts'
import type { Limits } from './limits.ts'

/** Service restart. */
const CLOSE_RESTART = 1012

export class Stage implements FaultStage {
  skewMs: number
  readonly #hub: Hub
  readonly #limits: Limits
  readonly #source: () => Source
  readonly #statuses = new Map<string, 'SETTLING' | 'absent'>()
  /** Maintenances may overlap. */
  #maintenances = 0

  /** `source` is asked for late: it is made after the stage. */
  constructor(skewMs: number, hub: Hub, limits: Limits, source: () => Source) {
    this.skewMs = skewMs
    this.#hub = hub
    this.#limits = limits
    this.#source = source
  }

  get down(): boolean {
    return this.#maintenances > 0
  }

  listed(): Listed[] {
    return this.#source()
      .listings()
      .filter((listing) => this.#statuses.get(listing.symbol) !== 'absent')
      .map((listing) => ({ ...listing, status: this.#statuses.has(listing.symbol) ? 'SETTLING' : 'TRADING' }))
  }

  following(symbol: string, route: Route): Connection[] {
    return this.#hub.following(symbol, route)
  }

  maintain(on: boolean): void {
    this.#maintenances += on ? 1 : -1
    if (on)
      for (const connection of [...this.#hub.connections]) connection.close(CLOSE_RESTART, 'Maintenance')
    this.#settle()
  }

  restartIds(): void {
    for (const symbol of this.#source().symbols) this.#source().controls?.restartIds(symbol)
  }

  list(symbol: string, status: 'SETTLING' | 'absent' | undefined): void {
    // What has left the listing does not come back because a halt is over.
    if (this.#statuses.get(symbol) === 'absent') return
    if (status === undefined) this.#statuses.delete(symbol)
    else this.#statuses.set(symbol, status)
    this.#settle()
  }

  empty(symbol: string, side: 'bid' | 'ask'): void {
    this.#source().controls?.empty(symbol, side)
  }

  refill(symbol: string): void {
    this.#source().controls?.refill(symbol)
  }

  skew(ms: number): void {
    this.skewMs = ms
  }

  ban(address: string, status: number, seconds: number): void {
    this.#limits.ban(address, status, seconds)
  }

  /** Markets live where neither a maintenance nor their own status holds them. */
  #settle(): void {
    const { symbols, controls } = this.#source()
    for (const symbol of symbols) {
      if (this.down || this.#statuses.has(symbol)) controls?.pause(symbol)
      else controls?.resume(symbol)
    }
  }
}
