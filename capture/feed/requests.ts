import type { Exchange, RestRequest } from '../exchange/mod.ts'
import type { Input, SnapshotRequest } from '../session/mod.ts'
import { retryMs, spreadMs } from './backoff.ts'
import type { Rank, Refusal } from './budget.ts'
import type { ReceiveClock } from './clock.ts'
import { FeedError } from './errors.ts'
import type { ExchangeClock } from './exchange-clock.ts'
import type { Gate } from './gate.ts'
import type { FeedLog } from './log.ts'
import type { RestResult } from './rest.ts'
import type { Random, Timers } from './timers.ts'

/** A request that costs so much is not sent on hearsay: a header older than this is renewed before it. */
const RENEW_FROM_WEIGHT = 5
const HEADER_MS_MAX = 2_000
/** Requests that wait or are on their way. A session has at most a few. */
const REQUESTS_MAX = 32
const FULL_WAIT_MS = 2_000

export interface RequestsOptions {
  readonly exchange: Exchange
  readonly symbol: string
  readonly gate: Gate
  readonly exchangeClock: ExchangeClock
  readonly receiveClock: ReceiveClock
  readonly timers: Timers
  readonly random: Random
  readonly log: FeedLog
  share(): number
  put(input: Input): void
}

/** The session's own requests: when they leave, and what came of them, told as inputs. */
export class Requests {
  readonly #options: RequestsOptions
  #open = 0

  constructor(options: RequestsOptions) {
    this.#options = options
  }

  /** Asks for a snapshot. Its outcome is `refused`, or `sent` and then `response`. Throws where there is no REST. */
  fetch(request: SnapshotRequest, rank: Rank): void {
    const { exchange, symbol, random, timers, share, log } = this.#options
    if (exchange.snapshot.kind !== 'rest') {
      throw new FeedError(
        'SnapshotInBand',
        `${exchange.name} sends snapshots in band: there is none to ask for`,
      )
    }
    const rest = exchange.snapshot.request(symbol, request.limit)
    if (this.#open >= REQUESTS_MAX) {
      log.warn(
        { requests: this.#open },
        `${REQUESTS_MAX} requests of ${symbol} wait already: one more was refused`,
      )
      this.#refuse(request.id, rest, { why: 'weight', waitMs: FULL_WAIT_MS })
      return
    }
    this.#open++
    const spread = request.spread ? spreadMs(share(), rest.weight, random) : 0
    const waitMs = spread + retryMs(request.attempt, random)
    if (waitMs === 0) void this.#carryOut(request.id, rest, rank)
    else timers.after(waitMs, () => void this.#carryOut(request.id, rest, rank))
  }

  // What `onInput` throws inside an async function becomes an unhandled rejection, which ends the process like
  // any other uncaught error: it must not be swallowed here.
  async #carryOut(request: number, rest: RestRequest, rank: Rank): Promise<void> {
    const { gate, exchangeClock, receiveClock, put } = this.#options
    const stale = rest.weight >= RENEW_FROM_WEIGHT && gate.budget.headerAgeMs > HEADER_MS_MAX
    if (stale && gate.budget.refuses(rest.weight, rank) === undefined) await exchangeClock.sample()
    const outcome = await gate.ask(rest, rank, () =>
      put({ kind: 'sent', received: receiveClock.now(), request }),
    )
    this.#open--
    if (outcome.kind === 'refused') this.#refuse(request, rest, outcome.refusal)
    if (outcome.kind === 'answered') this.#respond(request, rest, outcome.result)
  }

  #refuse(request: number, rest: RestRequest, refusal: Refusal): void {
    const { receiveClock, put } = this.#options
    const until = this.#spreadFrom(refusal.waitMs, rest.weight)
    put({ kind: 'refused', received: receiveClock.now(), request, why: refusal.why, until })
  }

  #respond(request: number, rest: RestRequest, result: RestResult): void {
    const { gate, receiveClock, put } = this.#options
    const { status, usedWeight, body, error } = result
    const waitMs = Math.max(result.retryAfterMs, gate.budget.pausedMs)
    const retryAt = waitMs === 0 ? 0 : this.#spreadFrom(waitMs, rest.weight)
    put({ kind: 'response', received: receiveClock.now(), request, status, usedWeight, retryAt, error, body })
  }

  /** All that were refused for one cause would come back at one moment: the time that they get is spread. */
  #spreadFrom(waitMs: number, weight: number): number {
    const { receiveClock, random, share } = this.#options
    return receiveClock.now() + Math.ceil((waitMs + spreadMs(share(), weight, random)) * 1000)
  }
}
