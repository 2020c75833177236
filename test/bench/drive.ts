/** The inputs that a session gets for some traffic: frames, and with all guards on also ticks, clock probes and answers. */
import type { FetchRequest, Input, SessionConfig } from '../../capture/session/mod.ts'
import { clockProbes, GUARDS } from '../support/session.ts'
import { LEVELS } from './obvious.ts'
import { SYMBOL, type Traffic } from './traffic.ts'
import { Truth } from './truth.ts'

const TICK_US = 1_000_000
const PROBE_EVERY_TICKS = 60
/** An answer comes some events after its request, and its snapshot is one event old. */
const ANSWER_AFTER_EVENTS = 3

/** An audit each 30 s, twenty times as often as usual: recordings last eight minutes. */
export const CONFIG: SessionConfig = {
  exchange: 'BinanceUsdm',
  symbol: SYMBOL,
  streams: ['books', 'depth'],
  bookLevels: LEVELS,
  guards: { ...GUARDS, auditSeconds: 30 },
}

/** Answers to all but the first request, made once: a session asks for the same ones each time. */
export class Answers {
  readonly #truth: Truth
  readonly #made = new Map<number, Buffer>()

  constructor(traffic: Traffic) {
    this.#truth = new Truth(traffic)
  }

  after(count: number): Buffer {
    let body = this.#made.get(count)
    if (body === undefined) {
      body = this.#truth.after(count)
      this.#made.set(count, body)
    }
    return body
  }
}

/**
 * `asked` gives the request that came since it was last called. Without `answers` time does not tick: the chain, the
 * book and its checks on each event are all that is at work.
 */
export function* inputsOf(
  { events, snapshot }: Traffic,
  answers: Answers | undefined,
  asked: () => FetchRequest | undefined,
): Generator<Input, void> {
  let now = events[0].received
  let tickAt = now + TICK_US
  let ticks = 0
  let waiting: { readonly id: number; readonly at: number } | undefined
  yield* clockProbes(now)
  yield { kind: 'opened', received: now, connection: 1, route: 'public' }
  for (const [i, { received, payload }] of events.entries()) {
    while (answers !== undefined && tickAt <= received) {
      now = Math.max(now, tickAt)
      yield { kind: 'tick', received: now, wallDistance: 0, share: 1 }
      if (++ticks % PROBE_EVERY_TICKS === 0) yield { kind: 'clock', received: now, offset: 0, rtt: 20_000 }
      tickAt += TICK_US
    }
    // recorded clocks may step back; the receive clock never does
    now = Math.max(now, received)
    yield { kind: 'message', received: now, connection: 1, payload }
    const request = asked()
    if (request !== undefined) {
      // the first one is the join: its snapshot is the recorded one
      if (i === 0) yield answerOf(request.id, now, snapshot)
      else waiting = { id: request.id, at: i + ANSWER_AFTER_EVENTS }
    }
    if (waiting?.at === i && answers !== undefined) yield answerOf(waiting.id, now, answers.after(i))
  }
}

function answerOf(request: number, received: number, body: Buffer): Input {
  return { kind: 'response', received, request, status: 200, usedWeight: 20, retryAt: 0, error: '', body }
}
