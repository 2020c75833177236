/** The Lease that two replicas share: what is written in it, and how it is read. */
import { ApiError } from './errors.ts'
import { partOf, textOf } from './objects.ts'
import type { KubeClient } from './rest.ts'
import { microTime } from './time.ts'

/** What a Lease says. Times are the holder's wall clock: for people, nobody decides by them. */
export interface LeaseRecord {
  /** Empty where nobody holds it. */
  readonly holder: string
  readonly seconds: number
  readonly acquiredAt: string
  readonly renewedAt: string
  readonly transitions: number
}

export interface StoredLease {
  readonly record: LeaseRecord
  /** Of the stored object: a write names it, and fails where somebody else was faster. */
  readonly version: string
}

/** Where the lease lies. Calls reject with ApiError and end within their deadline. */
export interface LeaseApi {
  /** Undefined where there is none. */
  read(deadlineMs: number, signal: AbortSignal): Promise<StoredLease | undefined>
  create(record: LeaseRecord, deadlineMs: number, signal: AbortSignal): Promise<StoredLease>
  /** Replaces what was stored at `version`, and nothing later. */
  replace(record: LeaseRecord, version: string, deadlineMs: number, signal: AbortSignal): Promise<StoredLease>
}

/** The Lease `name` in `namespace`, as coordination.k8s.io/v1. Verbs: get and update by name, create. */
export function leaseApi(client: KubeClient, namespace: string, name: string): LeaseApi {
  const collection = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`
  const path = `${collection}/${encodeURIComponent(name)}`
  return {
    async read(deadlineMs, signal) {
      try {
        return storedOf(path, await client.request<unknown>({ method: 'GET', path, deadlineMs, signal }))
      } catch (error) {
        if (error instanceof ApiError && error.code === 'NotFound') return undefined
        throw error
      }
    },
    async create(record, deadlineMs, signal) {
      const body = leaseOf(namespace, name, record, undefined)
      const answer = await client.request<unknown>({
        method: 'POST',
        path: collection,
        body,
        deadlineMs,
        signal,
      })
      return storedOf(path, answer)
    },
    async replace(record, version, deadlineMs, signal) {
      const body = leaseOf(namespace, name, record, version)
      return storedOf(path, await client.request<unknown>({ method: 'PUT', path, body, deadlineMs, signal }))
    },
  }
}

/** The record that `identity` writes: new times, and a new term where somebody else held it before. */
export function recordOf(
  identity: string,
  seconds: number,
  wallMs: number,
  before: LeaseRecord | undefined,
): LeaseRecord {
  const now = microTime(wallMs)
  const mine = before?.holder === identity
  return {
    holder: identity,
    seconds,
    acquiredAt: mine ? before.acquiredAt : now,
    renewedAt: now,
    transitions: before === undefined ? 0 : before.transitions + (mine ? 0 : 1),
  }
}

/** The record of a lease that its holder gives back: nobody has to wait for it. */
export function releasedRecord(before: LeaseRecord, wallMs: number): LeaseRecord {
  const now = microTime(wallMs)
  return { ...before, holder: '', seconds: 1, acquiredAt: now, renewedAt: now }
}

function leaseOf(namespace: string, name: string, record: LeaseRecord, version: string | undefined): unknown {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { namespace, name, ...(version === undefined ? {} : { resourceVersion: version }) },
    spec: {
      holderIdentity: record.holder,
      leaseDurationSeconds: record.seconds,
      acquireTime: record.acquiredAt,
      renewTime: record.renewedAt,
      leaseTransitions: record.transitions,
    },
  }
}

function storedOf(path: string, lease: unknown): StoredLease {
  const version = textOf(partOf(lease, 'metadata'), 'resourceVersion')
  if (version === undefined) {
    throw new ApiError({
      code: 'BadAnswer',
      message: `${path}: the answer is no Lease: it has no resourceVersion`,
    })
  }
  const spec = partOf(lease, 'spec')
  return {
    version,
    record: {
      holder: textOf(spec, 'holderIdentity') ?? '',
      seconds: numberOf(spec, 'leaseDurationSeconds'),
      acquiredAt: textOf(spec, 'acquireTime') ?? '',
      renewedAt: textOf(spec, 'renewTime') ?? '',
      transitions: numberOf(spec, 'leaseTransitions'),
    },
  }
}

function numberOf(value: unknown, name: string): number {
  const part = partOf(value, name)
  return typeof part === 'number' && Number.isSafeInteger(part) && part >= 0 ? part : 0
}
