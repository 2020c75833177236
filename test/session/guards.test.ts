import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Level } from '../support/frames.ts'
import { Drive } from './harness.ts'

const thousand = (start: number, step: number): Level[] =>
  Array.from({ length: 1000 }, (_, i) => [(start + step * i).toFixed(1), '1'] as const)

describe('crossed', () => {
  it('a crossed book writes no row, withdraws what vouched for the rows since the join, and halts', () => {
    const drive = new Drive().live().depth({ U: 111, u: 115, pu: 110, b: [['101', '3']] })
    assert.deepEqual(
      drive.out.halts.map((halt) => halt.reason),
      ['CrossedBook'],
    )
    assert.deepEqual(
      drive.out.of('books').map((row) => row.values['id']),
      [105n, 110n],
    )
    assert.deepEqual(drive.out.coverageTexts(), [
      'books suspect 100:0..110 rows 0 CrossedBook',
      'depth suspect 100:0..110 rows 0 CrossedBook',
      'books proven 100:105..110 rows 2 CrossedBook',
      'depth proven 100:105..110 rows 2 CrossedBook',
    ])
    assert.equal(drive.session.over, true)
  })

  it('a suspect span reaches back over windows to the join', () => {
    const drive = new Drive().live()
    drive.session.closeWindow(drive.out)
    drive.session.openWindow(1, drive.now, drive.out)
    drive.depth({ U: 111, u: 115, pu: 110 }).depth({ U: 116, u: 120, pu: 115, a: [['100', '1']] })
    const suspect = drive.out.of('coverage').find((row) => row.values['state'] === 'suspect')
    assert.deepEqual(
      [suspect?.values['previousId'], suspect?.values['lastId'], suspect?.values['window']],
      [100n, 115n, 1],
    )
    assert.ok(Number(suspect?.values['from']) < Number(suspect?.values['to']))
  })

  it('equal prices are crossed too', () => {
    const drive = new Drive().live().depth({ U: 111, u: 115, pu: 110, a: [['100', '1']] })
    assert.equal(drive.out.halts.length, 1)
  })

  it('a snapshot that is crossed in itself halts before any row', () => {
    const drive = new Drive()
      .open()
      .depth({ U: 101, u: 105, pu: 100 })
      .snapshot(103, [['102', '1']], [['101', '1']])
    assert.deepEqual(
      drive.out.halts.map((halt) => halt.reason),
      ['CrossedBook'],
    )
    assert.equal(drive.out.of('books').length + drive.out.of('depth').length, 0)
  })

  it('after a halt nothing is taken any more', () => {
    const drive = new Drive()
      .live()
      .open(2, 'market')
      .depth({ U: 111, u: 115, pu: 110, b: [['101', '3']] })
    const rows = drive.out.collected.length
    drive.trade(5).depth({ U: 116, u: 120, pu: 115 }).open(3)
    assert.equal(drive.out.collected.length, rows)
  })
})

describe('horizon', () => {
  const wide = () =>
    new Drive()
      .open()
      .depth({ U: 101, u: 105, pu: 100 })
      .snapshot(103, thousand(1000, -0.1), thousand(1000.1, 0.1))

  it('levels beyond the snapshot are unknown: they are not kept, and the depth row has them as sent', () => {
    const drive = wide().depth({
      U: 106,
      u: 110,
      pu: 105,
      b: [
        ['900.0', '5'],
        ['900.1', '5'],
      ],
      a: [['1100.1', '5']],
    })
    const { bids, asks } = drive.session.book.book
    assert.deepEqual([bids.reach, asks.reach], [900.1, 1100])
    assert.equal(bids.size, 1000)
    assert.equal(asks.size, 1000)
    assert.deepEqual(drive.out.of('depth').at(-1)?.values['bids'], [900, 5, 900.1, 5])
  })

  it('gap: no level within a finite reach, and the event that showed it waits for the next snapshot', () => {
    const drive = wide()
    const deletes = thousand(1000, -0.1).map(([price]) => [price, '0'] as const)
    drive.depth({ U: 106, u: 110, pu: 105, b: deletes })
    assert.equal(drive.session.book.lastGap, 'horizon')
    assert.equal(drive.session.book.buffered, 1)
    assert.equal(drive.out.of('books').length, 1, 'no row of the event that emptied the side')
    drive.snapshot(108, [['899', '1']], [['1100', '1']])
    assert.equal(drive.session.book.state, 'live')
  })

  it('gap: a side whose reach is unlimited runs empty', () => {
    const drive = new Drive().live().depth({
      U: 111,
      u: 115,
      pu: 110,
      b: [
        ['100', '0'],
        ['99', '0'],
      ],
    })
    assert.equal(drive.session.book.lastGap, 'empty_side')
    assert.deepEqual(drive.out.requests.at(-1)?.spread, false, 'such a gap joins at once')
  })
})

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

describe('listing', () => {
  it('a symbol that was never listed halts', () => {
    const drive = new Drive().open().input({ kind: 'listing', status: 'absent', word: '' })
    assert.deepEqual(
      drive.out.halts.map((halt) => halt.reason),
      ['SymbolUnknown'],
    )
  })
})

describe('trades and mark price', () => {
  it('gap: a jump in the trade ids ends coverage and starts it anew', () => {
    const drive = new Drive().open(2, 'market').trade(5).trade(6).trade(9)
    assert.deepEqual(drive.out.coverageTexts(), ['trades proven 4:5..6 rows 2 sequence'])
    assert.deepEqual(
      drive.out.of('trades').map((row) => row.values['gapBefore']),
      [true, false, true],
    )
  })

  it('a trade that was published already is dropped and counted', () => {
    const drive = new Drive().open(2, 'market').trade(5).trade(5).trade(4).trade(6)
    assert.deepEqual(
      drive.out.of('trades').map((row) => row.values['id']),
      [5n, 6n],
    )
    assert.equal(drive.session.counters.values.trades_repeated, 2)
  })

  it('mark price is observed, not proven', () => {
    const drive = new Drive().open(2, 'market').markPrice(1000).markPrice(2000)
    drive.input({ kind: 'stop', reason: 'stopped' })
    assert.deepEqual(drive.out.coverageTexts(), ['mark_price observed 0:0..0 rows 2 stopped'])
  })
})

describe('overload', () => {
  it('gap: our own stall ends the coverage of every stream', () => {
    const drive = new Drive().live().open(2, 'market').trade(5).input({ kind: 'overload', stalledMs: 3000 })
    assert.deepEqual(
      drive.out.of('coverage').map((row) => [row.values['ofStream'], row.values['endedBy']]),
      [
        ['books', 'overload'],
        ['depth', 'overload'],
        ['trades', 'overload'],
      ],
    )
  })
})

describe('resync budget', () => {
  /** Loses a live book by a broken chain, and joins again. */
  function fall(drive: Drive, id: number): void {
    drive.depth({ U: id + 11, u: id + 20, pu: id + 10 })
    drive.snapshot(id + 15, [['100', '1']], [['101', '1']])
  }

  it('halts at the twenty-first fall from live in ten minutes', () => {
    const drive = new Drive().live()
    for (let i = 0; i < 20; i++) fall(drive, 110 + i * 20)
    assert.deepEqual([drive.session.book.state, drive.out.halts.length], ['live', 0])
    drive.depth({ U: 1000, u: 1010, pu: 999 })
    assert.deepEqual(
      drive.out.halts.map((halt) => halt.reason),
      ['ResyncStorm'],
    )
    assert.equal(drive.session.over, true)
  })

  it('falls that are ten minutes old are forgotten', () => {
    const drive = new Drive().live()
    for (let i = 0; i < 40; i++) {
      fall(drive, 110 + i * 20)
      drive.now += 31_000_000
    }
    assert.equal(drive.out.halts.length, 0)
  })

  it('lost connections count, an overload of our own does not', () => {
    const drive = new Drive().live()
    for (let i = 0; i < 25; i++) {
      drive.input({ kind: 'overload', stalledMs: 3000 })
      drive.depth({ U: 111 + i * 10, u: 120 + i * 10, pu: 110 + i * 10 })
      drive.snapshot(115 + i * 10, [['100', '1']], [['101', '1']])
    }
    assert.deepEqual([drive.session.counters.values.gaps, drive.out.halts.length], [25, 0])
    for (let i = 2; i < 23; i++) {
      drive.input({ kind: 'closed', connection: i === 2 ? 1 : i, code: 1006, reason: '' })
      if (drive.session.over) break
      drive.open(i + 1).depth({ U: 101, u: 105, pu: 100 }, i + 1)
      drive.snapshot(103, [['100', '1']], [['101', '1']])
    }
    assert.deepEqual(
      drive.out.halts.map((halt) => halt.reason),
      ['ResyncStorm'],
    )
  })
})

describe('trade ids', () => {
  it('the first trade may have id 0', () => {
    const drive = new Drive().open(2, 'market').trade(0).trade(1)
    assert.deepEqual(
      drive.out.of('trades').map((row) => row.values['id']),
      [0n, 1n],
    )
  })

  it('a hundred later trades with old ids are a new count: a gap, not silence', () => {
    const drive = new Drive().open(2, 'market').trade(1_000_000)
    for (let id = 5; id < 110; id++) drive.trade(id, { later: id })
    assert.deepEqual(drive.out.coverageTexts(), ['trades proven 999999:1000000..1000000 rows 1 sequence'])
    const ids = drive.out.of('trades').map((row) => row.values['id'])
    assert.deepEqual(ids.slice(0, 3), [1_000_000n, 104n, 105n])
    assert.equal(drive.session.counters.values.trades_repeated, 99)
  })

  it('trades that are sent again fall out by id, however many they are', () => {
    const drive = new Drive().open(2, 'market')
    for (let id = 1; id <= 300; id++) drive.trade(id, { later: id })
    for (let id = 101; id <= 320; id++) drive.trade(id, { later: id })
    assert.equal(drive.out.of('trades').length, 320)
    assert.equal(drive.out.of('coverage').length, 0)
  })
})

describe('details', () => {
  it('a detail that is cut within a character survives UTF-8', () => {
    const drive = new Drive().open(2, 'market').trade(5)
    drive.input({ kind: 'closed', connection: 2, code: 1006, reason: `${'x'.repeat(299)}😀` })
    const detail = String(drive.out.of('coverage').at(-1)?.values['detail'])
    assert.equal(Buffer.from(detail).toString(), detail)
  })
})
