import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Level } from '../support/frames.ts'
import { ASKS, BIDS, CONFIG, Drive } from './harness.ts'

/** A live book at id 110 for which an audit is asked; the answer is still to come. */
function asked(): Drive {
  const drive = new Drive().live().leap(601)
  assert.equal(drive.asked('audit'), 1)
  return drive
}

/** So few published levels that a narrow reach is enough for them. */
const TOP = { ...CONFIG, bookLevels: 1 }

/** Answers the latest audit. */
const answer = (drive: Drive, id: number, bids = BIDS, asks = ASKS) =>
  drive.answer(drive.request('audit').id, id, bids, asks)

/** Bids after an event that ends at `id`: it sets the level 98. */
const at = (id: number): Level[] => [...BIDS, ['98', String(id)]]

describe('when an audit comes', () => {
  it('every auditSeconds after the join, and after the last clean one', () => {
    const drive = new Drive().live().leap(598)
    assert.equal(drive.asked('audit'), 0)
    drive.leap(3)
    assert.deepEqual(drive.request('audit'), {
      id: drive.request('audit').id,
      what: 'snapshot',
      limit: 1000,
      limitWhenBusy: 1000,
      rank: 'audit',
      wait: 'none',
      attempt: 0,
    })
    answer(drive, 110)
    assert.equal(drive.counters.audits_clean, 1)
    drive.leap(598)
    assert.equal(drive.asked('audit'), 1)
    drive.leap(3)
    assert.equal(drive.asked('audit'), 2)
  })

  it('with many captures behind one address every two seconds of each', () => {
    const drive = new Drive()
    drive.share = 512
    drive.tick().live().leap(1022)
    assert.equal(drive.asked('audit'), 0)
    drive.leap(3)
    assert.equal(drive.asked('audit'), 1)
  })

  it('as the configuration says', () => {
    const drive = new Drive({ ...CONFIG, guards: { ...CONFIG.guards, auditSeconds: 30 } }).live().leap(31)
    assert.equal(drive.asked('audit'), 1)
  })

  it('a narrow join is widened at once, spread over time; a wide one, or one that saw all levels, is not', () => {
    const narrow = new Drive(TOP).open().event(100, 105)
    narrow.sent(1, 2).snapshot(103, BIDS, ASKS).tick()
    assert.deepEqual(
      [narrow.request('audit').wait, narrow.request('audit').limit, narrow.asked('audit')],
      ['widen', 1000, 1],
    )
    const whole = new Drive().open().event(100, 105).sent(1, 100).snapshot(103, BIDS, ASKS).tick()
    assert.equal(whole.asked('audit'), 0)
  })
})

describe('audit', () => {
  it('is joined inside a merged event and replayed up to the cursor, not compared at its own id', () => {
    const drive = asked()
      .event(110, 120, 1, [['100', '5']])
      .event(120, 130)
    // at 115, inside the first event, the level had another quantity than before and after it
    answer(drive, 115, [
      ['100', '3'],
      ['99', '2'],
    ])
    assert.deepEqual([drive.counters.audits_clean, drive.state], [1, 'live'])
    const row = drive.out.of('depth').at(-1)
    assert.deepEqual([row?.values['kind'], row?.values['id']], ['book', 130n])
    assert.deepEqual(row?.values['bids'], [100, 5, 99, 2, 98, 130])
    assert.deepEqual([row?.values['gapBefore'], drive.out.of('coverage').length], [false, 0])
  })

  it('at the very id of the cursor needs no event', () => {
    const drive = answer(asked(), 110)
    assert.equal(drive.counters.audits_clean, 1)
  })

  it('ahead of the cursor waits for the event that meets it', () => {
    const drive = answer(asked(), 125, at(130))
    assert.deepEqual([drive.counters.audits_clean, drive.counters.audits_void], [0, 0])
    drive.event(110, 120)
    assert.equal(drive.counters.audits_clean, 0)
    drive.event(120, 130)
    assert.deepEqual([drive.counters.audits_clean, drive.state], [1, 'live'])
  })

  it('ahead of the cursor waits ten seconds, then it is void: no gap', () => {
    const late = answer(asked(), 125, at(130)).event(110, 120).leap(9)
    late.event(120, 130)
    assert.equal(late.counters.audits_clean, 1, 'nine seconds are not too long')
    const void_ = answer(asked(), 125, at(130)).event(110, 120).leap(10)
    assert.deepEqual([void_.counters.audits_void, void_.state], [1, 'live'])
    void_.event(120, 130)
    assert.deepEqual([void_.counters.audits_clean, void_.counters.gaps], [0, 0])
  })

  it('older than the request is void: no gap, and asked again after half a minute', () => {
    const drive = answer(asked().event(110, 120), 105)
    assert.deepEqual([drive.counters.audits_void, drive.counters.gaps, drive.state], [1, 0, 'live'])
    drive.leap(28)
    assert.equal(drive.asked('audit'), 1)
    drive.leap(3)
    assert.equal(drive.asked('audit'), 2)
    assert.equal(drive.request('audit').attempt, 1)
  })

  it('older than the cursor, with no event since the request, is void', () => {
    const drive = answer(asked(), 109)
    assert.deepEqual([drive.counters.audits_void, drive.counters.gaps], [1, 0])
  })

  it('that failed, was refused or does not decode is void: no gap', () => {
    const failures: ((drive: Drive) => void)[] = [
      (drive) => drive.body(drive.request('audit').id, Buffer.from(''), { status: 503 }),
      (drive) => drive.body(drive.request('audit').id, Buffer.from('{'), {}),
      (drive) =>
        drive.input({ kind: 'refused', request: drive.request('audit').id, why: 'weight', until: 0 }),
    ]
    for (const fail of failures) {
      const drive = asked()
      fail(drive)
      assert.deepEqual([drive.counters.audits_void, drive.counters.gaps, drive.state], [1, 0, 'live'])
      assert.equal(drive.out.of('coverage').length, 0)
    }
  })

  it('that the exchange answers with 429 is no gap, and nothing is asked before the time it names', () => {
    const drive = asked()
    const retryAt = drive.now + 120_000_000
    drive.body(drive.request('audit').id, Buffer.from(''), { status: 429, retryAt })
    assert.equal(drive.state, 'live')
    drive.leap(118)
    assert.equal(drive.asked('audit'), 1)
    drive.leap(3)
    assert.equal(drive.asked('audit'), 2)
  })

  it('that a gap overtakes is void, its request is forgotten, and its answer counted and ignored', () => {
    const drive = asked()
    const { id } = drive.request('audit')
    drive.event(118, 120)
    assert.deepEqual([drive.counters.audits_void, drive.session.book.lastGap], [1, 'sequence'])
    assert.ok(drive.out.forgotten.includes(id))
    drive.snapshot(119, BIDS, ASKS)
    assert.equal(drive.state, 'live')
    drive.answer(id, 110, [['77', '7']])
    assert.deepEqual([drive.counters.responses_ignored, drive.counters.audits_mismatch], [1, 0])
    assert.equal(drive.counters.gaps, 1)
  })

  it('that waits for the book when a gap comes is void', () => {
    const drive = answer(asked(), 125, at(130)).event(118, 120)
    assert.equal(drive.counters.audits_void, 1)
    drive.snapshot(119, BIDS, ASKS)
    drive.event(120, 130)
    assert.deepEqual([drive.counters.audits_clean, drive.counters.audits_mismatch], [0, 0])
  })

  it('that a pause overtakes is void', () => {
    const drive = asked().input({ kind: 'listing', status: 'not_trading', word: 'SETTLING' })
    assert.equal(drive.counters.audits_void, 1)
    assert.ok(drive.out.forgotten.includes(drive.request('audit').id))
  })
})

describe('a clean audit', () => {
  it('widens the horizon', () => {
    const drive = new Drive(TOP).open().event(100, 105)
    drive.sent(1, 2).snapshot(103, BIDS, ASKS)
    assert.deepEqual(
      [drive.session.book.live.book.bids.reach, drive.session.book.live.book.asks.reach],
      [99, 102],
    )
    drive.event(105, 110)
    assert.equal(drive.session.book.live.book.bids.size, 2, 'beyond the reach nothing is known')
    drive.tick()
    answer(drive, 110, at(110), [...ASKS, ['103', '1']])
    assert.deepEqual(drive.out.of('depth').at(-1)?.values['reach'], [-Infinity, Infinity])
    assert.equal(drive.session.book.live.book.bids.size, 3)
  })

  it('takes the book to its own reach: what lay beyond is not known any more', () => {
    const drive = asked()
    drive.sent(drive.request('audit').id, 2)
    answer(drive, 110)
    const { bids, asks } = drive.session.book.live.book
    assert.deepEqual([bids.reach, asks.reach, bids.size], [99, 102, 2])
  })

  it('is what a suspect span reaches back to', () => {
    const drive = answer(asked().event(110, 120), 120, at(120))
    drive.event(120, 130).rotate(1).event(130, 140)
    drive.event(140, 150, 1, [['101', '1']])
    assert.deepEqual(drive.haltReasons, ['CrossedBook'])
    assert.ok(drive.out.coverageTexts().includes('books suspect 120:0..140 rows 0 CrossedBook'))
  })
})

describe('a wrong book', () => {
  it('gap audit_mismatch: one level differs, and what vouched for the rows since the join is withdrawn', () => {
    const drive = answer(asked(), 110, [
      ['100', '1'],
      ['99', '3'],
      ['98', '110'],
    ])
    assert.deepEqual(drive.out.coverageTexts(), [
      'books suspect 100:0..110 rows 0 audit_mismatch',
      'depth suspect 100:0..110 rows 0 audit_mismatch',
      'books proven 100:105..110 rows 2 audit_mismatch',
      'depth proven 100:105..110 rows 2 audit_mismatch',
    ])
    const [suspect] = drive.out.of('coverage')
    assert.match(String(suspect?.values['detail']), /at id 110 the bid level 99 is 2 here, 3 at the exchange/)
    assert.deepEqual([drive.state, drive.counters.audits_mismatch, drive.haltReasons], ['buffering', 1, []])
    drive.event(110, 120)
    assert.deepEqual([drive.request('join').wait, drive.request('join').limit], ['none', 100])
    drive.answer(drive.request('join').id, 115)
    assert.equal(drive.state, 'live')
    assert.equal(drive.out.of('books').at(-1)?.values['gapBefore'], true)
  })

  it('a level too many and a level too few are found too', () => {
    for (const bids of [[...BIDS, ['97', '1'] as const], BIDS.slice(0, 1)]) {
      assert.equal(answer(asked(), 110, bids).counters.audits_mismatch, 1)
    }
  })

  it('a difference beyond the reach of either is none', () => {
    const theirs = asked().event(110, 120)
    theirs.sent(theirs.request('audit').id, 2)
    // the book knows 98, the audit reaches to 99
    assert.equal(answer(theirs, 120).counters.audits_clean, 1)
    const ours = new Drive(TOP).open().event(100, 105).sent(1, 2).snapshot(103, BIDS, ASKS).tick()
    answer(ours, 105, [...BIDS, ['97', '4']])
    assert.equal(ours.counters.audits_clean, 1)
  })

  it('the span reaches over several windows back to the last clean audit, and only its last row stands in this one', () => {
    const drive = answer(asked().event(110, 120), 120, at(120))
    const vouchedAt = drive.out
      .of('depth')
      .filter((row) => row.values['kind'] !== 'book')
      .at(-1)?.received
    drive.rotate(1).event(120, 130).rotate(2).event(130, 140).rotate(3).event(140, 150).leap(601)
    answer(drive, 150, BIDS)
    const rows = drive.out.of('coverage').map(({ values: v }) => v)
    const suspect = rows.filter((v) => v['state'] === 'suspect')
    assert.deepEqual(
      suspect.map((v) => [v['ofStream'], v['window'], v['previousId'], v['lastId'], v['rows'], v['from']]),
      [
        ['books', 3, 120n, 150n, 0, vouchedAt],
        ['depth', 3, 120n, 150n, 0, vouchedAt],
      ],
    )
    const last = rows.at(-2)
    assert.deepEqual(
      [last?.['ofStream'], last?.['previousId'], last?.['firstId'], last?.['lastId'], last?.['endedBy']],
      ['books', 140n, 150n, 150n, 'audit_mismatch'],
    )
    assert.equal(suspect[0]?.['to'], last?.['to'])
  })

  it('is found while the snapshot still had to wait for the book', () => {
    const drive = answer(asked(), 125, [['100', '2'], ...at(130).slice(1)])
    drive.event(110, 120).event(120, 130)
    assert.equal(drive.session.book.lastGap, 'audit_mismatch')
    assert.deepEqual(drive.bookIds, [105n, 110n, 120n, 130n])
  })
})

describe('the horizon asks for an audit', () => {
  /** A live book of 20 levels a side with a finite reach, 5 of which are published. */
  function narrow(step: number): Drive {
    const side = (from: number, sign: number): Level[] =>
      Array.from({ length: 20 }, (_, i) => [String(from + sign * i * step), '1'] as const)
    const drive = new Drive().open().event(100, 105, 1, [])
    return drive.sent(1, 20).snapshot(103, side(1000, -1), side(1001, 1))
  }
  const gone = (from: number, to: number): Level[] =>
    Array.from({ length: to - from + 1 }, (_, i) => [String(from + i), '0'] as const)

  it('with the rank of a join, when the last published level has used three quarters of the reach', () => {
    // bids are left from 988 on, with a reach of 981: the mid is 994.5, the fifth best 984
    const drive = narrow(1)
    drive.tick().event(105, 110, 1, gone(989, 1000)).tick()
    assert.equal(drive.asked('join'), 2)
    const wanted = drive.out.requests.at(-1)
    assert.deepEqual([wanted?.rank, wanted?.wait, wanted?.limit], ['join', 'none', 1000])
    assert.ok(drive.out.forgotten.length === 1, 'the widening that had begun is overtaken')
    assert.equal(drive.counters.audits_void, 1)
    assert.equal(drive.state, 'live')
  })

  it('not when it has used less', () => {
    const drive = narrow(1).tick().event(105, 110, 1, gone(990, 1000)).tick()
    assert.equal(drive.asked('join'), 1)
  })

  it('when the mid has moved by half of the reach', () => {
    const drive = narrow(1).tick()
    const asks = Array.from({ length: 10 }, (_, i) => [String(1001 + i), '0'] as const)
    drive.depth({ U: 106, u: 110, pu: 105, a: asks, b: [] }).tick()
    assert.equal(drive.asked('join'), 1, 'five of twenty')
    drive.depth({ U: 111, u: 115, pu: 110, b: [['1010', '1']], a: [] }).tick()
    assert.equal(drive.asked('join'), 2, 'ten of twenty')
  })

  it('is tried again soon where it came to nothing', () => {
    const drive = narrow(1).tick().event(105, 110, 1, gone(989, 1000)).tick()
    drive.body(drive.out.requests.at(-1)?.id ?? 0, Buffer.from(''), { status: 503 })
    drive.leap(8)
    assert.equal(drive.asked('join'), 2)
    drive.leap(3)
    assert.equal(drive.asked('join'), 3)
  })
})

describe('maintained depth', () => {
  const side = (from: number, sign: number, count: number): Level[] =>
    Array.from({ length: count }, (_, i) => [(from + sign * i).toFixed(0), '1'] as const)

  /** A live book of the best 1000 levels a side: bids 5000 down to 4001. */
  const full = () =>
    new Drive()
      .open()
      .event(100, 105, 1, [])
      .snapshot(103, side(5000, -1, 1000), side(6000, 1, 1000))

  it('a side that loses half of its reach so asks for an audit, without the mid having moved', () => {
    const dense = (step: number): Level[] =>
      Array.from({ length: 1200 }, (_, i) => [(5000 - i * step).toFixed(2), '1'] as const)
    const drive = full().event(105, 110, 1, dense(0.5)).tick()
    assert.equal(drive.asked('join'), 1, 'bids down to 4500 of 4001')
    drive.event(110, 115, 1, dense(0.2)).tick()
    assert.equal(drive.asked('join'), 2, 'bids down to 4800')
  })

  it('the book is cut to the best 1000 a side and the reach follows', () => {
    const drive = full().event(105, 110, 1, side(5002, -1, 2))
    const { bids } = drive.session.book.live.book
    assert.deepEqual([bids.size, bids.reach], [1000, 4003])
    drive.event(110, 115, 1, [['4001', '9']])
    assert.equal(bids.size, 1000, 'below the reach nothing is taken any more')
    assert.deepEqual(drive.out.of('depth').at(-1)?.values['reach'], [4003, 6999])
  })

  it('a side of fewer levels keeps its unlimited reach until it grows beyond 1000', () => {
    const drive = new Drive()
      .open()
      .event(100, 105, 1, [])
      .snapshot(103, side(5000, -1, 999), ASKS_HIGH)
    assert.equal(drive.session.book.live.book.bids.unlimited, true)
    drive.event(105, 110, 1, [['5001', '1']])
    assert.equal(drive.session.book.live.book.bids.unlimited, true)
    drive.event(110, 115, 1, [['5002', '1']])
    assert.deepEqual(
      [drive.session.book.live.book.bids.reach, drive.session.book.live.book.bids.size],
      [4003, 1000],
    )
  })

  it('an audit is cut alike on its way to the cursor: what fell out of the best 1000 is not known any more', () => {
    const drive = full().leap(601)
    // two better levels push 4001 and 4002 out; while they are out, the exchange need not tell that they went
    drive.event(105, 110, 1, side(5002, -1, 2))
    drive.event(110, 115, 1, [
      ['5002', '0'],
      ['5001', '0'],
    ])
    drive.answer(drive.request('audit').id, 105, side(5000, -1, 1000), side(6000, 1, 1000))
    assert.equal(drive.counters.audits_clean, 1)
    const { bids } = drive.session.book.live.book
    assert.deepEqual([bids.reach, bids.size], [4003, 998])
  })
})

const ASKS_HIGH: readonly Level[] = [['6000', '1']]
