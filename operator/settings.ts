import { z } from 'zod'
import { QUANTITY_LENGTH_MAX, QUANTITY_PATTERN } from '../api/quantity.ts'
import { EXCHANGES } from '../api/spec.ts'
import { BareAddress } from '../api/storage.ts'

/**
 * What the administrator decides for every capture that this operator runs: image, scheduling, times and limits.
 * It comes from the chart. A user's L2Capture can change nothing of it, so that whoever may create one gets
 * captures, and not code execution.
 */

const DAY_SECONDS = 86_400

const count = (max: number) => z.int().min(1).max(max)
const seconds = (max: number, byDefault: number) => z.int().min(1).max(max).default(byDefault)
const quantities = z.record(
  z.string().max(63),
  z.string().max(QUANTITY_LENGTH_MAX).regex(QUANTITY_PATTERN, 'expected a quantity such as "250m" or "1Gi"'),
)

/** Passed on to the pod as it is: the API server knows its rules better than we do. */
const passedOn = z.record(z.string(), z.unknown())

const Toleration = z.strictObject({
  key: z.string().max(317).optional(),
  operator: z.string().max(16).optional(),
  value: z.string().max(63).optional(),
  effect: z.string().max(32).optional(),
  tolerationSeconds: z.int().min(0).max(DAY_SECONDS).optional(),
})

/** How capture pods are built. A change of anything here that shapes a pod rolls every pod, one by one. */
export const PodSettings = z
  .strictObject({
    imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).optional(),
    imagePullSecrets: z.array(z.string().min(1).max(253)).max(8).default([]),
    serviceAccountName: z.string().min(1).max(253).default('default'),
    priorityClassName: z.string().min(1).max(253).optional(),
    nodeSelector: z.record(z.string().max(317), z.string().max(63)).default({}),
    tolerations: z.array(Toleration).max(32).default([]),
    affinity: passedOn.optional(),
    runtimeClassName: z.string().min(1).max(253).optional(),
    labels: z.record(z.string().max(317), z.string().max(63)).default({}),
    annotations: z.record(z.string().max(317), z.string().max(4096)).default({}),
    /** The image's own user has this number. */
    runAsUser: z.int().min(1).max(2_147_483_647).default(1000),
    /** Where a resource states none, name by name; a request is lowered, a limit raised to fit what it states. */
    requests: quantities.default({ cpu: '25m', memory: '192Mi', 'ephemeral-storage': '1Gi' }),
    limits: quantities.default({ memory: '512Mi' }),
  })
  .prefault({})

export const Times = z
  .strictObject({
    /** A successor that is not live by then is removed while the pod before it is live. */
    successorDeadlineSeconds: seconds(DAY_SECONDS, 600),
    /** After such an end the same template is not tried again for so long; a changed one at once. */
    rolloutRetrySeconds: seconds(7 * DAY_SECONDS, 3600),
    statusPollSeconds: seconds(3600, 15),
    /** A successor waits so long for its predecessor's next manifest. */
    handoverSeconds: z.int().min(1).max(DAY_SECONDS).default(900),
    /** A replaced pod records on for so long after SIGTERM. */
    handoffSeconds: z.int().min(0).max(600).default(30),
    terminationGraceSeconds: seconds(DAY_SECONDS, 3600),
    /** A pod that was asked to drain and does not is deleted after so long, with a warning. */
    drainDeadlineSeconds: seconds(30 * DAY_SECONDS, DAY_SECONDS),
    /** A pod that was asked to discard its spool is deleted after so long if it still runs. */
    discardSeconds: seconds(DAY_SECONDS, 300),
    /** How long a pod stays bound to a node that is not ready or cannot be reached. */
    lostNodeSeconds: z.int().min(0).max(DAY_SECONDS).default(30),
    /** Two halts within this time that blame the node move the pod to another one. */
    nodeHaltsWithinSeconds: seconds(DAY_SECONDS, 600),
    /** Halts of several pods within this time are one matter. */
    breakerWindowSeconds: seconds(DAY_SECONDS, 300),
  })
  .prefault({})

export const Limits = z
  .strictObject({
    /** For each exchange, over all captures: an address has so many connections and so much weight a minute. */
    startsPerMinute: count(10_000).default(20),
    /** Successors for a changed template that may be under way at once, for each L2Capture. */
    rolloutsAtOnce: count(500).default(10),
    /** So many halts in a row replace a pod. */
    haltsInARow: count(100).default(3),
    /** At least so many pods of an exchange halting alike are the exchange's fault … */
    breakerPodsMin: count(500).default(3),
    /** … if they are also this part of its pods. */
    breakerFraction: z
      .number()
      .gt(0)
      .max(1)
      .default(1 / 3),
    /** Entries of `attention` in a status. */
    attentionMax: count(50).default(20),
    /** More symbols than this behind one address are warned of. */
    symbolsPerAddress: count(4096).default(120),
  })
  .prefault({})

export const Settings = z.strictObject({
  /** The image of the capture pods. */
  image: z.string().min(1).max(512),
  pods: PodSettings,
  /** Replaces an exchange's addresses, by the exchange's name. */
  endpoints: z.partialRecord(z.enum(EXCHANGES), BareAddress).default({}),
  /** Public addresses that the captures of an exchange leave the cluster by, together. */
  addresses: count(4096).default(1),
  times: Times,
  limits: Limits,
})
export type Settings = z.infer<typeof Settings>

/** Settings that cannot be used; the message says where and what was expected. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
  readonly code = 'SettingsInvalid'
}

/** Validates settings and fills in what is left out. Throws SettingsError, one line a fault. */
export function parseSettings(value: unknown): Settings {
  const result = Settings.safeParse(value)
  if (result.success) return result.data
  const faults = result.error.issues.map((issue) => `  ${issue.path.join('.') || '(top)'}: ${issue.message}`)
  throw new SettingsError(`The operator's settings are not valid:\n${faults.join('\n')}`)
}
