import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Random } from '../sim/market/mod.ts'
import { journalled } from './journalled.ts'
import { assertUntouched, committed, live, liveTwice, RECOVERY, recoverAll } from './lives.ts'
import { type Case, crashSeed, type Place, World } from './world.ts'

const RATE = 2000
/** Of these inputs a run makes windows enough for the steps of the journal. */
const SEGMENTS = 3
const OCCURRENCES = 2

/** A life of a window, in the order of its steps. */
const JOURNAL_STEPS = [
  'journal_created',
  'journal_named',
  'journal_written',
  'journal_synced',
  'journal_closed',
]
const RECORD_STEPS = ['recording_begun', 'recorded', 'sealed']
const SHIP_STEPS = [
  'manifest_looked_up',
  'local_checked',
  'temporary_written',
  'renamed',
  'directory_synced',
  'object_put',
  'object_proven',
  'manifest_put',
  'manifest_proven',
  'parquet_removed',
  'unsealed',
  'sealed_removed',
  'segment_removed',
]
describe('killed at each step between the socket and the bucket', () => {
  const seed = crashSeed()
  const random = new Random(seed, 'steps')
  const cases: Case[] = []
  let world: World
  let template: Place
  before(async () => {
    world = await World.start(seed, RATE)
    template = world.place('template')
    await world.makeSpool(template)
    await template.removeSeals()
  })
  after(() => world.stop())

  for (const step of JOURNAL_STEPS) {
    it(`${step}: what was on disk is published once, and nothing stays`, async (t) => {
      t.diagnostic(`CRASH_SEED=${seed}`)
      const place = world.place(step)
      const segments = (await template.names('journal')).slice(0, SEGMENTS)
      const paths = segments.map((name) => join(template.spool, 'journal', name))
      const occurrence = 1 + random.below(OCCURRENCES)
      const life = { segments: paths, rotationSeconds: 1, step, occurrence }
      const { killed, journalled: onDisk } = await liveTwice(place, life)
      assert.ok(killed, `${step} was reached ${occurrence} times`)
      cases.push({ place, journalled: onDisk })
    })
  }

  it('recordings and recoveries killed in a row, one at each step: as if there had been one', async (t) => {
    const place = world.place('recoveries')
    await place.copy(template)
    const onDisk = await journalled(place.spool)
    for (const step of [...RECORD_STEPS, ...SHIP_STEPS]) {
      const before = await committed(place)
      const { killed } = await live([place], { ...RECOVERY, step, occurrence: 1 })
      assert.ok(killed, `${step} was reached`)
      await assertUntouched(place, before)
    }
    const before = await committed(place)
    t.diagnostic(`${before.size} windows were committed on the way`)
    await recoverAll([place])
    cases.push({ place, journalled: onDisk })
  })

  it('the oracle finds nothing wrong with any of the buckets', async (t) => {
    const summaries = await world.judge(cases)
    for (const [i, { windows, published, journalled }] of summaries.entries()) {
      assert.ok(windows > 0 || (journalled['depth'] ?? 0) === 0, `${cases[i].place.dir} is empty`)
      assert.ok((published['trades'] ?? 0) >= (journalled['trades'] ?? 0))
    }
    t.diagnostic(
      `${summaries.length} buckets, ${summaries.reduce((sum, { windows }) => sum + windows, 0)} windows`,
    )
  })
})
