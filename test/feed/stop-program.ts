/** Started by exit.test.ts: runs a feed with everything this process has by itself, and stops it. */
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

let messages = 0
const feed = new Feed({
  exchange: exchangeByName('BinanceUsdm'),
  symbol: 'BTCUSDT',
  streams: ['books', 'trades'],
  endpoints: process.argv[2],
  log: { info: () => {}, warn: () => {} },
  onInput: (input) => {
    process.stdout.write(`${input.kind} `)
    if (input.kind === 'message' && ++messages === 2) feed.fetch({ ...ASK, id: 1 })
    if (input.kind === 'sent' || (input.kind === 'tick' && messages === 0)) void feed.stop()
  },
})
feed.start()
