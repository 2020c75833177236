import type { Clock } from './clock.ts'
import { RETRY_AFTER_MS_MAX } from './transport.ts'

/** The end of a pause is told anew when the wall clock moved by more than this against it. */
const DRIFT_MS = 1000

export interface AllowanceOptions {
  readonly clock: Clock
  /** Wall time, ms since the epoch, before which an earlier process was told to send nothing; 0 for none. */
  readonly pausedUntilMs?: number | undefined
  /** Keeps the end of a pause over a restart: wall time, ms since the epoch. */
  readonly remember?: ((pausedUntilMs: number) => void) | undefined
}

/**
 * What the exchange still allows this process, whichever feed asks: the pause that it was given, and the attempts
 * to connect that it made. Both are kept in monotonic time, since a wall clock that is stepped moves neither; only
 * for the next process is the end of a pause told in wall time, and told again when that clock was stepped.
 */
export class Allowance {
  readonly #clock: Clock
  readonly #remember: (pausedUntilMs: number) => void
  /** Monotonic, microseconds. */
  #pausedUntilUs = Number.NEGATIVE_INFINITY
  #rememberedMs: number
  #attemptsAtUs: readonly number[] = []

  constructor(options: AllowanceOptions) {
    const { clock, pausedUntilMs = 0, remember = () => undefined } = options
    this.#clock = clock
    this.#remember = remember
    this.#rememberedMs = pausedUntilMs
    this.#extend(pausedUntilMs - clock.wallUs() / 1000)
  }

  /** For how long nothing may be sent, milliseconds; 0 for no pause. */
  get pausedMs(): number {
    return Math.max(0, (this.#pausedUntilUs - this.#clock.monotonicUs()) / 1000)
  }

  /** When the latest pause ends or ended by the wall clock of now, ms since the epoch; 0 where there was none. */
  get pausedUntilMs(): number {
    if (this.#pausedUntilUs === Number.NEGATIVE_INFINITY) return 0
    return Math.ceil((this.#clock.wallUs() + this.#pausedUntilUs - this.#clock.monotonicUs()) / 1000)
  }

  /** Monotonic times of attempts to connect that may still count, microseconds, ascending. */
  get attemptsAtUs(): readonly number[] {
    return this.#attemptsAtUs
  }

  /** Sends nothing for so long. A pause never shortens one that holds: then it returns false. */
  pause(ms: number): boolean {
    if (!this.#extend(ms)) return false
    this.#tell()
    return true
  }

  /** To be called now and then: tells the end of a pause anew where the wall clock was stepped since. */
  followClock(): void {
    if (this.pausedMs > 0 && Math.abs(this.pausedUntilMs - this.#rememberedMs) > DRIFT_MS) this.#tell()
  }

  /** An attempt to connect is made; those before the window are forgotten. */
  attempted(windowUs: number): void {
    const now = this.#clock.monotonicUs()
    this.#attemptsAtUs = [...this.#attemptsAtUs.filter((at) => now - at < windowUs), now]
  }

  #extend(ms: number): boolean {
    const bounded = Math.min(ms, RETRY_AFTER_MS_MAX)
    if (bounded <= this.pausedMs) return false
    this.#pausedUntilUs = this.#clock.monotonicUs() + bounded * 1000
    return true
  }

  #tell(): void {
    this.#rememberedMs = this.pausedUntilMs
    this.#remember(this.#rememberedMs)
  }
}
