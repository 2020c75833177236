/** What `l2cap status` reads of a cluster, with the rights of whoever calls it. Loaded by that command alone. */
import type { CoreV1Api, CustomObjectsApi, KubeConfig, V1Pod } from '@kubernetes/client-node'
import { ANNOTATIONS, API_GROUP, API_VERSION_NAME, CAPTURES, HTTP_PORT, LABELS } from '../../api/labels.ts'
import { type ProcessStatus, parseProcessStatus } from '../../api/process-status.ts'
import type { L2CaptureResource } from '../../api/resource.ts'
import { CallError } from './call.ts'

/** Pods that are asked at once: each goes through the API server. */
const ASKED_AT_ONCE = 8
const POD_ANSWERS_WITHIN_MS = 5_000
const SELECTOR = `${LABELS.name}=l2cap,${LABELS.component}=capture`

/** Where client-node turns to when nothing is configured. */
const NOWHERE = { name: 'cluster', server: 'http://localhost:8080' }

export interface Where {
  readonly kubeconfig?: string | undefined
  readonly context?: string | undefined
  /** Default: the context's, or `default`. */
  readonly namespace?: string | undefined
  readonly allNamespaces: boolean
  /** One capture. */
  readonly name?: string | undefined
}

/** A capture's pod, and what it says of itself. */
export interface PodReport {
  readonly pod: V1Pod
  readonly symbol: string
  /** What it answered; a text where it did not, which says why. */
  readonly status: ProcessStatus | string
}

export interface CaptureReport {
  readonly capture: L2CaptureResource
  readonly pods: readonly PodReport[]
}

/** Reads captures, their pods, and asks each pod. Throws CallError where the cluster cannot be read. */
export async function readCluster(where: Where): Promise<CaptureReport[]> {
  const { CoreV1Api, CustomObjectsApi, KubeConfig } = await import('./cluster-client.ts')
  const config = new KubeConfig()
  load(config, where)
  const namespace = where.namespace ?? config.getContextObject(config.getCurrentContext())?.namespace
  const core = config.makeApiClient(CoreV1Api)
  const scope = where.allNamespaces ? undefined : (namespace ?? 'default')
  const captures = await told(() => listCaptures(config.makeApiClient(CustomObjectsApi), scope))
  const chosen =
    where.name === undefined ? captures : captures.filter(({ metadata }) => metadata.name === where.name)
  if (where.name !== undefined && chosen.length === 0)
    throw new CallError(`there is no L2Capture "${where.name}" in the namespace ${scope ?? '(any)'}`)
  const pods = await told(() => listPods(core, scope))
  const reports = await eachOf(pods, (pod) => reportOf(core, pod))
  return chosen.map((capture) => ({
    capture,
    pods: reports.filter(({ pod }) => isOf(pod, capture)),
  }))
}

function load(config: KubeConfig, { kubeconfig, context }: Where): void {
  try {
    if (kubeconfig === undefined) config.loadFromDefault()
    else config.loadFromFile(kubeconfig)
    if (context !== undefined) config.setCurrentContext(context)
  } catch (error) {
    throw new CallError(
      `the kubeconfig cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  const cluster = config.getCurrentCluster()
  if (cluster === null)
    throw new CallError(
      context === undefined
        ? 'the kubeconfig has no current-context that names a cluster of it; give --context NAME'
        : `the kubeconfig has no context "${context}" that names a cluster of it`,
    )
  if (kubeconfig === undefined && cluster.name === NOWHERE.name && cluster.server === NOWHERE.server)
    throw new CallError(
      'there is no cluster to ask: set KUBECONFIG, or give --kubeconfig FILE; see l2cap status --help',
    )
  // client-node refuses these, too, and in words about an option that nobody gave
  if (!cluster.server.startsWith('https:') && cluster.skipTLSVerify !== true)
    throw new CallError(`the API server's address must be an https: URL, and is "${cluster.server}"`)
}

async function listCaptures(
  api: CustomObjectsApi,
  namespace: string | undefined,
): Promise<L2CaptureResource[]> {
  const of = { group: API_GROUP, version: API_VERSION_NAME, plural: CAPTURES }
  const list: { readonly items: L2CaptureResource[] } =
    namespace === undefined
      ? await api.listClusterCustomObject(of)
      : await api.listNamespacedCustomObject({ ...of, namespace })
  return list.items
}

async function listPods(api: CoreV1Api, namespace: string | undefined): Promise<V1Pod[]> {
  const labelSelector = SELECTOR
  const { items } =
    namespace === undefined
      ? await api.listPodForAllNamespaces({ labelSelector })
      : await api.listNamespacedPod({ namespace, labelSelector })
  return items
}

async function reportOf(api: CoreV1Api, pod: V1Pod): Promise<PodReport> {
  const symbol = pod.metadata?.annotations?.[ANNOTATIONS.symbol] ?? ''
  const { name = '', namespace = '' } = pod.metadata ?? {}
  const running = pod.status?.containerStatuses?.some(({ state }) => state?.running !== undefined) === true
  if (!running) return { pod, symbol, status: 'not running' }
  try {
    const asked = api.connectGetNamespacedPodProxyWithPath({
      name: `${name}:${HTTP_PORT}`,
      namespace,
      path: 'status',
    })
    const answer: unknown = await within(POD_ANSWERS_WITHIN_MS, asked)
    const text = typeof answer === 'string' ? answer : JSON.stringify(answer)
    return { pod, symbol, status: parseProcessStatus(text) }
  } catch (error) {
    return { pod, symbol, status: `cannot be asked: ${reasonOf(error)}` }
  }
}

function isOf(pod: V1Pod, { metadata }: L2CaptureResource): boolean {
  const owned = pod.metadata?.ownerReferences?.some(({ uid }) => uid === metadata.uid) === true
  return owned && pod.metadata?.namespace === metadata.namespace
}

/** What a person is told of a refusal; a body of the server's may hold a whole Status. */
async function told<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    throw new CallError(`the cluster cannot be read: ${reasonOf(error)}`)
  }
}

function reasonOf(error: unknown): string {
  const { code, body } = error as { code?: unknown; body?: unknown }
  if (code === 403) return 'these credentials may not (403)'
  if (code === 401) return 'these credentials are refused (401)'
  if (code === 404) return 'there is no such thing (404): is l2cap installed there?'
  if (typeof code === 'number') return `${code} ${typeof body === 'string' ? body.slice(0, 200) : ''}`.trim()
  const cause = error instanceof Error ? error.cause : undefined
  if (cause instanceof Error) return cause.message
  return error instanceof Error ? error.message : String(error)
}

async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const index = next++
      results[index] = await work(items[index] as T)
    }
  }
  await Promise.all(Array.from({ length: Math.min(ASKED_AT_ONCE, items.length) }, worker))
  return results
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`no answer within ${ms / 1000} s`)), ms)
  })
  return await Promise.race([work, late]).finally(() => clearTimeout(timer))
}
