import type { Clock, Timers } from '../../capture/feed/mod.ts'
import { ManualTime } from '../sim/core/time.ts'

/** Calls at one moment without end mean that time will never go on: a loop in what is tested. */
const CALLS_AT_ONE_MOMENT_MAX = 100_000

/**
 * Time of a whole world, moved by hand. Between two calls all promises settle, so that what follows from a call
 * happens at its moment. Nothing in a world may wait for the machine it runs on: then equal seeds give equal bytes.
 */
export class WorldTime extends ManualTime {
  /** Whether anything since the last turn may have left promises to settle. */
  #unsettled = false
  /** Works of the machine that are not done. */
  #held = 0
  #released: (() => void) | undefined
  readonly startMs: number

  constructor(startMs: number) {
    super(startMs)
    this.startMs = startMs
  }

  /** Since the world began, milliseconds. */
  get elapsedMs(): number {
    return this.nowMs() - this.startMs
  }

  /** A promise may have been made or kept: it settles before time goes on. */
  unsettled(): void {
    this.#unsettled = true
  }

  /**
   * Time stands still until this is done: for files, threads and sockets of the machine, which know no other time than
   * its own. Such a world is not the same byte for byte every time.
   */
  hold<T>(work: Promise<T>): Promise<T> {
    this.#held++
    this.#unsettled = true
    const release = () => {
      this.#held--
      if (this.#held === 0) this.#released?.()
    }
    work.then(release, release)
    return work
  }

  /** Lives until `elapsedMs` since the beginning. */
  async runUntil(elapsedMs: number): Promise<void> {
    const untilMs = this.startMs + elapsedMs
    let calls = 0
    let atMs = this.nowMs()
    await this.#settle()
    while (this.next(untilMs)) {
      calls = this.nowMs() === atMs ? calls + 1 : 0
      atMs = this.nowMs()
      if (calls > CALLS_AT_ONE_MOMENT_MAX)
        throw new Error(`${calls} calls at ${this.elapsedMs} ms: time stands still`)
      if (!this.#unsettled) continue
      this.#unsettled = false
      await this.#settle()
    }
    this.advance(untilMs - this.nowMs())
  }

  /** Lives on until a promise is kept, for at most so long. */
  async runUntilKept(promise: Promise<unknown>, withinMs: number): Promise<boolean> {
    let kept = false
    const keep = () => {
      kept = true
      this.unsettled()
    }
    promise.then(keep, keep)
    const untilMs = this.nowMs() + withinMs
    await this.#settle()
    while (!kept && this.next(untilMs)) await this.#settle()
    return kept
  }

  async #settle(): Promise<void> {
    await settled()
    while (this.#held > 0) {
      await new Promise<void>((done) => {
        this.#released = done
      })
      this.#released = undefined
      await settled()
    }
  }
}

/** All promises that can settle have done so: immediates come after the whole queue of microtasks. */
function settled(): Promise<void> {
  return new Promise((done) => setImmediate(done))
}

/**
 * A computer in the world: its wall clock may be off and be stepped, its loop may stand still. What falls due
 * meanwhile comes afterwards, in order.
 */
export class Machine {
  readonly clock: Clock
  readonly time: WorldTime
  #wallOffsetMs: number
  #stalledUntilMs = 0

  constructor(time: WorldTime, wallOffsetMs: number) {
    this.time = time
    this.#wallOffsetMs = wallOffsetMs
    this.clock = {
      wallUs: () => Math.floor((time.nowMs() + this.#wallOffsetMs) * 1000),
      monotonicUs: () => Math.floor(time.elapsedMs * 1000),
    }
  }

  /** Wall clock minus the world's time. */
  get wallOffsetMs(): number {
    return this.#wallOffsetMs
  }

  /** Steps the wall clock: forward where positive. */
  step(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** Nothing runs on it for so long. */
  stall(ms: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, this.time.nowMs() + ms)
  }

  /** Calls `fn` once this machine's loop turns. */
  whenAwake(fn: () => void): void {
    const waitMs = this.#stalledUntilMs - this.time.nowMs()
    if (waitMs > 0) {
      this.time.after(waitMs, () => this.whenAwake(fn))
      return
    }
    this.time.unsettled()
    fn()
  }
}

/** One process on a machine: when it has ended nothing calls it any more. */
export class Incarnation implements Timers {
  readonly machine: Machine
  alive = true

  constructor(machine: Machine) {
    this.machine = machine
  }

  after(ms: number, fn: () => void): () => void {
    let due: (() => void) | undefined = fn
    const run = () => {
      if (!this.alive || due === undefined) return
      const now = due
      due = undefined
      now()
    }
    const cancel = this.machine.time.after(ms, () => this.machine.whenAwake(run))
    return () => {
      due = undefined
      cancel()
    }
  }
}
