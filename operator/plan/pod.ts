import type {
  V1Affinity,
  V1Container,
  V1Pod,
  V1PodSpec,
  V1Toleration,
  V1Volume,
} from '@kubernetes/client-node'
import { POD_ENV, podStorage, S3_CA_DIR, S3_CREDENTIALS_DIR } from '../../api/config.ts'
import * as words from '../../api/labels.ts'
import { bytesOfQuantity, isAtMost } from '../../api/quantity.ts'
import type { CaptureSpec } from '../../api/spec.ts'
import type { Settings } from '../settings.ts'
import type { Member } from './fleet.ts'
import { podName, podNameBase, symbolSlug } from './names.ts'
import type { Cause } from './observed.ts'
import type { Predecessor } from './predecessor.ts'
import { timeText } from './time.ts'

/** The pod of one symbol, built from what is wanted: pure, so that equal wishes give equal pods. */

export interface PodWish {
  readonly capture: Member
  readonly symbol: string
  readonly attempt: number
  readonly hash: string
  readonly generation: number
  readonly share: number
  readonly predecessor: Predecessor | undefined
  readonly cause: Cause
  /** Nodes to stay away from where there are others. */
  readonly avoidNodes: readonly string[]
}

const SECRET_MODE = 0o440
/**
 * A process that a probe found hanging has so long to end. The pod's own grace is for a backlog that is being shipped,
 * and would leave the symbol dark for an hour: a loop that does not turn hears no SIGTERM. What it recorded is synced
 * each second, and shipped by the next process in the same spool.
 */
const HUNG_GRACE_SECONDS = 10
const CREDENTIALS_KEYS = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']
const CA_KEYS = ['ca.crt']
const HOSTNAME_LABEL = 'kubernetes.io/hostname'
const LOST_NODE_TAINTS = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']

export function buildPod(wish: PodWish, settings: Settings): V1Pod {
  const { capture, symbol } = wish
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace: capture.namespace,
      name: podName(podNameBase(capture.name, capture.spec.exchange, symbol), wish.attempt),
      labels: { ...settings.pods.labels, ...labelsOf(capture, symbol) },
      annotations: { ...settings.pods.annotations, ...annotationsOf(wish) },
      ownerReferences: [ownerOf(capture)],
    },
    spec: podSpec(wish, settings),
  }
}

/** Deleting the capture deletes its pods, which then drain; it need not wait for them. */
export function ownerOf(capture: Member) {
  return {
    apiVersion: words.API_VERSION,
    kind: words.KIND,
    name: capture.name,
    uid: capture.uid,
    controller: true,
    blockOwnerDeletion: false,
  }
}

function labelsOf({ name, spec }: Member, symbol: string): Record<string, string> {
  return {
    ...words.POD_LABELS,
    [words.LABELS.capture]: name,
    [words.LABELS.exchange]: spec.exchange,
    [words.LABELS.symbolSlug]: symbolSlug(symbol),
  }
}

function annotationsOf({
  symbol,
  share,
  hash,
  generation,
  predecessor,
  cause,
}: PodWish): Record<string, string> {
  return {
    [words.ANNOTATIONS.symbol]: symbol,
    [words.ANNOTATIONS.share]: String(share),
    [words.ANNOTATIONS.templateHash]: hash,
    [words.ANNOTATIONS.generation]: String(generation),
    [words.ANNOTATIONS.predecessor]:
      predecessor === undefined ? '' : `${predecessor.name}/${predecessor.uid}`,
    [words.ANNOTATIONS.cause]: cause,
  }
}

function podSpec(wish: PodWish, settings: Settings): V1PodSpec {
  const { pods, times } = settings
  const { spec } = wish.capture
  return {
    restartPolicy: 'Always',
    // no way from a capture to the API server: it needs none, and a stolen pod gets none
    serviceAccountName: pods.serviceAccountName,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: times.terminationGraceSeconds,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: pods.runAsUser,
      runAsGroup: pods.runAsUser,
      fsGroup: pods.runAsUser,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...(pods.priorityClassName === undefined ? {} : { priorityClassName: pods.priorityClassName }),
    ...(pods.runtimeClassName === undefined ? {} : { runtimeClassName: pods.runtimeClassName }),
    ...(pods.imagePullSecrets.length === 0
      ? {}
      : { imagePullSecrets: pods.imagePullSecrets.map((name) => ({ name })) }),
    ...(Object.keys(pods.nodeSelector).length === 0 ? {} : { nodeSelector: pods.nodeSelector }),
    ...affinityOf(wish, settings),
    tolerations: [...pods.tolerations.map(tolerationOf), ...lostNodeTolerations(times.lostNodeSeconds)],
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: HOSTNAME_LABEL,
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { ...words.POD_LABELS, [words.LABELS.capture]: wish.capture.name } },
      },
    ],
    containers: [container(wish, settings)],
    volumes: volumesOf(spec),
  }
}

function container(wish: PodWish, settings: Settings): V1Container {
  const { image, pods } = settings
  const { storage } = wish.capture.spec
  return {
    name: words.CONTAINER_NAME,
    image,
    ...(pods.imagePullPolicy === undefined ? {} : { imagePullPolicy: pods.imagePullPolicy }),
    env: [
      { name: words.CONFIG_ENV, value: JSON.stringify(configFor(wish, settings)) },
      fromField(POD_ENV.pod, 'metadata.name'),
      fromField(POD_ENV.podUid, 'metadata.uid'),
      fromField(POD_ENV.node, 'spec.nodeName'),
    ],
    ports: [{ name: words.HTTP_PORT_NAME, containerPort: words.HTTP_PORT, protocol: 'TCP' }],
    resources: resourcesOf(wish.capture.spec, settings),
    ...probes(),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    terminationMessagePath: words.TERMINATION_LOG,
    // a process that cannot even read its configuration leaves its last words there
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'spool', mountPath: words.SPOOL_DIR },
      { name: 'podinfo', mountPath: words.PODINFO_DIR, readOnly: true },
      ...(storage.s3?.credentialsSecretName === undefined
        ? []
        : [{ name: 's3-credentials', mountPath: S3_CREDENTIALS_DIR, readOnly: true }]),
      ...(storage.s3?.caSecretName === undefined
        ? []
        : [{ name: 's3-ca', mountPath: S3_CA_DIR, readOnly: true }]),
    ],
  }
}

/** ProcessConfig of this pod; its own name, UID and node come from the environment. */
function configFor({ capture, symbol, share, predecessor }: PodWish, settings: Settings) {
  const { spec } = capture
  const endpoints = settings.endpoints[spec.exchange]
  return {
    exchange: spec.exchange,
    symbol,
    streams: spec.streams,
    bookLevels: spec.bookLevels,
    rotationSeconds: spec.rotationSeconds,
    guards: spec.guards,
    spool: { dir: words.SPOOL_DIR, sizeLimitBytes: bytesOfQuantity(spec.spool.sizeLimit) },
    storage: podStorage(spec.storage),
    ...(endpoints === undefined ? {} : { endpoints }),
    share,
    port: words.HTTP_PORT,
    // both families: a cluster may have IPv6 alone
    host: '::',
    terminationLog: words.TERMINATION_LOG,
    annotationsFile: words.ANNOTATIONS_FILE,
    handoffSeconds: settings.times.handoffSeconds,
    handoverSeconds: settings.times.handoverSeconds,
    ...(predecessor === undefined ? {} : { predecessor: toldOf(predecessor) }),
    writer: { capture: capture.name, uid: capture.uid },
  }
}

function toldOf({ name, uid, createdMs }: Predecessor) {
  return { pod: name, uid, since: timeText(createdMs) }
}

const EPHEMERAL = 'ephemeral-storage'

/**
 * What the user states, and the administrator's defaults for the rest. The API server takes no pod whose limit is
 * below its request, and the kubelet evicts one whose spool fills as it may: a default gives way to what is stated.
 */
function resourcesOf({ resources, spool }: CaptureSpec, { pods }: Settings) {
  const { requests: asked = {}, limits: bounds = {} } = resources ?? {}
  const requests = { ...mapped(pods.requests, (name, text) => smallest(text, bounds[name])), ...asked }
  const needed = (name: string) => (name === EPHEMERAL ? spool.sizeLimit : undefined)
  const raised = mapped(pods.limits, (name, text) => largest(text, requests[name], needed(name)))
  return { requests, limits: { ...raised, ...bounds } }
}

type Quantities = Readonly<Record<string, string>>

function mapped(
  quantities: Quantities,
  make: (name: string, text: string) => string,
): Record<string, string> {
  return Object.fromEntries(Object.entries(quantities).map(([name, text]) => [name, make(name, text)]))
}

function smallest(text: string, other = text): string {
  return isAtMost(text, other) ? text : other
}

function largest(text: string, ...others: readonly (string | undefined)[]): string {
  return others.reduce((most: string, other = most) => (isAtMost(other, most) ? most : other), text)
}

/** Ready is the book; alive is the turning loop, which a start that takes up a large spool holds up for a while. */
function probes(): Pick<V1Container, 'startupProbe' | 'livenessProbe' | 'readinessProbe'> {
  const get = (path: string) => ({ path, port: words.HTTP_PORT_NAME, scheme: 'HTTP' })
  const alive = { httpGet: get('/livez'), terminationGracePeriodSeconds: HUNG_GRACE_SECONDS }
  return {
    startupProbe: { ...alive, periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 90 },
    livenessProbe: { ...alive, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
    readinessProbe: { httpGet: get('/readyz'), periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 2 },
  }
}

function volumesOf({ spool, storage }: CaptureSpec): V1Volume[] {
  const credentials = storage.s3?.credentialsSecretName
  const ca = storage.s3?.caSecretName
  const annotations = { path: words.ANNOTATIONS_FILE_NAME, fieldRef: { fieldPath: 'metadata.annotations' } }
  return [
    { name: 'spool', emptyDir: { sizeLimit: spool.sizeLimit } },
    { name: 'podinfo', downwardAPI: { items: [annotations] } },
    ...(credentials === undefined ? [] : [secretVolume('s3-credentials', credentials, CREDENTIALS_KEYS)]),
    ...(ca === undefined ? [] : [secretVolume('s3-ca', ca, CA_KEYS)]),
  ]
}

/** Optional: a capture without its Secret records, spools and says so, which beats not recording. */
function secretVolume(name: string, secretName: string, keys: readonly string[]) {
  const items = keys.map((key) => ({ key, path: key }))
  return { name, secret: { secretName, optional: true, defaultMode: SECRET_MODE, items } }
}

function fromField(name: string, fieldPath: string) {
  return { name, valueFrom: { fieldRef: { fieldPath } } }
}

/** A node that cannot be reached must not keep a symbol for the five minutes that are usual. */
function lostNodeTolerations(tolerationSeconds: number) {
  return LOST_NODE_TAINTS.map((key) => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds }))
}

function affinityOf({ avoidNodes }: PodWish, { pods }: Settings): { affinity?: V1Affinity } {
  const stated: V1Affinity = pods.affinity ?? {}
  if (avoidNodes.length === 0) return pods.affinity === undefined ? {} : { affinity: stated }
  const away = {
    weight: 100,
    preference: {
      matchExpressions: [{ key: HOSTNAME_LABEL, operator: 'NotIn', values: [...avoidNodes] }],
    },
  }
  const preferred = stated.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
  const nodeAffinity = {
    ...stated.nodeAffinity,
    preferredDuringSchedulingIgnoredDuringExecution: [...preferred, away],
  }
  return { affinity: { ...stated, nodeAffinity } }
}

function tolerationOf(stated: Settings['pods']['tolerations'][number]): V1Toleration {
  return Object.fromEntries(Object.entries(stated).filter(([, value]) => value !== undefined))
}
