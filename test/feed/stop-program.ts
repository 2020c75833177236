/**
 * Started by exit.test.ts: runs a feed with everything this process has by itself, and stops it at its first input of
 * the kind that is given.
 */
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { Feed } from '../../capture/feed/mod.ts'

const ASK = {
  what: 'snapshot',
  limit: 50,
  limitWhenBusy: 50,
  rank: 'join',
  wait: 'none',
  attempt: 0,
} as const

const [, , endpoints, stopsAt] = process.argv
let messages = 0
const feed = new Feed({
  exchange: exchangeByName('BinanceUsdm'),
  symbol: 'BTCUSDT',
  streams: ['books', 'trades'],
  endpoints,
  log: { info: () => {}, warn: () => {} },
  onInput: (input) => {
    process.stdout.write(`${input.kind} `)
    if (input.kind === 'message' && ++messages === 2) feed.fetch({ ...ASK, id: 1 })
    if (input.kind === stopsAt) void feed.stop()
  },
})
feed.start()
