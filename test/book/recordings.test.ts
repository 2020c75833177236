/**
 * Real traffic through decoder and book, judged by two answers that share no code with them: the golden files of a
 * separate program, and the exchange's own best prices (`bookTicker`) at equal update ids.
 */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { type Golden, goldenFiles } from '../support/recordings.ts'
import { type Bounded, type Outcome, readSymbols, replay } from './replay.ts'

/** Snapshots as they were recorded, and what smaller requests at the same id would have brought. */
const LIMITS = [1000, 100, 50, 5] as const

/** Depth events after the join whose `u` is that of a bookTicker, as a separate count of ids in the recordings says. */
const TICKERS_COMPARED: Readonly<Record<string, number>> = {
  'cf_20210405_batusdt.json': 33,
  'cf_20210405_chrusdt.json': 32,
  'cf_20210405_ctkusdt.json': 46,
  'cf_20210405_neousdt.json': 65,
  'cf_20210405_sandusdt.json': 39,
  'cf_20210417_dentusdt.json': 20,
  'cf_20210417_ksmusdt.json': 21,
  'cf_20210417_xmrusdt.json': 12,
  'cf_20210417_yfiusdt.json': 33,
  'cf_20210722_akrousdt.json': 7,
  'cf_20210722_ctkusdt.json': 18,
  'cf_20210722_keepusdt.json': 13,
  'cf_20210722_sushiusdt.json': 12,
  'hft_202304_btcusdt.json': 1565,
  'hft_202407_btcusdt.json': 625,
}

/** Index of the event after which BTCUSDT has left the reach of a snapshot of so many levels. */
const HORIZON_LEFT: Readonly<Record<string, Readonly<Record<number, number>>>> = {
  'hft_202304_btcusdt.json': { 100: 4162, 50: 1725, 5: 132 },
  'hft_202407_btcusdt.json': { 100: 3486, 50: 3087, 5: 730 },
}

const goldens = goldenFiles()

test('recordings: every golden file of the exchange is judged', () => {
  assert.deepEqual(
    goldens.map((golden) => golden.file),
    Object.keys(TICKERS_COMPARED).sort(),
  )
})

const byRecording = Map.groupBy(goldens, (golden) => golden.recording)
for (const [recording, group] of byRecording) {
  describe(recording, () => {
    const outcomes = new Map<string, Outcome>()
    before(async () => {
      const symbols = await readSymbols(recording)
      assert.deepEqual([...symbols.keys()].sort(), group.map((golden) => golden.symbol).sort())
      for (const golden of group) {
        const frames = symbols.get(golden.symbol)
        if (frames !== undefined) outcomes.set(golden.file, replay(golden, frames, LIMITS))
      }
    })
    for (const golden of group) judge(golden, () => outcomeOf(outcomes, golden))
  })
}

function outcomeOf(outcomes: ReadonlyMap<string, Outcome>, golden: Golden): Outcome {
  const outcome = outcomes.get(golden.file)
  assert.ok(outcome !== undefined, `${golden.symbol} was replayed`)
  return outcome
}

function judge(golden: Golden, outcome: () => Outcome): void {
  test(`${golden.symbol}: the unpruned book is the golden one at every checkpoint`, (t) => {
    const { snapshotId, depthEvents, firstAppliedIndex, states } = outcome()
    assert.equal(snapshotId, BigInt(golden.lastUpdateId))
    assert.equal(depthEvents, golden.depthEvents)
    assert.equal(firstAppliedIndex, golden.firstAppliedIndex)
    const expected = golden.checkpoints.map((checkpoint) => ({ ...checkpoint, u: BigInt(checkpoint.u) }))
    assert.deepEqual(states, expected)
    t.diagnostic(`${depthEvents} events, ${states.length} whole books equal`)
  })

  test(`${golden.symbol}: best prices and quantities are the exchange's own at equal ids`, (t) => {
    const { tickersCompared, tickersDiffering } = outcome()
    assert.deepEqual(tickersDiffering, [])
    assert.equal(tickersCompared, TICKERS_COMPARED[golden.file])
    assert.ok(tickersCompared > 0)
    t.diagnostic(`${tickersCompared} bookTickers equal`)
  })

  test(`${golden.symbol}: inside its horizon a bounded book is the unpruned one, and it ends only by running out`, (t) => {
    const { bounded, depthEvents, firstAppliedIndex } = outcome()
    assert.deepEqual(
      bounded.map((walk) => walk.limit),
      LIMITS,
    )
    for (const walk of bounded) {
      assert.ok(
        walk.ended === undefined || walk.ended.fault === 'horizon',
        `${walk.limit}: ${walk.ended?.fault}`,
      )
      const end = walk.ended?.eventIndex ?? depthEvents
      assert.equal(walk.compared, end - firstAppliedIndex, `${walk.limit}: every event up to its end`)
      assert.ok(walk.compared > 0)
      const left = HORIZON_LEFT[golden.file]
      if (left !== undefined) assert.equal(walk.ended?.eventIndex, left[walk.limit])
      t.diagnostic(describeWalk(walk))
    }
    const [widest, , , narrowest] = bounded
    assert.equal(widest.ended, undefined, '1000 levels last as long as the recording')
    assert.equal(widest.shortOfTop, 0, 'and always prove the best 20')
    assert.ok(narrowest.beyond > 0, 'levels came that a book of 5 levels must not keep')
    assert.equal(narrowest.shortOfTop, narrowest.compared, 'and 5 levels never prove the best 20')
  })
}

function describeWalk({ limit, compared, shortOfTop, beyond, ended }: Bounded): string {
  const end = ended === undefined ? 'to the end' : `until it left its horizon at event ${ended.eventIndex}`
  return `joined at ${limit}: ${compared} events equal ${end}; best 20 unproven ${shortOfTop} times, ${beyond} levels not kept`
}
