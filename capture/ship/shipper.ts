/**
 * The loop that empties the spool into the bucket: sealed windows, oldest first, one at a time, for ever.
 * A window that cannot be shipped holds up those behind it: order is what hand-overs and readers rely on.
 */
import { type Bucket, BucketError } from './bucket.ts'
import { type CommitHooks, commitWindow } from './commit.ts'
import type { MarketKey } from './keys.ts'
import { listQuarantined, shipQuarantined } from './quarantine.ts'
import { type Failure, failureOf, retryDelayMs } from './retry.ts'
import type { Spool, SpoolWindow } from './spool.ts'
import { formatTimeUs } from './time.ts'

/** The wall clock and a timer, handed in. */
export interface ShipTimers {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number
  /** Calls `fire` once after the delay; the returned function takes it back. */
  setTimer(delayMs: number, fire: () => void): () => void
}

/** What a pino logger offers of itself. */
export interface ShipLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

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
  /**
   * Called where a window that the bucket does not hold has sealed files that are not what was sealed. Resolves
   * to true once it was sealed anew; to false where that is not possible: it then stays, and is tried again.
   */
  readonly onDamaged?: (name: string, why: string) => Promise<boolean>
}

/** Codes of a commit that met damaged sealed files. */
const SEALED_DAMAGED: readonly string[] = ['local_altered', 'local_missing', 'local_manifest']

/** For `/status`. `waiting` lasts from the first failure to the next success, through all tries between. */
export interface ShipState {
  readonly state: 'idle' | 'shipping' | 'waiting'
  /** Why it waits, `<code>: <message>`; null otherwise. */
  readonly reason: string | null
  /** Since when the state holds, RFC 3339. */
  readonly since: string
  /** When a window was last committed by this process; null before the first. */
  readonly lastCommit: string | null
  /** Sealed windows that are not committed and dropped, as of the last try. */
  readonly waitingWindows: number
}

/** For metrics; all since the start. */
export interface ShipCounts {
  readonly committed: number
  readonly already: number
  readonly failures: number
  /** Segments shipped to quarantine. */
  readonly quarantined: number
}

export interface DrainResult {
  /** Whether every sealed window was shipped. */
  readonly drained: boolean
  /** Bytes left in the spool that the bucket does not hold, those of unsealed windows included. */
  readonly unshippedBytes: number
}

/** Thrown inside an attempt to leave it between two steps; never seen outside. */
class Stopped extends Error {}

/** Ships until stopped. One Shipper a spool. */
export class Shipper {
  readonly #options: ShipperOptions
  readonly #counts = { committed: 0, already: 0, failures: 0, quarantined: 0 }
  #state: ShipState
  #loop: Promise<void> | undefined
  #stopping = false
  /** Set when something may have changed; a wait that has not begun yet then ends at once. */
  #woken = false
  #wake: (() => void) | undefined
  #attempt = 0
  #failedClass: Failure['class'] | undefined
  /** The window that was sealed anew last: if that did not help, the next time comes after a delay. */
  #remade = ''
  readonly #idleWaiters = new Set<() => void>()

  constructor(options: ShipperOptions) {
    this.#options = options
    this.#state = {
      state: 'idle',
      reason: null,
      since: this.#now(),
      lastCommit: null,
      waitingWindows: 0,
    }
  }

  get state(): ShipState {
    return this.#state
  }

  get counts(): ShipCounts {
    return { ...this.#counts }
  }

  /** Starts the loop, with what the spool holds already. A second call does nothing. */
  start(): void {
    this.#loop ??= this.#run()
  }

  /** Tells that a window was sealed. It does not cut a retry delay short: the bucket is as it was. */
  notify(): void {
    this.#woken = true
    if (this.#state.state !== 'waiting') this.#wake?.()
  }

  /**
   * Resolves when no sealed window waits and nothing in quarantine, or after `withinMs` (for ever if absent). A running retry delay is
   * cut short and delays grow anew, so that a short deadline still sees tries. Starts the loop if need be; it
   * goes on after the deadline. After `stop` it only tells what is left.
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
    this.#attempt = 0
    this.#wakeUp()
    if (!this.#stopping) await Promise.race([emptied, deadline])
    cancel()
    this.#idleWaiters.delete(idle)
    const drained = !(await spool.listWindows()).some((window) => window.hasSealed)
    return { drained, unshippedBytes: (await spool.usage()).unshippedBytes }
  }

  /** Ends the loop after the bucket operation in flight. What was not committed stays for the next start. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#wakeUp()
    await this.#loop
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
      this.#succeeded('idle', 0)
      for (const resolve of this.#idleWaiters) resolve()
      await this.#sleep(undefined)
      return
    }
    if (this.#state.state === 'waiting') this.#setState({ waitingWindows: waiting.length })
    else this.#enter('shipping', null, waiting.length)
    const outcome = await this.#commit(oldest)
    if (outcome === 'remade') return
    await spool.dropWindow(oldest.name)
    this.#counts[outcome] += 1
    this.#setState({ lastCommit: this.#now() })
    this.#succeeded('shipping', waiting.length - 1)
    log.info({ window: oldest.name, outcome }, 'window shipped')
  }

  /** After all windows: what is in quarantine is evidence for people, nobody waits for it. False where none is. */
  async #shipQuarantine(): Promise<boolean> {
    const { bucket, spool, log, quarantineTo } = this.#options
    if (quarantineTo === undefined) return false
    const [name] = await listQuarantined(spool)
    if (name === undefined) return false
    if (this.#state.state !== 'waiting') this.#enter('shipping', null, 0)
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
    this.#attempt = failure.class === this.#failedClass ? this.#attempt + 1 : 1
    this.#failedClass = failure.class
    this.#counts.failures += 1
    const delayMs = retryDelayMs(failure, this.#attempt, random())
    const { code, message } = failure
    log.warn({ code, class: failure.class, attempt: this.#attempt, delayMs, spool: spool.directory }, message)
    this.#woken = false
    this.#enter('waiting', `${code}: ${message}`, this.#state.waitingWindows)
    await this.#sleep(delayMs)
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

  #succeeded(state: 'idle' | 'shipping', waitingWindows: number): void {
    this.#attempt = 0
    this.#failedClass = undefined
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
