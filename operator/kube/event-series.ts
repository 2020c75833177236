/** Which events are worth a write: equal ones become a series, and no object may talk without end. Pure. */

export interface ObjectReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
}

/** One thing that happened to an object. */
export interface EventIntent {
  readonly regarding: ObjectReference
  readonly related?: ObjectReference
  readonly type: 'Normal' | 'Warning'
  /** Why it happened: CamelCase, from a short list. */
  readonly reason: string
  /** What was done: CamelCase. */
  readonly action: string
  /** For a person; cut at 1,024 bytes. */
  readonly note: string
}

export interface SeriesLimits {
  /** Repeats of an event are written this often at most. */
  readonly patchEveryMs: number
  /** An event that did not repeat for this long starts anew. */
  readonly finishedMs: number
  /** Series that are remembered; the one that was silent longest goes first. */
  readonly seriesMax: number
  /**
   * New events of one reason at once, about one object and, where it is named, one pod; and the time after which there
   * may be one more. client-go's spam filter counts by object alone: a fleet's start would hide its first halt.
   */
  readonly burst: number
  readonly refillMs: number
  /** Such limits that are remembered; one that is forgotten is full again. */
  readonly bucketsMax: number
}

export const SERIES_LIMITS: SeriesLimits = {
  patchEveryMs: 300_000,
  finishedMs: 3_600_000,
  seriesMax: 1_000,
  burst: 25,
  refillMs: 300_000,
  bucketsMax: 10_000,
}

/** An event that was written, and its repeats. */
export interface Series {
  readonly intent: EventIntent
  /** How often it happened in all. */
  count: number
  firstWallMs: number
  lastWallMs: number
  lastMs: number
  sentCount: number
  sentMs: number
  /** Name of the Event in the cluster; undefined until it was created. */
  name: string | undefined
  /** The name that its first creation tries; the same one at each try. */
  proposedName: string | undefined
}

/** What to do about an event: write a new one, write its repeats later (when), or nothing. */
export type Verdict =
  | { readonly kind: 'create'; readonly series: Series }
  | { readonly kind: 'repeat'; readonly series: Series; readonly dueMs: number }
  | { readonly kind: 'spam' }

interface Bucket {
  tokens: number
  atMs: number
}

/** Counts events. Times are of two clocks: monotonic for deciding, wall for writing down. */
export class SeriesBook {
  readonly #limits: SeriesLimits
  /** Oldest news first. */
  readonly #series = new Map<string, Series>()
  readonly #buckets = new Map<string, Bucket>()

  constructor(limits: SeriesLimits) {
    this.#limits = limits
  }

  take(intent: EventIntent, nowMs: number, wallMs: number): Verdict {
    const key = keyOfIntent(intent)
    const known = this.#series.get(key)
    if (known !== undefined && nowMs - known.lastMs < this.#limits.finishedMs) {
      known.count += 1
      known.lastMs = nowMs
      known.lastWallMs = wallMs
      this.#touch(key, known)
      return { kind: 'repeat', series: known, dueMs: known.sentMs + this.#limits.patchEveryMs }
    }
    if (!this.#allows(intent, nowMs)) return { kind: 'spam' }
    const series: Series = {
      intent,
      count: 1,
      firstWallMs: wallMs,
      lastWallMs: wallMs,
      lastMs: nowMs,
      sentCount: 1,
      sentMs: nowMs,
      name: undefined,
      proposedName: undefined,
    }
    this.#touch(key, series)
    return { kind: 'create', series }
  }

  /** Series with repeats that were not written yet. */
  unsent(): Series[] {
    return [...this.#series.values()].filter((series) => series.count > series.sentCount)
  }

  #touch(key: string, series: Series): void {
    this.#series.delete(key)
    this.#series.set(key, series)
    const [oldest] = this.#series.keys()
    if (this.#series.size > this.#limits.seriesMax && oldest !== undefined) this.#series.delete(oldest)
  }

  #allows(intent: EventIntent, nowMs: number): boolean {
    const { burst, refillMs, bucketsMax } = this.#limits
    const key = JSON.stringify(subjectOf(intent))
    const bucket = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs }
    const tokens = Math.min(burst, bucket.tokens + (nowMs - bucket.atMs) / refillMs)
    const allowed = tokens >= 1
    this.#buckets.delete(key)
    this.#buckets.set(key, { tokens: allowed ? tokens - 1 : tokens, atMs: nowMs })
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size > bucketsMax && oldest !== undefined) this.#buckets.delete(oldest)
    return allowed
  }
}

/** The note counts, too: it names what a person has to know, and may not be changed in a written Event. */
function keyOfIntent(intent: EventIntent): string {
  return JSON.stringify([...subjectOf(intent), intent.action, intent.note])
}

/** What an event is about, and its reason: of these nobody may talk too much, and no one takes another's place. */
function subjectOf({ regarding, related, type, reason }: EventIntent): string[] {
  const other = related === undefined ? '' : keyOfReference(related)
  return [keyOfReference(regarding), other, type, reason]
}

function keyOfReference({ apiVersion, kind, namespace = '', name, uid = '' }: ObjectReference): string {
  return JSON.stringify([apiVersion, kind, namespace, name, uid])
}
