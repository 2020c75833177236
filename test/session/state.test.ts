import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { exchangeByName } from '../../capture/exchange/mod.ts'
import { type Input, Session } from '../../capture/session/mod.ts'
import { Collector } from '../support/collect.ts'
import { depthFrame, markPriceFrame, snapshotBody, tradeFrame } from '../support/frames.ts'
import { CONFIG, Drive, START } from './harness.ts'

/** A random but mostly legal stream of inputs, so that every state is reached. */
const inputs = fc
  .array(
    fc.record({
      what: fc.constantFrom(
        'depth',
        'depth',
        'depth',
        'depth',
        'break',
        'trade',
        'mark',
        'snapshot',
        'snapshot',
        'old',
        'ahead',
        'cut',
        'tick',
        'garbage',
        'refused',
        'cross',
      ),
      price: fc.integer({ min: 90, max: 110 }),
      qty: fc.integer({ min: 0, max: 3 }),
    }),
    { minLength: 1, maxLength: 120 },
  )
  .map((steps) => build(steps))

function build(steps: readonly { what: string; price: number; qty: number }[]): Input[] {
  let received = START
  let id = 100
  let trade = 1
  let connection = 1
  let request = 0
  const result: Input[] = [
    { kind: 'opened', received, connection: 1, route: 'public' },
    { kind: 'opened', received, connection: 2, route: 'market' },
  ]
  const bids = [
    ['99.5', '1'],
    ['99', '2'],
  ] as const
  const asks = [
    ['100.5', '1'],
    ['101', '2'],
  ] as const
  for (const { what, price, qty } of steps) {
    received += 100_000
    trade += price > 108 ? 2 : 1
    if (what === 'depth' || what === 'break' || what === 'cross') {
      const pu = what === 'break' ? id + 3 : id
      id = pu + 5
      const side =
        what === 'cross'
          ? { b: [['120', '1']] as const }
          : price < 100
            ? { b: [[String(price), String(qty)]] as const }
            : { a: [[String(price + 1), String(qty)]] as const }
      result.push({
        kind: 'message',
        received,
        connection,
        payload: depthFrame({ U: pu + 2, u: id, pu, ...side }),
      })
    } else if (what === 'trade')
      result.push({
        kind: 'message',
        received,
        connection: 2,
        payload: tradeFrame(trade),
      })
    else if (what === 'mark')
      result.push({ kind: 'message', received, connection: 2, payload: markPriceFrame(received / 1000) })
    else if (what === 'cut') {
      result.push({ kind: 'closed', received, connection, code: 1006, reason: '' })
      connection = connection === 1 ? 3 : connection + 1
      result.push({ kind: 'opened', received, connection, route: 'public' })
    } else if (what === 'tick') result.push({ kind: 'tick', received, wallDistance: 0 })
    else if (what === 'garbage')
      result.push({
        kind: 'message',
        received,
        connection: qty === 0 ? 2 : connection,
        payload: Buffer.from('{'),
      })
    else if (what === 'refused')
      result.push({ kind: 'refused', received, request: ++request, why: 'weight', until: 0 })
    else {
      const at = what === 'old' ? id - 400 : what === 'ahead' ? id + 7 : id - 2
      result.push({
        kind: 'response',
        received,
        request: ++request,
        status: qty === 3 ? 500 : 200,
        usedWeight: 1,
        retryAt: 0,
        error: '',
        body: snapshotBody(at, bids, asks),
      })
    }
  }
  return result
}

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
      { numRuns: 300 },
    )
  })

  it('the random inputs reach every state', () => {
    const states = new Set<string>()
    fc.assert(
      fc.property(inputs, (all) => {
        const session = fresh()
        const out = new Collector()
        for (const input of all) {
          session.step(input, out)
          states.add(session.book.state)
        }
      }),
      { numRuns: 300, seed: 7 },
    )
    assert.deepEqual([...states].sort(), ['buffering', 'connecting', 'halted', 'joining', 'live'])
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
      { numRuns: 300 },
    )
  })

  it('coverage of cut windows joins to the coverage of the whole', () => {
    fc.assert(
      fc.property(inputs, fc.array(fc.nat(), { maxLength: 12 }), (all, points) => {
        const boundaries = new Set(points.map((point) => point % all.length))
        assert.deepEqual(joined(run(all, boundaries).rows), joined(run(all, new Set()).rows))
      }),
      { numRuns: 300 },
    )
  })

  it('no two rows of a run have the same seq', () => {
    fc.assert(
      fc.property(inputs, fc.array(fc.nat(), { maxLength: 12 }), (all, points) => {
        const { rows } = run(all, new Set(points.map((point) => point % all.length)))
        const seqs = rows.collected.map((row) => row.seq)
        assert.equal(new Set(seqs).size, seqs.length)
      }),
      { numRuns: 300 },
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
    drive.input({ kind: 'closed', connection: 1, code: 1006, reason: '' })
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
