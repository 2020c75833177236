/** L2Captures and their pods in one namespace, whatever runs the pods. */
import type { V1Pod } from '@kubernetes/client-node'
import type { L2CaptureResource } from '../../api/resource.ts'
import { type ApiClient, ApiFailure } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'

export const WITHIN_MS = 180_000
/** Guards of a test in which no feed is to look stale, however busy the machine is. */
export const CALM = { staleAfterSeconds: 60 }

export type Spec = Record<string, unknown>

export abstract class Captures {
  readonly api: ApiClient
  readonly namespace: string

  constructor(api: ApiClient, namespace: string) {
    this.api = api
    this.namespace = namespace
  }

  /** What a capture has that the test says nothing of. */
  abstract defaultSpec(): Spec

  /** What there is, for the text of a failure. */
  abstract state(name?: string): Promise<unknown>

  /** What the processes of a pod printed. */
  abstract outputOf(pod: string): string | Promise<string>

  /** What the process of a pod says itself, at /status. */
  abstract status(pod: string): Promise<Record<string, unknown>>

  /** What the operator that leads printed. */
  abstract operatorOutput(): string | Promise<string>

  /** The figures of the operator that leads, as Prometheus reads them. */
  abstract operatorMetrics(): Promise<string>

  async apply(name: string, spec: Spec = {}): Promise<void> {
    const capture = {
      apiVersion: 'l2cap.dev/v1alpha1',
      kind: 'L2Capture',
      metadata: { name },
      spec: { ...this.defaultSpec(), ...spec },
    }
    await this.api.apply(`${this.captures}/${name}`, capture)
  }

  async patch(name: string, spec: Spec): Promise<void> {
    await this.api.patch(`${this.captures}/${name}`, { spec })
  }

  async delete(name: string): Promise<void> {
    await this.api.delete(`${this.captures}/${name}`)
  }

  async capture(name: string): Promise<L2CaptureResource | undefined> {
    try {
      return await this.api.get<L2CaptureResource>(`${this.captures}/${name}`)
    } catch (error) {
      if (error instanceof ApiFailure && error.status === 404) return undefined
      throw error
    }
  }

  get captures(): string {
    return `/apis/l2cap.dev/v1alpha1/namespaces/${this.namespace}/l2captures`
  }

  /** Resolves when the condition has this status (and reason). */
  async until(
    name: string,
    type: string,
    status: string,
    reason?: string,
    deadlineMs = WITHIN_MS,
  ): Promise<L2CaptureResource> {
    const wanted = `${type}=${status}${reason === undefined ? '' : ` (${reason})`}`
    return await waitFor(
      `${name} to be ${wanted}`,
      async () => {
        const capture = await this.capture(name)
        const condition = capture?.status?.conditions?.find((one) => one.type === type)
        const current = capture?.status?.observedGeneration === capture?.metadata.generation
        const fits = condition?.status === status && (reason ?? condition.reason) === condition.reason
        return current && fits ? capture : undefined
      },
      { deadlineMs, everyMs: 200, show: () => this.state(name) },
    )
  }

  // pods

  async pods(symbol?: string): Promise<V1Pod[]> {
    const pods = await this.api.list<V1Pod>(`/api/v1/namespaces/${this.namespace}/pods`)
    return pods.filter(
      ({ metadata }) => symbol === undefined || metadata?.annotations?.['l2cap.dev/symbol'] === symbol,
    )
  }

  /** The one pod of the symbol. Throws where there are several, or none. */
  async pod(symbol: string): Promise<V1Pod> {
    const pods = await this.pods(symbol)
    const [pod] = pods
    if (pod === undefined || pods.length > 1)
      throw new Error(`${symbol} has ${pods.length} pods: ${pods.map(nameOf).join(', ')}`)
    return pod
  }

  /** Resolves when the symbol has one pod, which is live, and another one than those named. */
  async live(symbol: string, { not = [] as readonly string[], deadlineMs = WITHIN_MS } = {}): Promise<V1Pod> {
    return await waitFor(
      `one live pod of ${symbol}${not.length === 0 ? '' : ` other than ${not.join(', ')}`}`,
      async () => {
        const pods = await this.pods(symbol)
        const [pod] = pods
        return pods.length === 1 && pod !== undefined && isLive(pod) && !not.includes(nameOf(pod))
          ? pod
          : undefined
      },
      { deadlineMs, everyMs: 200, show: () => this.state() },
    )
  }

  async gone(deadlineMs = WITHIN_MS): Promise<void> {
    await this.none(undefined, deadlineMs)
  }

  /** Resolves when the symbol has no pod, of whatever kind; without a symbol, when there is none at all. */
  async none(symbol?: string, deadlineMs = WITHIN_MS): Promise<void> {
    await waitFor(
      `${symbol === undefined ? 'all pods' : `the pods of ${symbol}`} to be gone`,
      async () => (await this.pods(symbol)).length === 0,
      { deadlineMs, everyMs: 200, show: () => this.state() },
    )
  }

  /** As `kubectl drain` does: the node takes no more pods, and the pod is evicted through the API. */
  async drain(pod: V1Pod): Promise<void> {
    await this.api.patch(`/api/v1/nodes/${pod.spec?.nodeName}`, { spec: { unschedulable: true } })
    const { name, namespace } = pod.metadata ?? {}
    await this.api.create(`/api/v1/namespaces/${namespace}/pods/${name}/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name, namespace },
    })
  }

  /** Events on the capture, as `reason: note`. */
  async events(): Promise<string[]> {
    const events = await this.api.list<{ reason?: string; note?: string }>(
      `/apis/events.k8s.io/v1/namespaces/${this.namespace}/events`,
    )
    return events.map(({ reason = '', note = '' }) => `${reason}: ${note}`)
  }
}

export function nameOf(pod: V1Pod): string {
  return pod.metadata?.name ?? ''
}

export function isLive(pod: V1Pod): boolean {
  const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready')
  return ready?.status === 'True' && pod.metadata?.deletionTimestamp === undefined
}
