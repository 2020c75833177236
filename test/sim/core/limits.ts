/** What the exchange counts for each address, and what it does to those who ask for too much. */
import { WeightCounter } from './weight.ts'

/** Connections that an address may try to open in five minutes. */
export const ATTEMPTS_MAX = 300
const ATTEMPTS_WITHIN_MS = 300_000
/** Whoever goes on so often within a minute after 429 is banned. */
const REFUSED_MAX = 20
const BAN_MS = 120_000

/** Rules that clients broke, by how often. A client that keeps the rules leaves all of them at 0. */
export interface Violations {
  /** Handshakes beyond the 300 of an address in five minutes. */
  attempts: number
  /** Messages beyond the 10 of a connection in a second, and subscriptions beyond 1024 streams. */
  messages: number
  /** Requests beyond the weight of a minute. */
  weight: number
  /** Requests before the Retry-After of a 429 or 418 was over. */
  early: number
}

export interface Refusal {
  readonly status: number
  readonly retryAfterSeconds: number
}

interface Address {
  readonly weights: WeightCounter
  /** Moments of the latest attempts, oldest first. */
  attempts: number[]
  refused: number
  ban: { readonly status: number; readonly untilMs: number } | undefined
}

export class Limits {
  readonly violations: Violations = { attempts: 0, messages: 0, weight: 0, early: 0 }
  readonly #now: () => number
  readonly #addresses = new Map<string, Address>()

  /** `now` gives the exchange's time in milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Counts a handshake; the seconds after which another may succeed, 0 where this one may. */
  attempt(name: string): number {
    const address = this.#address(name)
    const nowMs = this.#now()
    // The clock may have been set back: what lies ahead of it counts too.
    address.attempts = address.attempts.filter((atMs) => nowMs - atMs < ATTEMPTS_WITHIN_MS)
    address.attempts.push(nowMs)
    if (address.attempts.length <= ATTEMPTS_MAX) return 0
    this.violations.attempts++
    // Its successors must not push the window on for ever.
    address.attempts.pop()
    const oldestMs = address.attempts[0] ?? nowMs
    return Math.max(1, Math.ceil((oldestMs + ATTEMPTS_WITHIN_MS - nowMs) / 1000))
  }

  /** Counts a request of this weight; why it is refused, or undefined where it is not. */
  request(name: string, weight: number): Refusal | undefined {
    const address = this.#address(name)
    const { ban } = address
    const leftMs = ban === undefined ? 0 : ban.untilMs - this.#now()
    const { retryAfterSeconds } = address.weights.take(weight)
    if (ban !== undefined && leftMs > 0) {
      this.violations.early++
      return { status: ban.status, retryAfterSeconds: Math.ceil(leftMs / 1000) }
    }
    if (retryAfterSeconds === 0) {
      address.refused = 0
      return undefined
    }
    this.violations.weight++
    address.refused++
    if (address.refused <= REFUSED_MAX) return { status: 429, retryAfterSeconds }
    this.ban(name, 418, BAN_MS / 1000)
    return { status: 418, retryAfterSeconds: BAN_MS / 1000 }
  }

  /** Refuses all that this address asks for so many seconds. */
  ban(name: string, status: number, seconds: number): void {
    this.#address(name).ban = { status, untilMs: this.#now() + seconds * 1000 }
  }

  /** Weight used in the running minute. */
  used(name: string): number {
    return this.#address(name).weights.used()
  }

  #address(name: string): Address {
    let address = this.#addresses.get(name)
    if (address === undefined) {
      address = { weights: new WeightCounter(this.#now), attempts: [], refused: 0, ban: undefined }
      this.#addresses.set(name, address)
    }
    return address
  }
}
