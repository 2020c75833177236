/** What is known of one kind of object, and how news changes it. Pure: no clock, no network. */
import { compareVersions, type Identity, identityOf, keyFor } from './objects.ts'

/** One step from what was known to what is. */
export type Change<T> =
  | { readonly kind: 'added'; readonly object: T }
  | { readonly kind: 'updated'; readonly before: T; readonly object: T }
  | { readonly kind: 'deleted'; readonly object: T }

/** What others may do with a store: read. */
export interface Store<T> {
  readonly size: number
  get(namespace: string | undefined, name: string): T | undefined
  byUid(uid: string): T | undefined
  all(): T[]
}

interface Entry<T> {
  readonly identity: Identity
  readonly object: T
}

/** Deleted objects that are remembered, so that a late event cannot bring one back. */
const TOMBSTONES_MAX = 10_000

/**
 * Objects by name and by UID. A name that another UID takes over is a deletion and an addition, whatever came over the
 * wire: who keeps state for an object keeps it for a UID.
 */
export class ObjectStore<T> implements Store<T> {
  readonly #byKey = new Map<string, Entry<T>>()
  readonly #byUid = new Map<string, Entry<T>>()
  /** By UID: the version at which it went. It may come back later, where labels decide who is listed. */
  readonly #deleted = new Map<string, string>()

  get size(): number {
    return this.#byUid.size
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#byKey.get(keyFor(namespace, name))?.object
  }

  byUid(uid: string): T | undefined {
    return this.#byUid.get(uid)?.object
  }

  all(): T[] {
    return Array.from(this.#byUid.values(), (entry) => entry.object)
  }

  /** An object of a watch, added or modified. `undefined`: it is no news, or older than what is known. */
  put(object: T): readonly Change<T>[] | undefined {
    const identity = identityOf(object)
    if (identity === undefined) return undefined
    const goneAt = this.#deleted.get(identity.uid)
    if (goneAt !== undefined && !isNewer(identity.version, goneAt)) return undefined
    const known = this.#byKey.get(identity.key)
    if (known !== undefined && !isNewer(identity.version, known.identity.version)) return undefined
    return this.#set({ identity, object })
  }

  /** An object of a watch, deleted. `undefined`: it was not known, or has come back since. */
  remove(object: T): readonly Change<T>[] | undefined {
    const identity = identityOf(object)
    if (identity === undefined) return undefined
    const known = this.#byUid.get(identity.uid)
    if (known !== undefined && isNewer(known.identity.version, identity.version)) return undefined
    this.#bury(identity)
    if (known === undefined) return undefined
    this.#drop(known)
    return [{ kind: 'deleted', object }]
  }

  /** A whole list: what it lacks is gone, what it has counts, whatever its version. Deletions come first. */
  replace(objects: readonly T[]): readonly Change<T>[] {
    const next = new Map<string, Entry<T>>()
    for (const object of objects) {
      const identity = identityOf(object)
      if (identity !== undefined) next.set(identity.uid, { identity, object })
    }
    this.#deleted.clear()
    const changes: Change<T>[] = []
    for (const known of [...this.#byUid.values()]) {
      if (next.has(known.identity.uid)) continue
      this.#drop(known)
      changes.push({ kind: 'deleted', object: known.object })
    }
    for (const entry of next.values()) changes.push(...this.#set(entry))
    return changes
  }

  #set(entry: Entry<T>): Change<T>[] {
    const { identity, object } = entry
    const changes: Change<T>[] = []
    const named = this.#byKey.get(identity.key)
    if (named !== undefined && named.identity.uid !== identity.uid) {
      this.#drop(named)
      this.#bury(named.identity)
      changes.push({ kind: 'deleted', object: named.object })
    }
    const before = this.#byUid.get(identity.uid)
    this.#byKey.set(identity.key, entry)
    this.#byUid.set(identity.uid, entry)
    if (before === undefined) changes.push({ kind: 'added', object })
    else if (before.identity.version !== identity.version) {
      changes.push({ kind: 'updated', before: before.object, object })
    }
    return changes
  }

  #drop(entry: Entry<T>): void {
    this.#byKey.delete(entry.identity.key)
    this.#byUid.delete(entry.identity.uid)
  }

  #bury({ uid, version }: Identity): void {
    const goneAt = this.#deleted.get(uid)
    if (goneAt === undefined || isNewer(version, goneAt)) this.#deleted.set(uid, version)
    const [oldest] = this.#deleted.keys()
    if (this.#deleted.size > TOMBSTONES_MAX && oldest !== undefined) this.#deleted.delete(oldest)
  }
}

/** Versions that cannot be compared are in the order in which they come; the same one twice is no news. */
function isNewer(version: string, known: string): boolean {
  const order = compareVersions(version, known)
  return order === undefined ? version !== known : order > 0
}
