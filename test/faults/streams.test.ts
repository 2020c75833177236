import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CAPTURES_AT_ONCE, flowing, inScene, live } from './scene.ts'

/** Long enough for several questions, after one second of silence each, at first. */
const PROVEN_MS = 5000

describe('faults of other streams end their own coverage alone', { concurrency: CAPTURES_AT_ONCE }, () => {
  it('a lost trade ends the coverage of trades, a repeated one does not; the book stays live', (t) =>
    inScene(async (scene) => {
      const capture = scene.capture()
      const trades = () => capture.status?.streams['trades']?.rows ?? 0
      const { gaps } = await flowing(capture)
      for (const fault of ['trade_repeat', 'trade_drop']) {
        await scene.strike(fault)
        const before = trades()
        await capture.until('trades beyond it', () => trades() > before + 30)
      }
      assert.deepEqual([capture.status?.state, capture.status?.gaps], ['live', gaps])
      await capture.drain()
      const summary = await scene.judge()
      t.diagnostic(JSON.stringify(summary))
      const ended = (await scene.coverage()).filter(
        (row) => row.ended_by !== null && row.ended_by !== 'stopped',
      )
      assert.deepEqual(
        ended.map((row) => `${row.of_stream} ${row.ended_by}`),
        ['trades sequence'],
      )
    }))

  it('silence of the mark price ends its coverage and reconnects its socket; the book stays live', (t) =>
    inScene(async (scene) => {
      const capture = scene.capture()
      const before = await flowing(capture)
      await scene.strike('silence_mark+8')
      await capture.until('the other connection', ({ connections }) =>
        connections.some(({ route, why }) => route === 'market' && why !== ''),
      )
      const marks = capture.status?.streams['mark_price']?.rows ?? 0
      await capture.until(
        'mark prices again',
        ({ streams }) => (streams['mark_price']?.rows ?? 0) > marks + 1,
      )
      assert.equal(capture.status?.since, before.since, 'one book all the time')
      await capture.drain()
      t.diagnostic(JSON.stringify(await scene.judge()))
      const endings = await scene.endings()
      t.diagnostic([...endings].join(', '))
      assert.ok(endings.has('mark_price no_data'))
      assert.ok(!endings.has('depth reconnect'))
    }))

  it('a market socket that is cut ends trades and mark price, and leaves the book alone', (t) =>
    inScene(async (scene) => {
      const capture = scene.capture()
      const before = await flowing(capture)
      await scene.strike('silence_trades+1,cut/market')
      const rows = () => capture.status?.streams['trades']?.rows ?? 0
      await capture.until('the lost socket', ({ connections }) =>
        connections.some(({ route, why }) => route === 'market' && why !== ''),
      )
      const was = rows()
      await capture.until('trades again', () => rows() > was + 10)
      assert.equal(capture.status?.since, before.since, 'one book all the time')
      await capture.drain()
      t.diagnostic(JSON.stringify(await scene.judge()))
      const endings = await scene.endings()
      assert.ok(
        endings.has('trades reconnect') &&
          endings.has('mark_price reconnect') &&
          !endings.has('depth reconnect'),
      )
    }))

  it('a market in which nothing happens is proven to be quiet: coverage grows without a row and without a gap', (t) =>
    inScene(
      async (scene) => {
        const capture = scene.capture()
        const { since } = await live(capture)
        const beyond = ({ lastReceived }: { lastReceived: string | null }) =>
          Date.parse(lastReceived ?? '') > Date.parse(since) + PROVEN_MS
        await capture.until(
          'proofs of silence',
          ({ streams }) => streams['depth'] !== undefined && beyond(streams['depth']),
        )
        assert.equal(capture.status?.gaps, 0)
        await capture.drain()
        t.diagnostic(JSON.stringify(await scene.judge()))
        const proven = (await scene.coverage()).filter(
          ({ of_stream, rows, from, to }) => of_stream === 'depth' && rows === 0 && from < to,
        )
        assert.ok(proven.length > 0)
      },
      { profile: { rate: 0.1, levels: 60 } },
    ))
})
