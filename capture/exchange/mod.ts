/**
 * Exchanges: one folder each, a registry beside them. An exchange declares its protocol (routes, subscriptions,
 * decoder, chain, snapshot method, limits, listing, clock); nothing outside its folder knows a field name of it.
 * Decoders are pure: bytes in, scratch objects out, a typed error where the bytes are not what the exchange
 * documents.
 */
export { PrecisionError, ProtocolError } from './errors.ts'
export { DepthEvent, LevelBuffer, MarkPrice, Message, type MessageKind, Snapshot, Trade } from './event.ts'
export {
  type Exchange,
  type LastTrade,
  type Link,
  type Listing,
  meets,
  type RestRequest,
  type SnapshotMethod,
  type Subscription,
} from './exchange.ts'
export { EXCHANGE_NAMES, exchangeByName } from './registry.ts'
