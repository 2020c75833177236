/**
 * kube: the operator's way to the API server.
 *
 * Lives here: configuration and credentials, calls, the reflector that keeps a store equal to the cluster, the work
 * queue, the elector, events. Comes in: clocks, timers, randomness, where the configuration lies, who counts and who
 * logs. Promises: a reflector never stops and says how stale it is; a key is never processed twice at once; a write
 * goes on the wire only while the lease is held for certain; no failure is without a counter. Nothing here knows what
 * an L2Capture is.
 *
 * Rests on: versions of objects compare as numbers (part of the API since Kubernetes 1.35, true of older servers on
 * etcd). client-node serves for configuration, credentials and types; it is loaded when a configuration is read.
 */
export { type Access, accessReader, type Place, type ReadAccess } from './config.ts'
export { Connection, openConnection } from './connection.ts'
export {
  ELECTOR_TIMES,
  Elector,
  type ElectorEnd,
  type ElectorOptions,
  type ElectorTimes,
  electorTimes,
} from './elector.ts'
export { ApiError, type ApiErrorCode, isRetryable, KubeError, type KubeErrorCode } from './errors.ts'
export { type EventIntent, type ObjectReference, SERIES_LIMITS, type SeriesLimits } from './event-series.ts'
export { EventRecorder, type EventRecorderOptions } from './events.ts'
export { type LeaseApi, type LeaseRecord, leaseApi, type StoredLease } from './lease.ts'
export { type Listed, listAll } from './list.ts'
export {
  type CounterName,
  type HistogramName,
  type Labels,
  type Log,
  METRICS,
  type Meter,
  type MetricName,
  noLog,
  noMeter,
} from './meter.ts'
export { compareVersions, type KubeObject, keyFor, keyOf, type Wire } from './objects.ts'
export {
  type Handlers,
  REFLECTOR_LIMITS,
  Reflector,
  type ReflectorLimits,
  type ReflectorOptions,
} from './reflector.ts'
export {
  APPLY_PATCH,
  type Call,
  type ClientOptions,
  JSON_PATCH,
  KubeClient,
  MERGE_PATCH,
  type Method,
  type Query,
  STRATEGIC_MERGE_PATCH,
} from './rest.ts'
export type { Change, Store } from './store.ts'
export { type Clock, type Random, type System, sleep, system, type Timers } from './time.ts'
export { WorkQueue, type WorkQueueOptions } from './workqueue.ts'
