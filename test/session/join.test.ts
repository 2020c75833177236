import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Level } from '../support/frames.ts'
import { CONFIG, Drive } from './harness.ts'

/** Width, width when busy, and wait of the latest join. */
const wish = (drive: Drive) => {
  const { limit, limitWhenBusy, wait } = drive.request('join')
  return [limit, limitWhenBusy, wait]
}

const side = (from: number, sign: number, count: number): Level[] =>
  Array.from({ length: count }, (_, i) => [String(from + sign * i), '1'] as const)

describe('how wide a join is', () => {
  it('the first one as wide as the weight allows, or wide enough for twice the levels', () => {
    assert.deepEqual(wish(new Drive().open().event(100, 105)), [1000, 100, 'share'])
    const fifty = { ...CONFIG, bookLevels: 50 }
    assert.deepEqual(wish(new Drive(fifty).open().event(100, 105)), [1000, 100, 'share'])
  })

  it('the first one stays the first one until it has joined', () => {
    const drive = new Drive().open().event(100, 105)
    drive.answer(1, 90).close(1).open(2).event(200, 205, 2)
    assert.deepEqual(wish(drive), [1000, 100, 'share'])
  })

  it('after a gap narrow, and at once', () => {
    const drive = new Drive().live().event(111, 120)
    assert.deepEqual(wish(drive), [100, 100, 'none'])
  })

  it('after a gap horizon the next width up from what it was joined with, and narrow again after the next gap', () => {
    const gone = side(1000, -1, 50).map(([price]) => [price, '0'] as const)
    const drive = new Drive().open().event(100, 105, 1, [])
    drive.sent(1, 50).snapshot(103, side(1000, -1, 50), side(1001, 1, 50))
    drive.event(105, 110, 1, gone)
    assert.equal(drive.session.book.lastGap, 'horizon')
    assert.deepEqual(wish(drive), [100, 100, 'none'])
    drive.snapshot(108, side(900, -1, 100), side(1001, 1, 100))
    assert.equal(drive.state, 'live')
    drive.event(
      110,
      115,
      1,
      side(900, -1, 100).map(([price]) => [price, '0'] as const),
    )
    assert.deepEqual(wish(drive), [500, 500, 'none'])
    drive.snapshot(112, side(800, -1, 500), side(1001, 1, 500))
    drive.event(117, 120, 1, [])
    assert.deepEqual([drive.session.book.lastGap, ...wish(drive)], ['sequence', 100, 100, 'none'])
  })

  it('after a gap horizon that an audit had widened, wider than the audit', () => {
    const drive = new Drive({ ...CONFIG, bookLevels: 1 }).open().event(100, 105, 1, [])
    drive
      .sent(1, 50)
      .snapshot(103, side(1000, -1, 50), side(1001, 1, 50))
      .tick()
    const { id } = drive.request('audit')
    drive.sent(id, 100).answer(id, 105, side(1000, -1, 100), side(1001, 1, 100))
    assert.equal(drive.counters.audits_clean, 1)
    drive.event(
      105,
      110,
      1,
      side(1000, -1, 100).map(([price]) => [price, '0'] as const),
    )
    assert.deepEqual(wish(drive), [500, 500, 'none'])
  })
})

describe('when a join is asked for', () => {
  it('after a lost connection it is spread over time: many may have lost theirs', () => {
    const drive = new Drive().live().close(1).open(2).event(111, 115, 2)
    assert.deepEqual(wish(drive), [100, 100, 'share'])
  })

  it('after a pause it is spread over time', () => {
    const drive = new Drive().live().input({ kind: 'listing', status: 'not_trading', word: 'BREAK' })
    drive.input({ kind: 'listing', status: 'trading', word: 'TRADING' }).event(130, 135)
    assert.deepEqual(wish(drive), [100, 100, 'share'])
  })

  it('failures in a row are told, so that the wait grows, and forgotten after a join', () => {
    const drive = new Drive().open().event(100, 105)
    for (const attempt of [0, 1, 2]) {
      assert.equal(drive.request('join').attempt, attempt)
      drive.body(drive.request('join').id, Buffer.from(''), { status: 500 })
    }
    drive.answer(drive.request('join').id, 103)
    drive.event(106, 110)
    assert.equal(drive.request('join').attempt, 0)
  })
})

describe('no id is published twice', () => {
  it('a snapshot from before the last row is too old; the events are kept', () => {
    const drive = new Drive().live().close(1).open(2).event(100, 106, 2).event(106, 112, 2)
    drive.answer(drive.request('join').id, 104)
    assert.deepEqual([drive.state, drive.counters.snapshots_too_old], ['buffering', 1])
    drive.answer(drive.request('join').id, 111)
    assert.deepEqual([drive.state, drive.bookIds], ['live', [105n, 110n, 112n]])
  })

  it('a snapshot at the last row goes on with the event after it', () => {
    const drive = new Drive().live().close(1).open(2).event(100, 110, 2).event(110, 115, 2)
    drive.answer(drive.request('join').id, 110)
    assert.deepEqual([drive.state, drive.bookIds], ['live', [105n, 110n, 115n]])
    assert.equal(drive.out.of('books').at(-1)?.values['gapBefore'], true)
  })

  it('while events lie beyond the last row, no number of snapshots from before it is believed', () => {
    const drive = new Drive().live().close(1).open(2).event(100, 106, 2).event(106, 125, 2)
    for (let i = 0; i < 6; i++) {
      drive.answer(drive.request('join').id, 103)
      assert.deepEqual([drive.state, drive.bookIds], ['buffering', [105n, 110n]])
    }
  })

  it('three in a row: the exchange counts anew, and the fourth is taken', () => {
    const drive = new Drive().live().close(1).open(2).event(1, 5, 2)
    for (let i = 0; i < 3; i++) {
      drive.answer(drive.request('join').id, 3)
      assert.equal(drive.state, 'buffering')
    }
    drive.answer(drive.request('join').id, 3)
    assert.deepEqual([drive.state, drive.bookIds], ['live', [105n, 110n, 5n]])
  })
})

describe('what is kept for a join', () => {
  it('at most a minute of events: the oldest go, and are counted', () => {
    const drive = new Drive().open()
    for (let i = 0; i < 700; i++) drive.event(i, i + 1)
    assert.equal(drive.session.book.buffered, 601)
    assert.equal(drive.counters.events_dropped, 99)
  })

  it('a lost connection drops all of it', () => {
    const drive = new Drive().open().event(100, 105).event(105, 110).close(1)
    assert.deepEqual([drive.session.book.buffered, drive.counters.events_dropped], [0, 2])
    assert.deepEqual(drive.out.forgotten, [1])
  })

  it('a frame that does not decode while it waits costs what was kept, and no gap', () => {
    const drive = new Drive().open().event(100, 105)
    drive.input({ kind: 'message', connection: 1, payload: Buffer.from('{') })
    assert.deepEqual([drive.session.book.buffered, drive.counters.gaps, drive.state], [0, 0, 'buffering'])
    drive.event(107, 110).answer(1, 103)
    assert.equal(drive.state, 'buffering', 'the snapshot is from before the loss')
  })

  it('a gap keeps the event that showed it', () => {
    const drive = new Drive().live().event(112, 120)
    drive.answer(drive.request('join').id, 115)
    assert.deepEqual(drive.bookIds, [105n, 110n, 120n])
  })
})

describe('coverage of a join', () => {
  it('begins with the receive time of its first event and with what that chains to', () => {
    const drive = new Drive().open().event(100, 105)
    const first = drive.now
    drive.answer(1, 103).stop()
    const row = drive.out.of('coverage')[0]?.values
    assert.deepEqual([row?.['from'], row?.['previousId'], row?.['firstId']], [first, 100n, 105n])
  })

  it('the snapshot is a row of depth, with a gap before it; its own event follows it', () => {
    const drive = new Drive().open().event(100, 105).answer(1, 103)
    assert.deepEqual(
      drive.out.of('depth').map(({ values: v }) => [v['kind'], v['id'], v['gapBefore']]),
      [
        ['snapshot', 103n, true],
        ['delta', 105n, false],
      ],
    )
  })
})
