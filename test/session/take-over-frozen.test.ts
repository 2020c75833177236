import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Drive } from './harness.ts'

const HOUR = 3600
const OTHER = [['100', '7']] as const

/** A live book at id 120 on connection 1, and connection 2 open beside it. */
const beside = () =>
  new Drive()
    .live()
    .leap(23.6 * HOUR)
    .event(110, 120)
    .open(2)

/** Connection 1 is silent although the exchange has a later book; the verdict is two seconds away. */
function doubted(drive: Drive): Drive {
  while (drive.asked('proof') === 0 || drive.request('proof').id < drive.request('audit').id) drive.pass(1)
  return drive.answer(drive.request('proof').id, 190, OTHER)
}

const closes = (drive: Drive) => drive.out.closes.map(({ connection, why }) => [connection, why])

describe('the first connection is frozen while the second one warms up', () => {
  it('the second one has an event that meets the cursor: it takes over at once, and nothing is lost', () => {
    const drive = beside()
    doubted(drive).event(115, 125, 2).event(125, 130, 2).pass(2)
    assert.deepEqual(drive.bookIds.slice(2), [120n, 125n, 130n])
    assert.deepEqual([drive.out.of('coverage'), drive.state], [[], 'live'])
    assert.deepEqual(closes(drive), [[1, 'it is frozen']])
    assert.deepEqual([drive.session.book.connection, drive.counters.take_overs], [2, 1])
    assert.deepEqual([drive.out.reconnects, drive.counters.proofs_frozen], [[], 1])
    drive.close(1).event(130, 135, 2)
    assert.equal(drive.bookIds.at(-1), 135n)
  })

  it('gap stale: the second one began later; it stays, and the join needs no event but those it has brought', () => {
    const drive = doubted(beside()).event(125, 130, 2).event(130, 140, 2).pass(2)
    assert.deepEqual(drive.out.coverageTexts(), [
      'books proven 100:105..120 rows 3 stale',
      'depth proven 100:105..120 rows 3 stale',
    ])
    assert.deepEqual([closes(drive), drive.out.reconnects], [[[1, 'it is frozen']], []])
    assert.deepEqual([drive.session.book.connection, drive.session.book.buffered], [2, 2])
    drive.answer(drive.request('join').id, 135)
    assert.deepEqual([drive.state, drive.bookIds.slice(2)], ['live', [120n, 140n]])
  })

  it('the second one has brought nothing later: it proves nothing, and both are left', () => {
    for (const drive of [doubted(beside()).pass(2), doubted(beside()).event(100, 120, 2).pass(2)]) {
      assert.equal(drive.session.book.lastGap, 'stale')
      assert.deepEqual(closes(drive), [[2, 'the book that it was to take over is lost']])
      assert.deepEqual(drive.out.reconnects, [{ connection: 1, why: 'frozen' }])
    }
  })
})

describe('events of a second connection', () => {
  it('the first one is cut and the second one began later: the join has what the second one brought', () => {
    const drive = beside().event(125, 130, 2).event(130, 135, 2).close(1)
    assert.deepEqual([drive.session.book.lastGap, drive.session.book.buffered], ['reconnect', 2])
    drive.answer(drive.request('join').id, 128)
    assert.deepEqual([drive.state, drive.bookIds.slice(2)], ['live', [120n, 130n, 135n]])
    assert.equal(drive.counters.events_dropped, 0)
  })

  it('what is not needed is counted: too old, behind a break, of one that is given up, known already', () => {
    const aged = beside()
    for (let i = 0; i < 620; i++) aged.event(500 + i, 501 + i, 2)
    assert.equal(aged.counters.events_dropped, 19, 'older than a minute')
    const broken = beside().event(112, 117, 2).event(119, 125, 2)
    assert.equal(broken.counters.events_dropped, 1)
    broken.close(2)
    assert.equal(broken.counters.events_dropped, 2)
    const known = beside().event(112, 117, 2).event(117, 124, 2).pass(5)
    assert.deepEqual([known.counters.take_overs, known.counters.events_dropped], [1, 1])
    const heldBack = beside().event(90, 100, 2).pass(5).event(120, 130).event(100, 125, 2)
    assert.deepEqual([heldBack.counters.take_overs, heldBack.counters.events_dropped], [1, 2])
  })
})
