import { exchangeByName } from '../../capture/exchange/mod.ts'
import { type Input, Session, type SessionConfig } from '../../capture/session/mod.ts'
import { Collector } from '../support/collect.ts'
import {
  type DepthFrame,
  depthFrame,
  type Level,
  markPriceFrame,
  snapshotBody,
  tradeFrame,
} from '../support/frames.ts'

/** Input without its receive time: `Distributive` keeps the union. */
type Untimed<T> = T extends Input ? Omit<T, 'received'> : never

export const CONFIG: SessionConfig = {
  exchange: 'BinanceUsdm',
  symbol: 'BTCUSDT',
  streams: ['books', 'depth', 'trades', 'mark_price'],
  bookLevels: 5,
}

/** Receive time of the first input, microseconds: 2026-11-22T12:00:00Z. */
export const START = Date.UTC(2026, 10, 22, 12) * 1000

/** Drives a session by hand: each input comes 100 ms after the last. */
export class Drive {
  readonly out = new Collector()
  readonly session: Session
  now = START
  readonly inputs: Input[] = []

  constructor(config: SessionConfig = CONFIG) {
    this.session = new Session(config, exchangeByName(config.exchange))
    this.session.openWindow(0, this.now, this.out)
  }

  input(input: Untimed<Input>): this {
    this.now += 100_000
    const timed = { ...input, received: this.now } as Input
    this.inputs.push(timed)
    this.session.step(timed, this.out)
    return this
  }

  open(connection = 1, route = 'public'): this {
    return this.input({ kind: 'opened', connection, route })
  }

  depth(frame: DepthFrame, connection = 1): this {
    return this.input({ kind: 'message', connection, payload: depthFrame(frame) })
  }

  /** The answer to the latest request. */
  snapshot(id: number | bigint, bids: readonly Level[], asks: readonly Level[], status = 200): this {
    const request = this.out.requests.at(-1)?.id ?? 0
    const body = snapshotBody(id, bids, asks)
    return this.input({ kind: 'response', request, status, usedWeight: 20, retryAt: 0, error: '', body })
  }

  /** `later`: milliseconds after the time that trades have by default. */
  trade(id: number, { connection = 2, later = 0 } = {}): this {
    const payload = tradeFrame(id, '100.5', '1', 'BTCUSDT', 1_721_347_020_000 + later)
    return this.input({ kind: 'message', connection, payload })
  }

  markPrice(eventTime: number, connection = 2): this {
    return this.input({ kind: 'message', connection, payload: markPriceFrame(eventTime) })
  }

  tick(): this {
    return this.input({ kind: 'tick', wallDistance: 0 })
  }

  /** A live book at id 110: bids 100 and 99, asks 101 and 102. */
  live(): this {
    this.open().depth({ U: 101, u: 105, pu: 100 })
    this.snapshot(
      103,
      [
        ['100', '1'],
        ['99', '2'],
      ],
      [
        ['101', '1'],
        ['102', '2'],
      ],
    )
    return this.depth({ U: 106, u: 110, pu: 105 })
  }
}
