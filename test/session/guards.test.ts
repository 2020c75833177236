import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Level } from '../support/frames.ts'
import { ASKS, BIDS, Drive } from './harness.ts'

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

  const impossible: readonly Level[] = [['102', '1']]

  it('a snapshot that is crossed in itself is refused, counted and asked again: it says nothing of our book', () => {
    const drive = new Drive().open().event(100, 105)
    drive.answer(drive.request('join').id, 103, impossible)
    assert.deepEqual([drive.haltReasons, drive.state, drive.out.collected], [[], 'buffering', []])
    assert.deepEqual([drive.counters.snapshots_impossible, drive.counters.snapshots_failed], [1, 1])
    assert.deepEqual([drive.asked('join'), drive.request('join').attempt], [2, 1])
    drive.answer(drive.request('join').id, 103)
    assert.deepEqual([drive.state, drive.bookIds, drive.counters.gaps], ['live', [105n], 0])
  })

  it('ten such snapshots in a row: halt CrossedBook, and no row of any', () => {
    const drive = new Drive().open().event(100, 105)
    const answer = (times: number) => {
      for (let i = 0; i < times; i++) drive.answer(drive.request('join').id, 103, impossible)
    }
    answer(9)
    drive.answer(drive.request('join').id, 90)
    assert.equal(drive.counters.snapshots_too_old, 1, 'one that could be starts the count anew')
    answer(9)
    assert.deepEqual(drive.haltReasons, [])
    answer(1)
    assert.deepEqual(drive.haltReasons, ['CrossedBook'])
    assert.match(drive.out.halts[0]?.message ?? '', /best bid 102 is not below best ask 101 at id 103/)
    assert.deepEqual(drive.out.collected, [])
  })

  it('in an audit or in a proof of silence it is void: the book stays', () => {
    const audit = new Drive().live().leap(601)
    audit.answer(audit.request('audit').id, 110, impossible)
    assert.deepEqual([audit.state, audit.counters.audits_void, audit.counters.gaps], ['live', 1, 0])
    for (const bids of [impossible, []]) {
      const proof = new Drive().live().leap(5)
      proof.answer(proof.request('proof').id, 110, bids)
      assert.deepEqual([proof.state, proof.counters.proofs_open, proof.counters.gaps], ['live', 1, 0])
    }
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
    const { bids, asks } = drive.session.book.live.book
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
    assert.deepEqual(drive.out.requests.at(-1)?.wait, 'none', 'such a gap joins at once')
  })
})

describe('listing', () => {
  const absent = { kind: 'listing', status: 'absent', word: '' } as const
  const unlisted = () => new Drive().open().input(absent)

  it('a symbol that was never listed halts at the second answer that says so, not at the first', () => {
    const drive = unlisted()
    assert.deepEqual([drive.haltReasons, drive.session.listing], [[], 'absent'])
    assert.equal(drive.session.book.reason, 'not_trading', 'what it may be waiting for in vain')
    drive.leap(300).input(absent)
    assert.deepEqual(drive.haltReasons, ['SymbolUnknown'])
    assert.match(drive.out.halts[0]?.message ?? '', /BinanceUsdm lists no symbol BTCUSDT/)
  })

  it('two answers of one moment are one', () => {
    const drive = unlisted().leap(4).input(absent)
    assert.deepEqual(drive.haltReasons, [])
    drive.leap(1).input(absent)
    assert.deepEqual(drive.haltReasons, ['SymbolUnknown'])
  })

  it('a request that the exchange refuses as wrong is the second answer', () => {
    const refused = (drive: Drive, status: number) =>
      drive.body(drive.request('join').id, Buffer.from(''), { status }).haltReasons
    const drive = unlisted().leap(5.1)
    assert.deepEqual(refused(drive, 503), [])
    assert.deepEqual(refused(drive, 400), ['SymbolUnknown'])
    assert.deepEqual(refused(new Drive().open().leap(5.1), 400), [], 'alone it is none')
  })

  it('one wrong answer loses nothing: what comes is taken, and the next listing has it', () => {
    const drive = unlisted().event(100, 105)
    drive.answer(drive.request('join').id, 103).event(105, 110)
    drive.input({ kind: 'listing', status: 'trading', word: 'TRADING' })
    assert.deepEqual([drive.state, drive.bookIds, drive.session.book.reason], ['live', [105n, 110n], ''])
    drive.input(absent).leap(10)
    assert.deepEqual([drive.state, drive.haltReasons], ['paused', []], 'it was listed: it may come back')
  })

  it('one that has events is there, however often the listing does not have it: it waits', () => {
    const drive = unlisted().event(100, 105).leap(300).input(absent).input(absent)
    assert.deepEqual([drive.state, drive.session.book.reason], ['paused', 'not_trading'])
    drive.input({ kind: 'listing', status: 'trading', word: 'TRADING' })
    assert.deepEqual([drive.state, drive.haltReasons], ['buffering', []])
  })
})

describe('overload', () => {
  it('gap: our own stall ends the coverage of every stream', () => {
    const drive = new Drive()
      .live()
      .open(2, 'market')
      .trade(5)
      .input({ kind: 'overload', stalledMs: 3000, what: 'loop' })
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
      drive.input({ kind: 'overload', stalledMs: 3000, what: 'loop' })
      drive.depth({ U: 111 + i * 10, u: 120 + i * 10, pu: 110 + i * 10 })
      drive.snapshot(115 + i * 10, [['100', '1']], [['101', '1']])
    }
    assert.deepEqual([drive.session.counters.values.gaps, drive.out.halts.length], [25, 0])
    for (let i = 2; i < 23; i++) {
      drive.input({ kind: 'closed', connection: i === 2 ? 1 : i, code: 1006, reason: '', silent: false })
      if (drive.session.over) break
      drive.open(i + 1).event(i * 1000, i * 1000 + 5, i + 1)
      drive.snapshot(i * 1000 + 3, [['100', '1']], [['101', '1']])
    }
    assert.deepEqual(
      drive.out.halts.map((halt) => halt.reason),
      ['ResyncStorm'],
    )
  })
})

describe('details', () => {
  it('a detail that is cut within a character survives UTF-8', () => {
    const drive = new Drive().open(2, 'market').trade(5)
    drive.input({ kind: 'closed', connection: 2, code: 1006, reason: `${'x'.repeat(299)}😀`, silent: false })
    const detail = String(drive.out.of('coverage').at(-1)?.values['detail'])
    assert.equal(Buffer.from(detail).toString(), detail)
  })
})

describe('empty side', () => {
  const gone: Level[] = BIDS.map(([price]) => [price, '0'])

  /** Joins at the id and loses all bids. */
  function lose(drive: Drive, id: number): void {
    drive.event(id, id + 5, 1, [])
    drive.answer(drive.request('join').id, id + 3)
    assert.equal(drive.state, 'live')
    drive.event(id + 5, id + 10, 1, gone)
  }

  it('three joins in a row: halt EmptyBook, and what vouched for the rows since the last join is withdrawn', () => {
    const drive = new Drive().open()
    lose(drive, 100)
    assert.deepEqual([drive.session.book.lastGap, drive.haltReasons], ['empty_side', []])
    lose(drive, 110)
    assert.deepEqual(drive.haltReasons, [])
    lose(drive, 120)
    assert.deepEqual(drive.haltReasons, ['EmptyBook'])
    assert.deepEqual(drive.out.coverageTexts().slice(-4), [
      'books suspect 120:0..125 rows 0 EmptyBook',
      'depth suspect 120:0..125 rows 0 EmptyBook',
      'books proven 120:125..125 rows 1 EmptyBook',
      'depth proven 120:125..125 rows 1 EmptyBook',
    ])
  })

  it('a join between them that ended otherwise starts the count anew', () => {
    const drive = new Drive().open()
    lose(drive, 100)
    lose(drive, 110)
    drive.event(120, 125, 1, [])
    drive.answer(drive.request('join').id, 123)
    drive.event(126, 129)
    assert.equal(drive.session.book.lastGap, 'sequence')
    lose(drive, 129)
    lose(drive, 139)
    assert.deepEqual(drive.haltReasons, [])
    lose(drive, 149)
    assert.deepEqual(drive.haltReasons, ['EmptyBook'])
  })

  it('no row is written of the event that emptied it', () => {
    const drive = new Drive().open()
    lose(drive, 100)
    assert.deepEqual(drive.bookIds, [105n])
  })

  it('a snapshot that has an empty side in itself is refused and asked again, and counts as such a join', () => {
    const drive = new Drive().open().event(100, 105)
    const empty = () => drive.answer(drive.request('join').id, 103, [], ASKS)
    empty()
    assert.deepEqual(
      [drive.state, drive.counters.snapshots_impossible, drive.asked('join')],
      ['buffering', 1, 2],
    )
    assert.equal(drive.request('join').attempt, 1, 'ever more slowly')
    empty()
    assert.deepEqual(drive.haltReasons, [])
    empty()
    assert.deepEqual(drive.haltReasons, ['EmptyBook'])
    assert.deepEqual(drive.out.collected, [])
  })
})
