import { Book, type Decoder, type Difference, differenceOf, type Encoder } from '../book/mod.ts'
import { type DepthEvent, PrecisionError, ProtocolError, Snapshot } from '../exchange/mod.ts'
import { Audit } from './audit.ts'
import type { Effects } from './effects.ts'
import type { ResponseInput } from './input.ts'
import type { LiveBook } from './live-book.ts'
import type { Shared } from './shared.ts'
import { Silence } from './silence.ts'
import { Streak } from './streak.ts'
import { askListing, BAD_ANSWERS_MAX } from './suspicion.ts'

/** Levels that a proof of silence asks for: cheap, and deep enough to show that something happened. */
const PROOF_LEVELS = 50
const SILENCE_LONGEST_US = 60_000_000
/** An answer whose own time is so far behind the exchange's clock tells of the past. */
const ANSWER_BEHIND_US = 2_000_000
/** Audits of all captures behind one address: one in so long each, times their number. */
const AUDIT_US_PER_SYMBOL = 2_000_000

/** What the book asks the exchange while it is live: is this silence true, and are we still equal? */
export class BookQuestions {
  readonly silence: Silence
  readonly audit: Audit
  /** Levels that the live book was joined or audited with. */
  limit = 0
  readonly #shared: Shared
  readonly #live: LiveBook
  /** Answers in a row that hold no snapshot that could be. */
  readonly #bad = new Streak(BAD_ANSWERS_MAX)

  constructor(shared: Shared, live: LiveBook) {
    const { numbers, config } = shared
    this.#shared = shared
    this.#live = live
    this.silence = new Silence(numbers, config.guards.staleAfterSeconds * 1_000_000, SILENCE_LONGEST_US)
    this.audit = new Audit(numbers)
  }

  /** The book went live from a snapshot of `limit` levels a side; a narrow one is to be widened. */
  live(limit: number, received: number, effects: Effects): void {
    this.limit = limit
    this.silence.heard(received, effects)
    const { bids, asks } = this.#live.book
    const narrow = limit < this.#widest && !(bids.unlimited && asks.unlimited)
    if (narrow) this.audit.schedule('widen', received)
    else this.audit.schedule('periodic', received + this.#auditEveryUs)
  }

  /** Nothing is live or waits: nothing is asked. */
  rest(effects: Effects): void {
    this.silence.rest(effects)
    this.voidAudit(effects)
  }

  voidAudit(effects: Effects): void {
    if (this.audit.cancel(effects)) this.#shared.counters.add('audits_void')
  }

  applied(event: DepthEvent, received: number): void {
    this.audit.event(event, received, this.#shared.exchange)
  }

  sent(request: number, limit: number, received: number): boolean {
    return this.silence.slot.sent(request, limit, received) || this.audit.slot.sent(request, limit, received)
  }

  refused(request: number, until: number, received: number): boolean {
    if (this.silence.slot.refused(request, until, received)) {
      this.silence.answered(received)
      this.#shared.counters.add('proofs_open')
      return true
    }
    if (!this.audit.slot.refused(request, until, received)) return false
    this.#auditFailed(received)
    return true
  }

  askSilence(received: number, effects: Effects): void {
    const limit = this.#limits.find((known) => known >= PROOF_LEVELS) ?? this.#widest
    if (limit === 0) return
    const wish = { what: 'snapshot', limit, limitWhenBusy: limit, rank: 'proof', wait: 'none' } as const
    if (this.silence.ask(wish, received, effects)) this.#shared.counters.add('proofs_asked')
  }

  /**
   * What an answer says of the silence, compared with the live book or with the snapshot that waits to be joined:
   * `quiet` is proven up to the moment when the request was sent; a difference at one id is a mismatch.
   */
  proofAnswered(
    input: ResponseInput,
    pending: Snapshot | undefined,
    effects: Effects,
  ): 'quiet' | 'open' | Difference {
    this.silence.answered(input.received)
    const verdict = this.#judge(this.read(input, this.silence.slot.limit, effects), input.received, pending)
    this.#shared.counters.add(verdict === 'quiet' ? 'proofs_quiet' : 'proofs_open')
    return verdict
  }

  #judge(
    proof: Snapshot | undefined,
    received: number,
    pending: Snapshot | undefined,
  ): 'quiet' | 'open' | Difference {
    const ours = pending === undefined ? this.#live.book : bookOf(pending)
    if (proof === undefined || this.#isOld(proof, received) || proof.id < ours.id) return 'open'
    const theirs = bookOf(proof)
    // half a book is a bad answer, no evidence against ours
    if (theirs.fault() !== undefined) return 'open'
    const difference = differenceOf(ours, theirs)
    if (proof.id === ours.id) return difference ?? 'quiet'
    // a later id alone is no evidence: it may count what does not show in the book
    if (difference !== undefined) this.silence.doubt(received)
    return 'open'
  }

  #isOld(snapshot: Snapshot, received: number): boolean {
    const exchangeNow = received - this.#shared.clock.offset
    return snapshot.eventTime * 1000 < exchangeNow - ANSWER_BEHIND_US
  }

  askAudit(received: number, effects: Effects): void {
    if (this.#live.isShort() && this.audit.hurry(received, effects)) this.#shared.counters.add('audits_void')
    const cause = this.audit.due(received)
    if (cause === undefined || this.#widest === 0) return
    const rank = cause === 'horizon' ? 'join' : 'audit'
    const wait = cause === 'widen' ? 'widen' : 'none'
    const wish = { what: 'snapshot', limit: this.#widest, limitWhenBusy: this.#widest, rank, wait } as const
    if (this.audit.begin(cause, wish, received, effects)) this.#shared.counters.add('audits_asked')
  }

  auditAnswered(input: ResponseInput, effects: Effects): void {
    const snapshot = this.read(input, this.audit.slot.limit, effects)
    if (snapshot === undefined) this.#auditFailed(input.received)
    else this.audit.snapshot(snapshot, input.received)
  }

  /** Decides a waiting audit if it can; returns where the book is wrong. */
  settleAudit(received: number, effects: Effects): Difference | undefined {
    if (!this.audit.waits) return undefined
    const { levelsMaintained } = this.#shared.exchange.limits
    const audited = this.audit.replay(this.#live.book.id, received, levelsMaintained)
    if (audited === 'waiting') return undefined
    if (audited === 'void') {
      const ahead = this.audit.ahead(this.#live.book.id)
      // it shows a change that ten seconds have not brought: the same doubt as of a silence
      if (ahead !== undefined && differenceOf(this.#live.book, bookOf(ahead)) !== undefined) {
        this.silence.doubt(received)
      }
      this.#auditFailed(received)
      return undefined
    }
    const difference = differenceOf(this.#live.book, audited)
    if (difference !== undefined) {
      this.audit.cancel(effects)
      this.#shared.counters.add('audits_mismatch')
      return difference
    }
    this.#shared.counters.add('audits_clean')
    this.limit = this.audit.slot.limit
    this.#live.adopt(audited, received, effects)
    this.audit.done(received, this.#auditEveryUs, this.#live.isShort())
    return undefined
  }

  /** The snapshot in an answer; undefined where it holds none that can be used, which may halt. */
  read(input: ResponseInput, limit: number, effects: Effects): Snapshot | undefined {
    const method = this.#shared.exchange.snapshot
    askListing(input, effects)
    if (input.status !== 200 || method.kind !== 'rest') return undefined
    const snapshot = new Snapshot()
    try {
      method.decode(input.body, limit, snapshot)
    } catch (error) {
      if (error instanceof PrecisionError) {
        this.#shared.halt('PrecisionLoss', error.message, input.received, effects)
        return undefined
      }
      if (!(error instanceof ProtocolError)) throw error
      this.#shared.counters.add('parse_errors')
      this.#isBad('ProtocolChanged', `the last one did not decode: ${error.message}`, input.received, effects)
      return undefined
    }
    const book = bookOf(snapshot)
    if (book.fault() === 'crossed') {
      this.#shared.counters.add('snapshots_impossible')
      const prices = `best bid ${book.bids.price(0)} is not below best ask ${book.asks.price(0)}`
      const what = `the last one is crossed: ${prices} at id ${book.id}`
      this.#isBad('CrossedBook', what, input.received, effects)
      return undefined
    }
    this.#bad.reset()
    return snapshot
  }

  /** One such answer proves nothing, neither of our book nor of the exchange: it is asked again. */
  #isBad(reason: 'ProtocolChanged' | 'CrossedBook', what: string, received: number, effects: Effects): void {
    if (!this.#bad.add()) return
    const message = `${BAD_ANSWERS_MAX} snapshots in a row were of no use, ${what}`
    this.#shared.halt(reason, message, received, effects)
  }

  #auditFailed(received: number): void {
    this.audit.fail(received)
    this.#shared.counters.add('audits_void')
  }

  get #auditEveryUs(): number {
    return Math.max(
      this.#shared.config.guards.auditSeconds * 1_000_000,
      AUDIT_US_PER_SYMBOL * this.#shared.share,
    )
  }

  get #limits(): readonly number[] {
    const method = this.#shared.exchange.snapshot
    return method.kind === 'rest' ? method.limits.map(({ limit }) => limit) : []
  }

  get #widest(): number {
    return this.#limits.at(-1) ?? 0
  }

  encode(out: Encoder): void {
    this.silence.encode(out)
    this.audit.encode(out)
    out.integer(this.limit)
    this.#bad.encode(out)
  }

  decode(from: Decoder): void {
    this.silence.decode(from)
    this.audit.decode(from)
    this.limit = from.integer()
    this.#bad.decode(from)
  }
}

function bookOf(snapshot: Snapshot): Book {
  const book = new Book()
  book.load(snapshot)
  return book
}
