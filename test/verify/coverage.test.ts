import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseTimeUs } from '../../capture/ship/mod.ts'
import {
  coverageByDay,
  DAY_US,
  holesById,
  type IdInterval,
  joinById,
  rest,
  withdraw,
} from '../../capture/verify/coverage.ts'

/** Coverage rows of one stream by run: what `withdraw` and `joinById` take. */
interface Run {
  readonly proven: readonly IdInterval[]
  readonly suspects: readonly IdInterval[]
}

/**
 * What readers ask of the coverage stream in SQL, here in SQLite's dialect: an implementation of its own, by another
 * engine.
 */
const MISSING_SPANS = `
WITH s AS (SELECT run, prev_id sp, last_id sl, from_time sf FROM cov WHERE state = 'suspect'),
ok AS (
  SELECT c.from_time, c.prev_id, min(c.to_time, coalesce(min(sf), c.to_time)) to_time,
    min(c.last_id, coalesce(min(sp), c.last_id)) last_id
  FROM cov c LEFT JOIN s ON s.run = c.run AND c.prev_id < sl AND c.last_id > sp
  WHERE c.state = 'proven' GROUP BY c.id
  HAVING min(c.last_id, coalesce(min(sp), c.last_id)) >= c.prev_id),
n AS (SELECT *, coalesce(prev_id > max(last_id) OVER (ORDER BY prev_id, last_id
  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 1) nw FROM ok),
g AS (SELECT *, sum(nw) OVER (ORDER BY prev_id, last_id ROWS UNBOUNDED PRECEDING) k FROM n),
i AS (SELECT k, min(from_time) f, max(to_time) t, min(prev_id) p, max(last_id) l FROM g GROUP BY k)
SELECT * FROM (SELECT t, lead(f) OVER w f, l, lead(p) OVER w p FROM i WINDOW w AS (ORDER BY k)) WHERE p IS NOT NULL`

interface Hole {
  readonly fromUs: number
  readonly toUs: number
  readonly afterId: bigint
  readonly beforeId: bigint
}

const database = new DatabaseSync(':memory:')
database.exec('CREATE TABLE cov (id INTEGER PRIMARY KEY, run, state, from_time, to_time, prev_id, last_id)')
const insert = database.prepare(
  'INSERT INTO cov (run, state, from_time, to_time, prev_id, last_id) VALUES (?, ?, ?, ?, ?, ?)',
)
const select = database.prepare(MISSING_SPANS)

function holesBySql(runs: readonly Run[]): Hole[] {
  database.exec('DELETE FROM cov')
  for (const [i, { proven, suspects }] of runs.entries()) {
    for (const row of proven) insert.run(i, 'proven', row.fromUs, row.toUs, row.prevId, row.lastId)
    for (const row of suspects) insert.run(i, 'suspect', row.fromUs, row.toUs, row.prevId, row.lastId)
  }
  return select.all().map((row) => ({
    fromUs: Number(row.t),
    toUs: Number(row.f),
    afterId: BigInt(Number(row.l)),
    beforeId: BigInt(Number(row.p)),
  }))
}

function joined(runs: readonly Run[]): IdInterval[] {
  return joinById(runs.flatMap(({ proven, suspects }) => joinById(withdraw(proven, suspects))))
}

/** `[prevId, lastId]` and `[from, to]` in seconds. */
function interval(prevId: number, lastId: number, from: number, to: number): IdInterval {
  return { prevId: BigInt(prevId), lastId: BigInt(lastId), fromUs: from * 1e6, toUs: to * 1e6 }
}

function missingSeconds(runs: readonly Run[]): number {
  const all = runs.flatMap(({ proven, suspects }) => [...proven, ...suspects])
  const span = {
    fromUs: Math.min(...all.map((row) => row.fromUs)),
    toUs: Math.max(...all.map((row) => row.toUs)),
  }
  const days = coverageByDay({
    span,
    proven: joined(runs),
    observed: [],
    suspect: runs.flatMap((run) => run.suspects),
  })
  return days.reduce((sum, day) => sum + day.missingUs, 0) / 1e6
}

describe('made by hand, as the SQL sees it', () => {
  const check = (runs: readonly Run[], holes: number, seconds: number) => {
    const found = holesById(joined(runs))
    assert.deepEqual(found, holesBySql(runs))
    assert.equal(found.length, holes)
    assert.equal(missingSeconds(runs), seconds)
  }

  test('quiet rotation: a window without a row, and one of no length, leave no hole', () => {
    const proven = [
      interval(10, 20, 0, 10),
      interval(20, 20, 10, 10),
      interval(20, 20, 10, 25),
      interval(20, 31, 25, 30),
    ]
    check([{ proven, suspects: [] }], 0, 0)
  })

  test('suspect: over three windows, what it withdraws is missing', () => {
    const proven = [
      interval(10, 20, 0, 10),
      interval(20, 30, 10, 20),
      interval(30, 40, 20, 30),
      interval(50, 60, 35, 45),
    ]
    const suspects = [interval(15, 40, 5, 30)]
    // proven to 5 s, again from 35 s on
    check([{ proven, suspects }], 1, 30)
  })

  test('suspect: another run that proves the same ids is not touched', () => {
    const proven = [interval(10, 20, 0, 10), interval(20, 30, 10, 20), interval(30, 40, 20, 30)]
    const suspects = [interval(15, 40, 5, 30)]
    const other = { proven: [interval(12, 45, 1, 33)], suspects: [] }
    check([{ proven, suspects }, other], 0, 0)
  })

  test('suspect: up to the last evidence of all, it is missing to the end', () => {
    const run = {
      proven: [interval(10, 20, 0, 10), interval(20, 30, 10, 20)],
      suspects: [interval(14, 30, 4, 20)],
    }
    check([run], 0, 16)
  })

  test('two runs at once: one fills the hole of the other', () => {
    const a = { proven: [interval(10, 20, 0, 10), interval(30, 40, 20, 30)], suspects: [] }
    const b = { proven: [interval(18, 33, 9, 22)], suspects: [] }
    check([a, b], 0, 0)
    check([a], 1, 10)
  })

  test('hand-over: a first row that straddles the cut joins', () => {
    const a = { proven: [interval(10, 20, 0, 10)], suspects: [] }
    const b = { proven: [interval(17, 26, 10.1, 20)], suspects: [] }
    check([a, b], 0, 0)
  })

  test('clocks 600 ms apart: ids that join are whole, whatever the clocks say', () => {
    const a = { proven: [interval(10, 20, 0, 10)], suspects: [] }
    check([a, { proven: [interval(20, 30, 10.6, 20)], suspects: [] }], 0, 0)
    check([a, { proven: [interval(20, 30, 9.4, 20)], suspects: [] }], 0, 0)
  })

  test('clocks 600 ms apart: ids that do not join show, though the times overlap', () => {
    const a = { proven: [interval(10, 20, 0, 10)], suspects: [] }
    const b = { proven: [interval(22, 30, 9.4, 20)], suspects: [] }
    check([a, b], 1, 1e-6)
  })
})

const arbitraryInterval = fc
  .tuple(fc.nat(60), fc.nat(12), fc.nat(80), fc.nat(20))
  .map(([prevId, ids, from, length]) => interval(prevId, prevId + ids, from, from + length))
/** A suspect that withdraws something: one without ids is cut at by the SQL as well, and speaks of no row. */
const arbitrarySuspect = arbitraryInterval.filter(({ prevId, lastId }) => lastId > prevId)
const arbitraryRun: fc.Arbitrary<Run> = fc.record({
  proven: fc.array(arbitraryInterval, { maxLength: 8 }),
  suspects: fc.array(arbitraryInterval, { maxLength: 2 }),
})
const arbitraryRuns = fc.array(arbitraryRun, { minLength: 1, maxLength: 4 })

/** fast-check prints the seed of a failure; `FC_SEED` takes it back. */
const parameters = {
  numRuns: 500,
  ...(process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) }),
}

describe('of any coverage', () => {
  test('holes are those of the SQL', () => {
    fc.assert(
      fc.property(arbitraryRuns, (runs) => {
        assert.deepEqual(holesById(joined(runs)), holesBySql(runs))
      }),
      parameters,
    )
  })

  test('joined run by run or all at once, in any order, is the same', () => {
    fc.assert(
      fc.property(arbitraryRuns, fc.nat(1000), (runs, turn) => {
        const all = runs.flatMap((run) => withdraw(run.proven, run.suspects))
        const at = turn % (all.length + 1)
        assert.deepEqual(joinById([...all.slice(at), ...all.slice(0, at)]), joined(runs))
      }),
      parameters,
    )
  })

  test('joined ids: exactly the ids of the intervals, and no two pieces touch', () => {
    fc.assert(
      fc.property(fc.array(arbitraryInterval, { maxLength: 12 }), (intervals) => {
        const pieces = joinById(intervals)
        const holds = (list: readonly IdInterval[], id: bigint) =>
          list.some((row) => row.prevId <= id && id <= row.lastId)
        for (let id = 0n; id < 80n; id++) assert.equal(holds(pieces, id), holds(intervals, id))
        for (const hole of holesById(pieces)) assert.ok(hole.beforeId > hole.afterId)
      }),
      parameters,
    )
  })

  test('withdrawn: no suspect id stays, and no id before the first suspect goes', () => {
    fc.assert(
      fc.property(arbitraryInterval, fc.array(arbitrarySuspect, { maxLength: 3 }), (proven, suspects) => {
        const left = withdraw([proven], suspects)
        const doubted = (id: bigint) => suspects.some((row) => row.prevId < id && id <= row.lastId)
        let reached = true
        for (let id = proven.prevId + 1n; id <= proven.lastId; id++) {
          reached = reached && !doubted(id)
          const stays = left.some((row) => row.prevId < id && id <= row.lastId)
          assert.equal(stays, reached, `id ${id}`)
        }
      }),
      parameters,
    )
  })

  test('days: proven and missing are what an hour-by-hour count says', () => {
    const HOUR_US = 3_600_000_000
    const hours = fc.tuple(fc.nat(100), fc.nat(30)).map(([from, length]) => ({ from, to: from + length }))
    fc.assert(
      fc.property(fc.array(hours, { minLength: 1, maxLength: 6 }), (spans) => {
        const observed = spans.map(({ from, to }) => ({ fromUs: from * HOUR_US, toUs: to * HOUR_US }))
        const [first, last] = [
          Math.min(...spans.map(({ from }) => from)),
          Math.max(...spans.map(({ to }) => to)),
        ]
        const span = { fromUs: first * HOUR_US, toUs: last * HOUR_US }
        const days = coverageByDay({ span, proven: [], observed, suspect: [] })
        for (const [i, day] of days.entries()) {
          const at = Math.floor(first / 24) + i
          let covered = 0
          let missing = 0
          for (let hour = Math.max(first, at * 24); hour < Math.min(last, at * 24 + 24); hour++) {
            if (spans.some(({ from, to }) => from <= hour && hour < to)) covered++
            else missing++
          }
          assert.equal(day.observedUs, covered * HOUR_US)
          assert.equal(day.missingUs, missing * HOUR_US)
          assert.equal(day.toUs - day.fromUs, (covered + missing) * HOUR_US)
        }
        assert.equal(
          days.reduce((sum, day) => sum + day.toUs - day.fromUs, 0),
          span.toUs - span.fromUs,
        )
      }),
      parameters,
    )
  })

  test('rest: with what was taken away it is the whole again, and neither overlaps', () => {
    const spans = fc.array(
      fc.tuple(fc.nat(50), fc.nat(15)).map(([fromUs, length]) => ({ fromUs, toUs: fromUs + length })),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(spans, fc.nat(30), fc.nat(30), (others, fromUs, length) => {
        const whole = { fromUs, toUs: fromUs + length }
        const left = rest(whole, others)
        for (let at = whole.fromUs; at < whole.toUs; at++) {
          const inside = (list: readonly { fromUs: number; toUs: number }[]) =>
            list.some((span) => span.fromUs <= at && at < span.toUs)
          assert.equal(inside(left), !inside(others))
        }
        for (const [i, span] of left.entries()) assert.ok(span.fromUs >= (left[i - 1]?.toUs ?? whole.fromUs))
      }),
      parameters,
    )
  })
})

describe('days', () => {
  const at = (text: string) => parseTimeUs(`2026-11-${text}.000000Z`)

  test('midnight splits an interval, and a day without any evidence is missing whole', () => {
    const observed = [
      { fromUs: at('22T23:59:00'), toUs: at('23T00:02:00') },
      { fromUs: at('25T01:00:00'), toUs: at('25T01:00:00') },
    ]
    const span = { fromUs: at('22T23:59:00'), toUs: at('25T01:00:00') }
    const days = coverageByDay({ span, proven: [], observed, suspect: [] })
    assert.deepEqual(
      days.map(({ date, observedUs, missingUs }) => [date, observedUs / 1e6, missingUs / 1e6]),
      [
        ['2026-11-22', 60, 0],
        ['2026-11-23', 120, 86_280],
        ['2026-11-24', 0, 86_400],
        ['2026-11-25', 0, 3600],
      ],
    )
    assert.equal(days[2]?.toUs, at('25T00:00:00'))
  })

  test('an interval that ends at midnight gives no row of the next day', () => {
    const span = { fromUs: at('22T23:00:00'), toUs: at('23T00:00:00') }
    assert.equal(coverageByDay({ span, proven: [], observed: [span], suspect: [] }).length, 1)
  })

  test('a single moment of evidence gives one row without a length', () => {
    const moment = { fromUs: 3 * DAY_US, toUs: 3 * DAY_US }
    const [day, ...more] = coverageByDay({ span: moment, proven: [], observed: [moment], suspect: [] })
    assert.deepEqual(more, [])
    assert.deepEqual([day?.date, day?.observedUs, day?.missingUs], ['1970-01-04', 0, 0])
  })

  test('a hidden hole at midnight shows on exactly one day', () => {
    const proven = [
      { prevId: 1n, lastId: 5n, fromUs: at('22T23:00:00'), toUs: at('23T00:00:00') },
      { prevId: 7n, lastId: 9n, fromUs: at('23T00:00:00'), toUs: at('23T01:00:00') },
    ]
    const span = { fromUs: at('22T23:00:00'), toUs: at('23T01:00:00') }
    const days = coverageByDay({ span, proven, observed: [], suspect: [] })
    assert.deepEqual(
      days.map((day) => day.missingUs),
      [0, 1],
    )
  })
})
