import type { EndedBy, EndReason } from '../../api/reasons.ts'
import type { Decoder, Difference, Encoder } from '../book/mod.ts'
import type { DepthEvent, Snapshot } from '../exchange/mod.ts'
import { BookConnections } from './book-connections.ts'
import { BookGuards } from './book-guards.ts'
import { BookJoin } from './book-join.ts'
import { BookQuestions } from './book-questions.ts'
import type { Waiting } from './buffer.ts'
import type { Effects } from './effects.ts'
import type { ClosedInput, RefusedInput, ResponseInput, SentInput } from './input.ts'
import { Joiner } from './joiner.ts'
import type { Coverage } from './ledger.ts'
import { LiveBook } from './live-book.ts'
import type { Shared } from './shared.ts'
import { type BookState, type PauseReason, Standing } from './standing.ts'

const LATER_EVENTS = 'the exchange has later events and none of them came'

/**
 * The book of one symbol: buffers events, joins them with a snapshot, follows the exchange's chain, and discards
 * the book at the first doubt.
 */
export class BookMachine {
  readonly live: LiveBook
  readonly #shared: Shared
  readonly #joiner: Joiner
  readonly #questions: BookQuestions
  readonly #connections: BookConnections
  readonly #guards: BookGuards
  readonly #join: BookJoin
  readonly #standing = new Standing()

  constructor(shared: Shared, books: Coverage | undefined, depth: Coverage | undefined) {
    this.#shared = shared
    this.live = new LiveBook(shared, books, depth)
    this.#joiner = new Joiner(shared)
    this.#questions = new BookQuestions(shared, this.live)
    this.#guards = new BookGuards(shared, this.live)
    this.#join = new BookJoin({
      shared,
      standing: this.#standing,
      joiner: this.#joiner,
      questions: this.#questions,
      guards: this.#guards,
    })
    this.#connections = new BookConnections(shared, {
      isLive: () => this.#isLive(),
      cursor: () => this.live.book.id,
      take: (event, received, effects) => this.#take(event, received, effects),
      heard: (received, effects) => this.#questions.silence.heard(received, effects),
      voidAudit: (effects) => this.#questions.voidAudit(effects),
      changed: (connection, events, received, effects) =>
        this.#changed(connection, events, received, effects),
      lost: (reason, events, received, effects) => this.#lost(reason, events, received, effects),
    })
  }

  /** Connection that the book follows; 0 for none. */
  get connection(): number {
    return this.#connections.followed
  }

  get state(): BookState {
    return this.#standing.state
  }

  /** Since when it is in its state, receive time in microseconds. */
  get since(): number {
    return this.#standing.since
  }

  /** Why the last live book ended; empty before the first. */
  get lastGap(): EndReason | '' {
    return this.#standing.lastGap
  }

  /** Why it is paused or may have nothing to wait for, or why the last live book ended. */
  get reason(): PauseReason | EndReason | '' {
    const { pausedFor, lastGap } = this.#standing
    if (pausedFor === '' && this.#shared.listing.unlisted) return 'not_trading'
    return pausedFor === '' ? lastGap : pausedFor
  }

  get buffered(): number {
    return this.#joiner.kept
  }

  get takingOver(): boolean {
    return this.#connections.takingOver
  }

  /** The longest time until `now` that the book was live without a break, microseconds. */
  liveForUs(now: number): number {
    return this.#standing.liveLongest(now)
  }

  opened(connection: number, route: string, received: number, effects: Effects): void {
    if (!this.#connections.opened(connection, route, received, effects)) return
    if (this.state !== 'paused') this.#standing.enter('buffering', received)
  }

  /** The socket is lost: a new connection never resumes a book, unless it has taken over. */
  closed(input: ClosedInput, effects: Effects): void {
    const { connection, received, silent, reason } = input
    if (!this.#connections.closed(connection, received, effects)) return
    const frozen = silent && this.#listens()
    if (frozen && this.#froze(`connection ${connection} answered no ping`, received, effects)) return
    this.#guards.closed(connection)
    this.gap(frozen ? 'stale' : 'reconnect', reason, received, effects)
    if (this.#isHalted()) return
    this.#rest(effects)
    this.#connections.none()
    if (this.state !== 'paused') this.#standing.enter('connecting', received)
  }

  event(event: DepthEvent, connection: number, received: number, effects: Effects): void {
    this.#connections.event(event, connection, received, effects)
  }

  /** What was held back for a take-over still counts, whatever comes next. */
  releaseHeld(effects: Effects): void {
    this.#connections.releaseHeld(effects)
  }

  /** The receive clock leapt: a step of the wall clock, or a process that stood still. */
  leap(leapUs: number, received: number): void {
    this.#questions.silence.leap(leapUs, received)
  }

  tick(received: number, effects: Effects, mayTakeOver: boolean): void {
    this.#join.endRateLimit(this.connection !== 0, received)
    this.#tryJoin(received, effects)
    this.#ask(received, effects)
    if (this.#listens()) this.#askSilence(received, effects)
    this.#settleAudit(received, effects)
    if (!this.#isLive()) return
    if (!this.#connections.holding) this.#questions.askAudit(received, effects)
    this.#connections.turn(received, effects, mayTakeOver)
  }

  /** There are clock probes enough: a join may be waiting for them. */
  clockReady(received: number, effects: Effects): void {
    this.#tryJoin(received, effects)
  }

  /** Returns whether the request is one of this machine; so do `refused` and `response`. */
  sent({ request, limit, received }: SentInput): boolean {
    return this.#joiner.slot.sent(request, limit, received) || this.#questions.sent(request, limit, received)
  }

  refused(input: RefusedInput): boolean {
    return this.#join.refused(input) || this.#questions.refused(input.request, input.until, input.received)
  }

  response(input: ResponseInput, effects: Effects): boolean {
    const { silence, audit } = this.#questions
    const { request, retryAt, received } = input
    if (this.#joiner.slot.answered(request, retryAt)) {
      this.#join.answered(input, effects)
      this.#tryJoin(received, effects)
    } else if (silence.slot.answered(request, retryAt)) this.#onProof(input, effects)
    else if (audit.slot.answered(request, retryAt)) {
      this.#questions.auditAnswered(input, effects)
      this.#settleAudit(received, effects)
    } else return false
    this.#ask(received, effects)
    return true
  }

  /** Discards a live book; coverage ends with its last evidence. What was kept for a join is dropped in any state. */
  gap(reason: EndReason, detail: string, received: number, effects: Effects): void {
    if (this.state !== 'live') return this.#joiner.dropEvents()
    const liveForUs = this.#standing.liveFor(received)
    if (this.#guards.falls(reason, detail, { liveForUs, received }, effects)) return
    const { limit } = this.#questions
    this.#stop(reason, detail, received, effects)
    this.#joiner.fell(reason, limit)
    this.#standing.enter('buffering', received)
    this.#standing.lastGap = reason
    this.#shared.counters.add('gaps')
    this.#guards.fell(reason, received, effects)
  }

  /** The exchange does not trade the symbol: nothing is taken until it does. */
  pause(detail: string, received: number, effects: Effects): void {
    if (this.#standing.pausedFor === 'not_trading') return
    this.gap('not_trading', detail, received, effects)
    if (this.#isHalted()) return
    this.#rest(effects)
    this.#standing.pause('not_trading', received)
  }

  resume(received: number): void {
    if (this.#standing.pausedFor === 'not_trading') this.#join.unpause(this.connection !== 0, received)
  }

  /** Ends coverage for good: the session halts or stops. */
  end(by: EndedBy, detail: string, received: number, effects: Effects): void {
    this.#stop(by, detail, received, effects)
    this.#standing.enter('halted', received)
  }

  openWindow(received: number, effects: Effects): void {
    if (this.state === 'live') this.live.openWindow(received, effects)
  }

  /** An event of the followed connection. */
  #take(event: DepthEvent, received: number, effects: Effects): void {
    if (this.state === 'live') {
      const link = this.live.linkOf(event)
      if (link === 'repeated') return this.#shared.counters.add('events_repeated')
      if (link !== 'broken') {
        this.#questions.silence.heard(received, effects)
        if (link === 'heartbeat') return this.live.prove(received)
        return this.#apply(event, received, effects)
      }
      const detail = `event ${event.firstId}..${event.finalId} follows ${event.previousId}, the book is at ${this.live.book.id}`
      this.gap(this.live.lostFor, detail, received, effects)
    }
    if (this.#isHalted() || this.#standing.pausedFor === 'not_trading') return
    this.#joiner.keep(event, received)
    if (this.#listens()) this.#questions.silence.heard(received, effects)
    this.#tryJoin(received, effects)
    this.#ask(received, effects)
  }

  #ask(received: number, effects: Effects): void {
    this.#join.ask(this.#connections.openedAt, received, effects)
  }

  /** Begins with the waiting snapshot and the kept events, if they match. */
  #tryJoin(received: number, effects: Effects): void {
    const match = this.#join.match(this.live.lastRow, received, effects)
    if (match === undefined) return
    const [first] = match.events
    this.#begin(match.snapshot, first.event.previousId, first.received, received, effects)
    this.#applyAll(match.events, effects)
  }

  #begin(snapshot: Snapshot, previousId: bigint, from: number, received: number, effects: Effects): void {
    this.#joiner.joined()
    this.#shared.counters.add('joins')
    this.#standing.enter('live', received)
    const start = { previousId, from, connection: this.connection }
    this.live.start(snapshot, start, received, effects)
    this.#questions.live(this.#joiner.slot.limit, received, effects)
  }

  /** Applies events that chain, the first one proven by the caller; one that brings a fault ends the book again. */
  #applyAll(events: readonly Waiting[], effects: Effects): void {
    for (const { event, received } of events) {
      if (this.#isLive()) this.#apply(event, received, effects)
      // those that follow wait for the next snapshot
      else if (this.state === 'buffering') this.#joiner.keep(event, received)
    }
  }

  #apply(event: DepthEvent, received: number, effects: Effects): void {
    const fault = this.live.apply(event, received, effects)
    if (fault === 'crossed') return this.#guards.crossed(received, effects)
    if (fault === undefined) {
      this.#questions.applied(event, received)
      return this.#settleAudit(received, effects)
    }
    this.gap(fault, `after event ${event.finalId}`, received, effects)
    if (this.#isHalted()) return
    this.#joiner.keep(event, received)
    this.#ask(received, effects)
  }

  #mismatch(difference: Difference, received: number, effects: Effects): void {
    this.gap('audit_mismatch', this.#guards.mismatch(difference, effects), received, effects)
  }

  /** Returns whether it halted. */
  #froze(why: string, received: number, effects: Effects): boolean {
    const liveForUs = this.#standing.liveFor(received)
    return this.#guards.froze(this.connection, why, { liveForUs, received }, effects)
  }

  #askSilence(received: number, effects: Effects): void {
    if (!this.#questions.silence.judge(received)) return this.#questions.askSilence(received, effects)
    if (this.#connections.leaveFrozen(received, effects)) return this.#shared.counters.add('proofs_frozen')
    const { connection } = this
    if (this.#froze(LATER_EVENTS, received, effects)) return
    this.gap('stale', LATER_EVENTS, received, effects)
    if (this.#isHalted()) return
    this.#rest(effects)
    this.#joiner.wait = 'share'
    this.#standing.enter('buffering', received)
    effects.reconnect(connection, 'frozen')
  }

  #onProof(input: ResponseInput, effects: Effects): void {
    const { received } = input
    const pending = this.#isLive() ? undefined : this.#joiner.snapshot
    const verdict = this.#questions.proofAnswered(input, pending, effects)
    if (verdict === 'open' || this.#isHalted()) return
    if (verdict !== 'quiet') {
      if (this.#isLive()) this.#mismatch(verdict, received, effects)
      else this.#join.dropSnapshot(received)
      return
    }
    const { sentAt } = this.#questions.silence.slot
    if (pending !== undefined) {
      if (!this.#shared.clock.ready) return
      // no event ever came, and none was to come: the snapshot is the book
      this.#begin(pending, pending.id, this.#joiner.snapshotAt, received, effects)
      this.live.meetNext('sequence')
    }
    this.live.prove(sentAt)
  }

  /** The book is lost with its connection; the other one leads on, with the events that it has brought. */
  #lost(reason: 'reconnect' | 'stale', events: readonly Waiting[], received: number, effects: Effects): void {
    const detail = reason === 'stale' ? LATER_EVENTS : 'the second connection began after the first one ended'
    this.gap(reason, detail, received, effects)
    if (this.#isHalted()) return
    for (const waiting of events) this.#joiner.keep(waiting.event, waiting.received)
    this.#ask(received, effects)
  }

  #settleAudit(received: number, effects: Effects): void {
    if (this.state !== 'live') return
    const difference = this.#questions.settleAudit(received, effects)
    if (difference !== undefined) this.#mismatch(difference, received, effects)
  }

  /** Another connection has taken over: its first event meets the book's id, and an audit follows. */
  #changed(connection: number, events: readonly Waiting[], received: number, effects: Effects): void {
    this.#questions.voidAudit(effects)
    this.live.follow(connection)
    if (events.length > 0) this.#questions.silence.heard(received, effects)
    this.#questions.audit.schedule('take_over', received)
    this.#applyAll(events, effects)
  }

  /** Ends what is live, and all that was asked or kept for it. */
  #stop(by: EndedBy, detail: string, received: number, effects: Effects): void {
    this.live.end(by, detail, effects)
    this.#rest(effects)
    this.#connections.drop(received, effects)
  }

  /** Nothing is live: forgets what waits, and what was asked. */
  #rest(effects: Effects): void {
    this.#joiner.clear(effects)
    this.#questions.rest(effects)
  }

  /** Is there a book, live or waiting, whose silence means something? */
  #listens(): boolean {
    return this.state === 'live' || this.state === 'joining'
  }

  #isLive(): boolean {
    return this.state === 'live'
  }

  #isHalted(): boolean {
    return this.state === 'halted'
  }

  encode(out: Encoder): void {
    for (const part of this.#parts()) part.encode(out)
  }

  decode(from: Decoder): void {
    for (const part of this.#parts()) part.decode(from)
  }

  #parts() {
    const { live } = this
    return [this.#standing, live, this.#joiner, this.#questions, this.#connections, this.#guards] as const
  }
}
