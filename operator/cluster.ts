import type { V1Pod } from '@kubernetes/client-node'
import { API_VERSION, CAPTURES, LABELS, POD_LABELS } from '../api/labels.ts'
import type { L2CaptureResource } from '../api/resource.ts'
import { ApiError, type KubeClient, MERGE_PATCH } from './kube/mod.ts'
import type { AdoptAction, AnnotateAction, PodRef } from './plan/mod.ts'

/** What the operator's pods list is narrowed to: every capture pod, whose ever. */
export const POD_SELECTOR = [LABELS.name, LABELS.component]
  .map((label) => `${label}=${(POD_LABELS as Readonly<Record<string, string>>)[label]}`)
  .join(',')

/** Where captures are listed; of all namespaces without one. */
export function capturesPath(namespace?: string): string {
  const within = namespace === undefined ? '' : `/namespaces/${namespace}`
  return `/apis/${API_VERSION}${within}/${CAPTURES}`
}

export function podsPath(namespace?: string): string {
  return namespace === undefined ? '/api/v1/pods' : `/api/v1/namespaces/${namespace}/pods`
}

/** What the operator reads afresh and writes: nothing else of the API server. Every call may throw ApiError. */
export class Cluster {
  readonly #client: KubeClient

  constructor(client: KubeClient) {
    this.#client = client
  }

  /** The object as the API server has it now; undefined where there is none. */
  capture(namespace: string, name: string): Promise<L2CaptureResource | undefined> {
    return this.#read(`${capturesPath(namespace)}/${name}`)
  }

  pod({ namespace, name }: PodRef): Promise<V1Pod | undefined> {
    return this.#read(`${podsPath(namespace)}/${name}`)
  }

  createPod(pod: V1Pod): Promise<V1Pod> {
    const path = podsPath(pod.metadata?.namespace ?? '')
    return this.#client.request<V1Pod>({ method: 'POST', path, body: pod })
  }

  /** Annotates that very pod: another of its name is left alone, with code Conflict. */
  annotate({ pod, set }: AnnotateAction): Promise<V1Pod> {
    return this.#patchPod(pod, { annotations: set })
  }

  adopt({ pod, owner }: AdoptAction): Promise<V1Pod> {
    return this.#patchPod(pod, { ownerReferences: [owner] })
  }

  /** Asks that very pod to end, within its own grace period. */
  async deletePod({ namespace, name, uid }: PodRef): Promise<V1Pod | undefined> {
    const path = `${podsPath(namespace)}/${name}`
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid } }
    const answer = await this.#client.request<V1Pod>({ method: 'DELETE', path, body })
    // a pod that no kubelet holds is gone at once, and the answer is a Status
    return answer.metadata?.uid === uid ? answer : undefined
  }

  /** Replaces the status; code Conflict where the object has changed since it was read. */
  writeStatus(capture: L2CaptureResource): Promise<L2CaptureResource> {
    const { namespace = '', name = '' } = capture.metadata
    const path = `${capturesPath(namespace)}/${name}/status`
    return this.#client.request<L2CaptureResource>({ method: 'PUT', path, body: capture })
  }

  #patchPod({ namespace, name, uid }: PodRef, metadata: object): Promise<V1Pod> {
    const path = `${podsPath(namespace)}/${name}`
    const body = { metadata: { uid, ...metadata } }
    return this.#client.request<V1Pod>({ method: 'PATCH', path, body, contentType: MERGE_PATCH })
  }

  async #read<T>(path: string): Promise<T | undefined> {
    try {
      return await this.#client.request<T>({ method: 'GET', path })
    } catch (error) {
      if (error instanceof ApiError && error.code === 'NotFound') return undefined
      throw error
    }
  }
}
