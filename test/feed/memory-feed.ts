/** A feed on an exchange in memory, in virtual time, that keeps what comes out of it. */
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { Feed, type FeedOptions } from '../../capture/feed/mod.ts'
import type { FetchRequest, Input } from '../../capture/session/mod.ts'
import { keptLog } from './local-exchange.ts'
import { ManualTime } from './manual-time.ts'
import { MemoryExchange } from './memory-exchange.ts'

export class MemoryFeed {
  readonly time: ManualTime
  readonly exchange: MemoryExchange
  readonly inputs: Input[] = []
  readonly log = keptLog()
  readonly feed: Feed

  constructor(options: Partial<FeedOptions> = {}, time = new ManualTime()) {
    this.time = time
    this.exchange = new MemoryExchange({ time, random: () => 0, wayMsMax: 10 })
    this.feed = new Feed({
      exchange: exchangeByName('BinanceUsdm'),
      symbol: 'BTCUSDT',
      streams: ['books', 'trades'],
      endpoints: 'http://exchange',
      clock: time,
      timers: time,
      random: () => 1,
      openSocket: this.exchange.openSocket,
      http: this.exchange.http,
      log: this.log,
      onInput: (input) => this.inputs.push(input),
      ...options,
    })
  }

  /** Started, and 20 s later: sockets open, clock sampled, listing read. */
  async started(): Promise<this> {
    this.feed.start()
    await this.time.run(20_000)
    return this
  }

  of<K extends Input['kind']>(kind: K): Extract<Input, { kind: K }>[] {
    return this.inputs.filter((input): input is Extract<Input, { kind: K }> => input.kind === kind)
  }

  /** What happened to connections, in short. */
  get connections(): string[] {
    return this.inputs.flatMap((input) => {
      if (input.kind === 'opened') return [`opened ${input.connection} ${input.route}`]
      if (input.kind !== 'closed') return []
      return [
        `closed ${input.connection} ${input.code} ${input.reason}${input.silent ? ' silent' : ''}`.trim(),
      ]
    })
  }

  /** What was asked for of this path, in order. */
  asked(path: string): string[] {
    return this.exchange.asked.filter((asked) => asked.startsWith(path))
  }
}

/** A request for 50 levels that waits for nothing, unless told otherwise. */
export function ask(wanted: Partial<FetchRequest> & { readonly id: number }): FetchRequest {
  const limit = wanted.limit ?? 50
  return { what: 'snapshot', limit, limitWhenBusy: limit, rank: 'join', wait: 'none', attempt: 0, ...wanted }
}
