/** What the values of the chart may be. The schema that helm checks them by is made of this. */
import { z } from 'zod'
import { EXCHANGES, SymbolName } from '../api/spec.ts'
import { Settings } from '../operator/settings.ts'

const NAME_MAX = 253
const PORTS_MAX = 32
const LISTED_MAX = 256

const Name = z.string().max(NAME_MAX)
const Words = z.record(z.string().max(317), z.string().max(4096))
/** What the API server checks itself: a part of a Kubernetes object, as its own documentation has it. */
const Part = z.record(z.string(), z.unknown())
const Parts = z.array(Part).max(LISTED_MAX)
const seconds = (min: number, max: number) => z.int().min(min).max(max)

const Quantities = z.record(z.string().max(63), z.union([z.string().max(32), z.number()]))
const Resources = z.strictObject({ requests: Quantities.optional(), limits: Quantities.optional() })
const Peers = z.strictObject({ ports: z.array(z.int().min(1).max(65_535)).max(PORTS_MAX), to: Parts })

const Image = z.strictObject({
  repository: z.string().min(1).max(400),
  tag: z.string().max(128),
  digest: z.string().regex(/^(?:|sha256:[0-9a-f]{64})$/),
  pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
  pullSecrets: z.array(Name.min(1)).max(8),
})

const Operator = z.strictObject({
  replicas: z.int().min(0).max(9),
  // the bounds of its options
  leaseSeconds: seconds(3, 3600),
  workers: z.int().min(1).max(64),
  relistSeconds: seconds(1, 86_400),
  resyncSeconds: seconds(1, 86_400),
  resources: Resources,
  podLabels: Words,
  podAnnotations: Words,
  nodeSelector: Words,
  tolerations: Parts,
  affinity: Part,
  topologySpreadConstraints: Parts,
  priorityClassName: Name,
  runAsUser: z.int().min(1).max(2_147_483_647),
  podDisruptionBudget: z.strictObject({ enabled: z.boolean(), maxUnavailable: z.int().min(0).max(9) }),
  serviceAccount: z.strictObject({ create: z.boolean(), name: Name, annotations: Words }),
})

const Captures = z.strictObject({
  namespaces: z.array(z.string().min(1).max(63)).max(LISTED_MAX),
  serviceAccount: z.strictObject({ create: z.boolean(), annotations: Words }),
})

const NetworkPolicy = z.strictObject({
  enabled: z.boolean(),
  metricsFrom: Parts,
  apiServer: Peers,
  exchange: Peers,
  store: Peers,
  extraEgress: Parts,
})

const Monitoring = z.strictObject({
  resources: z.enum(['auto', 'always', 'never']),
  labels: Words,
  scrapeInterval: z.string().regex(/^[1-9][0-9]*(?:ms|s|m)$/),
  alerts: z.strictObject({
    enabled: z.boolean(),
    runbookUrl: z.string().min(1).max(1024),
    labels: Words,
    disabled: z.array(z.string().min(1).max(64)).max(64),
  }),
  dashboard: z.strictObject({ enabled: z.boolean(), labels: Words, annotations: Words }),
})

/** All values; helm merges what a user gives over values.yaml first, so that nothing is missing. */
export const Values = z.strictObject({
  image: Image,
  scope: z.enum(['namespace', 'cluster']),
  watchNamespace: z.string().max(63),
  nameOverride: z.string().max(48),
  fullnameOverride: z.string().max(48),
  extraLabels: Words,
  crds: z.strictObject({ install: z.boolean() }),
  operator: Operator,
  captures: Captures,
  // the chart knows an image
  settings: Settings.partial({ image: true }),
  networkPolicy: NetworkPolicy,
  monitoring: Monitoring,
  test: z.strictObject({
    exchange: z.enum(EXCHANGES),
    symbol: SymbolName,
    captureSeconds: seconds(10, 600),
  }),
  /** Helm's own, for a chart that has this one as a part. */
  global: Part.optional(),
})
