/**
 * The generated market: a seeded engine of single changes, and what is cut from them.
 *
 * In: a seed, a symbol, a rate. Out: events in market time, batches of a connection, wire JSON, the true book
 * at every id. All but `GeneratedSource` is pure, so that a harness in virtual time can drive it; the same
 * seed gives the same market, however it is driven.
 */
export { type Batch, Batcher, type Reported } from './batch.ts'
export { HISTORY_CHANGES_MAX, History } from './history.ts'
export {
  type Change,
  type Mark,
  Market,
  type MarketEvent,
  type MarketOptions,
  type TickBook,
  type Trade,
} from './market.ts'
export {
  PROFILES,
  type Profile,
  type ProfileName,
  type ProfileSettings,
  priceString,
  profileOf,
  profileSettings,
  qtyString,
} from './profile.ts'
export { Random } from './random.ts'
export { type GeneratedOptions, GeneratedSource } from './source.ts'
export * as wire from './wire.ts'
