import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Drive } from './harness.ts'

const HOUR = 3600

describe('take-over of trades and mark prices', () => {
  /** Trades to 7 and a price on connection 2, for which connection 3 was asked. */
  function oldMarket(): Drive {
    const drive = new Drive().open(2, 'market').trade(5).trade(6).markPrice(1000).leap(4)
    drive.now += 23.6 * HOUR * 1_000_000
    return drive.trade(7).markPrice(2000).tick()
  }
  const besideMarket = () => {
    const drive = oldMarket()
    assert.deepEqual(drive.out.openedBeside, ['market'])
    return drive.open(3, 'market')
  }
  const both = (drive: Drive, trade: number, mark: number) =>
    drive.trade(trade, { connection: 3 }).markPrice(mark, 3)

  it('nothing twice, nothing lost, in the order of ids', () => {
    const drive = both(besideMarket(), 7, 2000).trade(8, { connection: 3 }).trade(8)
    drive.trade(9, { connection: 3 }).markPrice(3000).markPrice(3000, 3)
    drive.pass(3).markPrice(3500).pass(2)
    assert.deepEqual(drive.out.closes, [{ connection: 2, why: 'another connection has taken over' }])
    drive.trade(10, { connection: 3 }).trade(10).markPrice(4000, 3).close(2)
    assert.deepEqual(drive.tradeIds, [5n, 6n, 7n, 8n, 9n, 10n])
    assert.deepEqual(
      drive.out.of('mark_price').map((row) => row.values['eventTime']),
      [1000, 2000, 3000, 3500, 4000],
    )
    assert.deepEqual(
      drive.out.of('trades').map((row) => [row.connection, row.values['gapBefore']]),
      [
        [2, true],
        [2, false],
        [2, false],
        [2, false],
        [3, false],
        [3, false],
      ],
    )
    drive.stop()
    assert.deepEqual(drive.out.coverageTexts(), [
      'trades proven 4:5..10 rows 6 stopped',
      'mark_price observed 0:0..0 rows 5 stopped',
    ])
  })

  it('not before five seconds, nor before it brought a price', () => {
    const drive = besideMarket().trade(7, { connection: 3 }).markPrice(3000).pass(4)
    assert.equal(drive.counters.take_overs, 0)
    drive.markPrice(4000).pass(2)
    assert.equal(drive.counters.take_overs, 0, 'no price yet')
    drive.markPrice(5000, 3).tick()
    assert.equal(drive.counters.take_overs, 1)
  })

  it('not with trades that begin beyond the last one', () => {
    const drive = both(besideMarket(), 9, 3000).pass(4)
    drive.markPrice(4000).pass(2)
    assert.equal(drive.counters.take_overs, 0)
    drive.trade(8).tick()
    assert.equal(drive.counters.take_overs, 1)
    assert.deepEqual(drive.tradeIds, [5n, 6n, 7n, 8n, 9n])
  })

  it('without trades on either it goes by the prices', () => {
    const drive = besideMarket().markPrice(3000, 3).pass(4).markPrice(4000, 3).pass(1)
    assert.equal(drive.counters.take_overs, 1)
    drive.trade(8, { connection: 3 })
    assert.deepEqual([drive.tradeIds.at(-1), drive.out.of('coverage').length], [8n, 0])
  })

  it('one that brings no trade while the first one does is given up after a minute', () => {
    const drive = besideMarket().trade(8)
    for (let i = 0; i < 61; i++) drive.markPrice(3000 + i * 1000, 3).pass(1)
    assert.deepEqual(drive.out.closes, [{ connection: 3, why: 'it cannot take over' }])
    assert.deepEqual([drive.counters.take_overs_failed, drive.session.market.connection], [1, 2])
  })

  it('the first one is cut meanwhile: the ids tell whether anything was lost', () => {
    const whole = both(besideMarket(), 8, 3000).close(2)
    assert.deepEqual([whole.tradeIds, whole.out.of('coverage').length], [[5n, 6n, 7n, 8n], 0])
    const lost = both(besideMarket(), 9, 3000).close(2)
    assert.deepEqual(lost.out.coverageTexts(), ['trades proven 4:5..7 rows 3 reconnect'])
    assert.equal(lost.out.of('trades').at(-1)?.values['gapBefore'], true)
  })

  it('the second one is cut: the first one goes on', () => {
    const drive = both(besideMarket(), 8, 3000).close(3).trade(8)
    assert.deepEqual([drive.tradeIds, drive.out.of('coverage').length], [[5n, 6n, 7n, 8n], 0])
  })

  it('trades of the second one that are not needed are counted', () => {
    const drive = besideMarket().trade(7, { connection: 3 }).trade(9, { connection: 3 })
    assert.equal(drive.counters.trades_dropped, 1, 'before a break')
    assert.equal(drive.close(3).counters.trades_dropped, 2, 'of a connection that is lost')
  })

  it('ids that begin anew on the second one are a break of what it keeps, no repetition', () => {
    const drive = besideMarket().trade(8, { connection: 3 }).trade(3, { connection: 3, later: 5 })
    drive.trade(4, { connection: 3, later: 6 }).close(2)
    assert.deepEqual(drive.tradeIds.slice(-2), [3n, 4n])
    assert.deepEqual(drive.out.coverageTexts()[0], 'trades proven 4:5..7 rows 3 reconnect')
    assert.equal(drive.counters.trades_dropped, 1)
  })

  it('a frame of the second one that does not decode is no gap', () => {
    const drive = both(besideMarket(), 7, 2000)
    drive.input({ kind: 'message', connection: 3, payload: Buffer.from('{"e":"aggTrade","p":"x"}') })
    assert.deepEqual(drive.out.of('coverage'), [])
  })

  it('one route at a time', () => {
    const drive = new Drive().live().open(2, 'market').trade(5).markPrice(1000)
    drive.now += 23.6 * HOUR * 1_000_000
    drive.event(110, 120).trade(6).markPrice(2000).tick()
    assert.deepEqual(drive.out.openedBeside, ['public'])
    drive.open(3).event(115, 125, 3)
    for (let i = 0; i < 5; i++) drive.markPrice(3000 + i * 1000).pass(1)
    assert.equal(drive.counters.take_overs, 1)
    assert.deepEqual(drive.out.openedBeside, ['public', 'market'])
    drive.tick().open(4, 'market')
    assert.deepEqual(drive.out.openedBeside, ['public', 'market'])
  })
})
