import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { COUNTER_NAMES, type Input, Session } from '../../capture/session/mod.ts'
import { Collector } from '../support/collect.ts'
import { CONFIG, Drive, START } from './harness.ts'
import { history, steps } from './random-inputs.ts'

const inputs = steps.map((drawn) => history(drawn).inputs)

const fresh = () => new Session(CONFIG, exchangeByName('BinanceUsdm'))

/** Runs inputs with window boundaries before the given positions; gives all rows and the final hash. */
function run(
  all: readonly Input[],
  boundaries: ReadonlySet<number>,
): { rows: Collector; hash: string; windows: number } {
  const out = new Collector()
  const session = fresh()
  let window = 0
  session.openWindow(window, START, out)
  all.forEach((input, i) => {
    if (i > 0 && boundaries.has(i)) {
      session.closeWindow(out)
      session.openWindow(++window, input.received, out)
    }
    session.step(input, out)
  })
  return { rows: out, hash: session.hash(), windows: window + 1 }
}

const REASONS_REACHED = [
  'sequence',
  'reconnect',
  'empty_side',
  'horizon',
  'stale',
  'no_data',
  'audit_mismatch',
  'parse',
  'overload',
  'not_trading',
  'CrossedBook',
  'ClockSkew',
]
/** Unknown fields and early messages are made elsewhere. */
const COUNTERS_REACHED = COUNTER_NAMES.filter(
  (name) => name !== 'unknown_fields' && name !== 'messages_early',
)

const DAY = 23.6 * 3600
const other = [['100', '7']] as const

/** Histories that end in what is rare in random ones, each with something pending on the way. */
const SCRIPTS: Readonly<Record<string, (drive: Drive) => Drive>> = {
  'a take-over that holds the first connection back, and fails': (drive) =>
    drive
      .live()
      .leap(DAY)
      .event(110, 120)
      .open(2)
      .event(90, 100, 2)
      .pass(5)
      .event(120, 130)
      .event(130, 140)
      .pass(3)
      .event(140, 150),
  'a take-over that succeeds': (drive) =>
    drive
      .live()
      .leap(DAY)
      .event(110, 120)
      .open(2)
      .event(112, 118, 2)
      .event(118, 125, 2)
      .pass(6)
      .event(125, 130, 2),
  'a first connection that is cut, the second one behind': (drive) =>
    drive
      .live()
      .leap(DAY)
      .event(110, 120)
      .open(2)
      .event(90, 100, 2)
      .close(1)
      .event(100, 110, 2)
      .event(110, 125, 2),
  'a take-over of trades': (drive) =>
    drive
      .open(2, 'market')
      .trade(5)
      .markPrice(1000)
      .leap(4)
      .leap(DAY)
      .markPrice(2000)
      .tick()
      .open(3, 'market')
      .trade(6)
      .trade(6, { connection: 3 })
      .markPrice(3000, 3)
      .trade(7, { connection: 3 })
      .pass(5)
      .trade(8, { connection: 3 }),
  'an audit that waits for the book': (drive) => {
    drive.live().leap(601).event(110, 120)
    return drive
      .answer(drive.request('audit').id, 125, [
        ['100', '1'],
        ['99', '2'],
        ['98', '130'],
      ])
      .event(120, 130)
      .event(130, 140)
  },
  'an audit that finds the book wrong': (drive) => {
    drive.live().leap(601).event(110, 120)
    return drive.answer(drive.request('audit').id, 125, other).event(120, 130)
  },
  'a doubt that becomes a verdict': (drive) => {
    drive.live().leap(5)
    return drive.answer(drive.request('proof').id, 130, other).pass(3).close(1).open(2).event(130, 140, 2)
  },
  'a snapshot that a proof makes live': (drive) => {
    drive.open().pass(5)
    drive.answer(drive.request('join').id, 103).pass(5)
    const { id } = drive.request('proof')
    return drive.sent(id, 50).answer(id, 103).event(99, 108).event(108, 110)
  },
  'a pause that the exchange asks for': (drive) => {
    drive.open().event(100, 105)
    drive.body(1, Buffer.from(''), { status: 429, retryAt: drive.now + 3_000_000 })
    drive.event(105, 110).pass(4)
    return drive.answer(drive.request('join').id, 107)
  },
  'a question for the last trade': (drive) => {
    drive.open(2, 'market').trade(5)
    for (let i = 1; i < 63; i++) drive.markPrice(i * 1000).leap(1)
    const { id } = drive.request('audit', 'last_trade')
    return drive.sent(id, 0).lastTrade(6, 1).markPrice(99_000).pass(3)
  },
}

describe('canonical state', () => {
  it('a session restored at any point goes on as if it had never stopped', () => {
    fc.assert(
      fc.property(inputs, fc.nat(), (all, point) => {
        const cut = point % all.length
        const whole = run(all, new Set())
        const first = fresh()
        const out = new Collector()
        first.openWindow(0, START, out)
        for (const input of all.slice(0, cut)) first.step(input, out)
        const second = fresh()
        second.restore(first.encode())
        assert.equal(second.hash(), first.hash())
        for (const input of all.slice(cut)) second.step(input, out)
        assert.equal(second.hash(), whole.hash)
        assert.deepEqual(out.collected, whole.rows.collected)
      }),
      { numRuns: 500 },
    )
  })

  for (const [name, script] of Object.entries(SCRIPTS)) {
    it(`restored at each point: ${name}`, () => {
      const drive = script(new Drive())
      const whole = run(drive.inputs, new Set())
      assert.equal(whole.hash, drive.session.hash())
      for (let cut = 0; cut <= drive.inputs.length; cut++) {
        let session = fresh()
        const out = new Collector()
        session.openWindow(0, START, out)
        drive.inputs.forEach((input, i) => {
          if (i === cut) {
            const bytes = session.encode()
            session = fresh()
            session.restore(bytes)
          }
          session.step(input, out)
        })
        assert.equal(session.hash(), whole.hash, `restored before input ${cut}`)
        assert.deepEqual(out, whole.rows)
      }
    })
  }

  it('is canonical: what is restored encodes to the same bytes, at any point', () => {
    fc.assert(
      fc.property(steps, (drawn) => {
        const { session } = history(drawn).drive
        const bytes = session.encode()
        const again = fresh()
        again.restore(bytes)
        assert.deepEqual(Buffer.from(again.encode()), Buffer.from(bytes))
      }),
      { numRuns: 200 },
    )
  })

  it('the same inputs give the same bytes and ask for the same', () => {
    fc.assert(
      fc.property(steps, (drawn) => {
        const { inputs: all, drive } = history(drawn)
        const { rows, hash } = run(all, new Set())
        assert.equal(hash, drive.session.hash())
        assert.deepEqual(rows.collected, drive.out.collected)
        assert.deepEqual(rows.requests, drive.out.requests)
        assert.deepEqual(rows.reconnects, drive.out.reconnects)
        assert.deepEqual(rows.openedBeside, drive.out.openedBeside)
      }),
      { numRuns: 100 },
    )
  })

  it('the random inputs reach every state and every guard', () => {
    const states = new Set<string>()
    const reasons = new Set<string>()
    const counted = new Set<string>()
    for (const drawn of fc.sample(steps, { numRuns: 2500, seed: 11 })) {
      const { drive } = history(drawn)
      states.add(drive.state)
      for (const row of drive.out.of('coverage')) reasons.add(String(row.values['endedBy']))
      for (const [name, count] of Object.entries(drive.counters)) if (count > 0) counted.add(name)
    }
    assert.deepEqual([...states].sort(), ['buffering', 'connecting', 'halted', 'joining', 'live', 'paused'])
    assert.deepEqual(
      REASONS_REACHED.filter((reason) => !reasons.has(reason)),
      [],
    )
    assert.deepEqual(
      COUNTERS_REACHED.filter((name) => !counted.has(name)),
      [],
    )
  })

  it('bytes of another version, cut short, or with something behind are refused', () => {
    const bytes = new Drive().live().session.encode()
    assert.throws(() => fresh().restore(bytes.subarray(0, bytes.length - 1)), RangeError)
    assert.throws(() => fresh().restore(Buffer.concat([bytes, Buffer.alloc(1)])), RangeError)
    const other = Buffer.from(bytes)
    other[0] = 99
    assert.throws(() => fresh().restore(other), /state version 99/)
  })
})

describe('windows', () => {
  it('any rotation points give identical rows, seq included, coverage and whole-book rows apart', () => {
    fc.assert(
      fc.property(inputs, fc.array(fc.nat(), { maxLength: 12 }), (all, points) => {
        const boundaries = new Set(points.map((point) => point % all.length))
        const data = (collector: Collector) =>
          collector.collected.filter((row) => row.stream !== 'coverage' && row.values['kind'] !== 'book')
        assert.deepEqual(data(run(all, boundaries).rows), data(run(all, new Set()).rows))
      }),
      { numRuns: 500 },
    )
  })

  it('coverage of cut windows joins to the coverage of the whole', () => {
    fc.assert(
      fc.property(inputs, fc.array(fc.nat(), { maxLength: 12 }), (all, points) => {
        const boundaries = new Set(points.map((point) => point % all.length))
        assert.deepEqual(joined(run(all, boundaries).rows), joined(run(all, new Set()).rows))
      }),
      { numRuns: 500 },
    )
  })

  it('no two rows of a run have the same seq', () => {
    fc.assert(
      fc.property(inputs, fc.array(fc.nat(), { maxLength: 12 }), (all, points) => {
        const { rows } = run(all, new Set(points.map((point) => point % all.length)))
        const seqs = rows.collected.map((row) => row.seq)
        assert.equal(new Set(seqs).size, seqs.length)
      }),
      { numRuns: 500 },
    )
  })

  it('a window that opens live begins with the whole book', () => {
    const drive = new Drive().live()
    drive.session.closeWindow(drive.out)
    drive.session.openWindow(1, drive.now, drive.out)
    const row = drive.out.of('depth').at(-1)
    assert.deepEqual([row?.values['kind'], row?.values['id']], ['book', 110n])
    assert.deepEqual(row?.values['bids'], [100, 1, 99, 2])
  })

  it('an interval that ends in a window without evidence still writes a row, of zero length', () => {
    const drive = new Drive().live()
    drive.session.closeWindow(drive.out)
    drive.session.openWindow(1, drive.now, drive.out)
    drive.input({ kind: 'closed', connection: 1, code: 1006, reason: '', silent: false })
    const row = drive.out.of('coverage').at(-1)
    assert.deepEqual(
      [row?.values['from'], row?.values['rows'], row?.values['firstId']],
      [row?.values['to'], 0, 0n],
    )
    assert.deepEqual(
      [row?.values['previousId'], row?.values['lastId'], row?.values['endedBy']],
      [110n, 110n, 'reconnect'],
    )
  })
})

/** Coverage with the cuts of windows taken out again: each interval from its start to its end, as text. */
function joined(collector: Collector): string[] {
  const open = new Map<string, { text: string; rows: number }>()
  const result: string[] = []
  for (const { values: v } of collector.of('coverage')) {
    if (v['state'] === 'suspect') {
      result.push(`suspect ${v['ofStream']} ${v['previousId']}..${v['lastId']}`)
      continue
    }
    const stream = String(v['ofStream'])
    const before = open.get(stream)
    const text = before?.text ?? `${stream} from ${v['from']} ${v['previousId']}`
    const rows = (before?.rows ?? 0) + Number(v['rows'])
    open.delete(stream)
    if (v['endedBy'] === null) open.set(stream, { text, rows })
    else result.push(`${text} to ${v['to']} ${v['lastId']} rows ${rows} ${v['endedBy']}`)
  }
  return result
}
