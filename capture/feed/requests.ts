import type { Exchange, RestRequest } from '../exchange/mod.ts'
import type { FetchRequest, Input } from '../session/mod.ts'
import { fetchMs, retryMs, spreadMs } from './backoff.ts'
import type { Refusal } from './budget.ts'
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

/** One request of the session, and what is known of it until it leaves. */
interface Waiting {
  readonly request: FetchRequest
  /** Weight for waits: that of what was asked for first. */
  readonly weight: number
  /** It has waited for its share of the crowd's time. */
  spread: boolean
  cancelTimer: () => void
}

/** The session's own requests: when they leave, and what came of them, told as inputs. */
export class Requests {
  readonly #options: RequestsOptions
  readonly #waiting = new Map<number, Waiting>()
  #onTheirWay = 0

  constructor(options: RequestsOptions) {
    this.#options = options
  }

  /**
   * Takes a request. Its outcome is `refused`, or `sent` and then `response`, unless it is forgotten before it
   * leaves. Throws FeedError where the exchange sends snapshots in band.
   */
  fetch(request: FetchRequest): void {
    const { symbol, random, share, log } = this.#options
    const { weight } = this.#restOf(request, request.limit)
    const open = this.#waiting.size + this.#onTheirWay
    if (open >= REQUESTS_MAX) {
      log.warn({ requests: open }, `${open} requests of ${symbol} wait already: one more was refused`)
      this.#refuse(request.id, weight, { why: 'weight', waitMs: FULL_WAIT_MS })
      return
    }
    // what failed for one may have failed for all, who would come back together within a second
    const wait = request.wait === 'none' && request.attempt > 0 ? 'share' : request.wait
    const waiting: Waiting = { request, weight, spread: wait !== 'none', cancelTimer: () => {} }
    this.#waiting.set(request.id, waiting)
    this.#sendAfter(fetchMs(wait, share(), weight, random) + retryMs(request.attempt, random), waiting)
  }

  /** Drops a request that has not left yet; an answer that is on its way still comes. */
  forget(request: number): void {
    this.#waiting.get(request)?.cancelTimer()
    this.#waiting.delete(request)
  }

  #sendAfter(ms: number, waiting: Waiting): void {
    if (ms === 0) void this.#carryOut(waiting)
    else waiting.cancelTimer = this.#options.timers.after(ms, () => void this.#carryOut(waiting))
  }

  // What `onInput` throws inside an async function becomes an unhandled rejection, which ends the process like
  // any other uncaught error: it must not be swallowed here.
  async #carryOut(waiting: Waiting): Promise<void> {
    const { gate, exchangeClock, random, share } = this.#options
    const { request, weight } = waiting
    if (this.#onHearsay(request)) await exchangeClock.sample()
    // forgotten meanwhile, or the feed was stopped
    if (this.#waiting.get(request.id) !== waiting) return
    const isBlind = this.#onHearsay(request) // the clock told no weight either
    const limit = isBlind ? request.limitWhenBusy : this.#limitNow(request)
    const rest = this.#restOf(request, limit)
    // unseen and at once is only for what all captures could do at one moment: what befell this one may have
    // befallen all, and their weight shows in no header yet
    if ((isBlind || !waiting.spread) && !gate.budget.affords(rest.weight, request.rank)) {
      if (isBlind) {
        this.#waiting.delete(request.id)
        this.#refuse(request.id, weight, { why: 'weight', waitMs: gate.budget.minuteLeftMs })
        return
      }
      waiting.spread = true
      this.#sendAfter(spreadMs(share(), weight, random), waiting)
      return
    }
    await this.#send(waiting, rest, limit)
  }

  async #send({ request, weight }: Waiting, rest: RestRequest, limit: number): Promise<void> {
    const { gate, receiveClock, put } = this.#options
    this.#waiting.delete(request.id)
    this.#onTheirWay++
    const outcome = await gate.ask(rest, request.rank, () =>
      put({ kind: 'sent', received: receiveClock.now(), request: request.id, limit }),
    )
    this.#onTheirWay--
    if (outcome.kind === 'refused') this.#refuse(request.id, weight, outcome.refusal)
    if (outcome.kind === 'answered') this.#respond(request.id, weight, outcome.result)
  }

  /** Is it costly and what is known of the weight old? A request that is refused anyway needs no news. */
  #onHearsay(request: FetchRequest): boolean {
    const { budget } = this.#options.gate
    const { weight } = this.#restOf(request, this.#limitNow(request))
    if (weight < RENEW_FROM_WEIGHT || budget.headerAgeMs <= HEADER_MS_MAX) return false
    return budget.refuses(weight, request.rank) === undefined
  }

  #limitNow({ limit, limitWhenBusy }: FetchRequest): number {
    return this.#options.gate.budget.busy ? limitWhenBusy : limit
  }

  #restOf({ what }: FetchRequest, limit: number): RestRequest {
    const { exchange, symbol } = this.#options
    if (what === 'last_trade') return exchange.lastTrade(symbol)
    if (exchange.snapshot.kind === 'rest') return exchange.snapshot.request(symbol, limit)
    throw new FeedError(
      'SnapshotInBand',
      `${exchange.name} sends snapshots in band: there is none to ask for`,
    )
  }

  #refuse(request: number, weight: number, refusal: Refusal): void {
    const { receiveClock, put } = this.#options
    const until = this.#spreadFrom(refusal.waitMs, weight)
    put({ kind: 'refused', received: receiveClock.now(), request, why: refusal.why, until })
  }

  #respond(request: number, weight: number, result: RestResult): void {
    const { gate, receiveClock, put } = this.#options
    const { status, usedWeight, body, error } = result
    const waitMs = Math.max(result.retryAfterMs, gate.budget.pausedMs)
    const retryAt = waitMs === 0 ? 0 : this.#spreadFrom(waitMs, weight)
    put({ kind: 'response', received: receiveClock.now(), request, status, usedWeight, retryAt, error, body })
  }

  /** All that were refused for one cause would come back at one moment: the time that they get is spread. */
  #spreadFrom(waitMs: number, weight: number): number {
    const { receiveClock, random, share } = this.#options
    return receiveClock.now() + Math.ceil((waitMs + spreadMs(share(), weight, random)) * 1000)
  }
}
