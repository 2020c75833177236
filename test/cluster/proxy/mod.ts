/**
 * A proxy that stands between a client and an API server, and breaks what can break there: answers,
 * connections, watches and their events, how new a view is. It numbers writes, and stops at each of them for a
 * test to look or to kill. A fault is a rule that counts how often it fired.
 */
export { FaultProxy, ownProxy, type ProxyOptions, type RequestFault, startProxy } from './proxy.ts'
export type { SeenRequest, Verb } from './request.ts'
export type { Chance, Match, Rule } from './rule.ts'
export type { ProxiedEvent, WatchFault } from './watch-stream.ts'
export type { Write, WriteHooks } from './writes.ts'
