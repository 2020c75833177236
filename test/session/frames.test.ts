import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Drive } from './harness.ts'

describe('schema and precision', () => {
  it('gap: a frame that does not decode ends every stream of its socket', () => {
    const drive = new Drive()
      .live()
      .input({ kind: 'message', connection: 1, payload: Buffer.from('{"stream":') })
    assert.equal(drive.session.book.lastGap, 'parse')
    assert.equal(drive.session.counters.values.parse_errors, 1)
  })

  it('gap: a trade that does not decode ends the trades alone', () => {
    const drive = new Drive().open(2, 'market').trade(5).markPrice(1000)
    drive.input({ kind: 'message', connection: 2, payload: Buffer.from('{"e":"aggTrade","p":"x"}') })
    assert.deepEqual(drive.out.coverageTexts(), ['trades proven 4:5..5 rows 1 parse'])
    assert.equal(drive.session.streamState('mark_price'), 'flowing')
  })

  it('a price that float64 cannot hold exactly halts', () => {
    const drive = new Drive().live().depth({ U: 111, u: 115, pu: 110, b: [['99.1234567890123456', '1']] })
    assert.deepEqual(
      drive.out.halts.map((halt) => halt.reason),
      ['PrecisionLoss'],
    )
  })

  it('a snapshot with such a price halts too', () => {
    const drive = new Drive().open().depth({ U: 101, u: 105, pu: 100 })
    drive.snapshot(103, [['99.1234567890123456', '1']], [['101', '1']])
    assert.deepEqual(
      drive.out.halts.map((halt) => halt.reason),
      ['PrecisionLoss'],
    )
  })
})

describe('schema', () => {
  const garbage = { kind: 'message', connection: 1, payload: Buffer.from('{') } as const

  it('halt ProtocolChanged: ten frames in a minute that do not decode', () => {
    const drive = new Drive().open()
    for (let i = 0; i < 9; i++) drive.input(garbage)
    assert.deepEqual(drive.haltReasons, [])
    drive.input(garbage)
    assert.deepEqual(drive.haltReasons, ['ProtocolChanged'])
  })

  it('nine in a minute, for ever, are none', () => {
    const drive = new Drive().open()
    for (let i = 0; i < 40; i++) drive.input(garbage).leap(6.7)
    assert.deepEqual(drive.haltReasons, [])
  })

  it('halt ProtocolChanged: ten snapshots in a row that do not decode, whatever they were asked for', () => {
    const drive = new Drive().open().event(100, 105)
    const bad = (rank: 'join' | 'audit' | 'proof') =>
      drive.body(drive.request(rank).id, Buffer.from('{"lastUpdateId":"x"}'))
    for (let i = 0; i < 8; i++) bad('join')
    assert.deepEqual([drive.haltReasons, drive.counters.snapshots_failed], [[], 8])
    assert.equal(drive.request('join').attempt, 8)
    drive.answer(drive.request('join').id, 103)
    assert.equal(drive.state, 'live', 'one that decodes starts the count anew')
    for (let i = 0; i < 9; i++) {
      const rank = i === 0 ? 'proof' : 'audit'
      const before = drive.asked(rank)
      while (drive.asked(rank) === before) drive.leap(rank === 'proof' ? 5 : 601)
      bad(rank)
    }
    assert.deepEqual([drive.haltReasons, drive.state], [[], 'live'])
    drive.leap(61)
    bad('audit')
    assert.deepEqual(drive.haltReasons, ['ProtocolChanged'])
    assert.match(drive.out.halts[0]?.message ?? '', /10 snapshots in a row .* did not decode/)
  })

  it('a page of HTML in place of a snapshot now and then is one more failure', () => {
    const drive = new Drive().open().event(100, 105)
    for (let i = 0; i < 30; i++) {
      drive.body(drive.request('join').id, Buffer.from('<html>Bad Gateway</html>'))
      if (i % 7 === 6) drive.answer(drive.request('join').id, 90)
    }
    assert.deepEqual([drive.haltReasons, drive.state, drive.counters.snapshots_failed], [[], 'buffering', 30])
  })

  it('unknown fields are counted and change nothing', () => {
    const drive = new Drive().live()
    const payload = Buffer.from(
      '{"stream":"x","data":{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":111,"u":115,"pu":110,"b":[],"a":[],"zz":{"a":[1]}}}',
    )
    drive.input({ kind: 'message', connection: 1, payload })
    assert.deepEqual([drive.id, drive.counters.unknown_fields], [115n, 1])
  })

  it('gap parse: a frame of no known stream ends every stream of its socket, and no other', () => {
    const drive = new Drive().live().open(2, 'market').trade(5).markPrice(1000)
    drive.input({ kind: 'message', connection: 2, payload: Buffer.from('[') })
    assert.deepEqual(drive.out.coverageTexts(), [
      'trades proven 4:5..5 rows 1 parse',
      'mark_price observed 0:0..0 rows 1 parse',
    ])
    assert.equal(drive.state, 'live')
  })
})

describe('precision', () => {
  it('fifteen significant digits are exact, zeros around them stripped', () => {
    const drive = new Drive().live().event(110, 115, 1, [['99.1234567890123', '0.00012345678901234500']])
    assert.deepEqual([drive.state, drive.haltReasons], ['live', []])
    const levels = drive.out.of('books').at(-1)?.values['levels'] as number[]
    assert.deepEqual(levels.slice(4, 6), [99.1234567890123, 0.000123456789012345])
  })

  it('a quantity or a trade with more halts', () => {
    const qty = new Drive().live().event(110, 115, 1, [['99', '1.234567890123456']])
    assert.deepEqual(qty.haltReasons, ['PrecisionLoss'])
    const trade = new Drive().open(2, 'market')
    const payload = Buffer.from(
      '{"data":{"e":"aggTrade","E":1,"s":"BTCUSDT","a":1,"p":"1.234567890123456","q":"1","f":1,"l":1,"T":1,"m":true}}',
    )
    trade.input({ kind: 'message', connection: 2, payload })
    assert.deepEqual(trade.haltReasons, ['PrecisionLoss'])
  })

  it('in an audit or in a proof of silence it halts too', () => {
    const audit = new Drive().live().leap(601)
    audit.answer(audit.request('audit').id, 110, [['99.1234567890123456', '1']])
    assert.deepEqual(audit.haltReasons, ['PrecisionLoss'])
    const proof = new Drive().live().leap(5)
    proof.answer(proof.request('proof').id, 110, [['99.1234567890123456', '1']])
    assert.deepEqual(proof.haltReasons, ['PrecisionLoss'])
  })
})
