/**
 * The loop that empties the spool into the bucket: sealed windows, oldest first, one at a time, for ever.
 * A window that cannot be shipped holds up those behind it: order is what hand-overs and readers rely on.
 */
import { type Bucket, BucketError, type BucketErrorClass } from './bucket.ts'
import { StartCheck } from './check.ts'
import { type CommitHooks, commitWindow } from './commit.ts'
import { CredentialWatch } from './credential-watch.ts'
import type { MarketKey } from './keys.ts'
import { Pace } from './pace.ts'
import { listQuarantined, shipQuarantined } from './quarantine.ts'
import { type DelayRule, delayRuleOf, type Failure, failureOf, retryDelayMs } from './retry.ts'
import type { Spool, SpoolWindow } from './spool.ts'
import { formatTimeUs } from './time.ts'
import type { ShipLog, ShipTimers } from './world.ts'

export interface ShipperOptions {
  readonly bucket: Bucket
  readonly spool: Spool
  /** Where what is in quarantine goes; without it nothing of it is shipped. */
  readonly quarantineTo?: MarketKey | undefined
  readonly timers: ShipTimers
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: ShipLog
  readonly onState?: (state: ShipState) => void
  readonly hooks?: Pick<CommitHooks, 'onStep'>
  /** A window comes this often: a backlog is shipped at least twice as fast. */
  readonly windowEveryMs?: number
  /** What tells this capture from those that share its store: fresh windows of all do not go at one instant. */
  readonly spreadBy?: string | undefined
  /** Begun while nothing waits, until it has passed once; it throws what is wrong with the bucket. */
  readonly check?: (() => Promise<void>) | undefined
  /** How long a commit took, from its first request to the proof of its manifest. */
  readonly onCommitted?: (seconds: number) => void
  /**
   * Called where a window that the bucket does not hold has sealed files that are not what was sealed. Resolves
   * to true once it was sealed anew; to false where that is not possible: it then stays, and is tried again.
   */
  readonly onDamaged?: (name: string, why: string) => Promise<boolean>
}

/** The same failure is logged at most this often; `/status` always has it. */
const TOLD_AGAIN_MS = 60_000
/** Codes of a commit that met damaged sealed files. */
const SEALED_DAMAGED: readonly string[] = ['local_altered', 'local_missing', 'local_manifest']

/**
 * For `/status`. `waiting` lasts from the first failure to the next success, through all tries between. A check that
 * failed is told besides: it may be about a right that shipping itself does without.
 */
export interface ShipState {
  readonly state: 'idle' | 'shipping' | 'waiting'
  /** Why it waits, `<code>: <message>`; null otherwise. */
  readonly reason: string | null
  /** What the last check of the bucket found wrong, `<code>: <message>`; null where nothing is known. */
  readonly check: string | null
  /** Since when the state holds, RFC 3339. */
  readonly since: string
  /** When a window was last committed by this process; null before the first. */
  readonly lastCommit: string | null
  /** Sealed windows that are not committed and dropped, as of the last try. */
  readonly waitingWindows: number
}

/** For metrics; all since the start. */
export interface ShipCounts {
  /** Tries to ship a window, or a segment to quarantine. */
  readonly attempts: number
  readonly committed: number
  readonly already: number
  readonly failures: number
  readonly failuresByClass: Readonly<Record<BucketErrorClass, number>>
  /** Segments shipped to quarantine. */
  readonly quarantined: number
}

export interface DrainResult {
  /** Whether every sealed window was shipped. */
  readonly drained: boolean
  /** Bytes left in the spool that the bucket does not hold, those of unsealed windows included. */
  readonly unshippedBytes: number
}

const WINDOW_EVERY_MS = 300_000

/** Thrown inside an attempt to leave it between two steps; never seen outside. */
class Stopped extends Error {}

/** Ships until stopped. One Shipper a spool. */
export class Shipper {
  readonly #options: ShipperOptions
  readonly #counts = { attempts: 0, committed: 0, already: 0, failures: 0, quarantined: 0 }
  readonly #failures: Record<BucketErrorClass, number>
  readonly #pace: Pace
  #state: ShipState
  #loop: Promise<void> | undefined
  #stopping = false
  /** Set when something may have changed; a wait that has not begun yet then ends at once. */
  #woken = false
  #wake: (() => void) | undefined
  /** A wait that a new window must not cut short. */
  #backingOff = false
  readonly #check: StartCheck | undefined
  readonly #credentials: CredentialWatch | undefined
  /** Whether it waits after a refusal of its credentials. */
  #isRefused = false
  /** Whether nothing waited the last time: the next window is a fresh one, and comes to all captures at once. */
  #isFresh = false
  #attempt = 0
  #failedRule: DelayRule | undefined
  /** The failure that was logged last. */
  #told = { code: '', atMs: 0 }
  /** The window that was sealed anew last: if that did not help, the next time comes after a delay. */
  #remade = ''
  readonly #idleWaiters = new Set<() => void>()

  constructor(options: ShipperOptions) {
    this.#options = options
    this.#failures = { transient: 0, clock: 0, credential: 0, configuration: 0, integrity: 0 }
    const { windowEveryMs = WINDOW_EVERY_MS, random, spreadBy } = options
    this.#pace = new Pace({ windowEveryMs, random, spreadBy })
    this.#check = this.#makeCheck(options)
    this.#credentials = this.#makeWatch(options)
    this.#state = {
      state: 'idle',
      reason: null,
      check: null,
      since: this.#now(),
      lastCommit: null,
      waitingWindows: 0,
    }
  }

  get state(): ShipState {
    return this.#state
  }

  get counts(): ShipCounts {
    return { ...this.#counts, failuresByClass: { ...this.#failures } }
  }

  /** Starts the loop, with what the spool holds already. A second call does nothing. */
  start(): void {
    this.#loop ??= this.#run()
  }

  /** Tells that a window was sealed. It does not cut a retry delay short: the bucket is as it was. */
  notify(): void {
    this.#woken = true
    if (!this.#backingOff) this.#wake?.()
  }

  /**
   * Resolves when no sealed window waits and nothing in quarantine, or after `withinMs` (for ever if absent). A running
   * delay is cut short and delays grow anew, so that a short deadline still sees tries; no window waits for its
   * offset. Starts the loop if need be; it goes on after the deadline. After `stop` it only tells what is left.
   */
  async drain(withinMs?: number): Promise<DrainResult> {
    const { spool, timers } = this.#options
    let cancel = (): void => undefined
    const deadline = new Promise<void>((resolve) => {
      if (withinMs !== undefined) cancel = timers.setTimer(withinMs, resolve)
    })
    let idle = (): void => undefined
    const emptied = new Promise<void>((resolve) => {
      idle = resolve
      this.#idleWaiters.add(resolve)
    })
    this.start()
    if (withinMs !== undefined) this.#pace.hurry()
    this.#attempt = 0
    this.#wakeUp()
    if (!this.#stopping) await Promise.race([emptied, deadline])
    cancel()
    this.#idleWaiters.delete(idle)
    const drained = !(await spool.listWindows()).some((window) => window.hasSealed)
    return { drained, unshippedBytes: (await spool.usage()).unshippedBytes }
  }

  /** Whoever is to follow waits for what there is: from here on windows go without a rest or an offset. */
  hurry(): void {
    this.#pace.hurry()
    this.#wakeUp()
  }

  /**
   * Ends the loop after the commit's operation in flight; a check in flight is left to itself. What was not committed
   * stays for the next start.
   */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#check?.abandon()
    this.#wakeUp()
    await this.#loop
    this.#credentials?.end()
    for (const resolve of this.#idleWaiters) resolve()
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        await this.#shipNext()
      } catch (error) {
        if (error instanceof Stopped) return
        await this.#waitAfter(failureOf(error))
      }
    }
  }

  /** Ships the oldest sealed window, or waits for one. */
  async #shipNext(): Promise<void> {
    const { spool, log } = this.#options
    // Cleared before looking: a window sealed from here on wakes the wait below.
    this.#woken = false
    const waiting = (await spool.listWindows()).filter((window) => window.hasSealed)
    const [oldest] = waiting
    if (oldest === undefined) {
      if (await this.#shipQuarantine()) return
      this.#pace.caughtUp()
      this.#isFresh = true
      this.#succeeded('idle', 0)
      for (const resolve of this.#idleWaiters) resolve()
      await this.#sleep(this.#stopping ? undefined : this.#check?.begin())
      return
    }
    if (this.#isFresh) {
      this.#isFresh = false
      // whoever drains waits for this very window
      const offsetMs = this.#idleWaiters.size > 0 ? 0 : this.#pace.offsetMs
      if (offsetMs > 0) return await this.#backOff(offsetMs)
    }
    if (this.#state.state === 'waiting') this.#setState({ waitingWindows: waiting.length })
    else this.#enter('shipping', null, waiting.length)
    const startedMs = this.#options.timers.nowMs()
    this.#counts.attempts += 1
    const outcome = await this.#commit(oldest)
    if (outcome === 'remade') return
    // a clock may step back meanwhile
    const tookMs = Math.max(0, this.#options.timers.nowMs() - startedMs)
    await spool.dropWindow(oldest.name)
    this.#counts[outcome] += 1
    if (outcome === 'committed') this.#options.onCommitted?.(tookMs / 1000)
    this.#setState({ lastCommit: this.#now() })
    this.#succeeded('shipping', waiting.length - 1)
    log.info({ window: oldest.name, outcome }, 'window shipped')
    const restMs = waiting.length > 1 ? this.#pace.restMs(tookMs) : 0
    if (restMs > 0) await this.#backOff(restMs)
  }

  #makeCheck({ check, timers, random, log }: ShipperOptions): StartCheck | undefined {
    if (check === undefined) return undefined
    const onResult = (failure: Failure | null) => {
      this.#setState({ check: failure === null ? null : textOf(failure) })
      if (failure?.class === 'credential') this.#credentials?.begin()
      if (failure === null && !this.#isRefused) this.#credentials?.end()
      // the loop looks when the next try is due
      this.notify()
    }
    return new StartCheck({ check, timers, random, log, onResult })
  }

  /** New credentials end the waits for a try by the old ones, of the check too. */
  #makeWatch({ bucket, timers, log }: ShipperOptions): CredentialWatch | undefined {
    const { credentialsChanged } = bucket
    if (credentialsChanged === undefined) return undefined
    return new CredentialWatch(credentialsChanged, timers, () => {
      log.info({}, 'the credentials are others than those that were refused: they are tried at once')
      this.#check?.hurry()
      this.#attempt = 0
      if (this.#isRefused) this.#wakeUp()
      else this.notify()
    })
  }

  /** After all windows: what is in quarantine is evidence for people, nobody waits for it. False where none is. */
  async #shipQuarantine(): Promise<boolean> {
    const { bucket, spool, log, quarantineTo } = this.#options
    if (quarantineTo === undefined) return false
    const [name] = await listQuarantined(spool)
    if (name === undefined) return false
    if (this.#state.state !== 'waiting') this.#enter('shipping', null, 0)
    this.#counts.attempts += 1
    await shipQuarantined(bucket, spool, name, quarantineTo)
    this.#counts.quarantined += 1
    this.#succeeded('shipping', 0)
    log.warn({ segment: name }, 'shipped to quarantine: nothing of it is published')
    return true
  }

  /** Commits; damaged sealed files are made anew first, once before each delay. */
  async #commit(window: SpoolWindow): Promise<'committed' | 'already' | 'remade'> {
    const { bucket, spool, onDamaged } = this.#options
    const { name } = window
    try {
      return await commitWindow(bucket, spool, name, this.#hooks(window))
    } catch (error) {
      const damaged = error instanceof BucketError && SEALED_DAMAGED.includes(error.code)
      const again = this.#remade === name
      this.#remade = damaged && !again ? name : ''
      if (!damaged || again || onDamaged === undefined) throw error
      if (await onDamaged(name, error.message)) return 'remade'
      throw error
    }
  }

  async #waitAfter(failure: Failure): Promise<void> {
    const { log, random, spool } = this.#options
    // Delays grow with tries that fail alike; another kind of failure begins its own.
    const rule = delayRuleOf(failure)
    this.#attempt = rule === this.#failedRule ? this.#attempt + 1 : 1
    this.#failedRule = rule
    this.#counts.failures += 1
    this.#failures[failure.class] += 1
    this.#pace.failed()
    const delayMs = retryDelayMs(failure, this.#attempt, random())
    const { code, message } = failure
    this.#isRefused = failure.class === 'credential'
    if (this.#isRefused) this.#credentials?.begin()
    // a look into a directory each few seconds is worth a line a minute
    const nowMs = this.#options.timers.nowMs()
    if (code !== this.#told.code || Math.abs(nowMs - this.#told.atMs) >= TOLD_AGAIN_MS) {
      this.#told = { code, atMs: nowMs }
      const fields = { code, class: failure.class, attempt: this.#attempt, delayMs, spool: spool.directory }
      log.warn(fields, message)
    }
    this.#enter('waiting', textOf(failure), this.#state.waitingWindows)
    await this.#backOff(delayMs)
    this.#isRefused = false
  }

  /** Waits, whatever is sealed meanwhile; only a drain or the end cuts it short. */
  async #backOff(delayMs: number): Promise<void> {
    this.#woken = false
    this.#backingOff = true
    await this.#sleep(delayMs)
    this.#backingOff = false
  }

  #hooks(window: SpoolWindow): CommitHooks {
    const { log, hooks } = this.#options
    return {
      onStep: (step, key) => {
        if (this.#stopping) throw new Stopped('stopped')
        hooks?.onStep?.(step, key)
      },
      onCommittedDiffers: (key, committed, sealed) =>
        log.warn(
          { key, window: window.name, committed: committed.sha256, sealed: sealed.sha256 },
          'the window was committed before with other contents; the committed one stands',
        ),
      onNoManifest: (key, why) =>
        log.warn({ key, window: window.name, why }, 'no manifest under its key; it is written over'),
    }
  }

  #succeeded(state: ShipState['state'], waitingWindows: number): void {
    // the check may be refused still
    if (this.#state.check === null) this.#credentials?.end()
    this.#attempt = 0
    this.#failedRule = undefined
    this.#enter(state, null, waitingWindows)
  }

  #enter(state: ShipState['state'], reason: string | null, waitingWindows: number): void {
    const since = state === this.#state.state ? this.#state.since : this.#now()
    this.#setState({ state, reason, since, waitingWindows })
  }

  #setState(change: Partial<ShipState>): void {
    this.#state = { ...this.#state, ...change }
    this.#options.onState?.(this.#state)
  }

  /** Waits for the delay (for ever if undefined), a wake-up or the end. */
  async #sleep(delayMs: number | undefined): Promise<void> {
    if (this.#woken || this.#stopping) return
    await new Promise<void>((resolve) => {
      const cancel = delayMs === undefined ? undefined : this.#options.timers.setTimer(delayMs, resolve)
      this.#wake = () => {
        cancel?.()
        resolve()
      }
    })
    this.#wake = undefined
  }

  #wakeUp(): void {
    this.#woken = true
    this.#wake?.()
  }

  #now(): string {
    return formatTimeUs(Math.round(this.#options.timers.nowMs() * 1000))
  }
}

function textOf({ code, message }: Failure): string {
  return `${code}: ${message}`
}
