/**
 * The generated market: a seeded engine of single changes, and what is cut from them.
 *
 * In: a seed, a symbol, a rate. Out: events in market time, batches of a connection, wire JSON, the true book
 * at every id. All but `GeneratedSource` is pure, so that a harness in virtual time can drive it; the same
 * seed gives the same market, however it is driven.
 */
export { type Batch, Batcher } from './batch.ts'
export { History } from './history.ts'
export {
  type Change,
  type Mark,
  Market,
  type MarketEvent,
  type MarketOptions,
  type TickBook,
  type Trade,
} from './market.ts'
export { type Profile, priceString, profileOf, qtyString } from './profile.ts'
export { Random } from './random.ts'
export { GeneratedSource } from './source.ts'
export * as wire from './wire.ts'
