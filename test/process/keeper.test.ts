import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseRunId } from '../../capture/journal/mod.ts'
import { withDirectory } from '../support/run.ts'
import { KeeperWorld, type ReadSegment, range, tradesOf } from './keeper-world.ts'

function stopOf(segment: ReadSegment): string {
  const last = segment.inputs.at(-1)
  return last?.kind === 'stop' ? last.reason : `no stop but ${last?.kind}`
}

describe('a wall clock that is stepped back', () => {
  it('clock_step: the run ends in order, another one begins at once with a fresh anchor, and no halt', () =>
    withDirectory(async (dir) => {
      const world = await (await KeeperWorld.make(dir)).begun()
      world.trade(3)
      await world.time.run(2000)
      const before = world.keeper.run
      world.time.stepWall(-60_000)
      await world.until('another run', () => world.runs.length === 2)
      assert.notEqual(world.keeper.run, before)
      await world.until('open sockets', () => world.isOpen)
      world.trade(2)
      await world.time.run(2000)
      await world.end()
      assert.deepEqual(world.halts, [])
      assert.deepEqual(
        world.windows,
        world.runs.map((run) => `${run}-000000`),
      )
      const [first, second] = await Promise.all(world.windows.map((window) => world.read(window)))
      assert.deepEqual([first.end, stopOf(first), tradesOf(first)], ['clock_step', 'clock_step', [1, 2, 3]])
      assert.deepEqual([second.end, stopOf(second), tradesOf(second)], ['stopped', 'stopped', [4, 5]])
      const lastOfFirst = first.inputs.at(-1)?.received ?? 0
      const setBackUs = lastOfFirst - second.openedAt
      assert.ok(Math.abs(setBackUs - 60_000_000) < 2_000_000, `receive time went back by ${setBackUs} us`)
      assert.equal(second.inputs[0].kind, 'opened')
    }))

  it('run ids sort in the order of the runs, though the clock went back between them', () =>
    withDirectory(async (dir) => {
      const laterThan = '20261122T120500000Z-0000000f'
      const world = await (await KeeperWorld.make(dir, { laterThan })).begun()
      for (let i = 1; i <= 3; i++) {
        world.time.stepWall(-1000)
        await world.until('another run', () => world.runs.length === i + 1)
        await world.until('open sockets', () => world.isOpen)
      }
      await world.end()
      const order = [laterThan, ...world.runs]
      assert.deepEqual(order.toSorted(), order)
      for (const run of world.runs) assert.ok(parseRunId(run))
    }))

  it('a step back of 250 ms is none; a step forward closes the segment and the run goes on', () =>
    withDirectory(async (dir) => {
      const world = await (await KeeperWorld.make(dir)).begun()
      world.time.stepWall(-250)
      await world.time.run(3000)
      assert.deepEqual([world.runs.length, world.windows.length], [1, 0])
      world.time.stepWall(250 + 251)
      await world.until('a closed window', () => world.windows.length === 1)
      await world.end()
      assert.equal(world.runs.length, 1)
      assert.equal((await world.read(world.windows[0])).end, 'clock_step')
    }))
})

describe('a disk without room', () => {
  it('disk_full: beyond a mark the run ends in order, the feed closes, and below the low-water mark a new run begins', () =>
    withDirectory(async (dir) => {
      const world = await (await KeeperWorld.make(dir)).begun()
      world.trade(2)
      await world.time.run(1000)
      world.disk.full = 'the spool holds 9 bytes, its cap is 8'
      world.disk.low = false
      await world.until('the pause', () => world.keeper.pause !== undefined)
      assert.equal(world.keeper.pause?.reason, 'disk_full')
      await world.until('closed sockets', () => world.exchange.open.length === 0)
      world.disk.full = ''
      const looked = world.disk.looks
      await world.until('some looks for room', () => world.disk.looks >= looked + 3)
      assert.deepEqual(
        [world.runs.length, world.exchange.open.length],
        [1, 0],
        'not before the low-water mark',
      )
      world.disk.low = true
      await world.until('open sockets', () => world.isOpen)
      assert.equal(world.keeper.pause, undefined)
      world.trade(1)
      await world.time.run(1000)
      await world.end()
      const [first, second] = await Promise.all(world.windows.map((window) => world.read(window)))
      assert.deepEqual([first.end, stopOf(first), tradesOf(first)], ['disk_full', 'disk_full', [1, 2]])
      assert.deepEqual([second.end, tradesOf(second)], ['stopped', [3]])
      assert.notEqual(first.run, second.run)
      assert.deepEqual(world.halts, [])
    }))

  for (const [how, freeBytes, fullCode] of [
    ['a short write', 1000, 'ENOSPC'],
    ['ENOSPC', 0, 'ENOSPC'],
    ['EDQUOT', 0, 'EDQUOT'],
  ] as const) {
    it(`${how}: the reserve takes what waited and the closing record; nothing is lost, no halt`, () =>
      withDirectory(async (dir) => {
        const world = await (await KeeperWorld.make(dir)).begun()
        await world.time.run(2000)
        world.disk.freeBytes = freeBytes
        world.disk.fullCode = fullCode
        world.trade(100)
        await world.until('the closed window', () => world.windows.length === 1)
        assert.equal(world.keeper.pause?.reason, 'disk_full')
        const segment = await world.read(world.windows[0])
        assert.deepEqual([segment.end, stopOf(segment)], ['disk_full', 'disk_full'])
        assert.deepEqual(tradesOf(segment), range(1, 100))
        await world.time.run(5000)
        assert.equal(world.runs.length, 1, 'no run before the reserve is whole again')
        world.disk.freeBytes = Number.POSITIVE_INFINITY
        await world.until('another run', () => world.runs.length === 2)
        assert.equal(world.disk.reserved, true)
        await world.end()
        assert.deepEqual([world.halts, world.windows.length], [[], 2])
      }))
  }

  it('without even a reserve the segment is cut at its last good frame, and the run is paused all the same', () =>
    withDirectory(async (dir) => {
      const world = await (await KeeperWorld.make(dir)).begun()
      world.trade(5)
      await world.time.run(2000)
      world.disk.reserved = false
      world.disk.freeBytes = 1000
      world.trade(100)
      await world.until('the closed window', () => world.windows.length === 1)
      const segment = await world.read(world.windows[0])
      assert.equal(segment.end, 'torn')
      const trades = tradesOf(segment)
      assert.ok(trades.length >= 5 && trades.length < 105, `${trades.length} trades`)
      assert.deepEqual(trades, range(1, trades.length))
      assert.equal(world.keeper.pause?.reason, 'disk_full')
      world.disk.freeBytes = Number.POSITIVE_INFINITY
      await world.until('another run', () => world.runs.length === 2)
      await world.end()
      assert.deepEqual(world.halts, [])
    }))

  it('a start without room waits for some; an end meanwhile ends', () =>
    withDirectory(async (dir) => {
      const world = await KeeperWorld.make(dir)
      world.disk.freeBytes = 10
      await world.keeper.start()
      assert.equal(world.keeper.pause?.reason, 'disk_full')
      await world.time.run(5000)
      assert.deepEqual([world.runs, world.exchange.open.length], [[], 0])
      assert.ok(world.keeper.sinceBeatMs < 2000, 'looking for room is a beat of the loop')
      await world.end()
      world.disk.freeBytes = Number.POSITIVE_INFINITY
      await world.time.run(5000)
      assert.deepEqual(world.runs, [])
    }))

  it('an error of the disk is no want of room: halt DiskFailed', () =>
    withDirectory(async (dir) => {
      for (const call of ['write', 'datasync'] as const) {
        const world = await (await KeeperWorld.make(`${dir}/${call}`)).begun()
        world.disk.broken = { call, code: 'EIO' }
        world.trade(1)
        await world.until('the halt', () => world.halts.length > 0)
        assert.deepEqual(world.halts, ['DiskFailed'])
        await assert.rejects(world.meanwhile(world.keeper.abandon()), /EIO/)
      }
    }))
})

describe('a journal that does not keep up', () => {
  it('overload: two seconds without a byte accepted are told once, as the journal', () =>
    withDirectory(async (dir) => {
      const world = await (await KeeperWorld.make(dir)).begun()
      const { promise, resolve } = Promise.withResolvers<void>()
      world.disk.stuck = promise
      world.trade(10)
      await world.time.run(8000)
      assert.equal(world.log.lines.filter((line) => line.includes('could not write for')).length, 1)
      world.disk.stuck = undefined
      resolve()
      await world.end()
      const { inputs } = await world.read(world.windows[0])
      const [first] = inputs.flatMap((input) => (input.kind === 'overload' ? [input] : []))
      assert.equal(first.what, 'journal')
      assert.ok(first.stalledMs >= 2000 && first.stalledMs < 4000, `${first.stalledMs} ms`)
    }))
})

describe('the beat of the loop', () => {
  it('each tick is one; a loop that stands still has none', () =>
    withDirectory(async (dir) => {
      const world = await (await KeeperWorld.make(dir)).begun()
      await world.time.run(30_000)
      assert.ok(world.keeper.sinceBeatMs < 2000, `${world.keeper.sinceBeatMs} ms`)
      world.time.stall(11_000)
      assert.ok(world.keeper.sinceBeatMs > 10_000, `${world.keeper.sinceBeatMs} ms`)
      await world.time.run(1500)
      assert.ok(world.keeper.sinceBeatMs < 2000)
      await world.end()
    }))
})

describe('what is kept over runs', () => {
  it('a ban holds for the next run and is remembered', () =>
    withDirectory(async (dir) => {
      const remembered: number[] = []
      const world = await KeeperWorld.make(dir, { remember: (ms) => remembered.push(ms) })
      const untilMs = world.time.wallUs() / 1000 + 600_000
      const banned = await KeeperWorld.make(`${dir}/banned`, { pausedUntilMs: untilMs })
      await banned.keeper.start()
      await banned.time.run(30_000)
      banned.time.stepWall(-1000)
      await banned.until('another run', () => banned.runs.length === 2)
      await banned.time.run(30_000)
      assert.deepEqual([banned.exchange.asked, banned.exchange.attemptsAtMs], [[], []], 'nothing is sent')
      await banned.end()

      await world.begun()
      world.exchange.use(10_000)
      await world.until('the ban', () => remembered.length > 0)
      assert.equal(world.keeper.pausedUntilMs, remembered.at(-1))
      const askedBefore = world.exchange.asked.length
      world.time.stepWall(-1000)
      await world.until('another run', () => world.runs.length === 2)
      await world.time.run(10_000)
      assert.equal(world.exchange.asked.length, askedBefore)
      await world.end()
    }))

  it('a ban lasts as long as it was given, however the clock is stepped meanwhile, and is kept in the new time', () =>
    withDirectory(async (dir) => {
      for (const [name, steps] of [
        ['forward', [60_000, -1000]],
        ['back', [-60_000]],
      ] as const) {
        const remembered: number[] = []
        const remember = (ms: number) => remembered.push(ms)
        const world = await (await KeeperWorld.make(`${dir}/${name}`, { remember })).begun()
        world.exchange.use(10_000)
        await world.until('the ban', () => remembered.length > 0)
        const askedBefore = world.exchange.asked.length
        const leftMs = remembered[0] - world.time.wallUs() / 1000
        for (const step of steps) {
          world.time.stepWall(step)
          await world.time.run(2000)
        }
        await world.until('another run', () => world.runs.length === 2)
        const [untilMs = 0] = remembered.slice(-1)
        const leftNowMs = untilMs - world.time.wallUs() / 1000
        assert.ok(leftNowMs <= leftMs && leftNowMs > leftMs - 10_000, `${leftNowMs} of ${leftMs} ms`)
        await world.time.run(leftNowMs - 1000)
        assert.equal(world.exchange.asked.length, askedBefore, 'nothing is sent before its end')
        await world.until('a request', () => world.exchange.asked.length > askedBefore)
        assert.ok(world.time.wallUs() / 1000 - untilMs < 60_000)
        await world.end()
      }
    }))

  it('attempts to connect are counted over runs', () =>
    withDirectory(async (dir) => {
      const world = await (await KeeperWorld.make(dir, { share: 128 })).begun()
      await world.time.run(1000)
      const { attemptsAtMs } = world.exchange
      assert.equal(attemptsAtMs.length, 2, 'all that a share of 128 has in five minutes')
      world.time.stepWall(-1000)
      await world.until('another run', () => world.runs.length === 2)
      await world.until('another attempt', () => attemptsAtMs.length > 2)
      assert.ok(attemptsAtMs[2] - attemptsAtMs[0] > 300_000, `${attemptsAtMs[2] - attemptsAtMs[0]} ms`)
      await world.end()
    }))

  it('counts go on over runs', () =>
    withDirectory(async (dir) => {
      const world = await (await KeeperWorld.make(dir)).begun()
      world.trade(3)
      await world.time.run(1500)
      const written = world.keeper.journalled.writtenBytes
      world.time.stepWall(-1000)
      await world.until('another run', () => world.runs.length === 2)
      await world.until('open sockets', () => world.isOpen)
      world.trade(4)
      await world.time.run(1500)
      assert.equal(world.keeper.counters.trades, 7)
      assert.equal(world.keeper.rows.rows.trades, 7)
      assert.equal(world.keeper.runs, 2)
      assert.ok(world.keeper.journalled.writtenBytes > written)
      await world.end()
      const { writtenBytes, syncedBytes } = world.keeper.journalled
      assert.equal(syncedBytes, writtenBytes)
      assert.ok(
        world.keeper.rows.gaps.some(({ stream, reason }) => stream === 'trades' && reason === 'clock_step'),
      )
    }))
})

describe('faults in any order', () => {
  const seed = Number(process.env['KEEPER_SEED'] ?? Date.now() % 1_000_000)
  it(`every trade that came while a run was on is in one segment, in order (KEEPER_SEED=${seed})`, () =>
    withDirectory(async (dir) => {
      let state = seed
      const random = (below: number) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return Math.floor((state / 2 ** 32) * below)
      }
      const world = await (await KeeperWorld.make(dir, { rotationSeconds: 1 })).begun()
      const steps = [
        () => world.time.stepWall(-300 - random(5000)),
        () => world.time.stepWall(300 + random(5000)),
        () => {
          world.disk.freeBytes = random(3) * 500
        },
        () => {
          world.disk.full = 'full'
        },
      ]
      for (let i = 0; i < 40; i++) {
        if (world.isOpen) world.trade(1 + random(20))
        if (random(4) === 0) steps[random(steps.length)]()
        await world.time.run(100 + random(900))
        if (world.keeper.pause !== undefined || world.disk.freeBytes < 10_000 || world.disk.full !== '') {
          await world.time.run(2000)
          world.disk.freeBytes = Number.POSITIVE_INFINITY
          world.disk.full = ''
        }
        await world.until('open sockets', () => world.isOpen)
      }
      await world.end()
      assert.deepEqual(world.windows, world.windows.toSorted(), 'windows are told in order')
      const trades: number[] = []
      for (const window of world.windows) {
        const segment = await world.read(window)
        assert.notEqual(segment.end, 'corrupt')
        trades.push(...tradesOf(segment))
      }
      assert.deepEqual(world.halts, [])
      assert.deepEqual(trades, range(1, world.trades))
    }))
})
