/** What the last cell of each notebook prints. */
import type { Executed } from './execute.ts'

export interface FirstLook {
  readonly windows: number
  readonly rows: Readonly<Record<string, number>>
  readonly books: number
  readonly trades: number
  readonly volume: number
  readonly bar_volume: number
  readonly gaps: number
  readonly spread_bps: number
}

export type Seconds = Readonly<Record<'proven' | 'observed' | 'suspect' | 'missing', number>>

export interface Proven {
  readonly manifests: number
  readonly objects: number
  readonly altered: number
  readonly damaged: number
  readonly uncommitted: number
  readonly windows_missing: number
  readonly seconds: Readonly<Record<string, Seconds>>
  readonly missing: readonly (readonly [stream: string, after: number, before: number])[]
  readonly unobserved: number
  readonly clean_rows: number
  readonly stretches: number
  readonly grid_seconds: number
  readonly volatility_bps: number
}

export interface FullBook {
  readonly run: string
  readonly update_id: number
  readonly starts_from: string
  readonly changes: number
  readonly withdrawn: boolean
  readonly bids: number
  readonly asks: number
  readonly reach: readonly [number, number]
  readonly best: readonly [number, number]
  readonly bid_quantity: number
  readonly ask_quantity: number
  readonly compared: number
}

export interface Shown {
  readonly '01_first_look': Executed<FirstLook>
  readonly '02_only_what_is_proven': Executed<Proven>
  readonly '03_full_depth_book': Executed<FullBook>
}
