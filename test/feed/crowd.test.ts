import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { Feed } from '../../capture/feed/mod.ts'
import type { FetchRequest, Input } from '../../capture/session/mod.ts'
import { ManualTime } from './manual-time.ts'
import { MemoryExchange, seeded } from './memory-exchange.ts'

const CAPTURES = 200
const SHARE = 256
const WEIGHT_LIMIT = 2_400
const ATTEMPTS_MAX = 300
const FIVE_MINUTES_MS = 300_000
/** The operator's pace of starts. */
const STARTS_EVERY_MS = 3_000
/** The longest wait of one try: 2.5 s a symbol, and a minute for failures in a row. */
const WAIT_MS_MAX = SHARE * 2_500 + 60_000
const HANDSHAKE_MS_MAX = 1_000

/** What is on its way comes up to so much later: hundreds of feeds in as many steps. */
const STEP_MS = 100

const SEED = Number(process.env['L2CAP_SEED'] ?? 1)

/** What a session asks of its feed, as far as weight and connections are concerned. */
class Capture {
  readonly feed: Feed
  readonly #time: ManualTime
  #lastId = 0
  #wanted: { readonly request: FetchRequest; atUs: number } | undefined
  #onItsWay: FetchRequest | undefined
  joins = 0
  #nextAuditUs = Number.POSITIVE_INFINITY

  constructor(time: ManualTime, exchange: MemoryExchange, seed: number) {
    this.#time = time
    this.feed = new Feed({
      exchange: exchangeByName('BinanceUsdm'),
      symbol: 'BTCUSDT',
      streams: ['books', 'depth', 'trades'],
      endpoints: 'http://exchange',
      share: SHARE,
      clock: time,
      timers: time,
      random: seeded(seed),
      openSocket: exchange.openSocket,
      http: exchange.http,
      log: { info: () => {}, warn: () => {} },
      onInput: (input) => this.#onInput(input),
    })
  }

  /** A gap of its own: the join is asked for at once. */
  gap(): void {
    this.#ask({ limit: 100, rank: 'join', wait: 'none' }, 0)
  }

  #onInput(input: Input): void {
    if (input.kind === 'opened' && input.route === 'public')
      this.#ask({ limit: this.joins === 0 ? 1000 : 100, rank: 'join', wait: 'share' }, 0)
    if (input.kind === 'closed' && this.#onItsWay !== undefined) this.feed.forget(this.#onItsWay.id)
    if (input.kind === 'refused' && input.request === this.#onItsWay?.id)
      this.#wanted = { request: this.#onItsWay, atUs: input.until }
    if (input.kind === 'response' && input.request === this.#onItsWay?.id) this.#onResponse(input.status)
    if (input.kind === 'tick') this.#onTick(input.received)
  }

  #onResponse(status: number): void {
    const request = this.#onItsWay
    if (request === undefined) return
    const { rank, attempt } = request
    if (status !== 200) {
      this.#ask(request, attempt + 1)
      return
    }
    if (rank === 'join') {
      this.joins++
      this.#ask({ limit: 1000, rank: 'audit', wait: 'widen' }, 0)
    } else this.#nextAuditUs = this.#time.monotonicUs() + 600_000_000
  }

  #onTick(received: number): void {
    if (this.#wanted !== undefined && received >= this.#wanted.atUs) {
      const { request } = this.#wanted
      this.#ask(request, request.attempt)
    }
    if (this.#time.monotonicUs() >= this.#nextAuditUs)
      this.#ask({ limit: 1000, rank: 'audit', wait: 'share' }, 0)
  }

  #ask({ limit, rank, wait }: Pick<FetchRequest, 'limit' | 'rank' | 'wait'>, attempt: number): void {
    if (this.#onItsWay !== undefined) this.feed.forget(this.#onItsWay.id)
    this.#wanted = undefined
    this.#nextAuditUs = Number.POSITIVE_INFINITY
    const limitWhenBusy = rank === 'join' ? 100 : limit
    this.#onItsWay = { id: ++this.#lastId, what: 'snapshot', limit, limitWhenBusy, rank, wait, attempt }
    this.feed.fetch(this.#onItsWay)
  }
}

let captures: Capture[] = []

afterEach(async () => {
  for (const capture of captures) void capture.feed.stop()
  captures = []
})

async function startCrowd(seed: number): Promise<{ time: ManualTime; exchange: MemoryExchange }> {
  const time = new ManualTime()
  const exchange = new MemoryExchange({ time, random: seeded(seed), wayMsMax: 150 })
  for (let i = 0; i < CAPTURES; i++) {
    const capture = new Capture(time, exchange, seed * 1_000 + i)
    captures.push(capture)
    capture.feed.start()
    await time.run(STARTS_EVERY_MS, STEP_MS)
  }
  return { time, exchange }
}

function cutAll(exchange: MemoryExchange): void {
  for (const socket of [...exchange.open]) exchange.cut(socket)
}

/** Most attempts in any five minutes, both ends counted. */
function densest(timesMs: readonly number[]): number {
  let first = 0
  let most = 0
  for (const [last, at] of timesMs.entries()) {
    while (at - timesMs[first] > FIVE_MINUTES_MS) first++
    most = Math.max(most, last - first + 1)
  }
  return most
}

function assertWithinLimits(exchange: MemoryExchange): void {
  const most = densest(exchange.attemptsAtMs)
  assert.ok(most <= ATTEMPTS_MAX, `${most} attempts in five minutes`)
  assert.equal(exchange.limited, 0)
  assert.ok(exchange.weightMax <= WEIGHT_LIMIT, `weight ${exchange.weightMax}`)
}

const openOn = (exchange: MemoryExchange, route: string) =>
  exchange.open.filter((socket) => socket.url.includes(`/${route}/`)).length

async function untilAllOpen(time: ManualTime, exchange: MemoryExchange, msMax: number): Promise<number> {
  const start = time.monotonicUs()
  while (exchange.open.length < 2 * CAPTURES) {
    const tookMs = (time.monotonicUs() - start) / 1000
    assert.ok(tookMs <= msMax, `${exchange.open.length} of ${2 * CAPTURES} sockets open after ${tookMs} ms`)
    await time.run(1_000, STEP_MS)
  }
  return (time.monotonicUs() - start) / 1000
}

function figures(exchange: MemoryExchange): string {
  return `at most ${densest(exchange.attemptsAtMs)} attempts in 5 min and ${exchange.weightMax} weight a minute`
}

test(`crowd: 200 captures cut at once are back within limits, the books at once (seed ${SEED})`, async (t) => {
  const { time, exchange } = await startCrowd(SEED)
  await time.run(FIVE_MINUTES_MS + 10_000, STEP_MS)
  assert.equal(exchange.open.length, 2 * CAPTURES)
  cutAll(exchange)
  await time.run(HANDSHAKE_MS_MAX)
  assert.equal(openOn(exchange, 'public'), CAPTURES)
  const tookMs = await untilAllOpen(time, exchange, WAIT_MS_MAX)
  await time.run(FIVE_MINUTES_MS, STEP_MS)
  for (const capture of captures) assert.ok(capture.joins >= 2)
  assertWithinLimits(exchange)
  t.diagnostic(`all back after ${tookMs / 1000} s; ${figures(exchange)}`)
})

test(`crowd: an outage of twenty minutes ends in no ban, and all come back (seed ${SEED})`, async (t) => {
  const { time, exchange } = await startCrowd(SEED + 1)
  exchange.isUp = false
  cutAll(exchange)
  await time.run(1_200_000, STEP_MS)
  exchange.isUp = true
  const tookMs = await untilAllOpen(time, exchange, 3 * WAIT_MS_MAX)
  await time.run(FIVE_MINUTES_MS, STEP_MS)
  assertWithinLimits(exchange)
  t.diagnostic(`all back after ${tookMs / 1000} s; ${figures(exchange)}`)
})

test(`crowd: an exchange that keeps cutting everybody off is never overrun (seed ${SEED})`, async (t) => {
  const { time, exchange } = await startCrowd(SEED + 2)
  for (let minutes = 0; minutes < 20; minutes++) {
    await time.run(60_000, STEP_MS)
    cutAll(exchange)
  }
  assertWithinLimits(exchange)
  t.diagnostic(figures(exchange))
})

test(`crowd: a gap that befalls all at one moment is asked for at once only while weight lasts for all (seed ${SEED})`, async (t) => {
  const { time, exchange } = await startCrowd(SEED + 3)
  await time.run(FIVE_MINUTES_MS, STEP_MS)
  for (const usedByOthers of [0, 1_300]) {
    // the rest of this minute, and the beginning of the next one
    await time.run(60_000 - ((time.wallUs() / 1000) % 60_000) + 5_000)
    exchange.use(usedByOthers)
    const before = captures.reduce((sum, capture) => sum + capture.joins, 0)
    for (const capture of captures) capture.gap()
    await time.run(1_000)
    const joined = captures.reduce((sum, capture) => sum + capture.joins, 0) - before
    assert.equal(joined === CAPTURES, usedByOthers === 0)
    await time.run(FIVE_MINUTES_MS, STEP_MS)
    assertWithinLimits(exchange)
    assert.ok(captures.every((capture) => capture.joins >= (usedByOthers === 0 ? 2 : 3)))
  }
  t.diagnostic(figures(exchange))
})

for (const isMute of [false, true]) {
  const weight = isMute ? 'tells no weight' : 'tells the weight'
  test(`crowd: an exchange that answers nothing but errors, and ${weight}, is not pressed (seed ${SEED})`, async (t) => {
    const { time, exchange } = await startCrowd(SEED + 4)
    await time.run(10_000)
    exchange.isIll = true
    exchange.isMute = isMute
    for (const capture of captures) capture.gap()
    await time.run(FIVE_MINUTES_MS, STEP_MS)
    assertWithinLimits(exchange)
    t.diagnostic(figures(exchange))
  })
}
