/** Kubernetes objects as they come over the wire, and the order of their versions. */

/** What every stored object has. */
export interface KubeObject {
  readonly metadata?: {
    readonly name?: string
    readonly namespace?: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly managedFields?: unknown
  }
}

/** A type of client-node as JSON gives it: its dates are strings (RFC 3339). */
export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer U)[]
    ? Wire<U>[]
    : T extends object
      ? { [K in keyof T]: Wire<T[K]> }
      : T

/** What a cache must know of an object. */
export interface Identity {
  readonly key: string
  readonly uid: string
  readonly version: string
}

/** `namespace/name`, or the name alone of what has no namespace. */
export function keyOf(object: KubeObject): string {
  const { namespace, name = '' } = object.metadata ?? {}
  return keyFor(namespace, name)
}

/** The key of `name` in `namespace`. */
export function keyFor(namespace: string | undefined, name: string): string {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`
}

/** Name, UID and version of something that the server sent; undefined where one is missing: it is no object then. */
export function identityOf(value: unknown): Identity | undefined {
  const metadata = partOf(value, 'metadata')
  const name = textOf(metadata, 'name')
  const uid = textOf(metadata, 'uid')
  const version = textOf(metadata, 'resourceVersion')
  if (name === undefined || uid === undefined || version === undefined) return undefined
  return { key: keyFor(textOf(metadata, 'namespace'), name), uid, version }
}

/** Nobody here reads who last wrote which field, and it is nearly half of a pod: caches hold objects without it. */
export function withoutManagedFields<T extends KubeObject>(object: T): T {
  if (object.metadata?.managedFields === undefined) return object
  const { managedFields: _, ...metadata } = object.metadata
  return { ...object, metadata }
}

/** A member of something that came over the wire. */
export function partOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.getOwnPropertyDescriptor(value, name)?.value
}

/** A member that is a string with something in it. */
export function textOf(value: unknown, name: string): string | undefined {
  const part = partOf(value, name)
  return typeof part === 'string' && part !== '' ? part : undefined
}

const DECIMAL = /^(0|[1-9]\d*)$/

/**
 * Is version `a` older than, equal to or newer than `b`: below, at or above 0; undefined where one is no number.
 *
 * Comparing is part of the API since Kubernetes 1.35 (KEP-5504): versions of one resource type are decimal numbers
 * of any length. Older servers on etcd keep to the same without promising it. Where versions are something else we
 * fall back on the order in which events come.
 */
export function compareVersions(a: string, b: string): number | undefined {
  if (!DECIMAL.test(a) || !DECIMAL.test(b)) return undefined
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : a > b ? 1 : 0
}
