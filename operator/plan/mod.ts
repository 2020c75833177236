/**
 * What an operator decides. In: what is observed of the cluster, the administrator's settings, the time. Out: the
 * writes to make, the status, events, and when to look again. No I/O, no clock, no randomness; types of Kubernetes
 * objects and api/ may come in, nothing else.
 *
 * It promises: the last live pod of a wanted symbol is never removed; at most two pods of a symbol may open a
 * socket; nothing unshipped is deleted before it has had a day; the status decides nothing.
 */

export { Memory } from './memory.ts'
export { type Fresh, unmet } from './needs.ts'
export type {
  Action,
  AdoptAction,
  AnnotateAction,
  CreateAction,
  DeleteAction,
  EventIntent,
  Facts,
  MemoryView,
  Needs,
  Observed,
  Plan,
  PodRef,
  Polled,
} from './observed.ts'
export { CAUSES, REMOVAL_CAUSES } from './observed.ts'
export { plan } from './plan.ts'
