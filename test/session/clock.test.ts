import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CONFIG, Drive } from './harness.ts'

describe('clock', () => {
  it('no stream is live before five probes; then the waiting book joins', () => {
    const drive = new Drive(CONFIG, 4).open().event(100, 105).open(2, 'market')
    drive.answer(1, 103).trade(5).markPrice(1000)
    assert.deepEqual([drive.state, drive.out.collected.length], ['joining', 0])
    assert.equal(drive.counters.messages_early, 2)
    drive.event(105, 110).probe(0)
    assert.deepEqual([drive.state, drive.bookIds], ['live', [105n, 110n]])
    drive.trade(6).markPrice(2000)
    assert.deepEqual(drive.tradeIds, [6n])
    assert.equal(drive.out.of('mark_price').length, 1)
  })

  it('halt ClockSkew: the median of five is off by more than 500 ms for sure', () => {
    for (const sign of [1, -1]) {
      const drive = new Drive(CONFIG, 0).live()
      for (let i = 0; i < 4; i++) drive.probe(sign * 511)
      assert.deepEqual(drive.haltReasons, [])
      drive.probe(sign * 511)
      assert.deepEqual(drive.haltReasons, ['ClockSkew'])
      assert.match(drive.out.halts[0]?.message ?? '', sign > 0 ? /511 ms ahead/ : /511 ms behind/)
    }
  })

  it('half of the way there and back is doubt in our favour', () => {
    const drive = new Drive(CONFIG, 0)
    for (let i = 0; i < 10; i++) drive.probe(700, 400)
    assert.deepEqual(drive.haltReasons, [])
    for (let i = 0; i < 3; i++) drive.probe(701.1, 400)
    assert.deepEqual(drive.haltReasons, ['ClockSkew'])
  })

  it('two bad probes of five are none', () => {
    const drive = new Drive(CONFIG, 5).live()
    for (let i = 0; i < 20; i++) drive.probe(i % 5 < 2 ? 60_000 : 0)
    assert.deepEqual([drive.haltReasons, drive.state], [[], 'live'])
  })

  it('a clock that drifts off later ends every stream with it', () => {
    const drive = new Drive().live().open(2, 'market').trade(5).markPrice(1000)
    for (let i = 0; i < 3; i++) drive.probe(600)
    assert.deepEqual(drive.out.coverageTexts(), [
      'books proven 100:105..110 rows 2 ClockSkew',
      'depth proven 100:105..110 rows 2 ClockSkew',
      'trades proven 4:5..5 rows 1 ClockSkew',
      'mark_price observed 0:0..0 rows 1 ClockSkew',
    ])
  })

  it('the limit is the configuration’s', () => {
    const drive = new Drive({ ...CONFIG, guards: { ...CONFIG.guards, clockSkewMillis: 2000 } }, 0)
    for (let i = 0; i < 5; i++) drive.probe(1900)
    assert.deepEqual(drive.haltReasons, [])
  })
})
