import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Drive } from './harness.ts'

/** Width, width when busy, and wait of the latest join. */
const wish = (drive: Drive) => {
  const { limit, limitWhenBusy, wait } = drive.request('join')
  return [limit, limitWhenBusy, wait]
}

describe('limits', () => {
  const asked = () => new Drive().open().event(100, 105)

  for (const status of [429, 418]) {
    it(`pause rate_limited: nothing is asked before the time that ${status} names, the events are kept`, () => {
      const drive = asked()
      drive.body(1, Buffer.from(''), { status, retryAt: drive.now + 10_000_000 })
      assert.deepEqual([drive.state, drive.session.book.reason], ['paused', 'rate_limited'])
      for (let id = 105; id < 185; id += 10) drive.event(id, id + 10).leap(0.9)
      assert.deepEqual([drive.state, drive.asked('join')], ['paused', 1])
      drive.leap(3)
      assert.deepEqual([drive.state, ...wish(drive)], ['buffering', 1000, 100, 'share'])
      assert.equal(drive.asked('join'), 2)
      drive.answer(drive.request('join').id, 103)
      assert.equal(drive.state, 'live', 'what came meanwhile was kept')
    })
  }

  it('a request that is held back for the exchange’s pause pauses too', () => {
    const drive = asked()
    drive.input({ kind: 'refused', request: 1, why: 'rate_limited', until: drive.now + 5_000_000 })
    assert.equal(drive.state, 'paused')
    drive.leap(5)
    assert.equal(drive.state, 'buffering')
  })

  it('a connection may come and go while it pauses', () => {
    const drive = asked()
    drive.body(1, Buffer.from(''), { status: 429, retryAt: drive.now + 10_000_000 })
    drive.close(1)
    assert.equal(drive.state, 'paused')
    drive.open(2).event(200, 205, 2).leap(12)
    drive.answer(drive.request('join').id, 203)
    assert.deepEqual([drive.state, drive.bookIds], ['live', [205n]])
  })

  it('an answer that refuses the symbol has its listing asked for', () => {
    const drive = asked().body(1, Buffer.from(''), { status: 400 })
    assert.equal(drive.out.listingChecks.length, 1)
    assert.equal(
      drive.body(drive.request('join').id, Buffer.from(''), { status: 500 }).out.listingChecks.length,
      1,
    )
  })

  it('a failure of one probe or audit is no fall: the budget counts none', () => {
    const drive = new Drive().live()
    for (let i = 0; i < 30; i++) {
      drive.leap(61)
      drive.body(drive.request('proof').id, Buffer.from(''), { status: 429 })
    }
    assert.deepEqual([drive.state, drive.counters.gaps, drive.haltReasons], ['live', 0, []])
  })
})

describe('symbol', () => {
  const off = { kind: 'listing', status: 'not_trading', word: 'SETTLING' } as const
  const on = { kind: 'listing', status: 'trading', word: 'TRADING' } as const

  it('pause not_trading: coverage of every stream ends, nothing is taken nor asked until it trades', () => {
    const drive = new Drive().live().open(2, 'market').trade(5).markPrice(1000).input(off)
    assert.deepEqual(drive.out.coverageTexts(), [
      'books proven 100:105..110 rows 2 not_trading',
      'depth proven 100:105..110 rows 2 not_trading',
      'trades proven 4:5..5 rows 1 not_trading',
      'mark_price observed 0:0..0 rows 1 not_trading',
    ])
    assert.match(String(drive.out.of('coverage')[0]?.values['detail']), /SETTLING/)
    const requests = drive.out.requests.length
    drive.event(110, 120).trade(6).pass(100)
    assert.deepEqual([drive.state, drive.session.book.reason], ['paused', 'not_trading'])
    assert.deepEqual([drive.out.requests.length, drive.counters.messages_ignored], [requests, 2])
    assert.equal(drive.out.reconnects.length, 0, 'silence means nothing')
    drive.input(on).event(130, 140).answer(drive.request('join').id, 135).trade(9).markPrice(5000)
    assert.deepEqual([drive.state, drive.bookIds.at(-1), drive.tradeIds], ['live', 140n, [5n, 9n]])
    assert.equal(drive.out.of('books').at(-1)?.values['gapBefore'], true)
    assert.equal(drive.out.of('trades').at(-1)?.values['gapBefore'], true)
  })

  it('the same word again changes nothing', () => {
    const drive = new Drive().live().input(on).input(off).input(off).input(on)
    assert.deepEqual([drive.state, drive.counters.gaps], ['buffering', 1])
  })

  it('a connection that was lost while it did not trade is taken up again', () => {
    const drive = new Drive().live().input(off).close(1).input(on)
    assert.equal(drive.state, 'connecting')
    drive.open(2).event(200, 205, 2).answer(drive.request('join').id, 203)
    assert.equal(drive.state, 'live')
  })

  it('one that was listed and is gone from the listing pauses, it does not halt', () => {
    const drive = new Drive().input(on).live().input({ kind: 'listing', status: 'absent', word: '' })
    assert.deepEqual([drive.haltReasons, drive.state, drive.session.listing], [[], 'paused', 'absent'])
  })
})
