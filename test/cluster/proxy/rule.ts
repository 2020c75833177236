import { waitFor } from '../../support/wait.ts'
import type { SeenRequest, Verb } from './request.ts'

/** Requests that a rule is for; all of them where it says nothing. */
export interface Match {
  readonly verbs?: readonly Verb[]
  /** `pods`, or with a subresource `pods/status`; `pods` alone does not mean its subresources. */
  readonly resource?: string
  readonly namespace?: string
  readonly name?: string
  readonly where?: (request: SeenRequest) => boolean
}

export interface Chance {
  /** So many in all; default: without end. */
  readonly times?: number
  /** The first so many are left alone. */
  readonly after?: number
  /** Of those that are left: this part, by the proxy's seed. */
  readonly probability?: number
}

export function matches(match: Match, request: SeenRequest): boolean {
  const { verbs, resource, namespace, name, where } = match
  const full = request.subresource === '' ? request.resource : `${request.resource}/${request.subresource}`
  return (
    (verbs === undefined || verbs.includes(request.verb)) &&
    (resource === undefined || resource === full) &&
    (namespace === undefined || namespace === request.namespace) &&
    (name === undefined || name === request.name) &&
    (where === undefined || where(request))
  )
}

/**
 * A fault that is on until it is removed, or has fired as often as it should. It counts, so that a test can
 * prove it.
 */
export class Rule {
  /** How often it has fired. */
  fired = 0
  readonly when: Match
  readonly #chance: Chance
  readonly #random: () => number
  readonly #ended = Promise.withResolvers<void>()
  #seen = 0
  #removed = false

  constructor(when: Match, chance: Chance, random: () => number) {
    this.when = when
    this.#chance = chance
    this.#random = random
  }

  get isOn(): boolean {
    return !this.#removed
  }

  /** Resolves when the rule is removed. */
  get removed(): Promise<void> {
    return this.#ended.promise
  }

  /** Ends it, and lets go whatever it holds. */
  remove(): void {
    this.#removed = true
    this.#ended.resolve()
  }

  /** Throws at the deadline: a fault that never fired proves nothing. */
  async whenFired(times = 1, deadlineMs?: number): Promise<void> {
    const options = deadlineMs === undefined ? {} : { deadlineMs }
    await waitFor(`a fault to fire ${times} times`, () => this.fired >= times, {
      ...options,
      show: () => `it fired ${this.fired} times; ${this.#seen} requests or events matched`,
    })
  }

  /** Whether it fires for something that it matches; asking counts. */
  claims(): boolean {
    const { times = Number.POSITIVE_INFINITY, after = 0, probability = 1 } = this.#chance
    if (this.#removed || this.fired >= times) return false
    this.#seen += 1
    if (this.#seen <= after || (probability < 1 && this.#random() >= probability)) return false
    this.fired += 1
    return true
  }
}
