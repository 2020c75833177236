import { END_REASONS, type EndReason } from '../../api/reasons.ts'
import type { Decoder, Encoder } from '../book/mod.ts'

/**
 * `connecting`: no socket. `buffering`: events are kept, a snapshot is asked for. `joining`: a snapshot waits for
 * the event that meets it. `live`: the book is proven. `paused`: the exchange wants no request, or does not trade
 * the symbol. `halted`: for good.
 */
export const BOOK_STATES = ['connecting', 'buffering', 'joining', 'live', 'paused', 'halted'] as const
export type BookState = (typeof BOOK_STATES)[number]
export const PAUSE_REASONS = ['rate_limited', 'not_trading'] as const
export type PauseReason = (typeof PAUSE_REASONS)[number]

/** Where the book stands, since when and why: what a person is told of it. */
export class Standing {
  state: BookState = 'connecting'
  /** Since when it is in its state, receive time in microseconds. */
  since = 0
  /** Why it is paused; empty where it is not. */
  pausedFor: PauseReason | '' = ''
  /** Why the last live book ended; empty before the first. */
  lastGap: EndReason | '' = ''
  #liveLongest = 0

  enter(state: BookState, received: number): void {
    this.#liveLongest = this.liveLongest(received)
    this.state = state
    this.since = received
  }

  /** How long the book has been live now, microseconds; 0 where it is not. */
  liveFor(now: number): number {
    return this.state === 'live' ? now - this.since : 0
  }

  /** The longest time until `now` that the book was live without a break, microseconds. */
  liveLongest(now: number): number {
    return Math.max(this.#liveLongest, this.liveFor(now))
  }

  pause(reason: PauseReason, received: number): void {
    this.pausedFor = reason
    this.enter('paused', received)
  }

  encode(out: Encoder): void {
    out.string(this.state)
    out.integer(this.since)
    out.string(this.pausedFor)
    out.string(this.lastGap)
    out.integer(this.#liveLongest)
  }

  decode(from: Decoder): void {
    this.state = from.word(BOOK_STATES)
    this.since = from.integer()
    this.pausedFor = from.word(['', ...PAUSE_REASONS])
    this.lastGap = from.word(['', ...END_REASONS])
    this.#liveLongest = from.integer()
  }
}
