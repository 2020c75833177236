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
