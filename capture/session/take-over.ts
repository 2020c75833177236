import type { Decoder, Encoder } from '../book/mod.ts'
import type { Effects } from './effects.ts'

/** A second connection is opened this long before the exchange cuts the first one. */
const AHEAD_US = 1_800_000_000
/** Captures of one exchange spread theirs over an hour, by symbol. */
const SPREAD_US = 3_600_000_000
/** One that has not opened by then will not. */
const OPENS_WITHIN_US = 30_000_000
const AGAIN_AFTER_US = 60_000_000

/**
 * `none`: one connection. `asked`: a second one was asked for. `warming`: it is open and must prove itself.
 * `holding`: it has, and takes over with its next fitting event; what the first one brings is held back.
 */
export const TAKE_OVER_PHASES = ['none', 'asked', 'warming', 'holding'] as const
export type TakeOverPhase = (typeof TAKE_OVER_PHASES)[number]

/**
 * When a route changes to a fresh connection, before the exchange cuts the old one: which of the two leads, how far
 * the change has come, and when it is tried again. What the data must prove for it is up to the route's machine.
 */
export class TakeOver {
  phase: TakeOverPhase = 'none'
  /** The second connection; 0 for none. */
  candidate = 0
  /** When the candidate opened, receive time. */
  openedAt = 0
  /** Since when it is in its phase, receive time. */
  since = 0
  /** Age of a connection at which it is replaced, microseconds. */
  readonly #ageUs: number
  #notBefore = 0

  constructor(symbol: string, connectionLifetimeMs: number) {
    this.#ageUs = Math.max(0, connectionLifetimeMs * 1000 - AHEAD_US - fractionOf(symbol) * SPREAD_US)
  }

  /** Asks for a second connection when the first one, open since `openedAt`, is old enough. */
  begin(route: string, openedAt: number, received: number, effects: Effects): void {
    if (this.phase !== 'none' || received < this.#notBefore || received - openedAt < this.#ageUs) return
    this.#enter('asked', received)
    effects.openBeside(route)
  }

  /** The second connection is open. */
  opened(connection: number, received: number): void {
    this.candidate = connection
    this.openedAt = received
    this.#enter('warming', received)
  }

  hold(received: number): void {
    this.#enter('holding', received)
  }

  /** One that was asked for and has not opened is given up. */
  giveUpUnopened(received: number): void {
    if (this.phase === 'asked' && received - this.since >= OPENS_WITHIN_US) this.failed(received)
  }

  /** The first connection stays; it is tried again after a minute. */
  failed(received: number): void {
    this.#notBefore = received + AGAIN_AFTER_US
    this.end(received)
  }

  /** One connection again. */
  end(received: number): void {
    this.candidate = 0
    this.#enter('none', received)
  }

  #enter(phase: TakeOverPhase, received: number): void {
    this.phase = phase
    this.since = received
  }

  encode(out: Encoder): void {
    out.string(this.phase)
    out.integer(this.candidate)
    out.integer(this.openedAt)
    out.integer(this.since)
    out.integer(this.#notBefore)
  }

  decode(from: Decoder): void {
    this.phase = from.word(TAKE_OVER_PHASES)
    this.candidate = from.integer()
    this.openedAt = from.integer()
    this.since = from.integer()
    this.#notBefore = from.integer()
  }
}

/** A number in [0, 1) that only depends on the text (FNV-1a), so that a replay spreads alike. */
function fractionOf(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text, 'utf8')) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash / 2 ** 32
}
