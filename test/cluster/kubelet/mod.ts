/**
 * The stand-in kubelet of the tests: pods of a real API server run as processes of this machine, each with an address,
 * a spool and a termination log of its own. It promises the operator what a real kubelet shows of pods: conditions,
 * container states, restart counts, termination messages, back-off, grace periods, evictions and lost nodes.
 */
export type { KubeletApi } from './api.ts'
export { type Container, ProcessRuntime, type Runtime } from './container.ts'
export { HollowRuntime } from './hollow.ts'
export { StandInKubelet, type StandInOptions } from './kubelet.ts'
export { Mirror } from './mirror.ts'
export { type KubeletTimes, TIMES } from './times.ts'
