/** The kubelet's times, milliseconds; tests shorten some and lengthen others. */
export interface KubeletTimes {
  /** From a pod that is bound to its container that starts: images, sandboxes, volumes. */
  readonly startMs: number
  /** Between two readiness probes, and between two liveness probes. */
  readonly probeMs: number
  /** Who has not answered a probe by then has failed it. */
  readonly probeTimeoutMs: number
  /** So many failed liveness probes in a row kill the container. */
  readonly livenessFailures: number
  /** The second start in place waits so long, and each further one twice as long; the first none. */
  readonly backOffMs: number
  readonly backOffMsMax: number
  /** A container that ran for so long starts again without waiting. */
  readonly backOffForgottenMs: number
  /** From a changed annotation to the pod's file. */
  readonly projectMs: number
  /** Between two renewals of a node's Lease. */
  readonly heartbeatMs: number
  /** Between a look at Secrets that are missing, and the next. */
  readonly mountMs: number
}

/** As on a real node, but shorter where only waiting would be tested. */
export const TIMES: KubeletTimes = {
  startMs: 50,
  probeMs: 250,
  // a second, as usual, is no sign of a process that hangs on a machine that stalls for longer
  probeTimeoutMs: 30_000,
  livenessFailures: 3,
  backOffMs: 1000,
  backOffMsMax: 10_000,
  backOffForgottenMs: 600_000,
  projectMs: 200,
  heartbeatMs: 1000,
  mountMs: 500,
}
