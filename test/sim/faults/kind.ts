/** What a kind of fault is: where it acts, and what it does there. One entry of the table each. */
import type { Connection } from '../core/hub.ts'
import type { Handshake, SimAnswer } from '../core/transport.ts'
import type { Random } from '../market/mod.ts'
import type { DepthEvent, LieLevel } from '../source.ts'
import type { Channel, Route } from '../streams.ts'

export type Endpoint = 'depth' | 'trades' | 'time' | 'info'

/** What stands after the slash of a plan: a route of sockets, or an endpoint of REST (`any`: all of them). */
export type FaultPlace = Route | Endpoint | 'any'

/** What a depth fault makes of an event. */
export interface Altered {
  readonly payloads: readonly string[]
  /** Whether the client gets what happened in a form that it can read. */
  readonly sent: boolean
  readonly lie?: readonly LieLevel[]
  /** The event goes out after the next one of its connection. */
  readonly swap?: true
}

export interface SnapshotFault {
  readonly symbol: string
  readonly limit: number
  /** What the answer would be. */
  readonly fresh: string
  /** The answer as it was so many milliseconds ago. */
  ago(ms: number): string
  /** Lets the depth frames of this symbol come only after so many milliseconds, all at once. */
  hold(ms: number): void
  /** For kinds that remember, as long as the fault lasts. */
  readonly memory: Map<string, string>
}

export interface SnapshotOutcome {
  readonly body: string
  /** What of it is untrue. */
  readonly lie?: readonly LieLevel[]
}

/** What faults can do to the exchange as a whole. */
export interface FaultStage {
  /** The connections of a route that follow this symbol. */
  following(symbol: string, route: Route): Connection[]
  /** Sockets end, handshakes and REST get 503, the markets stand still. */
  maintain(on: boolean): void
  restartIds(): void
  /** The symbol is listed with this status and nothing happens in it; undefined: it trades again. */
  list(symbol: string, status: 'SETTLING' | 'absent' | undefined): void
  empty(symbol: string, side: 'bid' | 'ask'): void
  refill(symbol: string): void
  skew(ms: number): void
  /** All REST requests of this address are answered with this status for so many seconds. */
  ban(address: string, status: number, seconds: number): void
}

export interface Spoiling {
  readonly answer: SimAnswer
  readonly address: string
  readonly value: number
  readonly stage: FaultStage
}

type Action =
  /** An event of the book on its way; undefined: not this one, ask again. */
  | {
      readonly at: 'depth'
      alter(event: DepthEvent, random: Random): Altered | undefined
    }
  /** How many times a trade goes out. */
  | { readonly at: 'trade'; readonly copies: 0 | 2 }
  /** The channels that say nothing. */
  | { readonly at: 'silence'; readonly channels: readonly Channel[] | 'route' }
  /** A connection that is there. */
  | { readonly at: 'socket'; act(connection: Connection, value: number): void }
  /** A connection that begins. */
  | { readonly at: 'handshake'; answer(random: Random, leftSeconds: number): Handshake }
  | { readonly at: 'snapshot'; answer(fault: SnapshotFault, value: number): SnapshotOutcome | undefined }
  | { readonly at: 'answer'; spoil(fault: Spoiling): SimAnswer }
  /** The exchange itself, at once; `end` once its time is over. */
  | {
      readonly at: 'exchange'
      /** It concerns all symbols, whichever the plan names. */
      readonly whole?: true
      begin(stage: FaultStage, symbol: string, value: number): void
      end?(stage: FaultStage, symbol: string): void
    }

export type FaultKind = {
  /** For `--help`. */
  readonly about: string
  /** How long it lasts where the plan does not say; undefined: it acts once. */
  readonly durationMs?: number
  /** What the plan's number means, and what it is where the plan has none. */
  readonly value?: { readonly means: string; readonly otherwise: number }
  /** It needs a generated market: what is recorded is never changed. */
  readonly generated?: true
} & Action
