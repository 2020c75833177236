import type { BookGuards } from './book-guards.ts'
import type { BookQuestions } from './book-questions.ts'
import type { Effects } from './effects.ts'
import type { RefusedInput, ResponseInput } from './input.ts'
import type { Joiner, Match } from './joiner.ts'
import type { Shared } from './shared.ts'
import type { Standing } from './standing.ts'
import { isLimited } from './suspicion.ts'

/** A snapshot is asked for after the first event, or after this long without one. */
const FIRST_EVENT_WAIT_US = 5_000_000

/** What a join is decided with. */
export interface JoinParts {
  readonly shared: Shared
  readonly standing: Standing
  readonly joiner: Joiner
  readonly questions: BookQuestions
  readonly guards: BookGuards
}

/** The way from kept events to a book: when a snapshot is asked for, which one is refused, which one is joined. */
export class BookJoin {
  readonly #parts: JoinParts

  constructor(parts: JoinParts) {
    this.#parts = parts
  }

  /** Asks for a snapshot where one is needed. `openedAt`: when the connection opened. */
  ask(openedAt: number, received: number, effects: Effects): void {
    const { standing, joiner } = this.#parts
    if (standing.state !== 'buffering') return
    if (joiner.kept === 0 && received - openedAt < FIRST_EVENT_WAIT_US) return
    joiner.ask(received, effects)
  }

  /** Takes the answer: a snapshot to be joined, or one more failure. It may halt. */
  answered(input: ResponseInput, effects: Effects): void {
    const { standing, joiner, questions, guards } = this.#parts
    const { received, status } = input
    const snapshot = questions.read(input, joiner.slot.limit, effects)
    if (snapshot !== undefined && !guards.refuses(snapshot, received, effects)) {
      return joiner.offer(snapshot, received)
    }
    if (standing.state === 'halted') return
    joiner.failed()
    if (isLimited(status)) standing.pause('rate_limited', received)
  }

  /** Returns whether the request was the join's. */
  refused({ request, until, why, received }: RefusedInput): boolean {
    const { standing, joiner } = this.#parts
    if (!joiner.slot.refused(request, until, received)) return false
    if (why === 'rate_limited') standing.pause('rate_limited', received)
    return true
  }

  /**
   * The waiting snapshot with the kept events, if they match. Nothing is live before the clock is known. `lastRow`:
   * the id of the last row that was published.
   */
  match(lastRow: bigint, received: number, effects: Effects): Match | undefined {
    const { shared, standing, joiner, questions } = this.#parts
    if (joiner.snapshot === undefined) return undefined
    if (standing.state !== 'buffering' && standing.state !== 'joining') return undefined
    const match = shared.clock.ready ? joiner.match(lastRow, received) : 'waits'
    if (match === 'too_old') shared.counters.add('snapshots_too_old')
    if (match === 'too_old' || match === 'ahead') this.dropSnapshot(received)
    else if (match !== 'waits') return match
    else if (standing.state !== 'joining') {
      standing.enter('joining', received)
      questions.silence.heard(received, effects)
    }
    return undefined
  }

  dropSnapshot(received: number): void {
    const { standing, joiner } = this.#parts
    joiner.dropSnapshot()
    if (standing.state !== 'buffering') standing.enter('buffering', received)
  }

  /** Ends a pause that the exchange asked for, when its time has come. */
  endRateLimit(connected: boolean, received: number): void {
    const { standing, joiner } = this.#parts
    if (standing.pausedFor === 'rate_limited' && received >= joiner.slot.retryAt) {
      this.unpause(connected, received)
    }
  }

  unpause(connected: boolean, received: number): void {
    const { standing, joiner } = this.#parts
    standing.pausedFor = ''
    joiner.wait = 'share'
    standing.enter(connected ? 'buffering' : 'connecting', received)
  }
}
