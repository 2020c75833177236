import type { Decoder, Encoder } from '../book/mod.ts'

/** What a session counts. Part of its state, so that a replay must count the same. */
export const COUNTER_NAMES = [
  'messages',
  'depth_events',
  'events_dropped',
  'events_repeated',
  'trades',
  'mark_prices',
  'joins',
  'gaps',
  'snapshots_asked',
  'snapshots_failed',
  'snapshots_too_old',
  'snapshots_impossible',
  'audits_asked',
  'audits_clean',
  'audits_mismatch',
  'audits_void',
  'proofs_asked',
  'proofs_quiet',
  'proofs_open',
  'proofs_frozen',
  'take_overs',
  'take_overs_failed',
  'responses_ignored',
  'messages_ignored',
  'messages_early',
  'trades_repeated',
  'trades_dropped',
  'mark_prices_repeated',
  'parse_errors',
  'unknown_fields',
] as const
export type CounterName = (typeof COUNTER_NAMES)[number]

export class Counters {
  readonly values: Record<CounterName, number>

  constructor() {
    this.values = Object.fromEntries(COUNTER_NAMES.map((name) => [name, 0])) as Record<CounterName, number>
  }

  add(name: CounterName, by = 1): void {
    this.values[name] += by
  }

  encode(out: Encoder): void {
    for (const name of COUNTER_NAMES) out.integer(this.values[name])
  }

  decode(from: Decoder): void {
    for (const name of COUNTER_NAMES) this.values[name] = from.integer()
  }
}
