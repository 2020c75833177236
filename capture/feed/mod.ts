/**
 * The feed: sockets, REST, clocks, the weight budget and random waits of one symbol. Bytes come in from the
 * exchange; stamped inputs go out of `onInput`, one at a time, in the order in which they happened. It retries
 * for ever, holds no book and decides nothing about data. Clock, timers, randomness, sockets and HTTP are handed
 * in (this process's by default), so that the same feed runs in virtual time.
 */
export { Allowance, type AllowanceOptions } from './allowance.ts'
export { type Clock, nodeClock, ReceiveClock } from './clock.ts'
export { FeedError, type FeedErrorCode } from './errors.ts'
export { Feed, type FeedOptions, type FeedStatus } from './feed.ts'
export type { FeedLog } from './log.ts'
export { nodeHttp, nodeSocket } from './node-transport.ts'
export type { RouteStatus } from './socket.ts'
export { nodeTimers, type Random, type Timers } from './timers.ts'
export type {
  Http,
  HttpAnswer,
  OpenSocket,
  RawSocket,
  RawSocketEvents,
  RawSocketLimits,
} from './transport.ts'
