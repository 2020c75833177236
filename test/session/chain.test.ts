import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ASKS, BIDS, Drive } from './harness.ts'

/** The request for a first join: as wide as the address's weight allows. */
const firstJoin = (id: number, attempt: number) => ({
  id,
  what: 'snapshot',
  limit: 1000,
  limitWhenBusy: 100,
  rank: 'join',
  wait: 'share',
  attempt,
})

describe('join', () => {
  it('asks for a snapshot after the first event, and only once', () => {
    const drive = new Drive().open()
    assert.equal(drive.out.requests.length, 0)
    drive.depth({ U: 101, u: 105, pu: 100 }).depth({ U: 106, u: 110, pu: 105 })
    assert.deepEqual(drive.out.requests, [firstJoin(1, 0)])
  })

  it('asks for a snapshot after five seconds without an event', () => {
    const drive = new Drive().open()
    for (let i = 0; i < 49; i++) drive.tick()
    assert.equal(drive.out.requests.length, 0)
    drive.tick()
    assert.equal(drive.out.requests.length, 1)
  })

  it('drops events that end below the snapshot and begins with the one that meets it', () => {
    const drive = new Drive().open().depth({ U: 90, u: 95, pu: 80 }).depth({ U: 101, u: 105, pu: 95 })
    drive.depth({ U: 106, u: 110, pu: 105, b: [['100', '7']] }).snapshot(107, BIDS, ASKS)
    assert.equal(drive.session.book.state, 'live')
    const rows = drive.out.of('books')
    assert.deepEqual(
      rows.map((row) => row.values['id']),
      [110n],
    )
    assert.deepEqual(rows[0].values['gapBefore'], true)
    assert.deepEqual((rows[0].values['levels'] as number[]).slice(0, 4), [100, 7, 101, 1])
    assert.deepEqual(
      drive.out.of('depth').map((row) => [row.values['kind'], row.values['id']]),
      [
        ['snapshot', 107n],
        ['delta', 110n],
      ],
    )
  })

  it('takes the event that ends exactly at the snapshot, and the one that chains to it', () => {
    const atEnd = new Drive().open().depth({ U: 101, u: 105, pu: 100 }).snapshot(105, BIDS, ASKS)
    assert.deepEqual(
      atEnd.out.of('books').map((row) => row.values['id']),
      [105n],
    )
    const after = new Drive().open().depth({ U: 120, u: 125, pu: 105 }).snapshot(105, BIDS, ASKS)
    assert.deepEqual(
      after.out.of('books').map((row) => row.values['id']),
      [125n],
    )
  })

  it('refuses a snapshot that is too old, keeps the events and asks again', () => {
    const drive = new Drive().open().depth({ U: 101, u: 105, pu: 100 }).snapshot(99, BIDS, ASKS)
    assert.equal(drive.session.book.state, 'buffering')
    assert.equal(drive.session.book.buffered, 1)
    assert.deepEqual(drive.out.requests.at(-1), firstJoin(2, 1))
    drive.snapshot(102, BIDS, ASKS)
    assert.equal(drive.session.book.state, 'live')
  })

  it('lets a snapshot ahead of every event wait for the event that meets it', () => {
    const drive = new Drive().open().depth({ U: 101, u: 105, pu: 100 }).snapshot(108, BIDS, ASKS)
    assert.equal(drive.session.book.state, 'joining')
    drive.depth({ U: 106, u: 107, pu: 105 })
    assert.equal(drive.session.book.state, 'joining')
    drive.depth({ U: 108, u: 112, pu: 107 })
    assert.equal(drive.session.book.state, 'live')
    assert.deepEqual(
      drive.out.of('books').map((row) => row.values['id']),
      [112n],
    )
    assert.equal(drive.out.requests.length, 1)
  })

  it('a break among the kept events drops what lies before it', () => {
    const drive = new Drive().open().depth({ U: 101, u: 105, pu: 100 }).depth({ U: 120, u: 125, pu: 118 })
    assert.equal(drive.session.book.buffered, 1)
    drive.snapshot(103, BIDS, ASKS)
    assert.equal(drive.session.book.state, 'buffering')
  })

  it('asks again after a failed answer, an undecodable one, and after a refusal in its time', () => {
    const drive = new Drive().open().depth({ U: 101, u: 105, pu: 100 }).snapshot(103, BIDS, ASKS, 503)
    assert.deepEqual(drive.out.requests.at(-1), firstJoin(2, 1))
    drive.snapshot(
      103,
      [
        ['99', '1'],
        ['100', '1'],
      ],
      ASKS,
    )
    assert.deepEqual(drive.out.requests.at(-1), firstJoin(3, 2))
    drive.input({ kind: 'refused', request: 3, why: 'weight', until: drive.now + 3_000_000 })
    for (let i = 0; i < 28; i++) drive.tick()
    assert.equal(drive.out.requests.length, 3)
    for (let i = 0; i < 3; i++) drive.tick()
    assert.equal(drive.out.requests.length, 4)
  })

  it('ignores and counts an answer that nobody waits for', () => {
    const drive = new Drive().live()
    drive.snapshot(50, BIDS, ASKS)
    assert.equal(drive.session.book.state, 'live')
    assert.equal(drive.session.counters.values.responses_ignored, 1)
  })
})

describe('chain', () => {
  it('gap: an event without an id of its own', () => {
    const drive = new Drive().live().depth({ U: 110, u: 110, pu: 110 })
    assert.equal(drive.session.book.lastGap, 'sequence')
  })

  it('gap: a missing pu discards the book and records the gap', () => {
    const drive = new Drive().live().depth({ U: 121, u: 125, pu: 120, b: [['100', '9']] })
    assert.equal(drive.session.book.state, 'buffering')
    assert.equal(drive.session.book.live.book.bids.size, 0)
    assert.deepEqual(drive.out.coverageTexts(), [
      'books proven 100:105..110 rows 2 sequence',
      'depth proven 100:105..110 rows 2 sequence',
    ])
    drive.snapshot(123, BIDS, ASKS)
    assert.equal(drive.session.book.state, 'live')
    const row = drive.out.of('books').at(-1)
    assert.deepEqual([row?.values['id'], row?.values['gapBefore']], [125n, true])
    const snapshot = drive.out.of('depth').at(-2)
    assert.deepEqual([snapshot?.values['kind'], snapshot?.values['gapBefore']], ['snapshot', true])
  })

  it('overlap inside a connection is a gap, though a join would accept it', () => {
    const drive = new Drive().live().depth({ U: 108, u: 115, pu: 107 })
    assert.equal(drive.session.book.state, 'buffering')
    assert.equal(drive.session.counters.values.gaps, 1)
  })

  it('a repeated event is a gap', () => {
    const drive = new Drive().live().depth({ U: 106, u: 110, pu: 105 })
    assert.equal(drive.session.book.lastGap, 'sequence')
  })

  it('U is not contiguous: only pu counts', () => {
    const drive = new Drive().live().depth({ U: 900, u: 910, pu: 110 })
    assert.equal(drive.session.book.state, 'live')
    assert.equal(drive.session.book.live.book.id, 910n)
  })

  it('ids beyond 2^53 are exact', () => {
    const drive = new Drive().open()
    const base = 9_007_199_254_740_993n
    drive.depth({ U: base, u: base + 2n, pu: base - 1n })
    drive.snapshot(base - 2n, BIDS, ASKS)
    assert.equal(
      drive.session.book.state,
      'buffering',
      'the snapshot ends one below what the event chains to',
    )
    drive.snapshot(base - 1n, BIDS, ASKS)
    assert.equal(drive.session.book.state, 'live')
    drive.depth({ U: base + 4n, u: base + 4n, pu: base + 3n })
    assert.equal(drive.session.book.state, 'buffering', 'one off is off')
  })
})

describe('reconnect', () => {
  it('a lost socket ends coverage, and the new connection joins anew', () => {
    const drive = new Drive()
      .live()
      .input({ kind: 'closed', connection: 1, code: 1006, reason: '', silent: false })
    assert.equal(drive.session.book.state, 'connecting')
    assert.deepEqual(drive.out.coverageTexts()[0], 'books proven 100:105..110 rows 2 reconnect')
    drive.open(2).depth({ U: 111, u: 115, pu: 110 }, 2)
    assert.equal(drive.session.book.state, 'buffering', 'an event that would chain resumes nothing')
    drive.snapshot(112, BIDS, ASKS)
    assert.equal(drive.session.book.state, 'live')
    assert.equal(drive.out.of('books').at(-1)?.connection, 2)
  })

  it('an answer to a request of the lost connection is ignored', () => {
    const drive = new Drive().open().depth({ U: 101, u: 105, pu: 100 })
    drive
      .input({ kind: 'closed', connection: 1, code: 1006, reason: '', silent: false })
      .open(2)
      .depth({ U: 106, u: 110, pu: 105 }, 2)
    drive.input({
      kind: 'response',
      request: 1,
      status: 200,
      usedWeight: 1,
      retryAt: 0,
      error: '',
      body: Buffer.from('{}'),
    })
    assert.equal(drive.session.counters.values.responses_ignored, 1)
    assert.equal(drive.session.book.state, 'buffering')
  })

  it('frames of a connection that is closed or unknown are ignored and counted', () => {
    const drive = new Drive().live().depth({ U: 111, u: 115, pu: 110 }, 7)
    assert.equal(drive.session.counters.values.messages_ignored, 1)
    assert.equal(drive.session.book.live.book.id, 110n)
  })

  it('the loss of one socket ends only the coverage of its own streams', () => {
    const drive = new Drive()
      .live()
      .open(2, 'market')
      .trade(7)
      .input({ kind: 'closed', connection: 2, code: 1006, reason: 'cut', silent: false })
    assert.equal(drive.session.book.state, 'live')
    assert.deepEqual(drive.out.coverageTexts(), ['trades proven 6:7..7 rows 1 reconnect'])
  })
})
