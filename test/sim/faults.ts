/**
 * Faults on demand: a table of kinds, and the plans that are armed. A new kind is one entry of FAULT_KINDS.
 *
 * A fault is armed when its moment comes (counted in real seconds from the symbol's first depth
 * subscription). It then stays armed until it could act, so that an announced fault is one that someone felt.
 */
import { SimError } from './errors.ts'
import type { Route } from './streams.ts'

export interface FaultPlan {
  readonly kind: FaultKindName
  readonly symbol: string
  /** Which sockets it concerns, for the kinds that may choose. */
  readonly route: Route
  readonly afterMs: number
}

/** One depth batch that is about to go out to at least one connection. */
export interface DepthBatch {
  readonly lastId: bigint
}

/** What faults can do to the exchange. */
export interface FaultStage {
  /** Terminates the sockets of this symbol and route; returns how many there were. */
  cut(symbol: string, route: Route): number
  lastDepthId(symbol: string): bigint
}

/** A fault acted: the id to announce, and whether the batch in hand is withheld. */
export interface FaultOutcome {
  readonly id: bigint
  readonly withhold: boolean
}

interface FaultKind {
  /** For `--help`. */
  readonly about: string
  readonly takesRoute: boolean
  /**
   * Called at the fault's moment without a batch, then before each batch of its symbol, until it returns an
   * outcome.
   */
  attempt(stage: FaultStage, plan: FaultPlan, batch: DepthBatch | undefined): FaultOutcome | undefined
}

export const FAULT_KINDS = {
  drop: {
    about: 'one depth batch is not sent; the market goes on',
    takesRoute: false,
    attempt(_stage, _plan, batch) {
      return batch === undefined ? undefined : { id: batch.lastId, withhold: true }
    },
  },
  cut: {
    about: "the symbol's sockets are terminated without a close frame",
    takesRoute: true,
    attempt(stage, plan) {
      const count = stage.cut(plan.symbol, plan.route)
      return count === 0 ? undefined : { id: stage.lastDepthId(plan.symbol), withhold: false }
    },
  },
} as const satisfies Record<string, FaultKind>

export type FaultKindName = keyof typeof FAULT_KINDS

/**
 * Reads `kind:SYMBOL[/route]@seconds,…`, for example `drop:ETHUSDT@8,cut:BTCUSDT/market@15`.
 * Throws SimError `wrong_call`.
 */
export function parseFaults(text: string): FaultPlan[] {
  return text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => parseFault(part.trim()))
}

function parseFault(text: string): FaultPlan {
  const match = /^([^:]+):([^/@]+)(?:\/([^@]+))?@(\d+(?:\.\d+)?)$/.exec(text)
  if (match === null) {
    throw new SimError('wrong_call', `The fault "${text}" is not kind:SYMBOL@seconds, like drop:ETHUSDT@8.`)
  }
  const [, kind = '', symbol = '', route, seconds] = match
  if (!isFaultKind(kind)) {
    const known = Object.keys(FAULT_KINDS).join(', ')
    throw new SimError('wrong_call', `The fault "${text}" is of no known kind; there are: ${known}.`)
  }
  if (route !== undefined && (!FAULT_KINDS[kind].takesRoute || (route !== 'public' && route !== 'market'))) {
    throw new SimError(
      'wrong_call',
      `The fault "${text}" names a route; only cut takes one, public or market.`,
    )
  }
  return { kind, symbol, route: route === 'market' ? 'market' : 'public', afterMs: Number(seconds) * 1000 }
}

function isFaultKind(name: string): name is FaultKindName {
  return Object.hasOwn(FAULT_KINDS, name)
}

/** The plans of one simulator: waiting, then armed, then announced, once each. */
export class Faults {
  readonly #waiting: FaultPlan[]
  readonly #armed: FaultPlan[] = []
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #stage: FaultStage
  readonly #announce: (plan: FaultPlan, id: bigint) => void

  constructor(
    plans: readonly FaultPlan[],
    stage: FaultStage,
    announce: (plan: FaultPlan, id: bigint) => void,
  ) {
    this.#waiting = [...plans]
    this.#stage = stage
    this.#announce = announce
  }

  /** The first depth subscription of a symbol came: its faults begin to count. */
  depthSubscribed(symbol: string): void {
    for (const plan of this.#waiting.filter((waiting) => waiting.symbol === symbol)) {
      this.#waiting.splice(this.#waiting.indexOf(plan), 1)
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        this.inject(plan)
      }, plan.afterMs)
      this.#timers.add(timer)
    }
  }

  /** Arms a fault now, whatever its time says. */
  inject(plan: FaultPlan): void {
    if (!this.#act(plan, undefined)) this.#armed.push(plan)
  }

  /** Asked before a batch goes out to someone; false: withhold it. */
  mayPass(symbol: string, batch: DepthBatch): boolean {
    if (this.#armed.length === 0) return true
    for (const plan of this.#armed) {
      if (plan.symbol !== symbol) continue
      const outcome = this.#act(plan, batch)
      if (outcome === undefined) continue
      this.#armed.splice(this.#armed.indexOf(plan), 1)
      // One fault a batch: the next armed one takes the next batch.
      return !outcome.withhold
    }
    return true
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #act(plan: FaultPlan, batch: DepthBatch | undefined): FaultOutcome | undefined {
    const kind: FaultKind = FAULT_KINDS[plan.kind]
    const outcome = kind.attempt(this.#stage, plan, batch)
    if (outcome !== undefined) this.#announce(plan, outcome.id)
    return outcome
  }
}
