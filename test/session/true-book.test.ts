import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Level } from '../support/frames.ts'
import { CONFIG, Drive } from './harness.ts'
import { type Change, priceOf, TrueBook } from './true-book.ts'

const change: fc.Arbitrary<Change> = fc.record({
  side: fc.constantFrom('b' as const, 'a' as const),
  place: fc.integer({ min: 0, max: 24 }),
  qty: fc.integer({ min: 0, max: 4 }),
})

/** How one connection cuts the history into events: sizes of the batches, over and over. */
const batching = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 6 })
/** Levels a side of a snapshot: from fewer than are published to more than there are. */
const limit = fc.constantFrom(10, 20, 50)

/** Ids at which the events of a connection end, from the id that the first of them follows. */
function ends(sizes: readonly number[], start: number, last: number): number[] {
  const ids = [start]
  for (let i = 0; ; i++) {
    const next = (ids.at(-1) ?? start) + (sizes[i % sizes.length] ?? 1)
    if (next > last) return ids
    ids.push(next)
  }
}

interface Scene {
  readonly changes: readonly Change[]
  readonly sizes: readonly number[]
  readonly joinAt: number
  readonly joinLimit: number
  /** Events before the audit is asked, and between the request and its answer. */
  readonly before: number
  readonly lag: number
  readonly auditAt: number
  readonly auditLimit: number
  /** A level of the first snapshot that is wrong. */
  readonly flip: Change | undefined
}

const scene = (flip: fc.Arbitrary<Change | undefined>): fc.Arbitrary<Scene> =>
  fc.record({
    changes: fc.array(change, { minLength: 30, maxLength: 90 }),
    sizes: batching,
    joinAt: fc.integer({ min: 0, max: 12 }),
    joinLimit: limit,
    before: fc.integer({ min: 0, max: 6 }),
    lag: fc.integer({ min: 0, max: 8 }),
    auditAt: fc.integer({ min: -25, max: 15 }),
    auditLimit: limit,
    flip,
  })

interface Outcome {
  readonly drive: Drive
  readonly truth: TrueBook
  /** Was the book live when the audit was answered? */
  readonly live: boolean
  /** Reach of the book when the audit was decided, bids and asks. */
  readonly cursor: number
  readonly reach: readonly [number, number]
  readonly touched: ReadonlySet<string>
}

/** Joins, follows, is audited once, and waits until the audit is decided. */
function play(scene: Scene): Outcome {
  const truth = new TrueBook(scene.changes)
  const config: typeof CONFIG = { ...CONFIG, streams: ['books', 'depth'], bookLevels: 1 }
  const drive = new Drive({ ...config, guards: { ...config.guards, staleAfterSeconds: 300 } }).open()
  const ids = ends(scene.sizes, 100, truth.lastId)
  const touched = new Set<string>()
  let at = 0
  const deliver = () => {
    if (at + 1 >= ids.length) return
    const [pu, u] = [ids[at] ?? 0, ids[at + 1] ?? 0]
    at++
    const { b, a } = truth.event(pu, u)
    for (const [price] of b) touched.add(`b${price}`)
    for (const [price] of a) touched.add(`a${price}`)
    drive.depth({ U: pu + 1, u, pu, b, a })
  }
  const joinId = 100 + scene.joinAt
  while ((ids[at] ?? 0) < joinId) deliver()
  if (at === 0) deliver()
  touched.clear()
  // the event that the join begins with tells its levels anew
  const first = ids.findIndex((id) => id >= joinId)
  for (let i = Math.max(1, first); i <= at; i++) {
    const { b, a } = truth.event(ids[i - 1] ?? 0, ids[i] ?? 0)
    for (const [price] of b) touched.add(`b${price}`)
    for (const [price] of a) touched.add(`a${price}`)
  }
  const { flip } = scene
  const flipped = (side: Change['side']): Level[] =>
    truth
      .top(joinId, side, scene.joinLimit)
      .map(([price, qty]) =>
        flip?.side === side && Number(price) === priceOf(flip)
          ? [price, String(Number(qty) + 10)]
          : [price, qty],
      )
  drive.sent(1, scene.joinLimit).answer(1, joinId, flipped('b'), flipped('a'))
  for (let i = 0; i < scene.before; i++) deliver()
  let live = drive.state === 'live'
  drive.leap(601)
  const audit = drive.out.requests.findLast((request) => request.id !== 1 && request.rank !== 'proof')
  if (audit === undefined || drive.state !== 'live')
    return { drive, truth, live: false, cursor: 0, reach: [0, 0], touched }
  for (let i = 0; i < scene.lag; i++) deliver()
  const auditId = Math.max(100, Math.min(truth.lastId, (ids[at] ?? 100) + scene.auditAt))
  const body = (side: Change['side']) => truth.top(auditId, side, scene.auditLimit)
  live = live && drive.state === 'live'
  drive.sent(audit.id, scene.auditLimit)
  const reachOf = (): [number, number] => {
    const { bids, asks } = drive.session.book.live.book
    return [bids.reach, asks.reach]
  }
  let reach = reachOf()
  drive.answer(audit.id, auditId, body('b'), body('a'))
  while (drive.session.book.state === 'live' && undecided(drive) && at + 1 < ids.length) {
    reach = reachOf()
    deliver()
  }
  if (undecided(drive)) drive.leap(11)
  return { drive, truth, live, cursor: ids[at] ?? 0, reach, touched }
}

const undecided = ({ counters }: Drive): boolean =>
  counters.audits_clean + counters.audits_void + counters.audits_mismatch < 1

/** A run is given with its seed, so that what fails can be repeated. */
const RUNS = { numRuns: 400 }

describe('a true book, whatever the phase, the lag and the place of the snapshot', () => {
  it('is never found wrong: an audit is clean or void', () => {
    let [clean, void_] = [0, 0]
    fc.assert(
      fc.property(scene(fc.constant(undefined)), (given) => {
        const { drive } = play(given)
        assert.equal(drive.counters.audits_mismatch, 0)
        assert.deepEqual(drive.haltReasons, [])
        clean += drive.counters.audits_clean
        void_ += drive.counters.audits_void
      }),
      RUNS,
    )
    assert.ok(clean > 50 && void_ > 20, `${clean} clean, ${void_} void: both are reached`)
  })

  it('and after a clean audit, within its reach it is the exchange’s book', () => {
    fc.assert(
      fc.property(scene(fc.constant(undefined)), (given) => {
        const { drive, truth } = play(given)
        if (drive.state !== 'live') return
        const { bids, asks, id } = drive.session.book.live.book
        for (const [side, ours] of [
          ['b', bids],
          ['a', asks],
        ] as const) {
          const theirs = [...truth.at(Number(id), side)].filter(([price]) => ours.knows(price))
          const levels = Array.from({ length: ours.size }, (_, i) => [ours.price(i), ours.qty(i)])
          assert.deepEqual(levels, theirs)
        }
      }),
      RUNS,
    )
  })

  it('a level that is wrong inside both reaches, and was not told anew, is found', () => {
    let found = 0
    fc.assert(
      fc.property(scene(change), (given) => {
        const { drive, truth, live, reach, touched } = play(given)
        const { flip } = given
        if (flip === undefined || !live || drive.counters.audits_void > 0) return
        const price = priceOf(flip)
        const wrong =
          truth.at(100 + given.joinAt, flip.side).has(price) && !touched.has(`${flip.side}${price}`)
        const place = flip.side === 'b' ? 0 : 1
        const inOurs = place === 0 ? price >= reach[0] : price <= reach[1]
        const shown = truth
          .top(100 + given.joinAt, flip.side, given.joinLimit)
          .some(([p]) => Number(p) === price)
        if (!wrong || !inOurs || !shown) {
          assert.equal(drive.counters.audits_mismatch, 0)
          return
        }
        const theirs = drive.out.requests.length > 1 ? [...auditTop(drive)] : []
        const side = theirs.filter(([s]) => s === flip.side).map(([, p]) => p)
        const far = place === 0 ? Math.min(...side) : Math.max(...side)
        const whole = side.length < given.auditLimit
        const inTheirs = whole || (place === 0 ? price >= far : price <= far)
        assert.equal(drive.counters.audits_mismatch, inTheirs ? 1 : 0)
        if (inTheirs) found++
      }),
      RUNS,
    )
    assert.ok(found > 20, `${found} found`)
  })
})

/** Sides and prices of the audit's answer, the last snapshot that came. */
function* auditTop(drive: Drive): Generator<readonly ['b' | 'a', number]> {
  const answer = drive.inputs.findLast((input) => input.kind === 'response')
  if (answer?.kind !== 'response') return
  const body = JSON.parse(Buffer.from(answer.body).toString()) as { bids: Level[]; asks: Level[] }
  for (const [price] of body.bids) yield ['b', Number(price)]
  for (const [price] of body.asks) yield ['a', Number(price)]
}
