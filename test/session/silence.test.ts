import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ASKS, BIDS, Drive } from './harness.ts'

/** A book that has been silent for five seconds: the question is asked and has left. */
function questioned(drive = new Drive().live()): Drive {
  drive.leap(5)
  assert.equal(drive.asked('proof'), 1)
  return drive.sent(drive.request('proof').id, 50)
}

const proof = (drive: Drive, id: number, bids = BIDS, answer = {}) =>
  drive.answer(drive.request('proof').id, id, bids, ASKS, answer)

/** Where the coverage of `books` reaches, seen when the run ends: from what id, to which, until when. */
function reach(drive: Drive): unknown[] {
  drive.stop()
  const row = drive.out.of('coverage').find(({ values: v }) => v['ofStream'] === 'books')
  return [row?.values['previousId'], row?.values['lastId'], row?.values['to']]
}

describe('silence of depth is a question', () => {
  it('asked after five seconds, of fifty levels, and not before', () => {
    const drive = new Drive().live().leap(4.8)
    assert.equal(drive.asked('proof'), 0)
    drive.leap(0.3)
    const { what, limit, limitWhenBusy, rank, wait } = drive.request('proof')
    assert.deepEqual([what, limit, limitWhenBusy, rank, wait], ['snapshot', 50, 50, 'proof', 'none'])
  })

  it('an event that comes first answers it: the request is forgotten, its answer ignored and counted', () => {
    const drive = questioned().event(110, 120)
    const { id } = drive.request('proof')
    assert.deepEqual(drive.out.forgotten, [id])
    drive.answer(id, 999, [['77', '7']])
    assert.deepEqual([drive.counters.responses_ignored, drive.state, drive.counters.gaps], [1, 'live', 0])
    drive.pass(20)
    assert.equal(drive.counters.proofs_frozen, 0)
  })

  it('the same id: quiet, and coverage reaches to the moment when the request was sent', () => {
    const drive = questioned()
    const sentAt = drive.now
    proof(drive.leap(1), 110)
    assert.deepEqual([drive.counters.proofs_quiet, drive.state], [1, 'live'])
    assert.deepEqual(reach(drive), [100n, 110n, sentAt])
    assert.equal(drive.bookIds.length, 2, 'no row tells of it')
  })

  it('without an answer coverage ends with its last event, whatever the ticks say', () => {
    const drive = new Drive().live()
    const last = drive.now
    drive.pass(30)
    assert.deepEqual(reach(drive), [100n, 110n, last])
  })

  it('the same id with other levels: audit_mismatch, with what vouched for the rows withdrawn', () => {
    const drive = proof(questioned(), 110, [
      ['100', '1'],
      ['99', '3'],
    ])
    assert.equal(drive.session.book.lastGap, 'audit_mismatch')
    assert.deepEqual(drive.out.coverageTexts().slice(0, 3), [
      'books suspect 100:0..110 rows 0 audit_mismatch',
      'depth suspect 100:0..110 rows 0 audit_mismatch',
      'books proven 100:105..110 rows 2 audit_mismatch',
    ])
    assert.equal(drive.out.reconnects.length, 0)
  })

  it('the same id, other levels only beyond a reach: quiet', () => {
    const drive = questioned()
    drive.sent(drive.request('proof').id, 2)
    proof(drive, 110)
    assert.equal(drive.counters.proofs_quiet, 1)
  })

  for (const [name, id, bids, answer] of [
    ['an id below the cursor', 109, [['100', '7']], {}],
    ['a later id with equal levels', 130, BIDS, {}],
    ['an own time more than two seconds behind', 130, [['100', '7']], { E: 1_721_347_020_000 }],
    ['an old answer with the same id and other levels', 110, [['100', '7']], { E: 1_721_347_020_000 }],
    ['a failure', 130, [['100', '7']], { status: 503 }],
    ['a request for a pause', 130, [['100', '7']], { status: 429, retryAt: 1 }],
  ] as const) {
    it(`${name}: nothing is concluded, coverage does not advance`, () => {
      const drive = new Drive().live()
      const last = drive.now
      proof(questioned(drive), id, bids, answer).pass(8)
      assert.deepEqual([drive.state, drive.counters.proofs_open, drive.counters.gaps], ['live', 1, 0])
      assert.deepEqual([drive.out.reconnects.length, drive.counters.proofs_frozen], [0, 0])
      assert.deepEqual(reach(drive), [100n, 110n, last])
    })
  }

  it('refused: nothing is concluded', () => {
    const drive = questioned()
    drive.input({ kind: 'refused', request: drive.request('proof').id, why: 'weight', until: 0 }).pass(8)
    assert.deepEqual([drive.state, drive.counters.proofs_open, drive.counters.gaps], ['live', 1, 0])
  })

  it('the own time is measured with the exchange’s clock, not with ours', () => {
    const drive = new Drive(undefined, 0)
    for (let i = 0; i < 5; i++) drive.probe(450)
    questioned(drive.live())
    const E = Math.floor(drive.now / 1000) + 100 - 450 - 1990
    proof(drive, 130, [['100', '7']], { E }).pass(3)
    assert.equal(drive.counters.proofs_frozen, 1, 'less than two seconds behind the exchange’s clock')
  })

  it('is asked again after twice the time, at most a minute', () => {
    const drive = new Drive().live()
    const waits: number[] = []
    let last = drive.now
    for (let asked = 1; asked <= 6; asked++) {
      while (drive.asked('proof') < asked) drive.pass(1)
      waits.push(Math.floor((drive.now - last) / 1_000_000))
      proof(drive, 110)
      last = drive.now
    }
    assert.deepEqual(waits, [5, 10, 20, 40, 60, 60])
  })

  it('an event sets the time back to five seconds', () => {
    const drive = proof(questioned(), 110).pass(10)
    assert.equal(drive.asked('proof'), 2)
    drive.event(110, 120).leap(4.8)
    assert.equal(drive.asked('proof'), 2)
    drive.leap(0.3)
    assert.equal(drive.asked('proof'), 3)
  })
})

describe('a frozen feed', () => {
  const other = [['100', '7']] as const

  it('a later id, other levels and no event within two seconds more: gap stale from the last event, reconnect', () => {
    const drive = new Drive().live()
    const last = drive.now
    proof(questioned(drive), 130, other)
    drive.leap(1.9)
    assert.equal(drive.state, 'live')
    drive.leap(0.2)
    assert.equal(drive.session.book.lastGap, 'stale')
    assert.deepEqual(drive.out.coverageTexts()[0], 'books proven 100:105..110 rows 2 stale')
    assert.equal(drive.out.of('coverage')[0]?.values['to'], last)
    assert.deepEqual(drive.out.reconnects, [{ connection: 1, why: 'frozen' }])
    assert.deepEqual([drive.counters.proofs_frozen, drive.out.listingChecks.length], [1, 1])
    drive.close(1).open(2).event(125, 130, 2)
    assert.equal(drive.request('join').wait, 'share', 'many may have frozen at once')
    drive.snapshot(128, BIDS, ASKS)
    assert.deepEqual([drive.state, drive.out.of('books').at(-1)?.values['gapBefore']], ['live', true])
  })

  it('an event within the two seconds: nothing was wrong', () => {
    const drive = proof(questioned(), 130, other).leap(1.8).event(110, 130).pass(4)
    assert.deepEqual([drive.state, drive.counters.gaps, drive.out.reconnects.length], ['live', 0, 0])
  })

  /** Connection `n` goes live and then freezes; the next one opens. */
  function freeze(drive: Drive, n: number): Drive {
    drive.open(n).event(n * 1000, n * 1000 + 5, n)
    drive.answer(drive.request('join').id, n * 1000 + 5)
    drive.event(n * 1000 + 5, n * 1000 + 10, n)
    assert.equal(drive.state, 'live')
    drive.leap(5)
    proof(drive, n * 1000 + 50, other).leap(2.1)
    return drive.session.over ? drive : drive.close(n)
  }

  it('a receive clock that leaps does not shorten the two seconds that an event has', () => {
    const drive = new Drive()
    drive.open(1).event(1000, 1005, 1)
    drive.answer(drive.request('join').id, 1005)
    drive.event(1005, 1010, 1).leap(5)
    proof(drive, 1050, other).stepClock(60)
    assert.equal(drive.state, 'live')
    assert.equal(drive.leap(2.1).session.book.lastGap, 'stale')
  })

  it('on three connections in a row: halt StaleFeed', () => {
    const drive = new Drive()
    for (const n of [1, 2]) freeze(drive, n)
    assert.deepEqual(drive.haltReasons, [])
    freeze(drive, 3)
    assert.deepEqual(drive.haltReasons, ['StaleFeed'])
    assert.deepEqual(drive.out.coverageTexts().slice(-2), [
      'books proven 3000:3005..3010 rows 2 StaleFeed',
      'depth proven 3000:3005..3010 rows 2 StaleFeed',
    ])
  })

  it('a connection between them that did not freeze starts the count anew', () => {
    const drive = new Drive()
    for (const n of [1, 2]) freeze(drive, n)
    drive.open(3).event(3000, 3005, 3)
    drive.answer(drive.request('join').id, 3003).close(3)
    for (const n of [4, 5]) freeze(drive, n)
    assert.deepEqual(drive.haltReasons, [])
    freeze(drive, 6)
    assert.deepEqual(drive.haltReasons, ['StaleFeed'])
  })

  it('a book that was live for ten minutes had recovered', () => {
    const drive = new Drive()
    for (const n of [1, 2]) freeze(drive, n)
    drive.open(3).event(3000, 3005, 3)
    drive.answer(drive.request('join').id, 3003).leap(600).event(3005, 3010, 3).leap(5)
    proof(drive, 3050, other).leap(2.1)
    assert.equal(drive.session.book.lastGap, 'stale')
    drive.close(3)
    assert.deepEqual(drive.haltReasons, [])
    for (const n of [4, 5]) freeze(drive, n)
    assert.deepEqual(drive.haltReasons, ['StaleFeed'])
  })

  it('a socket that answered no ping counts too: gap stale', () => {
    const drive = new Drive()
    for (const n of [1, 2, 3]) {
      drive.open(n).event(n * 1000, n * 1000 + 5, n)
      drive.answer(drive.request('join').id, n * 1000 + 3)
      assert.equal(drive.state, 'live')
      drive.close(n, { silent: true })
      if (n === 1) {
        assert.equal(drive.session.book.lastGap, 'stale')
        assert.equal(drive.out.reconnects.length, 0, 'it is closed already')
        drive.open(7).event(1500, 1505, 7)
        assert.equal(drive.request('join').wait, 'share')
        drive.close(7, { silent: true })
      }
    }
    assert.equal(drive.counters.proofs_frozen, 3)
    assert.deepEqual(drive.haltReasons, [])
  })

  it('three sockets in a row that answered no ping: halt StaleFeed', () => {
    const drive = new Drive()
    for (const n of [1, 2, 3]) {
      drive.open(n).event(n * 1000, n * 1000 + 5, n)
      drive.answer(drive.request('join').id, n * 1000 + 3).close(n, { silent: true })
    }
    assert.deepEqual(drive.haltReasons, ['StaleFeed'])
  })

  it('one connection counts once, even if it was joined again before it closed', () => {
    const drive = new Drive()
    freeze(drive, 1)
    drive.open(2).event(2000, 2005, 2)
    drive.answer(drive.request('join').id, 2003).leap(5)
    proof(drive, 2050, other).leap(2.1)
    assert.equal(drive.out.reconnects.length, 2)
    drive.event(2100, 2105, 2)
    drive.answer(drive.request('join').id, 2103)
    assert.equal(drive.state, 'live')
    drive.close(2, { silent: true })
    assert.deepEqual(drive.haltReasons, [])
  })
})

describe('a book from a snapshot alone', () => {
  /** A silent symbol: no event came, the snapshot at 103 waits. */
  const waiting = () => {
    const drive = new Drive().open().pass(5)
    assert.equal(drive.asked('join'), 1)
    drive.answer(drive.request('join').id, 103)
    assert.equal(drive.state, 'joining')
    return drive
  }

  it('goes live when the exchange is still at its id five seconds later', () => {
    const drive = waiting()
    const cameAt = drive.now
    questioned(drive)
    const sentAt = drive.now
    proof(drive, 103)
    assert.equal(drive.state, 'live')
    assert.deepEqual(
      drive.out.of('depth').map((row) => row.values['kind']),
      ['snapshot'],
    )
    assert.deepEqual(drive.bookIds, [])
    drive.stop()
    const row = drive.out.of('coverage')[0]?.values
    assert.deepEqual(
      [row?.['previousId'], row?.['firstId'], row?.['lastId'], row?.['rows'], row?.['from'], row?.['to']],
      [103n, 0n, 103n, 0, cameAt, sentAt],
    )
  })

  it('its first event must meet it', () => {
    const met = proof(questioned(waiting()), 103).event(99, 108)
    assert.deepEqual([met.state, met.bookIds], ['live', [108n]])
    met.event(105, 112)
    assert.equal(met.session.book.lastGap, 'sequence', 'the second one must follow')
    const missed = proof(questioned(waiting()), 103).event(104, 108)
    assert.equal(missed.session.book.lastGap, 'sequence')
  })

  it('events that end at or below it are passed over', () => {
    const drive = proof(questioned(waiting()), 103).event(98, 100).event(100, 103).event(103, 107)
    assert.deepEqual([drive.bookIds, drive.counters.events_repeated], [[107n], 2])
  })

  it('other levels at the same id: the snapshot is dropped and another one asked for', () => {
    const drive = proof(questioned(waiting()), 103, [['100', '7']])
    assert.deepEqual([drive.state, drive.asked('join'), drive.counters.gaps], ['buffering', 2, 0])
    assert.equal(drive.out.of('coverage').length, 0)
  })

  it('a later id with other levels and no event: the connection is frozen, though no book was live', () => {
    const drive = proof(questioned(waiting()), 130, [['100', '7']]).leap(2.1)
    assert.deepEqual(drive.out.reconnects, [{ connection: 1, why: 'frozen' }])
    assert.deepEqual([drive.counters.proofs_frozen, drive.out.of('coverage').length], [1, 0])
  })

  it('an event that meets it first makes it live without a proof', () => {
    const drive = questioned(waiting()).event(101, 105)
    assert.deepEqual([drive.state, drive.bookIds], ['live', [105n]])
    assert.equal(drive.out.forgotten.length, 1)
  })

  it('is not live before the clock is known, whatever the proof says', () => {
    const drive = new Drive(undefined, 4).open().pass(5)
    drive.answer(drive.request('join').id, 103).leap(5)
    proof(drive, 103)
    assert.equal(drive.state, 'joining')
    drive.probe(0).leap(10)
    proof(drive, 103)
    assert.equal(drive.state, 'live')
  })
})
