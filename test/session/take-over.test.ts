import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ASKS, BIDS, Drive } from './harness.ts'

const HOUR = 3600

/** A live book at id 120 on connection 1, so old that a second connection was asked for. */
function old(): Drive {
  const drive = new Drive().live().leap(23.6 * HOUR)
  assert.deepEqual(drive.out.openedBeside, ['public'])
  return drive.event(110, 120)
}

/** Connection 2 is open beside it. */
const beside = () => old().open(2)

/** Connection 2 has held its chain for five seconds without an event that meets the cursor: it is due. */
function holding(): Drive {
  const drive = beside().event(90, 100, 2).pass(5)
  assert.deepEqual(drive.out.closes, [])
  return drive
}

/** Nothing was lost: coverage of the book is unbroken, and no row says that there is a gap before it. */
function assertUnbroken(drive: Drive, ids: readonly bigint[]): void {
  assert.deepEqual(drive.bookIds.slice(2), ids)
  assert.deepEqual(drive.out.of('coverage'), [])
  const gaps = drive.out.of('books').filter((row) => row.values['gapBefore'] === true)
  assert.equal(gaps.length, 1, 'the join alone')
}

/** Seconds from a receive time to now, rounded to a tenth. */
const secondsTo = (drive: Drive, received: number) => Math.round((received - drive.now) / 100_000) / 10

describe('when a connection is replaced', () => {
  it('between 22.5 and 23.5 hours after it opened, spread by symbol', () => {
    const early = new Drive().live().leap(22.4 * HOUR)
    assert.deepEqual(early.out.openedBeside, [])
    early.leap(1.2 * HOUR)
    assert.deepEqual(early.out.openedBeside, ['public'])
  })

  it('one that does not open within half a minute is given up, and asked for again after a minute', () => {
    const drive = old().leap(31)
    drive.open(2)
    assert.deepEqual(drive.out.closes, [{ connection: 2, why: 'nobody waits for it' }])
    drive.leap(57)
    assert.equal(drive.out.openedBeside.length, 1)
    drive.leap(4)
    assert.equal(drive.out.openedBeside.length, 2)
  })

  it('not while the book is not live', () => {
    const drive = new Drive().open().leap(23.6 * HOUR)
    assert.deepEqual(drive.out.openedBeside, [])
  })

  it('after it the next one comes a day later', () => {
    const drive = beside().event(115, 125, 2).pass(5)
    assert.equal(drive.counters.take_overs, 1)
    drive.leap(22 * HOUR)
    assert.equal(drive.out.openedBeside.length, 1)
    drive.leap(1.6 * HOUR)
    assert.equal(drive.out.openedBeside.length, 2)
  })
})

describe('take-over of the book', () => {
  it('the second connection is ahead by three batches: it takes over with those it has kept', () => {
    const drive = beside().event(112, 117, 2).event(117, 124, 2).event(124, 131, 2).event(131, 135, 2)
    assert.deepEqual(drive.bookIds.slice(2), [120n], 'nothing of it is published before')
    drive.pass(5)
    assertUnbroken(drive, [120n, 124n, 131n, 135n])
    assert.deepEqual(
      drive.out.of('books').map((row) => row.connection),
      [1, 1, 1, 2, 2, 2],
    )
    assert.deepEqual(drive.out.closes, [{ connection: 1, why: 'another connection has taken over' }])
    assert.equal(drive.session.book.connection, 2)
    drive.event(135, 140, 2).close(1)
    assertUnbroken(drive, [120n, 124n, 131n, 135n, 140n])
  })

  it('what the second one had brought earlier takes nothing back from the reach of coverage', () => {
    const drive = beside().event(112, 117, 2).event(117, 131, 2).event(131, 135, 2).pass(3)
    drive.event(120, 131)
    const reached = drive.session.coverage('books')?.to
    drive.pass(3)
    assert.deepEqual(drive.bookIds.slice(2), [120n, 131n, 135n])
    assert.equal(drive.session.coverage('books')?.to, reached)
  })

  it('the second connection is behind by three batches: it takes over when it has caught up', () => {
    const drive = beside().event(90, 100, 2).event(120, 130).event(130, 140)
    drive.pass(5)
    drive.event(140, 150)
    assert.deepEqual(drive.bookIds.slice(2), [120n, 130n, 140n], 'the first one is held back')
    drive.event(100, 115, 2).event(115, 133, 2).event(133, 139, 2).event(139, 143, 2)
    assertUnbroken(drive, [120n, 130n, 140n, 143n])
    drive.event(150, 160).event(143, 155, 2)
    assertUnbroken(drive, [120n, 130n, 140n, 143n, 155n])
  })

  it('an event that ends at the cursor brings nothing: the next one takes over', () => {
    const drive = holding().event(100, 120, 2)
    assert.equal(drive.session.book.connection, 1)
    drive.event(120, 130, 2)
    assertUnbroken(drive, [120n, 130n])
  })

  it('a chain that breaks starts again: it must hold for five seconds', () => {
    const drive = beside().event(112, 117, 2).pass(4).event(119, 125, 2).pass(4)
    assert.equal(drive.counters.take_overs, 0)
    drive.pass(1)
    assertUnbroken(drive, [120n, 125n])
  })

  it('after it the second connection’s events must follow each other', () => {
    const drive = beside().event(115, 125, 2).pass(5).event(124, 130, 2)
    assert.equal(drive.session.book.lastGap, 'sequence')
  })

  it('no event fits within two seconds: the first connection goes on with what was held back', () => {
    const drive = holding().event(120, 130).event(130, 140)
    assert.deepEqual(drive.bookIds.slice(2), [120n])
    drive.leap(1)
    assert.deepEqual(drive.bookIds.slice(2), [120n], 'a second is not too long')
    drive.leap(1)
    assertUnbroken(drive, [120n, 130n, 140n])
    assert.deepEqual(
      drive.out
        .of('books')
        .slice(3)
        .map((row) => [row.connection, secondsTo(drive, row.received)]),
      [
        [1, -2.1],
        [1, -2],
      ],
      'with their own receive times',
    )
    assert.deepEqual(drive.out.closes, [{ connection: 2, why: 'it cannot take over' }])
    drive.close(2).event(140, 150).leap(57)
    assert.equal(drive.out.openedBeside.length, 1)
    drive.leap(4)
    assert.equal(drive.out.openedBeside.length, 2, 'tried again after a minute')
    assertUnbroken(drive, [120n, 130n, 140n, 150n])
  })

  it('the second connection began after the cursor: it cannot take over', () => {
    const drive = beside().event(125, 130, 2).pass(5)
    assert.deepEqual(drive.out.closes, [{ connection: 2, why: 'it cannot take over' }])
    drive.event(120, 128)
    assertUnbroken(drive, [120n, 128n])
  })

  it('the first one is cut while the second one warms up: it takes over at once', () => {
    const drive = beside().event(117, 124, 2).event(124, 131, 2).close(1)
    assertUnbroken(drive, [120n, 124n, 131n])
    assert.deepEqual([drive.state, drive.out.closes], ['live', []])
    drive.event(131, 140, 2)
    assertUnbroken(drive, [120n, 124n, 131n, 140n])
  })

  it('the first one is cut and the second one is still behind: its first event that meets the cursor goes on', () => {
    const drive = beside().event(90, 100, 2).close(1).event(100, 110, 2).event(110, 120, 2).event(120, 128, 2)
    assertUnbroken(drive, [120n, 128n])
    assert.equal(drive.counters.events_repeated, 2)
  })

  it('the first one is cut while it is held back: what it brought still counts', () => {
    const drive = holding().event(120, 130).close(1)
    assertUnbroken(drive, [120n, 130n])
    drive.event(100, 126, 2).event(126, 134, 2)
    assertUnbroken(drive, [120n, 130n, 134n])
  })

  it('gap reconnect: the first one is cut and the second one began later', () => {
    const drive = beside().event(125, 130, 2).close(1)
    assert.deepEqual(drive.out.coverageTexts(), [
      'books proven 100:105..120 rows 3 reconnect',
      'depth proven 100:105..120 rows 3 reconnect',
    ])
    assert.deepEqual([drive.session.book.connection, drive.state, drive.out.closes], [2, 'buffering', []])
    drive.event(130, 135, 2)
    assert.equal(drive.request('join').wait, 'share')
    drive.answer(drive.request('join').id, 133)
    assert.deepEqual([drive.state, drive.out.of('books').at(-1)?.connection], ['live', 2])
  })

  it('gap reconnect: the first one is cut and what the second one brings then does not meet the cursor', () => {
    const drive = beside().close(1)
    assert.equal(drive.state, 'live')
    drive.event(125, 130, 2)
    assert.equal(drive.session.book.lastGap, 'reconnect')
  })

  it('the second one is cut: the first one goes on, and it is tried again after a minute', () => {
    for (const drive of [beside().event(112, 117, 2), holding().event(120, 130)]) {
      drive.close(2).event(drive.bookIds.length === 3 ? 120 : 130, 140)
      assert.equal(drive.state, 'live')
      assert.equal(drive.bookIds.at(-1), 140n)
      assert.deepEqual([drive.out.of('coverage').length, drive.out.closes.length], [0, 0])
      drive.leap(57)
      assert.equal(drive.out.openedBeside.length, 1)
      drive.leap(4)
      assert.equal(drive.out.openedBeside.length, 2)
    }
  })

  it('both are quiet for a minute: the second one takes over, and its first event must meet the cursor', () => {
    const quiet = () => {
      const drive = beside().leap(59)
      assert.equal(drive.session.book.connection, 1)
      return drive.leap(2)
    }
    const drive = quiet()
    assert.deepEqual(drive.out.closes, [{ connection: 1, why: 'another connection has taken over' }])
    drive.event(115, 122, 2)
    assertUnbroken(drive, [120n, 122n])
    assert.equal(quiet().event(121, 125, 2).session.book.lastGap, 'reconnect')
  })

  it('the second one is silent while the first one is not: it cannot take over', () => {
    const drive = beside().event(120, 130).leap(61)
    assert.deepEqual(drive.out.closes, [{ connection: 2, why: 'it cannot take over' }])
    assert.equal(drive.session.book.connection, 1)
  })

  it('a gap of the first one ends it: the second one is closed', () => {
    const drive = beside().event(112, 117, 2).event(121, 125)
    assert.equal(drive.session.book.lastGap, 'sequence')
    assert.deepEqual(
      drive.out.closes.map(({ connection }) => connection),
      [2],
    )
    assert.equal(drive.session.book.takingOver, false)
  })

  it('a frame of the second one that does not decode is no gap: its chain starts again', () => {
    const drive = beside().event(112, 117, 2)
    drive.input({ kind: 'message', connection: 2, payload: Buffer.from('{') })
    assert.deepEqual([drive.state, drive.counters.parse_errors], ['live', 1])
    drive.event(119, 125, 2).pass(5)
    assertUnbroken(drive, [120n, 125n])
  })

  for (const [name, end] of [
    ['the run stops', (drive: Drive) => drive.stop()],
    [
      'a frame does not decode',
      (drive: Drive) => drive.input({ kind: 'message', connection: 1, payload: Buffer.from('{') }),
    ],
    [
      'our own loop stalls',
      (drive: Drive) => drive.input({ kind: 'overload', stalledMs: 3000, what: 'loop' }),
    ],
    [
      'trading ends',
      (drive: Drive) => drive.input({ kind: 'listing', status: 'not_trading', word: 'BREAK' }),
    ],
  ] as const) {
    it(`what was held back is not lost when ${name}`, () => {
      const drive = end(holding().event(120, 130).event(130, 140))
      assert.deepEqual(drive.bookIds.slice(2), [120n, 130n, 140n])
      assert.match(drive.out.coverageTexts()[0] ?? '', /^books proven 100:105..140 rows 5/)
    })
  }

  it('what is held back answers a doubt: the feed is not frozen', () => {
    const drive = beside().pass(2).event(90, 100, 2).pass(4)
    drive.answer(drive.request('proof').id, 130, [['100', '7']])
    drive.pass(1).event(120, 130).leap(1)
    assert.deepEqual(drive.bookIds.slice(2), [120n], 'it is still held back')
    assert.deepEqual([drive.counters.proofs_frozen, drive.state], [0, 'live'])
  })

  it('an audit on its way is void, and one follows', () => {
    const drive = beside().event(115, 125, 2)
    const { id } = drive.request('audit')
    drive.pass(5)
    assert.deepEqual([drive.counters.audits_void, drive.out.forgotten.includes(id)], [1, true])
    drive.answer(id, 120)
    assert.equal(drive.counters.responses_ignored, 1)
    const asked = drive.asked('audit')
    drive.tick()
    assert.equal(drive.asked('audit'), asked + 1)
    drive.event(125, 130, 2)
    drive.answer(drive.request('audit').id, 127, [...BIDS, ['98', '130']], ASKS)
    assert.deepEqual([drive.counters.audits_clean, drive.state], [1, 'live'])
  })

  it('an audit follows, however fresh the last one is', () => {
    const drive = beside()
    drive.answer(drive.request('audit').id, 120, [...BIDS, ['98', '120']], ASKS)
    assert.equal(drive.counters.audits_clean, 1)
    drive.event(115, 125, 2).pass(5)
    const asked = drive.asked('audit')
    drive.tick()
    assert.equal(drive.asked('audit'), asked + 1)
  })

  it('an audit on its way is void when the first one is cut, too', () => {
    const drive = beside().event(117, 124, 2)
    const { id } = drive.request('audit')
    drive.close(1)
    assert.deepEqual([drive.counters.audits_void, drive.out.forgotten.includes(id)], [1, true])
  })
})
