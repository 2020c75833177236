import { type Exchange, ProtocolError } from '../exchange/mod.ts'
import { retryMs } from './backoff.ts'
import type { Clock, ReceiveClock } from './clock.ts'
import type { Gate } from './gate.ts'
import type { FeedLog } from './log.ts'
import type { Random, Timers } from './timers.ts'

/** No stream is live before the first median of so many. */
const PROBES_AT_START = 5
const MEDIAN_OF = 5
const PROBE_EVERY_MS_MIN = 60_000
/** The probes of all captures behind one address: 100 a minute at most. */
const PROBE_MS_PER_SYMBOL = 600
/** Nothing is live before the first median: until then a failed probe is made up for sooner. */
const RETRY_MS_MAX_AT_START = 5_000

/** One probe, microseconds: offset = our receive clock − the exchange's; its error is at most half of rtt. */
export interface ClockSample {
  readonly offset: number
  readonly rtt: number
}

export interface ExchangeClockOptions {
  readonly exchange: Exchange
  readonly gate: Gate
  readonly clock: Clock
  readonly receiveClock: ReceiveClock
  readonly timers: Timers
  readonly random: Random
  readonly log: FeedLog
  share(): number
  onSample(sample: ClockSample): void
}

/** Keeps sampling the exchange's clock: five probes at start, then one a minute, or less often in a crowd. */
export class ExchangeClock {
  readonly #options: ExchangeClockOptions
  readonly #latest: number[] = []
  /** Exchange's clock − our monotonic clock, microseconds, of the same probes: no step of the wall clock moves it. */
  readonly #ahead: number[] = []
  #samples = 0
  #sampledAtUs = 0
  #failures = 0
  #onItsWay: Promise<boolean> | undefined

  constructor(options: ExchangeClockOptions) {
    this.#options = options
  }

  /** Median offset of the latest five probes, microseconds; undefined before the first. */
  get offset(): number | undefined {
    return medianOf(this.#latest)
  }

  /** Milliseconds since the latest sample; undefined before the first. */
  get ageMs(): number | undefined {
    if (this.#samples === 0) return undefined
    return (this.#options.clock.monotonicUs() - this.#sampledAtUs) / 1000
  }

  /** Our best knowledge of the exchange's clock, ms since the epoch; before the first probe our wall clock. */
  nowMs(): number {
    const { clock } = this.#options
    const ahead = medianOf(this.#ahead)
    return (ahead === undefined ? clock.wallUs() : clock.monotonicUs() + ahead) / 1000
  }

  start(): void {
    void this.#keepSampling()
  }

  /** One probe; whoever asks while one is on its way shares it. False where it brought no sample. */
  sample(): Promise<boolean> {
    this.#onItsWay ??= this.#probe().finally(() => {
      this.#onItsWay = undefined
    })
    return this.#onItsWay
  }

  async #keepSampling(): Promise<void> {
    const { timers, random } = this.#options
    const sampled = await this.sample()
    this.#failures = sampled ? 0 : this.#failures + 1
    if (sampled && this.#samples < PROBES_AT_START) return this.#keepSampling()
    const waitMs = sampled
      ? this.#intervalMs()
      : Math.min(retryMs(this.#failures, random), this.#retryMsMax())
    timers.after(waitMs, () => void this.#keepSampling())
  }

  /** Captures that started together drift apart: the first interval is cut at random. */
  #intervalMs(): number {
    const { share, random } = this.#options
    const everyMs = Math.max(PROBE_EVERY_MS_MIN, PROBE_MS_PER_SYMBOL * share())
    return this.#samples === PROBES_AT_START ? everyMs * (0.5 + random() / 2) : everyMs
  }

  #retryMsMax(): number {
    const crowdMs = PROBE_MS_PER_SYMBOL * this.#options.share()
    const atStart = this.#samples < PROBES_AT_START
    return Math.max(atStart ? RETRY_MS_MAX_AT_START : PROBE_EVERY_MS_MIN, crowdMs)
  }

  async #probe(): Promise<boolean> {
    const { exchange, gate, clock, receiveClock, log, onSample } = this.#options
    let sentAtUs = clock.monotonicUs()
    const outcome = await gate.ask(exchange.clock, 'clock', () => {
      sentAtUs = clock.monotonicUs()
    })
    const receivedAt = receiveClock.now()
    const rtt = Math.round(clock.monotonicUs() - sentAtUs)
    if (outcome.kind !== 'answered') return false
    const { status, error, body } = outcome.result
    if (status !== 200) {
      log.warn({ status, error }, `the exchange's clock could not be read: ${error}; it is asked again`)
      return false
    }
    try {
      // reckoned back from the answer: exact also if the receive clock was anchored meanwhile
      const exchangeUs = exchange.decodeClock(body) * 1000
      const offset = Math.round(receivedAt - rtt / 2 - exchangeUs)
      this.#samples++
      this.#sampledAtUs = clock.monotonicUs()
      keep(this.#latest, offset)
      keep(this.#ahead, exchangeUs - sentAtUs - rtt / 2)
      onSample({ offset, rtt })
      return true
    } catch (thrown) {
      if (!(thrown instanceof ProtocolError)) throw thrown
      log.warn(
        { error: thrown.message },
        `the exchange's clock could not be read: ${thrown.message}; it is asked again`,
      )
      return false
    }
  }
}

function keep(latest: number[], value: number): void {
  latest.push(value)
  if (latest.length > MEDIAN_OF) latest.shift()
}

function medianOf(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}
