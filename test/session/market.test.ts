import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CONFIG, Drive } from './harness.ts'

/** Without prices, whose silence is another matter. */
const TRADES: typeof CONFIG = { ...CONFIG, streams: ['trades'] }

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

describe('trade ids', () => {
  it('the first trade may have id 0', () => {
    const drive = new Drive().open(2, 'market').trade(0).trade(1)
    assert.deepEqual(
      drive.out.of('trades').map((row) => row.values['id']),
      [0n, 1n],
    )
  })

  it('ids that begin anew, lower, are seen at once: the trade is later, so it is none that is sent again', () => {
    const drive = new Drive().open(2, 'market').trade(1_000_000)
    for (let id = 5; id < 8; id++) drive.trade(id, { later: id })
    assert.deepEqual(drive.out.coverageTexts(), ['trades proven 999999:1000000..1000000 rows 1 sequence'])
    assert.deepEqual(drive.tradeIds, [1_000_000n, 5n, 6n, 7n])
    assert.deepEqual(
      drive.out.of('trades').map((row) => row.values['gapBefore']),
      [true, true, false, false],
    )
    assert.equal(drive.counters.trades_repeated, 0)
  })

  it('ids that begin anew just below the last one do not go on from it', () => {
    const drive = new Drive().open(2, 'market').trade(39, { later: 1 }).trade(40, { later: 2 })
    for (let id = 38; id <= 42; id++) drive.trade(id, { later: id })
    assert.deepEqual(drive.tradeIds, [39n, 40n, 38n, 39n, 40n, 41n, 42n])
    drive.stop()
    assert.deepEqual(drive.out.coverageTexts(), [
      'trades proven 38:39..40 rows 2 sequence',
      'trades proven 37:38..42 rows 5 stopped',
    ])
  })

  it('what is sent again of the count that is over falls out, though its ids are higher', () => {
    const drive = new Drive().open(2, 'market').trade(99, { later: 1 }).trade(100, { later: 2 })
    drive.trade(5, { later: 3 }).trade(99, { later: 1 }).trade(100, { later: 2 }).trade(6, { later: 4 })
    assert.deepEqual([drive.tradeIds, drive.counters.trades_repeated], [[99n, 100n, 5n, 6n], 2])
    assert.equal(drive.out.of('coverage').length, 1)
  })

  it('the last trade that REST told of is known: it is none of a new count when it comes late', () => {
    const drive = new Drive(TRADES).open(2, 'market').leap(61)
    drive.sent(drive.request('audit', 'last_trade').id, 0)
    const late = 1_721_347_020_000
    drive.lastTrade(41, late).leap(2.1).trade(41).trade(42, { later: 1 })
    assert.deepEqual([drive.tradeIds, drive.out.of('coverage')], [[42n], []])
  })

  it('trades that are sent again fall out by id, however many they are', () => {
    const drive = new Drive().open(2, 'market')
    for (let id = 1; id <= 300; id++) drive.trade(id, { later: id })
    for (let id = 101; id <= 320; id++) drive.trade(id, { later: id })
    assert.equal(drive.out.of('trades').length, 320)
    assert.equal(drive.out.of('coverage').length, 0)
  })
})

describe('silence of trades', () => {
  /** Trades to 5, and a minute without one: the exchange is asked for its last one. */
  function questioned(): Drive {
    const drive = new Drive(TRADES).open(2, 'market').trade(4).trade(5).leap(59.8)
    assert.equal(drive.out.requests.length, 0)
    drive.leap(0.3)
    const { id, rank, wait, limit } = drive.request('audit', 'last_trade')
    assert.deepEqual([rank, wait, limit], ['audit', 'share', 0])
    return drive.sent(id, 0)
  }
  const asked = (drive: Drive) => drive.asked('audit', 'last_trade')

  it('the same id: coverage reaches to the moment when the request was sent', () => {
    const drive = questioned()
    const sentAt = drive.now
    drive.lastTrade(5, 1).stop()
    const row = drive.out.of('coverage').find(({ values: v }) => v['ofStream'] === 'trades')?.values
    assert.deepEqual([row?.['lastId'], row?.['to'], row?.['rows']], [5n, sentAt, 2])
    assert.equal(drive.counters.proofs_quiet, 1)
  })

  it('a later id and no trade within two seconds: no_data, and its socket reconnects', () => {
    const drive = questioned().lastTrade(6, 1).leap(1.9)
    assert.equal(drive.out.reconnects.length, 0)
    drive.leap(0.2)
    assert.equal(
      drive.out.coverageTexts().find((text) => text.startsWith('trades')),
      'trades proven 3:4..5 rows 2 no_data',
    )
    assert.ok(drive.out.reconnects.some(({ connection, why }) => connection === 2 && /trades/.test(why)))
    drive.close(2).open(3, 'market').trade(7, { connection: 3 })
    assert.equal(drive.out.of('trades').at(-1)?.values['gapBefore'], true)
  })

  it('a connection that ends without a trade has the listing asked for, one that brought some does not', () => {
    const only = () => new Drive({ ...TRADES, streams: ['trades'] }).open(2, 'market')
    assert.deepEqual(only().trade(4).close(2).out.listingChecks, [])
    assert.equal(only().close(2).out.listingChecks.length, 1)
  })

  it('the last trade was published before our own stall: coverage goes on from it, no socket reconnects', () => {
    const drive = new Drive(TRADES).open(2, 'market').trade(5)
    drive.input({ kind: 'overload', stalledMs: 3000, what: 'loop' }).leap(60.1)
    drive.sent(drive.request('audit', 'last_trade').id, 0).lastTrade(5, 1).leap(2.1)
    assert.deepEqual(drive.out.reconnects, [])
    drive.trade(6).stop()
    assert.deepEqual(
      drive.out.coverageTexts().filter((text) => text.startsWith('trades')),
      ['trades proven 4:5..5 rows 1 overload', 'trades proven 5:6..6 rows 1 stopped'],
    )
  })

  it('a later id and the trade comes: nothing was wrong', () => {
    const drive = questioned().lastTrade(6, 1).leap(1.5).trade(6).leap(4)
    assert.deepEqual(drive.tradeIds, [4n, 5n, 6n])
    assert.equal(drive.out.of('coverage').filter(({ values: v }) => v['ofStream'] === 'trades').length, 0)
  })

  it('an id below ours, a failure, a refusal, no answer that decodes: nothing is concluded', () => {
    const answers: ((drive: Drive) => Drive)[] = [
      (drive) => drive.lastTrade(4, 1),
      (drive) => drive.lastTrade(9, 1, { status: 500 }),
      (drive) => drive.body(drive.request('audit', 'last_trade').id, Buffer.from('[')),
      (drive) => drive.body(drive.request('audit', 'last_trade').id, Buffer.from('[]')),
      (drive) =>
        drive.input({
          kind: 'refused',
          request: drive.request('audit', 'last_trade').id,
          why: 'weight',
          until: 0,
        }),
    ]
    for (const answer of answers) {
      const drive = answer(questioned()).leap(3)
      assert.deepEqual([drive.counters.proofs_open, drive.counters.proofs_frozen], [1, 0])
      assert.equal(drive.session.streamState('trades'), 'flowing')
    }
  })

  it('halt ProtocolChanged: ten answers in a row that do not decode, and nine never', () => {
    const drive = new Drive(TRADES).open(2, 'market').trade(5)
    const answer = (body: string) => {
      const before = asked(drive)
      while (asked(drive) === before) drive.leap(60)
      drive.body(drive.request('audit', 'last_trade').id, Buffer.from(body))
    }
    for (let i = 0; i < 9; i++) answer('<html>')
    answer('[]')
    for (let i = 0; i < 9; i++) answer('[{"id":5}]')
    assert.deepEqual(drive.haltReasons, [])
    answer('[{"id":5}]')
    assert.deepEqual(drive.haltReasons, ['ProtocolChanged'])
    assert.match(drive.out.halts[0]?.message ?? '', /10 answers in a row about the last trade/)
  })

  it('is asked again after twice the time, at most each ten minutes', () => {
    const drive = new Drive(TRADES).open(2, 'market').trade(5)
    const waits: number[] = []
    let last = drive.now
    for (let count = 1; count <= 6; count++) {
      while (asked(drive) < count) drive.pass(1)
      waits.push(Math.floor((drive.now - last) / 1_000_000))
      drive.lastTrade(5, 1)
      last = drive.now
    }
    assert.deepEqual(waits, [60, 120, 240, 480, 600, 600])
  })

  it('a stream without any trade is covered from the exchange’s last one on, where none was due', () => {
    const drive = new Drive(TRADES).open(2, 'market').leap(61)
    const { id } = drive.request('audit', 'last_trade')
    drive.sent(id, 0)
    const sentAt = drive.now
    drive.lastTrade(41, drive.now / 1000 - 3600_000).leap(2.1)
    assert.equal(drive.session.streamState('trades'), 'flowing')
    drive.trade(42).stop()
    const row = drive.out.of('coverage').find(({ values: v }) => v['ofStream'] === 'trades')?.values
    assert.deepEqual(
      [row?.['previousId'], row?.['firstId'], row?.['lastId'], row?.['from']],
      [41n, 42n, 42n, sentAt],
    )
  })

  it('where one was due on the connection and did not come, its socket reconnects', () => {
    const drive = new Drive(TRADES).open(2, 'market').leap(61)
    drive.sent(drive.request('audit', 'last_trade').id, 0)
    drive.lastTrade(41, drive.now / 1000 - 20_000).leap(2.1)
    assert.ok(drive.out.reconnects.some(({ why }) => /trades/.test(why)))
    assert.equal(drive.session.streamState('trades'), 'waiting')
  })

  it('an answer from before the last row begins no coverage: no id is claimed twice', () => {
    const drive = questioned().close(2).open(3, 'market').leap(61)
    drive.sent(drive.request('audit', 'last_trade').id, 0)
    drive.lastTrade(3, drive.now / 1000 - 3600_000).leap(2.1)
    assert.equal(drive.session.streamState('trades'), 'waiting')
    drive.trade(5, { connection: 3 }).trade(6, { connection: 3 })
    assert.deepEqual(drive.tradeIds, [4n, 5n, 6n])
  })

  it('a lost connection forgets the question', () => {
    const drive = questioned()
    const { id } = drive.request('audit', 'last_trade')
    drive.close(2)
    assert.deepEqual(drive.out.forgotten, [id])
    drive.lastTrade(9, 1)
    assert.equal(drive.counters.responses_ignored, 1)
  })
})

describe('silence of mark prices', () => {
  const prices = () => new Drive().open(2, 'market').trade(5).markPrice(1000)

  it('no frame for five seconds: no_data, and its socket reconnects', () => {
    const drive = prices().leap(4.9)
    assert.equal(drive.out.reconnects.length, 0)
    drive.leap(0.1)
    assert.deepEqual(drive.out.coverageTexts(), ['mark_price observed 0:0..0 rows 1 no_data'])
    assert.deepEqual(drive.out.reconnects, [{ connection: 2, why: 'no mark price' }])
    assert.equal(drive.session.streamState('trades'), 'flowing', 'it ends with the socket')
    drive.close(2).open(3, 'market').markPrice(7000, 3)
    assert.equal(drive.session.streamState('mark_price'), 'flowing')
  })

  it('a price in time: nothing', () => {
    const drive = prices()
    for (let i = 1; i <= 10; i++) drive.leap(4.8).markPrice(1000 + i)
    assert.deepEqual(drive.out.reconnects, [])
  })

  it('a receive clock that leaps, because the wall clock was stepped, is no silence', () => {
    const drive = prices().pass(2).stepClock(3600).markPrice(2000)
    assert.deepEqual(drive.out.reconnects, [])
    drive.pass(6)
    assert.equal(drive.out.reconnects.length, 1)
  })

  it('a price that was published already is a frame, so no silence, and no evidence, so no coverage', () => {
    const drive = prices()
    const reached = drive.session.coverage('mark_price')?.to
    for (let i = 0; i < 100; i++) drive.leap(1.8).markPrice(1000)
    assert.deepEqual([drive.out.reconnects.length, drive.counters.mark_prices_repeated], [0, 100])
    assert.equal(drive.session.coverage('mark_price')?.to, reached)
    assert.equal(drive.out.of('mark_price').length, 1, 'however often it comes')
  })

  it('a new connection does not publish the same price again', () => {
    const drive = prices().close(2).open(3, 'market').markPrice(1000, 3)
    assert.equal(drive.out.of('mark_price').length, 1)
  })

  it('a clock of the exchange that was set back: published in the end, and what was passed over is a gap', () => {
    const drive = prices().markPrice(200_000)
    const reached = drive.now
    for (let i = 0; i < 60; i++) drive.markPrice(100_000 + i)
    drive.markPrice(100_060)
    assert.deepEqual(
      drive.out.of('mark_price').map((row) => row.values['eventTime']),
      [1000, 200_000, 100_059, 100_060],
    )
    assert.deepEqual(drive.out.coverageTexts(), ['mark_price observed 0:0..0 rows 2 no_data'])
    assert.equal(drive.out.of('coverage')[0]?.values['to'], reached)
  })

  it('each connection that stays silent gets twice the time, at most a minute', () => {
    const drive = new Drive()
    const waits: number[] = []
    for (let connection = 2; connection < 8; connection++) {
      drive.open(connection, 'market')
      const openedAt = drive.now
      while (drive.out.reconnects.length < connection - 1) drive.pass(1)
      waits.push(Math.floor((drive.now - openedAt) / 1_000_000))
      drive.close(connection)
    }
    assert.deepEqual(waits, [5, 10, 20, 40, 60, 60])
  })

  it('the book goes on when the prices end', () => {
    const drive = new Drive().live().open(2, 'market').markPrice(1000).leap(5)
    assert.equal(drive.state, 'live')
  })
})
