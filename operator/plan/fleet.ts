import type { L2CaptureResource } from '../../api/resource.ts'
import { type CaptureSpec, ClusterCaptureSpec } from '../../api/spec.ts'
import type { Settings } from '../settings.ts'
import { configOf, type PodView } from './pods.ts'
import { timeMs } from './time.ts'

/** What several L2Captures have to do with each other: the symbols they both name, and the addresses they share. */

const SHARE_MAX = 4096

/** A capture as far as others need it. */
export interface Member {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly createdMs: number
  readonly deleting: boolean
  readonly spec: CaptureSpec
}

export interface InvalidSpec {
  readonly message: string
}

const members = new WeakMap<L2CaptureResource, Member | InvalidSpec>()

/** Reads a stored resource; its spec may come from a later version, or from before a rule was made. */
export function memberOf(resource: L2CaptureResource): Member | InvalidSpec {
  const known = members.get(resource)
  if (known !== undefined) return known
  const member = readMember(resource)
  members.set(resource, member)
  return member
}

function readMember({ metadata, spec }: L2CaptureResource): Member | InvalidSpec {
  const read = ClusterCaptureSpec.safeParse(spec)
  if (!read.success) {
    const faults = read.error.issues.map(({ path, message }) => `spec.${path.join('.')}: ${message}`)
    return { message: faults.join('; ') }
  }
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    createdMs: timeMs(metadata.creationTimestamp) ?? 0,
    deleting: metadata.deletionTimestamp !== undefined,
    spec: read.data,
  }
}

export function isMember(read: Member | InvalidSpec): read is Member {
  return 'spec' in read
}

/** Where data goes: two captures of one symbol must not write to the same place. */
export function destinationOf(spec: CaptureSpec): string {
  return destination(spec.storage.s3)
}

/** The destination in a pod's own configuration; undefined for a pod without one. */
export function podDestination(pod: PodView): string | undefined {
  const config = configOf(pod)
  const s3 = part(part(config, 'storage'), 's3')
  return s3 === undefined ? undefined : destination(s3)
}

function destination(s3: unknown): string {
  const [endpoint, bucket, prefix] = ['endpoint', 'bucket', 'prefix'].map((name) => part(s3, name) ?? '')
  return JSON.stringify([String(endpoint).replace(/\/+$/, ''), bucket, prefix])
}

function part(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.entries(value).find(([key]) => key === name)?.[1]
}

/**
 * Symbols that an older L2Capture names for the same place, with that capture: they are the older one's, unless it
 * is suspended and captures nothing. Of two that were created in the same second the smaller UID is the older.
 */
export function conflictsOf(member: Member, others: readonly Member[]): ReadonlyMap<string, Member> {
  const place = destinationOf(member.spec)
  const rivals = others.filter(
    (other) =>
      !other.deleting &&
      !other.spec.suspend &&
      other.uid !== member.uid &&
      other.spec.exchange === member.spec.exchange &&
      isOlder(other, member) &&
      destinationOf(other.spec) === place,
  )
  const conflicts = new Map<string, Member>()
  for (const symbol of member.spec.symbols) {
    const owner = rivals.filter(({ spec }) => spec.symbols.includes(symbol)).sort(byAge)[0]
    if (owner !== undefined) conflicts.set(symbol, owner)
  }
  return conflicts
}

function isOlder(a: Member, b: Member): boolean {
  return byAge(a, b) < 0
}

function byAge(a: Member, b: Member): number {
  return a.createdMs - b.createdMs || (a.uid < b.uid ? -1 : 1)
}

export interface Crowd {
  readonly symbolsPerAddress: number
  /** The same, rounded up to a power of two, so that it seldom changes. */
  readonly share: number
}

/** How many symbols of an exchange leave by one address, over all captures. */
export function crowdOf(exchange: string, all: readonly Member[], settings: Settings): Crowd {
  const symbols = new Set<string>()
  for (const { spec, deleting } of all) {
    if (deleting || spec.suspend || spec.exchange !== exchange) continue
    const place = destinationOf(spec)
    for (const symbol of spec.symbols) symbols.add(`${place} ${symbol}`)
  }
  const symbolsPerAddress = Math.max(1, Math.ceil(symbols.size / settings.addresses))
  const share = 2 ** Math.ceil(Math.log2(symbolsPerAddress))
  return { symbolsPerAddress, share: Math.min(SHARE_MAX, share) }
}
