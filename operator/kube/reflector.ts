/**
 * Keeps a store equal to what the API server holds: a whole list, then a watch that goes on from it, and again from
 * the list when the watch cannot. It never gives up; only its signal ends it.
 */
import { jitteredMs } from './backoff.ts'
import { ApiError, KubeError } from './errors.ts'
import { listAll } from './list.ts'
import { type Log, type Meter, noLog, noMeter } from './meter.ts'
import { compareVersions, type KubeObject, withoutManagedFields } from './objects.ts'
import type { KubeClient, Query } from './rest.ts'
import { type Change, ObjectStore, type Store } from './store.ts'
import { type System, sleep } from './time.ts'
import { type WatchEvent, watchOnce } from './watch.ts'

/** Called in order, after the store has changed. They must be quick: nothing is read meanwhile. */
export interface Handlers<T> {
  added?(object: T): void
  updated?(before: T, object: T): void
  deleted?(object: T): void
}

export interface ReflectorLimits {
  /** The server ends a watch after a random time between these. */
  readonly watchSecondsMin: number
  readonly watchSecondsMax: number
  /** A silent watch is opened anew after this: half-open sockets look just like quiet days. */
  readonly idleMs: number
  /** A whole list is read at least this often, in case that a watch swallowed something. */
  readonly relistMs: number
}

/** Bookmarks come once a minute where anything happens, so that `idleMs` cuts quiet watches only. */
export const REFLECTOR_LIMITS: ReflectorLimits = {
  watchSecondsMin: 300,
  watchSecondsMax: 600,
  idleMs: 90_000,
  relistMs: 1_800_000,
}

export interface ReflectorOptions<T> {
  readonly client: KubeClient
  /** Of the collection: `/api/v1/namespaces/x/pods`. */
  readonly path: string
  readonly query?: Query
  /** In metrics and log lines. */
  readonly name: string
  readonly system: System
  readonly handlers?: Handlers<T>
  readonly meter?: Meter
  readonly log?: Log
  readonly limits?: Partial<ReflectorLimits>
}

/** client-go's times for a failing server. */
const BACKOFF = { firstMs: 800, maxMs: 30_000 }
/** A watch that the server should have ended so long ago is half-open. */
const OVERDUE_MS = 5_000
/** A watch that lasts longer, or says anything, was none of a failing server. */
const GOOD_WATCH_MS = 1_000

export class Reflector<T extends KubeObject> {
  readonly #client: KubeClient
  readonly #path: string
  readonly #query: Query
  /** In metrics and log lines. */
  readonly name: string
  readonly #system: System
  readonly #handlers: Handlers<T>
  readonly #meter: Meter
  readonly #log: Log
  readonly #limits: ReflectorLimits
  readonly #store = new ObjectStore<T>()
  readonly #synced = Promise.withResolvers<void>()
  #isSynced = false
  /** Where the watch goes on; undefined: from a list. */
  #version: string | undefined
  #listedAtMs = 0
  /** Paging took longer than the server keeps history. */
  #listWhole = false
  #contactAtMs: number
  #attemptAtMs: number
  #failures = 0

  constructor(options: ReflectorOptions<T>) {
    this.#client = options.client
    this.#path = options.path
    this.#query = options.query ?? {}
    this.name = options.name
    this.#system = options.system
    this.#handlers = options.handlers ?? {}
    this.#meter = options.meter ?? noMeter
    this.#log = options.log ?? noLog
    this.#limits = { ...REFLECTOR_LIMITS, ...options.limits }
    this.#contactAtMs = options.system.clock.monotonicMs()
    this.#attemptAtMs = this.#contactAtMs
    // who does not wait for it shall not be told of its end
    this.#synced.promise.catch(() => {})
  }

  /** What is known, without `managedFields`. Objects are shared: never change one. */
  get store(): Store<T> {
    return this.#store
  }

  /** Resolves after the first whole list; rejects with KubeError `ReflectorStopped` where that never comes. */
  get synced(): Promise<void> {
    return this.#synced.promise
  }

  get isSynced(): boolean {
    return this.#isSynced
  }

  /** Seconds since the server last proved that it talks to us: a list, an accepted watch, an event, a bookmark. */
  stalenessSeconds(): number {
    return (this.#nowMs() - this.#contactAtMs) / 1000
  }

  /** Seconds since it last tried anything or heard anything: it is wedged where they grow far beyond `idleMs`. */
  secondsSinceAttempt(): number {
    return (this.#nowMs() - this.#attemptAtMs) / 1000
  }

  /** Follows the server until `signal` aborts, whatever happens. To be called once. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#attemptAtMs = this.#nowMs()
      const waitMs = await this.#round(signal)
      await sleep(this.#system.timers, waitMs, signal)
    }
    this.#synced.reject(new KubeError('ReflectorStopped', `${this.name}: stopped before its first list`))
  }

  /** A list where one is due, and one watch. Returns how long to wait before the next; never throws. */
  async #round(signal: AbortSignal): Promise<number> {
    try {
      if (this.#version === undefined || this.#nowMs() - this.#listedAtMs >= this.#limits.relistMs) {
        await this.#list(signal)
      }
      return await this.#watch(signal)
    } catch (error) {
      if (signal.aborted) return 0
      return this.#failed(error)
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    try {
      const { items, version } = await listAll<T>(this.#client, this.#path, this.#query, {
        signal,
        whole: this.#listWhole,
      })
      this.#count('l2cap_operator_list_total', 'read')
      this.#contact()
      const followed = this.#version
      const changes = this.#store.replace(items.map(withoutManagedFields))
      if (followed !== undefined && changes.length > 0) {
        this.#meter.count('l2cap_operator_missed_by_watch_total', { name: this.name }, changes.length)
      }
      this.#version = version
      this.#listedAtMs = this.#nowMs()
      this.#listWhole = false
      this.#tell(changes)
    } catch (error) {
      this.#listWhole = isGone(error)
      this.#count('l2cap_operator_list_total', codeOf(error))
      throw error
    }
    if (this.#isSynced) return
    this.#isSynced = true
    this.#synced.resolve()
  }

  async #watch(signal: AbortSignal): Promise<number> {
    const { watchSecondsMin, watchSecondsMax, idleMs } = this.#limits
    const spread = this.#system.random() * (watchSecondsMax - watchSecondsMin)
    const untilRelistMs = this.#listedAtMs + this.#limits.relistMs - this.#nowMs()
    const seconds = Math.min(watchSecondsMin + spread, untilRelistMs / 1000)
    const timeoutSeconds = Math.max(1, Math.round(seconds))
    const call = {
      path: this.#path,
      query: this.#query,
      version: this.#version ?? '',
      timeoutSeconds,
      idleMs: Math.min(idleMs, timeoutSeconds * 1000 + OVERDUE_MS),
      signal,
    }
    let heard = false
    let openedMs = Number.POSITIVE_INFINITY
    const opened = () => {
      openedMs = this.#nowMs()
      this.#contact()
    }
    const onEvent = (event: WatchEvent<T>) => {
      heard = true
      this.#contact()
      this.#take(event)
    }
    try {
      const end = await watchOnce<T>(this.#client, this.#system.timers, call, opened, onEvent)
      this.#count('l2cap_operator_watch_total', end)
    } catch (error) {
      if (!signal.aborted) this.#count('l2cap_operator_watch_total', codeOf(error))
      if (isGone(error)) this.#version = undefined
      throw error
    } finally {
      if (heard || this.#nowMs() - openedMs >= GOOD_WATCH_MS) this.#failures = 0
    }
    if (heard || this.#nowMs() - openedMs >= GOOD_WATCH_MS) return 0
    // accepted and closed at once, again and again: a proxy without a server behind it
    this.#failures += 1
    return jitteredMs(BACKOFF, this.#failures, this.#system.random)
  }

  /** An event moves the version on, also where its object is no news. */
  #take(event: WatchEvent<T>): void {
    const order = this.#version === undefined ? undefined : compareVersions(event.version, this.#version)
    const late = order !== undefined && order < 0
    if (!late) this.#version = event.version
    if (event.type !== 'BOOKMARK') {
      const object = withoutManagedFields(event.object)
      const changes = event.type === 'DELETED' ? this.#store.remove(object) : this.#store.put(object)
      const result = changes === undefined ? 'ignored' : 'applied'
      this.#meter.count('l2cap_operator_watch_events_total', { name: this.name, result })
      this.#tell(changes ?? [])
    }
    if (late) {
      // servers send events in order: where one came late another may not come at all, so a list is due
      this.#listedAtMs = Number.NEGATIVE_INFINITY
      throw new ApiError({
        code: 'BadAnswer',
        message: `watch ${this.#path}: version ${event.version} came after ${this.#version}`,
      })
    }
  }

  #tell(changes: readonly Change<T>[]): void {
    for (const change of changes) {
      try {
        if (change.kind === 'added') this.#handlers.added?.(change.object)
        else if (change.kind === 'updated') this.#handlers.updated?.(change.before, change.object)
        else this.#handlers.deleted?.(change.object)
      } catch (error) {
        // a bug of the handler must not stop the news for everybody else
        this.#meter.count('l2cap_operator_handler_errors_total', { name: this.name })
        this.#log('error', `${this.name}: a handler of "${change.kind}" threw: ${String(error)}`)
      }
    }
  }

  #failed(error: unknown): number {
    this.#failures += 1
    const backoffMs = jitteredMs(BACKOFF, this.#failures, this.#system.random)
    const askedMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0
    const waitMs = Math.max(backoffMs, askedMs)
    const message = error instanceof Error ? error.message : String(error)
    this.#log('warn', `${this.name}: ${message}; again in ${Math.round(waitMs)} ms`, { code: codeOf(error) })
    return waitMs
  }

  #count(name: 'l2cap_operator_list_total' | 'l2cap_operator_watch_total', result: string): void {
    this.#meter.count(name, { name: this.name, result })
  }

  #contact(): void {
    this.#contactAtMs = this.#nowMs()
    this.#attemptAtMs = this.#contactAtMs
  }

  #nowMs(): number {
    return this.#system.clock.monotonicMs()
  }
}

function codeOf(error: unknown): string {
  return error instanceof ApiError ? error.code : 'InternalError'
}

function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'Gone'
}
