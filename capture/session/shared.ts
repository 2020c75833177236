import type { HaltReason } from '../../api/reasons.ts'
import type { Exchange } from '../exchange/mod.ts'
import type { ClockGuard } from './clock-guard.ts'
import type { SessionConfig } from './config.ts'
import type { Counters } from './counters.ts'
import type { Effects } from './effects.ts'
import type { Sequence } from './ledger.ts'
import type { ListingGuard } from './listing-guard.ts'
import type { RequestNumbers } from './request-slot.ts'

/** What the machines of one session share. */
export interface Shared {
  readonly exchange: Exchange
  readonly config: SessionConfig
  readonly counters: Counters
  readonly clock: ClockGuard
  readonly listing: ListingGuard
  readonly numbers: RequestNumbers
  readonly seq: Sequence
  /** Index of the open window. */
  window: number
  /** Captures behind one address, rounded up to a power of two. */
  share: number
  /** Ends the session: calls back into `end` of every machine. */
  halt(reason: HaltReason, message: string, received: number, effects: Effects): void
}
