/**
 * Which of the replicas leads: client-go's algorithm over a Lease. Others' clocks are never believed: a lease has
 * run out when we have seen it unchanged, on our own monotonic clock, for as long as it lasts.
 */
import { ApiError, KubeError } from './errors.ts'
import { type LeaseApi, recordOf, releasedRecord, type StoredLease } from './lease.ts'
import { type Log, type Meter, noLog, noMeter } from './meter.ts'
import { type System, sleep } from './time.ts'

export interface ElectorTimes {
  /** Others may take the lease this long after they saw it renewed. Whole seconds. */
  readonly leaseMs: number
  /** We stop writing this long after our last renewal was sent. */
  readonly renewDeadlineMs: number
  /** Between two attempts. */
  readonly retryMs: number
}

/** client-go's. The 5 s between the first two are for requests that are on their way when we stop. */
export const ELECTOR_TIMES: ElectorTimes = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 }

/** client-go's proportions for a lease of so many whole seconds, at least 3. */
export function electorTimes(leaseSeconds: number): ElectorTimes {
  const leaseMs = leaseSeconds * 1000
  const part = (ms: number) => Math.floor((ms * leaseMs) / ELECTOR_TIMES.leaseMs)
  const { renewDeadlineMs, retryMs } = ELECTOR_TIMES
  return {
    leaseMs,
    renewDeadlineMs: part(renewDeadlineMs),
    // no rarer than usual: a long lease is for a server that is away for long, not for slower replicas
    retryMs: Math.min(retryMs, part(retryMs)),
  }
}

/** Who waits for the lease tries after up to 2.2 times retryMs, so that replicas fall out of step. */
const RETRY_JITTER = 1.2

export interface ElectorOptions {
  readonly leases: LeaseApi
  /** Unique for each process, also after a restart: pod name and something random. */
  readonly identity: string
  readonly system: System
  readonly times?: ElectorTimes
  readonly meter?: Meter
  readonly log?: Log
  readonly onElected?: () => void
  /** We led and do not any more: the process has to end. Not called after an orderly stop. */
  readonly onLost?: (why: string) => void
  readonly onLeader?: (identity: string) => void
}

/** `lost`: the process has to end. `released`: we led and gave the lease back. `stopped`: we never led. */
export type ElectorEnd = 'lost' | 'released' | 'stopped'

const NEVER = new AbortController().signal

interface Instant {
  readonly monotonicMs: number
  readonly bootMs: number
}

export class Elector {
  readonly #leases: LeaseApi
  readonly #identity: string
  readonly #system: System
  readonly #times: ElectorTimes
  readonly #meter: Meter
  readonly #log: Log
  readonly #options: ElectorOptions
  #observed: StoredLease | undefined
  #observedAtMs = 0
  /** A write failed, or nobody heard of its end: the next attempt reads first. */
  #unsure = false
  #leads = false
  #renewedAt: Instant = { monotonicMs: Number.NEGATIVE_INFINITY, bootMs: Number.NEGATIVE_INFINITY }
  /** Undefined until it takes part. */
  #attemptedAtMs: number | undefined

  /** Throws KubeError `ElectorTimes` where two replicas could lead at once. */
  constructor(options: ElectorOptions) {
    this.#leases = options.leases
    this.#identity = options.identity
    this.#system = options.system
    this.#times = checked(options.times ?? ELECTOR_TIMES)
    this.#meter = options.meter ?? noMeter
    this.#log = options.log ?? noLog
    this.#options = options
  }

  /** Do we lead, as far as we know? For metrics; `mayWrite` is for decisions. */
  get isLeader(): boolean {
    return this.#leads
  }

  /** Who held the lease when it was last read; empty where nobody did. */
  get leader(): string {
    return this.#observed?.record.holder ?? ''
  }

  /** Seconds since an attempt ended, whatever its result: the loop is wedged where they grow. 0 before it takes part. */
  secondsSinceAttempt(): number {
    const nowMs = this.#system.clock.monotonicMs()
    return (nowMs - (this.#attemptedAtMs ?? nowMs)) / 1000
  }

  /**
   * May we write, at this very instant? Counted from when our last successful renewal was SENT: whoever takes over saw
   * it later than that, and waits longer. So a process that was stopped (SIGSTOP) or starved finds out here, before
   * any timer of its own fires. The boot clock covers a machine that slept. What no clock inside shows is a virtual
   * machine that was paused as a whole; then UID preconditions and names that are taken already are what is left.
   */
  mayWrite(): boolean {
    return this.#leads && this.#sinceRenewalMs() < this.#times.renewDeadlineMs
  }

  /**
   * Takes part until `signal` aborts, or until the lease is lost. Never rejects. At the abort `mayWrite` is false at
   * once, and the lease is given back: let work end first. To be called once.
   */
  async run(signal: AbortSignal): Promise<ElectorEnd> {
    const stop = () => {
      this.#leads = false
    }
    this.#attemptedAtMs = this.#system.clock.monotonicMs()
    while (!signal.aborted) {
      if (await this.#attempt(signal)) break
      await sleep(this.#system.timers, this.#acquireWaitMs(), signal)
    }
    if (this.#observed?.record.holder !== this.#identity) return 'stopped'
    if (signal.aborted) return this.#release()
    this.#leads = true
    signal.addEventListener('abort', stop, { once: true })
    this.#log('info', `${this.#identity}: leads`)
    this.#options.onElected?.()
    const why = await this.#keep(signal)
    signal.removeEventListener('abort', stop)
    this.#leads = false
    if (why === undefined) return this.#release()
    this.#log('error', `${this.#identity}: lost the lease: ${why}`)
    this.#options.onLost?.(why)
    return 'lost'
  }

  /** Renews until the signal aborts (undefined) or the lease is lost (why). */
  async #keep(signal: AbortSignal): Promise<string | undefined> {
    while (!signal.aborted) {
      await sleep(this.#system.timers, Math.min(this.#times.retryMs, this.#remainingMs()), signal)
      if (signal.aborted) break
      if (this.#remainingMs() <= 0) {
        return `no renewal for ${Math.round(this.#sinceRenewalMs())} ms, and ${this.#times.renewDeadlineMs} are allowed`
      }
      // not called off at a stop: the version that it leaves is needed to give the lease back
      const renewed = await this.#attempt(NEVER)
      const holder = this.leader
      if (!renewed && holder !== this.#identity) {
        return holder === '' ? 'somebody else gave it back' : `${holder} holds it`
      }
    }
    return undefined
  }

  /** One attempt to take or renew; true where we hold the lease by it. Never rejects. */
  async #attempt(signal: AbortSignal): Promise<boolean> {
    let result = 'failed'
    try {
      result = await this.#takeOrRenew(signal)
    } catch (error) {
      if (!signal.aborted) {
        result = error instanceof ApiError ? error.code : 'InternalError'
        this.#log('warn', `lease: ${error instanceof Error ? error.message : String(error)}`, {
          code: result,
        })
      }
    }
    this.#attemptedAtMs = this.#system.clock.monotonicMs()
    if (!signal.aborted) this.#meter.count('l2cap_operator_lease_attempts_total', { result })
    return result === 'held'
  }

  async #takeOrRenew(signal: AbortSignal): Promise<'held' | 'others'> {
    let exists = true
    // a leader writes over what it wrote last, in one request: whoever came between has changed the version
    if (!this.#leads || this.#unsure) {
      const stored = await this.#leases.read(this.#deadlineMs(), signal)
      exists = stored !== undefined
      if (stored !== undefined) this.#observe(stored)
    }
    const known = this.#observed
    // also where somebody deleted it: its holder may still believe in it
    if (known !== undefined && known.record.holder !== this.#identity && !this.#hasRunOut(known))
      return 'others'
    await this.#write(exists ? known : undefined, signal)
    return 'held'
  }

  async #write(over: StoredLease | undefined, signal: AbortSignal): Promise<void> {
    const sentAt = this.#now()
    const before = over ?? this.#observed
    const record = recordOf(
      this.#identity,
      this.#times.leaseMs / 1000,
      this.#system.clock.wallMs(),
      before?.record,
    )
    // until the answer says otherwise nobody knows what is stored
    this.#unsure = true
    const stored =
      over === undefined
        ? await this.#leases.create(record, this.#deadlineMs(), signal)
        : await this.#leases.replace(record, over.version, this.#deadlineMs(), signal)
    this.#unsure = false
    this.#observe(stored)
    this.#renewedAt = sentAt
  }

  #observe(stored: StoredLease): void {
    const before = this.#observed
    this.#observed = stored
    if (before?.version === stored.version) return
    // read after the answer: the change is older than this, so we wait too long rather than too short
    this.#observedAtMs = this.#system.clock.monotonicMs()
    if (before?.record.holder === stored.record.holder) return
    this.#options.onLeader?.(stored.record.holder)
  }

  /** The holder's own duration counts: it may be configured otherwise than we are. */
  #hasRunOut({ record }: StoredLease): boolean {
    if (record.holder === '') return true
    const lastsMs = record.seconds > 0 ? record.seconds * 1000 : this.#times.leaseMs
    return this.#system.clock.monotonicMs() - this.#observedAtMs > lastsMs
  }

  /** Gives the lease back, so that others need not wait. Where that fails they wait. */
  async #release(): Promise<'released'> {
    const held = this.#observed
    if (held === undefined || held.record.holder !== this.#identity) return 'released'
    try {
      const record = releasedRecord(held.record, this.#system.clock.wallMs())
      await this.#leases.replace(record, held.version, this.#times.retryMs, NEVER)
      this.#meter.count('l2cap_operator_lease_attempts_total', { result: 'released' })
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.#meter.count('l2cap_operator_lease_attempts_total', { result: 'not_released' })
      this.#log('warn', `lease: not given back, it runs out by itself: ${message}`)
    }
    return 'released'
  }

  #deadlineMs(): number {
    // two tries fit in a term, so that one request that hangs does not cost the lease
    const eachMs = this.#times.renewDeadlineMs / 2
    return this.#leads ? Math.max(1, Math.min(eachMs, this.#remainingMs())) : eachMs
  }

  #acquireWaitMs(): number {
    return this.#times.retryMs * (1 + this.#system.random() * RETRY_JITTER)
  }

  #remainingMs(): number {
    return this.#times.renewDeadlineMs - this.#sinceRenewalMs()
  }

  #sinceRenewalMs(): number {
    const { monotonicMs, bootMs } = this.#now()
    return Math.max(monotonicMs - this.#renewedAt.monotonicMs, bootMs - this.#renewedAt.bootMs)
  }

  #now(): Instant {
    return { monotonicMs: this.#system.clock.monotonicMs(), bootMs: this.#system.clock.bootMs() }
  }
}

function checked(times: ElectorTimes): ElectorTimes {
  const { leaseMs, renewDeadlineMs, retryMs } = times
  const whole = Number.isInteger(leaseMs / 1000) && retryMs > 0
  if (whole && leaseMs > renewDeadlineMs && renewDeadlineMs > retryMs * (1 + RETRY_JITTER)) return times
  throw new KubeError(
    'ElectorTimes',
    `the lease must last whole seconds and longer than the renew deadline, and that longer than ${1 + RETRY_JITTER} ` +
      `times the retry; they are ${leaseMs}, ${renewDeadlineMs} and ${retryMs} ms`,
  )
}
