import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CoverageNews } from '../../capture/process/live-rows.ts'
import { toldNews } from '../../capture/process/news.ts'
import { withDirectory } from '../support/run.ts'
import { KeeperWorld } from './keeper-world.ts'

/** Reasons and streams, in order; `covered` for a beginning. */
function words(news: readonly CoverageNews[]): string[] {
  return news.map((each) => `${each.stream} ${each.news === 'gap' ? each.reason : 'covered'}`)
}

async function withNews(
  body: (world: KeeperWorld, heard: readonly CoverageNews[]) => Promise<void>,
): Promise<void> {
  await withDirectory(async (dir) => {
    const world = await (await KeeperWorld.make(dir)).begun()
    const heard: CoverageNews[] = []
    world.keeper.rows.onNews = (news) => heard.push(news)
    await body(world, heard)
    await world.end()
  })
}

describe('news of coverage', () => {
  it('two gaps of trades between two looks are two, each with its own reason, from its last evidence on', () =>
    withNews(async (world, heard) => {
      world.trade(2)
      await world.time.run(100)
      const before = world.keeper.session?.coverage('trades')?.to
      world.skipTrades(1)
      world.trade(1)
      await world.time.run(10)
      world.skipTrades(1)
      world.trade(1)
      await world.time.run(10)
      assert.deepEqual(words(heard), [
        'trades covered',
        ...['trades sequence', 'trades covered'],
        ...['trades sequence', 'trades covered'],
      ])
      const [first, gap, again] = heard
      assert.ok(first !== undefined && gap?.news === 'gap' && again !== undefined)
      assert.match(gap.detail, /^trade 4 follows 2$/)
      assert.equal(gap.from, before)
      assert.ok(first.from <= gap.from && gap.from < again.from)
    }))

  it('a disk that is full, and the run after it: the gap and its end, over two runs', () =>
    withNews(async (world, heard) => {
      world.trade(2)
      await world.time.run(100)
      world.disk.full = 'full'
      await world.until('the pause', () => world.keeper.pause !== undefined)
      world.disk.full = ''
      await world.until('another run', () => world.runs.length === 2)
      await world.until('open sockets', () => world.isOpen)
      world.trade(1)
      await world.time.run(100)
      assert.deepEqual(words(heard), ['trades covered', 'trades disk_full', 'trades covered'])
    }))

  it('what is told to the parent: names as in paths, times for people', () => {
    const news = { news: 'covered', stream: 'books', from: 1_795_348_800_123_456 } as const
    assert.deepEqual(toldNews(news, 20), {
      news: 'covered',
      stream: 'books20',
      from: '2026-11-22T12:00:00.123456Z',
    })
  })
})
