import type { Stream } from '../../api/streams.ts'
import type { Exchange } from '../exchange/mod.ts'
import type { Input } from '../session/mod.ts'
import type { Allowance } from './allowance.ts'
import { Attempts } from './attempts.ts'
import type { Budget } from './budget.ts'
import type { Clock } from './clock.ts'
import { FeedError } from './errors.ts'
import type { FeedLog } from './log.ts'
import { type RouteEvents, RouteSocket, type RouteStatus } from './socket.ts'
import type { Random, Timers } from './timers.ts'
import type { OpenSocket } from './transport.ts'

export interface RoutesOptions {
  readonly exchange: Exchange
  readonly symbol: string
  readonly streams: readonly Stream[]
  /** Root of the WebSocket routes, without a closing slash. */
  readonly socketBase: string
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly openSocket: OpenSocket
  readonly budget: Budget
  readonly allowance: Allowance
  readonly log: FeedLog
  nowUs(): number
  share(): number
  put(input: Input): void
}

/** All routes of a capture, the book's first. They share connection numbers and the attempts of this capture. */
export class Routes {
  readonly #options: RoutesOptions
  readonly #routes: readonly RouteSocket[]
  #lastConnection = 0

  constructor(options: RoutesOptions) {
    this.#options = options
    const { exchange, symbol, streams, socketBase, clock, budget, share, allowance } = options
    const attempts = new Attempts(clock, share, allowance)
    const events = this.#events()
    this.#routes = exchange
      .subscriptions(symbol, streams)
      .map((subscription) => ({ ...subscription, carriesBook: carriesBook(subscription.streams) }))
      .sort((a, b) => Number(b.carriesBook) - Number(a.carriesBook))
      .map(
        ({ route, path, hello, carriesBook }) =>
          new RouteSocket({
            ...options,
            route,
            url: socketBase + path,
            hello,
            carriesBook,
            messageBytesMax: exchange.limits.messageBytesMax,
            attempts,
            nextConnection: () => ++this.#lastConnection,
            pausedMs: () => budget.pausedMs,
            events,
          }),
      )
  }

  start(): void {
    for (const route of this.#routes) route.start()
  }

  /** Resolves when no socket is left. */
  async stop(): Promise<void> {
    await Promise.all(this.#routes.map((route) => route.stop()))
  }

  /** Closes an open connection; where its route is left without one, another is opened. */
  close(connection: number, why: string): void {
    if (this.#routes.some((route) => route.close(connection, why))) return
    this.#options.log.info(
      { connection, why },
      `connection ${connection} has ended already: nothing to close`,
    )
  }

  /** Opens a second connection of the route. Throws FeedError where the route is none of this capture. */
  openBeside(name: string): void {
    const route = this.#routes.find((own) => own.name === name)
    if (route === undefined) {
      const known = this.#routes.map((own) => own.name).join(', ')
      throw new FeedError('RouteUnknown', `no route "${name}" in this capture: it has ${known}`)
    }
    route.openBeside()
  }

  status(): readonly RouteStatus[] {
    return this.#routes.map((route) => route.status())
  }

  #events(): RouteEvents {
    const { put, nowUs, budget } = this.#options
    return {
      opened: (connection, route) => put({ kind: 'opened', received: nowUs(), connection, route }),
      message: (connection, payload) => put({ kind: 'message', received: nowUs(), connection, payload }),
      closed: (connection, loss) => put({ kind: 'closed', received: nowUs(), connection, ...loss }),
      limited: (status, retryAfterMs) => budget.limited(status, retryAfterMs),
    }
  }
}

function carriesBook(streams: readonly Stream[]): boolean {
  return streams.includes('books') || streams.includes('depth')
}
