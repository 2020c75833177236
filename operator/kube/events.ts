/** Writes Kubernetes events beside the work: it never waits, never throws, and forgets rather than piles up. */
import { jitteredMs } from './backoff.ts'
import { ApiError, isRetryable } from './errors.ts'
import {
  type EventIntent,
  SERIES_LIMITS,
  type Series,
  SeriesBook,
  type SeriesLimits,
} from './event-series.ts'
import { type Log, type Meter, noLog, noMeter } from './meter.ts'
import { type KubeClient, MERGE_PATCH } from './rest.ts'
import { microTime, type System, sleep } from './time.ts'

export interface EventRecorderOptions {
  readonly client: KubeClient
  /** `reportingController`: `l2cap.dev/operator`. */
  readonly controller: string
  /** `reportingInstance`: the pod's name. */
  readonly instance: string
  readonly system: System
  readonly meter?: Meter
  readonly log?: Log
  readonly limits?: Partial<SeriesLimits>
}

/** Writes that wait. A thousand symbols that change at once fit; an API server that is away for long does not. */
const QUEUE_MAX = 2_000
const TRIES_MAX = 4
const RETRY = { firstMs: 500, maxMs: 30_000 }
const WRITE_DEADLINE_MS = 10_000
/** At the end what waits gets this long; events are no reason to stay. */
const STOP_MS_MAX = 5_000
const NOTE_BYTES_MAX = 1_024
const NAME_LENGTH_MAX = 253

type Outcome = 'created' | 'patched' | 'repeated' | 'spam' | 'overflow' | 'failed'

export class EventRecorder {
  readonly #options: EventRecorderOptions
  readonly #system: System
  readonly #meter: Meter
  readonly #log: Log
  readonly #book: SeriesBook
  readonly #queue: Series[] = []
  readonly #timers = new Map<Series, () => void>()
  readonly #stop = new AbortController()
  #sending: Promise<void> | undefined
  #closed = false
  #written = 0

  constructor(options: EventRecorderOptions) {
    this.#options = options
    this.#system = options.system
    this.#meter = options.meter ?? noMeter
    this.#log = options.log ?? noLog
    this.#book = new SeriesBook({ ...SERIES_LIMITS, ...options.limits })
  }

  /**
   * Takes note of an event; it is written soon, or with others like it later, or not at all, which is counted. False
   * where it was one too many of its reason, or after the stop: it is not told, and may be recorded again.
   */
  record(intent: EventIntent): boolean {
    if (this.#closed) return false
    const { clock } = this.#system
    const verdict = this.#book.take(intent, clock.monotonicMs(), clock.wallMs())
    if (verdict.kind === 'spam') {
      this.#count('spam')
      return false
    }
    const { series } = verdict
    if (verdict.kind === 'create') this.#enqueue(series)
    else this.#enqueueLater(series, verdict.dueMs - clock.monotonicMs())
    return true
  }

  #enqueueLater(series: Series, delayMs: number): void {
    this.#count('repeated')
    if (this.#timers.has(series)) return
    const cancel = this.#system.timers.after(Math.max(0, delayMs), () => {
      this.#timers.delete(series)
      this.#enqueue(series)
    })
    this.#timers.set(series, cancel)
  }

  /** Writes what waits, for 5 s at most, and takes no more. */
  async stop(): Promise<void> {
    if (this.#closed) return
    for (const cancel of this.#timers.values()) cancel()
    this.#timers.clear()
    for (const series of this.#book.unsent()) if (!this.#queue.includes(series)) this.#enqueue(series)
    this.#closed = true
    const cancel = this.#system.timers.after(STOP_MS_MAX, () => this.#stop.abort())
    await this.#sending
    cancel()
  }

  #enqueue(series: Series): void {
    if (this.#queue.length >= QUEUE_MAX) return this.#count('overflow')
    this.#queue.push(series)
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined
    })
  }

  async #sendAll(): Promise<void> {
    // not in the turn of the reconcile that recorded it
    await Promise.resolve()
    for (let series = this.#queue.shift(); series !== undefined; series = this.#queue.shift()) {
      await this.#send(series)
    }
  }

  async #send(series: Series): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return this.#count(await this.#write(series))
      } catch (error) {
        const gone = error instanceof ApiError && error.code === 'NotFound' && series.name !== undefined
        // events live for an hour; one that is gone is written anew
        if (gone) {
          series.name = undefined
          series.proposedName = undefined
        }
        if (this.#stop.signal.aborted || tries >= TRIES_MAX || !(gone || isRetryable(error))) {
          this.#log('warn', `event ${series.intent.reason}: not written: ${String(error)}`)
          return this.#count('failed')
        }
        const backoffMs = jitteredMs(RETRY, tries, this.#system.random)
        const askedMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0
        await sleep(this.#system.timers, gone ? 0 : Math.max(backoffMs, askedMs), this.#stop.signal)
      }
    }
  }

  async #write(series: Series): Promise<Outcome> {
    const { client } = this.#options
    const { signal } = this.#stop
    const namespace = series.intent.regarding.namespace ?? 'default'
    const path = `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/events`
    const { count } = series
    if (series.name !== undefined) {
      await client.request({
        method: 'PATCH',
        path: `${path}/${encodeURIComponent(series.name)}`,
        contentType: MERGE_PATCH,
        body: { series: seriesOf(series) },
        deadlineMs: WRITE_DEADLINE_MS,
        signal,
      })
      this.#sent(series, count)
      return 'patched'
    }
    const name = this.#nameFor(series)
    const body = this.#eventOf(series, namespace, name)
    try {
      await client.request({ method: 'POST', path, body, deadlineMs: WRITE_DEADLINE_MS, signal })
    } catch (error) {
      // our names are our own: an earlier try arrived after all
      if (!(error instanceof ApiError && error.code === 'AlreadyExists')) throw error
    }
    series.name = name
    this.#sent(series, count)
    return 'created'
  }

  #sent(series: Series, count: number): void {
    series.sentCount = count
    series.sentMs = this.#system.clock.monotonicMs()
  }

  /** The same for each try of one series, so that a create whose answer was lost is not done twice. */
  #nameFor(series: Series): string {
    series.proposedName ??= this.#newName(series)
    return series.proposedName
  }

  #newName({ intent, firstWallMs }: Series): string {
    this.#written += 1
    const chance = Math.floor(this.#system.random() * 2 ** 24)
    const suffix = `.${Math.round(firstWallMs).toString(16)}${chance.toString(16)}${this.#written.toString(16)}`
    return intent.regarding.name.slice(0, NAME_LENGTH_MAX - suffix.length) + suffix
  }

  #eventOf(series: Series, namespace: string, name: string): unknown {
    const { regarding, related, type, reason, action, note } = series.intent
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace },
      eventTime: microTime(series.firstWallMs),
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance.slice(0, 128),
      regarding,
      ...(related === undefined ? {} : { related }),
      type,
      reason,
      action,
      note: cut(note, NOTE_BYTES_MAX),
      ...(series.count > 1 ? { series: seriesOf(series) } : {}),
    }
  }

  #count(result: Outcome): void {
    this.#meter.count('l2cap_operator_events_total', { result })
  }
}

function seriesOf(series: Series): unknown {
  return { count: series.count, lastObservedTime: microTime(series.lastWallMs) }
}

/** At most `bytesMax` bytes of UTF-8, whole characters only. */
function cut(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text
  const bytes = Buffer.from(text).subarray(0, bytesMax - 3)
  return `${bytes.toString('utf8').replace(/\uFFFD+$/, '')}…`
}
