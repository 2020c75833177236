import type { L2CaptureResource } from '../api/resource.ts'
import type { Cluster } from './cluster.ts'
import { ApiError } from './kube/mod.ts'
import { type Action, type Fresh, type Memory, type PodRef, unmet } from './plan/mod.ts'

/** What became of an action. `skipped`: what it rests on is so no more, or it is done already. */
export type Outcome = { readonly kind: 'done' } | { readonly kind: 'skipped'; readonly why: string }

export interface Target {
  readonly namespace: string
  readonly name: string
}

/** Reads of one look at a capture: its creations share one reading of it, which costs a fleet half of its requests. */
export class Pass {
  readonly #target: Target
  readonly #cluster: Cluster
  #capture: Promise<L2CaptureResource | undefined> | undefined

  constructor(target: Target, cluster: Cluster) {
    this.#target = target
    this.#cluster = cluster
  }

  /** What the action needs to know, and nothing more. What is deleted rests on a reading of its own. */
  async read(action: Action): Promise<Fresh> {
    const { needs } = action
    const self: PodRef | undefined = action.kind === 'create' ? undefined : action.pod
    return {
      ...(needs?.generation === undefined ? {} : present('capture', await this.#read(action.kind))),
      ...(needs?.live === undefined ? {} : present('live', await this.#cluster.pod(needs.live))),
      ...(needs?.self === undefined || self === undefined
        ? {}
        : present('self', await this.#cluster.pod(self))),
    }
  }

  #read(kind: Action['kind']): Promise<L2CaptureResource | undefined> {
    const { namespace, name } = this.#target
    if (kind !== 'create') return this.#cluster.capture(namespace, name)
    this.#capture ??= this.#cluster.capture(namespace, name)
    return this.#capture
  }
}

/**
 * Carries out one action of a plan. What it rests on is read afresh right before: a cache may be behind, and what is
 * deleted does not come back. Throws ApiError where the API server refuses or does not answer.
 */
export async function apply(
  action: Action,
  pass: Pass,
  cluster: Cluster,
  memory: Memory,
  now: () => number,
): Promise<Outcome> {
  const why = await unmetNow(action, pass, memory)
  if (why !== undefined) {
    if (action.kind === 'create') forgetStart(action.pod.metadata, memory)
    return { kind: 'skipped', why }
  }
  try {
    await write(action, cluster, memory, now)
    return { kind: 'done' }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    const { code } = error
    if (action.kind === 'create') {
      // the cache is behind: that pod is there already
      if (code === 'AlreadyExists') return { kind: 'skipped', why: 'a pod of this name is there already' }
      const { namespace = '', name = '' } = action.pod.metadata ?? {}
      const refused = (error.status >= 400 && error.status < 500) || code === 'Fenced'
      if (refused) memory.refused(namespace, name)
      // the next try has the same name: nothing is made twice, and nobody waits for what may not be
      else memory.unsure(namespace, name)
      throw error
    }
    // gone, or another pod bears its name by now: nothing is left to do
    if (code === 'NotFound' || code === 'Conflict')
      return { kind: 'skipped', why: `that pod is gone (${code})` }
    throw error
  }
}

/** Why the action must not go ahead. A creation that cannot be judged is none: the symbol would wait for its pod. */
async function unmetNow(action: Action, pass: Pass, memory: Memory): Promise<string | undefined> {
  try {
    return unmet(action.needs, await pass.read(action))
  } catch (error) {
    if (action.kind === 'create') forgetStart(action.pod.metadata, memory)
    throw error
  }
}

/** A pod that surely does not come: nothing waits for it, and its start counts for nothing. */
export function forgetStart(
  metadata: { readonly namespace?: string; readonly name?: string } | undefined,
  memory: Memory,
): void {
  memory.refused(metadata?.namespace ?? '', metadata?.name ?? '')
}

async function write(action: Action, cluster: Cluster, memory: Memory, now: () => number): Promise<void> {
  switch (action.kind) {
    case 'create':
      return memory.wrote(await cluster.createPod(action.pod), now())
    case 'annotate':
      return memory.wrote(await cluster.annotate(action), now())
    case 'adopt':
      return memory.wrote(await cluster.adopt(action), now())
    case 'delete': {
      const pod = await cluster.deletePod(action.pod)
      if (pod !== undefined) memory.wrote(pod, now())
    }
  }
}

function present<K extends keyof Fresh>(key: K, value: Fresh[K]): Pick<Fresh, K> | object {
  return value === undefined ? {} : { [key]: value }
}
