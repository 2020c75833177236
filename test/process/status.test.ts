import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ProcessConfig } from '../../api/config.ts'
import { RECOVERED_AFTER_MS } from '../../capture/process/report.ts'
import { healthyMs, isReady, statusOf } from '../../capture/process/status.ts'
import { SESSION, withDirectory } from '../support/run.ts'
import { KeeperWorld } from './keeper-world.ts'

const STREAMS = ['books', 'depth', 'trades', 'mark_price'] as const
const CONFIG = ProcessConfig.parse({
  exchange: 'BinanceUsdm',
  symbol: 'BTCUSDT',
  streams: STREAMS,
  spool: { dir: '/spool' },
  storage: { local: { path: '/data' } },
  writer: { pod: 'majors-btcusdt-1', podUid: 'u1' },
})

function status(world: KeeperWorld, ending = false) {
  return statusOf({
    config: CONFIG,
    keeper: world.keeper,
    ending,
    usage: { bytes: 9, windows: 3, unshippedBytes: 8, quarantinedBytes: 7, oldestMs: 1_795_608_297_123.4 },
    ship: {
      ...{ state: 'waiting' as const, reason: 'no_space: full', since: '2026-11-22T12:01:00.000000Z' },
      ...{ check: null, lastCommit: null, waitingWindows: 2 },
    },
    unanswered: 'waiting for an answer to PUT a for 6 s',
    halts: [{ reason: 'CrossedBook', message: 'why', run: 'r', at: '2026-11-22T12:00:00.000000Z' }],
    handover: null,
  })
}

describe('status', () => {
  it('tells each part of a running capture', () =>
    withDirectory(async (dir) => {
      const world = await (await KeeperWorld.make(dir)).begun()
      world.trade(3)
      await world.time.run(2500)
      const now = status(world)
      assert.equal(now.run, world.runs[0])
      assert.deepEqual(now.writer, { pod: 'majors-btcusdt-1', podUid: 'u1' })
      assert.equal(now.state, world.keeper.session?.book.state)
      assert.match(now.since, /^2026-11-22T12:00:1\d\.\d{6}Z$/)
      assert.deepEqual(Object.keys(now.streams), ['books20', 'depth', 'trades', 'mark_price'])
      const { trades, mark_price } = now.streams
      assert.deepEqual([trades.state, trades.lastId, trades.rows], ['flowing', '3', 3])
      assert.ok(trades.since > now.streams['books20'].since, 'to the second, from the ticks')
      assert.deepEqual([mark_price.state, mark_price.lastReceived], ['waiting', null])
      assert.deepEqual(now.spool, {
        bytes: 9,
        unshippedBytes: 8,
        quarantinedBytes: 7,
        windowsWaiting: 2,
        oldest: '2026-11-25T12:04:57.123400Z',
      })
      assert.deepEqual(now.ship, {
        ...{ state: 'waiting', since: '2026-11-22T12:01:00.000000Z' },
        ...{ reason: 'no_space: full', check: null, lastCommit: null },
        unanswered: 'waiting for an answer to PUT a for 6 s',
      })
      assert.deepEqual(now.halts, [
        { reason: 'CrossedBook', message: 'why', at: '2026-11-22T12:00:00.000000Z' },
      ])
      assert.ok(Math.abs(now.clock.offsetMs ?? 99) < 20, `${now.clock.offsetMs} ms`)
      assert.equal(status(world, true).state, 'ending')
      await world.end()
    }))

  it('paused for want of room: state, reason, since; not ready', () =>
    withDirectory(async (dir) => {
      const world = await (await KeeperWorld.make(dir)).begun()
      world.disk.full = 'full'
      await world.until('the pause', () => world.keeper.pause !== undefined)
      await world.until('closed sockets', () => world.exchange.open.length === 0)
      const { state, reason, since, streams, connections, spool } = status(world)
      assert.deepEqual([state, reason, status(world).why], ['paused', 'disk_full', 'full'])
      assert.ok(since.startsWith('2026-11-22T12:00:1'), since)
      assert.ok(Object.values(streams).every((stream) => stream.state === 'paused' && stream.since === since))
      assert.deepEqual([connections, spool.windowsWaiting], [[], 3], 'no window is open')
      assert.equal(isReady(STREAMS, world.keeper), false)
      assert.equal(isReady(['trades'], world.keeper), false)
      await world.end()
    }))

  it('healthy without a book: as long as all streams flow, which forgets the halts before as a live book does', () =>
    withDirectory(async (dir) => {
      const streams = ['trades'] as const
      const world = await KeeperWorld.make(dir, { config: { ...SESSION, streams: [...streams] } })
      await world.begun()
      // a trade is a proof that no question is needed for
      const flow = async (ms: number) => {
        for (let at = 0; at < ms; at += 30_000) {
          world.trade()
          await world.time.run(30_000)
        }
      }
      await flow(300_000)
      assert.ok(healthyMs(streams, world.keeper) >= 265_000)
      world.time.stepWall(-1000)
      await world.until('another run', () => world.runs.length === 2)
      await world.until('open sockets', () => world.isOpen)
      await flow(RECOVERED_AFTER_MS)
      const healthy = healthyMs(streams, world.keeper)
      assert.ok(
        healthy >= RECOVERED_AFTER_MS - 31_000 && healthy <= RECOVERED_AFTER_MS + 31_000,
        `${healthy} ms`,
      )
      assert.equal(healthyMs(STREAMS, world.keeper), 0, 'a book that was never live')
      await world.end()
    }))

  it('ready: the book where there is one, else every stream', () =>
    withDirectory(async (dir) => {
      const world = await (await KeeperWorld.make(dir)).begun()
      assert.equal(isReady(['trades'], world.keeper), false)
      world.trade(1)
      assert.equal(isReady(['trades'], world.keeper), true)
      assert.equal(isReady(['trades', 'mark_price'], world.keeper), false)
      assert.equal(isReady(['trades', 'books'], world.keeper), false)
      await world.end()
    }))
})
