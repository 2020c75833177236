import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FAULT_KINDS, type FaultKindName } from './mod.ts'
import { realRig, virtualRig } from './rig.ts'
import { DEPTH, type Event, MARKET, PUBLIC, parsed, Scene, type Snapshot, SYMBOL } from './scene.ts'

const OVERSIZED_MIN = 8 * 1024 * 1024

interface Case {
  /** What follows the symbol: place, value, `@0`, duration. */
  readonly plan?: string
  readonly felt: (scene: Scene) => Promise<void>
}

/** Waits for one break of the chain, and sees that it stays the only one. */
const brokenOnce: Case = {
  async felt(scene) {
    await scene.until('a break of the chain', () => scene.breaks() === 1)
    await scene.flows(3)
    assert.equal(scene.breaks(), 1)
    const withheld = scene.rig.emitted(SYMBOL).batches.filter((batch) => !batch.sent)
    assert.equal(withheld.length, 1)
  },
}

/** Sees that nothing came for a while although there was something, and that it comes again. */
function silent(kind: string, which: 'batches' | 'trades' | 'marks'): Case {
  return {
    plan: '@0+1.2',
    async felt(scene) {
      const withheld = () =>
        scene.rig.emitted(SYMBOL)[which].filter((one: { readonly sent: boolean }) => !one.sent)
      await scene.until(`${kind} withholds something`, () => withheld().length > 0)
      scene.depth.ping()
      await scene.until('a pong', () => scene.depth.pongs > 0)
      const client = which === 'batches' ? scene.depth : scene.market
      const count = client.frames.length
      await scene.until('it flows again', () => client.frames.length > count + 2)
      assert.equal(client.code, undefined)
    },
  }
}

function answered(check: (status: number, text: string, retryAfter: string | null) => void): Case['felt'] {
  return async (scene) => {
    const { status, text, retryAfter, end } = await scene.rig.get(DEPTH)
    assert.equal(end, 'complete')
    check(status, text, retryAfter)
  }
}

const CASES: Readonly<Record<FaultKindName, Case>> = {
  drop: brokenOnce,
  drop_below: brokenOnce,
  garbage: {
    async felt(scene) {
      await brokenOnce.felt(scene)
      const odd = scene.depth.frames.filter((frame) => {
        const event = parsed(frame) as Event | undefined
        return typeof event?.u !== 'number' || Number.isNaN(Number(event.b[0]?.[0] ?? 0))
      })
      assert.equal(odd.length, 1)
    },
  },
  oversized: {
    async felt(scene) {
      await scene.until('it', () => scene.depth.frames.some((frame) => frame.length > OVERSIZED_MIN))
    },
  },
  duplicate: {
    async felt(scene) {
      const twice = () => scene.events().some((event, at, all) => event.u === all[at - 1]?.u)
      await scene.until('the same event twice', twice)
    },
  },
  reorder: {
    async felt(scene) {
      const back = () => scene.events().findIndex((event, at, all) => event.u < (all[at - 1]?.u ?? 0))
      await scene.until('an event behind its successor', () => back() > 0)
      const [later, earlier] = [scene.events()[back() - 1], scene.events()[back()]]
      assert.equal(later?.pu, earlier?.u)
    },
  },
  wrong_pu: {
    async felt(scene) {
      await scene.until('a break of the chain', () => scene.breaks() === 1)
      assert.ok(scene.rig.emitted(SYMBOL).batches.every((batch) => batch.sent))
    },
  },
  crossed: {
    async felt(scene) {
      const { event, side, told, truth } = await scene.lie('crossed')
      assert.deepEqual([side, truth], ['bid', undefined])
      assert.ok(Number(told) > 0)
      assert.ok(event.a.some(([price, qty]) => price === event.b.at(-1)?.[0] && Number(qty) > 0))
    },
  },
  flip_level: {
    async felt(scene) {
      const { told, truth } = await scene.lie('flip_level')
      assert.equal(Number(told), 7 * Number(truth))
    },
  },
  digits16: {
    async felt(scene) {
      assert.equal((await scene.lie('digits16')).told?.replace('.', '').length, 17)
    },
  },
  unknown_field: {
    async felt(scene) {
      await scene.until('the fields', () => scene.depth.frames.some((frame) => frame.includes('"future"')))
      assert.equal(scene.breaks(), 0)
    },
  },
  trade_drop: {
    async felt(scene) {
      const hole = () => scene.trades().some((id, at, all) => at > 0 && id === (all[at - 1] ?? 0) + 2)
      await scene.until('a hole among the trades', hole)
      assert.equal(scene.rig.emitted(SYMBOL).trades.filter((trade) => !trade.sent).length, 1)
    },
  },
  trade_repeat: {
    async felt(scene) {
      const twice = () => scene.trades().some((id, at, all) => id === all[at - 1])
      await scene.until('the same trade twice', twice)
    },
  },

  silence: silent('silence', 'batches'),
  silence_depth: silent('silence_depth', 'batches'),
  silence_trades: silent('silence_trades', 'trades'),
  silence_mark: silent('silence_mark', 'marks'),
  half_open: {
    async felt(scene) {
      await scene.until('something withheld', () =>
        scene.rig.emitted(SYMBOL).batches.some((batch) => batch.fault === 'half_open'),
      )
      // what was sent before has come
      const count = scene.rig.emitted(SYMBOL).batches.filter((batch) => batch.sent).length
      await scene.until('the rest', () => scene.depth.frames.length === count)
      scene.depth.ping()
      const trades = scene.trades().length
      await scene.until('the other route flows on', () => scene.trades().length > trades + 2)
      assert.deepEqual(
        [scene.depth.pongs, scene.depth.frames.length, scene.depth.code],
        [0, count, undefined],
      )
    },
  },

  cut: {
    plan: '/market@0',
    async felt(scene) {
      await scene.until('the end', () => scene.market.code === 1006)
      await scene.flows(2)
    },
  },
  close: {
    plan: '=1001@0',
    felt: (scene) => scene.until('the end', () => scene.depth.code === 1001),
  },
  refuse: {
    plan: '@0+2',
    async felt(scene) {
      const outcomes = [await scene.rig.open(PUBLIC), await scene.rig.open(PUBLIC)]
      for (const outcome of outcomes) assert.ok(outcome === 503 || outcome === 'reset', String(outcome))
      await scene.until('it is over', async () => typeof (await scene.rig.open(PUBLIC)) === 'object')
      await scene.flows(1)
    },
  },
  refuse_429: {
    async felt(scene) {
      assert.equal(await scene.rig.open(PUBLIC), 429)
    },
  },
  hang_handshake: {
    async felt(scene) {
      assert.equal(await scene.rig.open(PUBLIC, () => scene.rig.fired.hang_handshake > 0), 'hang')
      assert.equal(typeof (await scene.rig.open(PUBLIC)), 'object')
    },
  },

  stale_snapshot: {
    plan: '=0.4@0',
    async felt(scene) {
      const { lastUpdateId, bids } = await scene.snapshot()
      assert.ok(lastUpdateId < (scene.events().at(-1)?.u ?? 0))
      assert.deepEqual(bids, scene.rig.bookAt(SYMBOL, BigInt(lastUpdateId)).bids, 'true at its id')
    },
  },
  cached_snapshot: {
    plan: '@0+2',
    async felt(scene) {
      const first = await scene.snapshot()
      await scene.flows(2)
      assert.deepEqual(await scene.snapshot(), first)
      await scene.until('it is over', async () => (await scene.snapshot()).lastUpdateId > first.lastUpdateId)
    },
  },
  short_snapshot: {
    async felt(scene) {
      const { lastUpdateId, bids, asks } = await scene.snapshot()
      const truth = scene.rig.bookAt(SYMBOL, BigInt(lastUpdateId))
      assert.deepEqual(bids, truth.bids.slice(0, Math.ceil(truth.bids.length / 2)))
      const missing = truth.bids.length + truth.asks.length - bids.length - asks.length
      const [lie] = scene.rig.emitted(SYMBOL).lies
      assert.deepEqual(
        [lie?.connection, lie?.id, lie?.levels.length],
        [undefined, BigInt(lastUpdateId), missing],
      )
    },
  },
  crossed_snapshot: {
    async felt(scene) {
      const { bids, asks } = await scene.snapshot()
      assert.deepEqual(bids[0], asks[0])
      const next = await scene.snapshot()
      assert.ok(Number(next.bids[0]?.[0]) < Number(next.asks[0]?.[0]))
    },
  },
  ahead_snapshot: {
    plan: '=2@0',
    async felt(scene) {
      await scene.snapshot()
      const held = scene.events().at(-1)?.u ?? 0
      const cut = () => Number(scene.rig.emitted(SYMBOL).batches.at(-1)?.lastId)
      await scene.until('an event is on its way', () => cut() > held && scene.events().at(-1)?.u === held)
      const { lastUpdateId } = await scene.snapshot()
      assert.ok(lastUpdateId > (scene.events().at(-1)?.u ?? 0))
      await scene.until('the streams come after', () => (scene.events().at(-1)?.u ?? 0) >= lastUpdateId)
      assert.equal(scene.breaks(), 0)
    },
  },

  rest_429: {
    plan: '=7@0',
    felt: answered((status, _text, retryAfter) => assert.deepEqual([status, retryAfter], [429, '7'])),
  },
  rest_418: {
    plan: '/any@0',
    felt: answered((status, _text, retryAfter) => assert.deepEqual([status, retryAfter], [418, '120'])),
  },
  rest_5xx: {
    plan: '=503@0',
    felt: answered((status) => assert.equal(status, 503)),
  },
  rest_hang: {
    async felt(scene) {
      const { status, end } = await scene.rig.get(DEPTH, () => scene.rig.fired.rest_hang > 0)
      assert.deepEqual([status, end], [0, 'hang'])
      assert.equal((await scene.rig.get(DEPTH)).status, 200)
    },
  },
  slow_body: {
    plan: '=0.1@0',
    felt: answered((status, text) => {
      assert.equal(status, 200)
      assert.ok((JSON.parse(text) as Snapshot).bids.length > 5)
    }),
  },
  rest_reset: {
    async felt(scene) {
      assert.equal((await scene.rig.get(DEPTH)).end, 'reset')
    },
  },
  rest_garbage: {
    felt: answered((status, text) => {
      assert.equal(status, 200)
      assert.equal(parsed(text), undefined)
    }),
  },
  rest_html: {
    felt: answered((status, text) => {
      assert.equal(status, 200)
      assert.match(text, /^<!doctype/)
    }),
  },

  skew: {
    plan: '=-5000@0',
    async felt(scene) {
      const { serverTime } = JSON.parse((await scene.rig.get('/fapi/v1/time')).text) as { serverTime: number }
      const offsetMs = serverTime - scene.rig.nowMs()
      assert.ok(offsetMs <= -4900 && offsetMs > -7000, `${offsetMs} ms`)
    },
  },
  empty_side: {
    plan: '=1@0+2',
    async felt(scene) {
      const { lastUpdateId, bids, asks } = await scene.snapshot()
      assert.ok(bids.length > 0 && asks.length === 0)
      assert.equal(scene.rig.bookAt(SYMBOL, BigInt(lastUpdateId)).asks.length, 0, 'it is the truth')
      const removed = () =>
        scene.events().some(({ a }) => a.length > 10 && a.every(([, qty]) => Number(qty) === 0))
      await scene.until('the event', removed)
      await scene.until('the side is back', async () => (await scene.snapshot()).asks.length > 10)
      assert.equal(scene.breaks(), 0)
    },
  },
  maintenance: {
    plan: '@0+2',
    async felt(scene) {
      const last = scene.events().at(-1)?.u ?? 0
      await scene.until('the end', () => scene.depth.code === 1012 && scene.market.code === 1012)
      assert.deepEqual([(await scene.rig.get(DEPTH)).status, await scene.rig.open(PUBLIC)], [503, 503])
      await scene.until('it is over', async () => (await scene.rig.get(DEPTH)).status === 200)
      assert.ok((await scene.snapshot()).lastUpdateId >= last)
      assert.equal(typeof (await scene.rig.open(PUBLIC)), 'object')
    },
  },
  id_reset: {
    plan: '@0+0.3',
    async felt(scene) {
      const first = scene.events()[0]?.pu ?? 0
      await scene.until('it is over', async () => (await scene.rig.get(DEPTH)).status === 200)
      const { lastUpdateId, bids } = await scene.snapshot()
      assert.ok(lastUpdateId < first)
      assert.deepEqual(bids, scene.rig.bookAt(SYMBOL, BigInt(lastUpdateId)).bids)
      scene.rig.bookAt(SYMBOL, BigInt(first)) // the time before is still known
    },
  },
  halt_trading: {
    plan: '@0+2',
    async felt(scene) {
      assert.equal(await scene.status(), 'SETTLING')
      const before = (await scene.snapshot()).lastUpdateId
      assert.equal((await scene.snapshot()).lastUpdateId, before)
      await scene.until('it is over', async () => (await scene.status()) === 'TRADING')
      await scene.flows(2)
      assert.equal(scene.breaks(), 0)
    },
  },
  delist: {
    async felt(scene) {
      assert.equal(await scene.status(), undefined)
      const { status, text } = await scene.rig.get(DEPTH)
      assert.deepEqual([status, (JSON.parse(text) as { code: number }).code], [400, -1121])
    },
  },
}

for (const [where, make] of [
  ['by the core in virtual time', virtualRig],
  ['over real sockets', realRig],
] as const) {
  describe(`faults ${where}`, { concurrency: 16 }, () => {
    for (const kind of Object.keys(FAULT_KINDS) as FaultKindName[]) {
      const { plan = '@0', felt } = CASES[kind]
      test(`${kind}: ${FAULT_KINDS[kind].about}`, async () => {
        const rig = await make({ seed: 31, symbols: [SYMBOL], profile: 'thin', rate: 60 })
        try {
          const [depth, market] = [await rig.open(PUBLIC), await rig.open(MARKET)]
          assert.ok(typeof depth === 'object' && typeof market === 'object')
          const scene = new Scene(rig, depth, market)
          await scene.flows(6)
          rig.inject(`${kind}:${SYMBOL}${plan}`)
          await felt(scene)
          const fired = Object.entries(rig.fired).filter(([, count]) => count > 0)
          assert.deepEqual(
            fired.map(([name]) => name),
            [kind],
          )
          // What has a duration may act again within it.
          if (!plan.includes('+')) assert.equal(rig.fired[kind], 1)
        } finally {
          await rig.stop()
        }
      })
    }
  })
}
