import type { V1OwnerReference, V1Pod } from '@kubernetes/client-node'
import type { ProcessStatus } from '../../api/process-status.ts'
import type { CaptureStatus, L2CaptureResource } from '../../api/resource.ts'

/** What plan() is given, and what it answers: data only. */

/** One pod, and not another that later bears its name. */
export interface PodRef {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

/** What a pod answered when its /status was asked; `at` in ms since the Unix epoch. For conditions only. */
export type Polled =
  | { readonly at: number; readonly status: ProcessStatus }
  | { readonly at: number; readonly error: string }

/** A start of a capture pod that this operator has sent, or is about to. */
export interface Start {
  readonly namespace: string
  readonly name: string
  readonly exchange: string
  readonly atMs: number
}

/** What the operator remembers since it started; nothing in the end depends on it. */
export interface MemoryView {
  readonly startedAtMs: number
  /** Creations of the last minute, and those that the cache does not show yet. */
  readonly starts: readonly Start[]
  /** Creations whose outcome is not known: a pod that may be there already. */
  readonly expected: readonly V1Pod[]
  /** Pods as the API server answered our own writes, until the cache has caught up. */
  readonly written: readonly V1Pod[]
  /** By `refusalKey`, what the API server said when it took no pod for a symbol; gone with the first that it takes. */
  readonly refused: ReadonlyMap<string, string>
  /** By UID, when a pod's end was first seen, ms since the epoch. */
  readonly endedSeen: ReadonlyMap<string, number>
  /** Keys of event intents that were recorded. */
  readonly told: ReadonlySet<string>
}

export interface Observed {
  readonly capture: L2CaptureResource
  /** All others that the operator sees, of any namespace: one symbol may be named twice, and addresses are shared. */
  readonly captures: readonly L2CaptureResource[]
  /** All capture pods that it sees, of every capture, as the cache has them. */
  readonly pods: readonly V1Pod[]
  readonly statuses: ReadonlyMap<string, Polled>
  readonly memory: MemoryView
}

/**
 * What must be read afresh, and found so, right before an action: a cache may be behind, and what is deleted does
 * not come back. `unmet` judges it.
 */
export interface Needs {
  /** The L2Capture is there, not being deleted, and has this generation. */
  readonly generation?: number
  /** … and this UID: another of the same name is another. */
  readonly captureUid?: string
  /** This pod is there and live. */
  readonly live?: PodRef
  /** The pod that is acted upon is as it was seen. */
  readonly self?: 'neverStarted' | 'notLive' | 'drained'
}

/** One event to record. The object that it regards is the L2Capture. */
export interface EventIntent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  /** What was done, or was being done. */
  readonly action: string
  readonly note: string
  readonly pod?: PodRef
  /** The same for the same happening: recorded once. */
  readonly key: string
}

interface Step {
  readonly symbol: string
  /** A sentence for the log: what is known, and what follows. */
  readonly why: string
  readonly needs?: Needs
  readonly event?: EventIntent
}

export interface CreateAction extends Step {
  readonly kind: 'create'
  readonly pod: V1Pod
  readonly cause: Cause
}

export interface DeleteAction extends Step {
  readonly kind: 'delete'
  readonly pod: PodRef
  readonly cause: RemovalCause
}

export interface AnnotateAction extends Step {
  readonly kind: 'annotate'
  readonly pod: PodRef
  /** null takes an annotation away. */
  readonly set: Readonly<Record<string, string | null>>
}

export interface AdoptAction extends Step {
  readonly kind: 'adopt'
  readonly pod: PodRef
  readonly owner: V1OwnerReference
}

export type Action = CreateAction | DeleteAction | AnnotateAction | AdoptAction

/** Why a pod is created. */
export const CAUSES = [
  'new', // the symbol has no pod
  'spec', // its pod has another template
  'halts', // its pod halts again and again
  'node', // its pod halts for a fault of its node
  'ended', // its pod was evicted, drained, or lost with its node
] as const
export type Cause = (typeof CAUSES)[number]

/** Why a pod is deleted. */
export const REMOVAL_CAUSES = [
  'drained', // everything that it held is shipped
  'discarded', // it holds nothing that another pod does not publish
  'never_started', // it holds nothing at all
  'drain_deadline', // it could not ship what it holds
] as const
export type RemovalCause = (typeof REMOVAL_CAUSES)[number]

/** What metrics are made of. */
export interface Facts {
  readonly exchange: string
  /** Wanted symbols by state. */
  readonly symbols: Readonly<Record<string, number>>
  /** Every halt that a pod of this capture shows now; the key is that of one halt. */
  readonly halts: readonly {
    readonly key: string
    readonly exchange: string
    readonly reason: string
    readonly symbol: string
  }[]
  /** The reason that a whole exchange halts for, where one does. */
  readonly suspect: string | undefined
  readonly share: number
  readonly symbolsPerAddress: number
  /** Pods with this capture's labels that belong to someone else. */
  readonly foreignPods: number
  /** From a successor's creation until it was live, for successors that took over and still have their predecessor. */
  readonly handovers: readonly { readonly key: string; readonly seconds: number }[]
}

export interface Plan {
  /** In this order, one at a time; after the first error the capture is planned again. */
  readonly actions: readonly Action[]
  readonly status: CaptureStatus
  /** Whether the status differs from the stored one: it is written only then. */
  readonly statusChanged: boolean
  readonly events: readonly EventIntent[]
  /** When to plan again even if nothing is heard, milliseconds from now. */
  readonly requeueAfterMs: number | undefined
  readonly facts: Facts
}
