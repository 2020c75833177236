import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { straceProblem } from '../faults/machine.ts'
import { Random } from '../sim/market/mod.ts'
import type { Summary } from '../support/judge.ts'
import { type Cut, callsOf, cutAll, settle } from './crash-points.ts'
import { diskProblem } from './disk.ts'
import { type Life, RECOVERY } from './lives.ts'
import { tearTail } from './segments.ts'
import type { Call } from './trace.ts'
import { crashPoints, crashSeed, type Place, World } from './world.ts'

const RATE = 500
/** So many of the points may be missed, as a fraction. */
const MISSED_MAX = 0.05
/** Segments of a second each, whose inputs make two windows, with their join and some hundred rows. */
const SEGMENTS = 3
const ROTATION_SECONDS = 2
/** Of each part, unless all points are asked for. */
const POINTS_MAX = crashPoints(4)
/** Of those without syncs, which are to fail, also where all points are asked for: each is judged alone. */
const UNSYNCED_MAX = Math.min(POINTS_MAX / 2, 12)
/** Preloads what makes every sync do nothing. */
const NO_SYNC = { NODE_OPTIONS: `--import=${join(import.meta.dirname, '../faults/no-sync.ts')}` }

const noTrace = straceProblem()
const noDisk = noTrace || diskProblem()
const traced = noTrace === '' ? {} : { skip: `no system call can be traced here: ${noTrace}` }
const powered =
  noDisk === '' ? {} : { skip: `no file system of a loop device can lose its power here: ${noDisk}` }

/**
 * Where a first life is cut short for a recovery to begin: each a call that it enters and does not do. The shortest
 * recoveries come first, so that the calls which all of them make are tried after several.
 */
const BEGINNINGS: readonly (readonly [what: string, at: RegExp])[] = [
  ['a window that is half dropped', /^unlink .*sealed\/RUN-000000\/coverage\.parquet$/],
  ['a manifest that was not read back', /^fsync data\/manifest\/.*date=[\d-]+$/],
  ['a window that is half shipped', /^rename .*stream=trades.*RUN-000000\.parquet$/],
  ['a torn segment, and one whose recording began', /^fdatasync .*RUN-000001\.journal$/],
]
/** After so many of these beginnings a kind of call is tried, where all points are asked for. */
const KILLS_OF_KIND = 2
const POWER_LOSSES_OF_KIND = 1

const seed = crashSeed()
const random = new Random(seed, 'points')

describe('one rotation and shipment, cut short at each system call that changes the spool or the bucket', () => {
  let world: World
  let life: Life
  /** Of a life that nobody cuts short. */
  let calls: readonly Call[]
  const begun = new Map<string, Place>()
  before(async () => {
    world = await World.start(seed, RATE)
    if (noTrace !== '') return
    const template = world.place('template')
    await world.makeSpool(template, SEGMENTS)
    // what was emitted stays known, and takes no processor any more
    await world.sim.stop()
    const names = (await template.names('journal')).slice(0, SEGMENTS)
    const segments = names.map((name) => join(template.spool, 'journal', name))
    life = { segments, rotationSeconds: ROTATION_SECONDS, paced: true }
    calls = await callsOf(world, 'whole', { life, power: false })
  })
  after(() => world.stop())

  it('killed: what was written is published once, and nothing stays', traced, async (t) => {
    const points = sample(calls)
    const cuts = await cutAll(world, 'killed', calls, points, { life, power: false })
    report(t, 'calls', calls, points, cuts)
    assertJudged(await settle(world, cuts))
  })

  it('the power goes: what was synced is published once, and nothing stays', powered, async (t) => {
    const points = sample(ofEachKind(calls))
    const cuts = await cutAll(world, 'powerless', calls, points, { life, power: true })
    report(t, 'calls', calls, points, cuts)
    assertJudged(await settle(world, cuts))
  })

  for (const power of [false, true]) {
    const what = power ? 'the power goes' : 'killed'
    it(`${what} during a recovery: the next one finishes it`, power ? powered : traced, async (t) => {
      const tried = new Map<string, number>()
      const most = power ? POWER_LOSSES_OF_KIND : KILLS_OF_KIND
      const cuts: Cut[] = []
      for (const [name, from] of await beginnings()) {
        const how = { life: { ...RECOVERY, paced: true }, from, power }
        const found = await callsOf(world, `${what}, whole, ${name}`, { ...how, power: false })
        const points = sample(ofEachKind(found).filter(({ kind }) => (tried.get(kind) ?? 0) < most))
        for (const { kind } of points) tried.set(kind, (tried.get(kind) ?? 0) + 1)
        const cutHere = await cutAll(world, `${what}, ${name}`, found, points, how)
        report(t, `calls after ${name}`, found, points, cutHere)
        cuts.push(...cutHere)
      }
      assertJudged(await settle(world, cuts))
    })
  }

  it(
    'the power goes and syncs did nothing: that is noticed wherever anything was relied on',
    powered,
    async (t) => {
      const how = { life, power: true, env: NO_SYNC }
      const found = await callsOf(world, 'whole-unsynced', { ...how, power: false })
      // before the first sync of the journal there is nothing to lose
      const late = found.slice(found.findIndex(({ label }) => label.includes('tmp/RUN-000001')))
      const points = sample(late, UNSYNCED_MAX)
      const cuts = await cutAll(world, 'unsynced', found, points, how)
      report(t, 'calls', late, points, cuts)
      const relied = cuts.filter(({ relied }) => relied)
      assert.ok(relied.length > 0, 'something was relied on')
      for (const cut of relied) {
        await assert.rejects(
          settle(world, [cut]),
          /not there afterwards|ids that were on disk are not published/,
          cut.label,
        )
      }
    },
  )

  /** Places for recoveries; only one, where not all points are asked for. */
  async function beginnings(): Promise<ReadonlyMap<string, Place>> {
    if (begun.size > 0) return begun
    const all = POINTS_MAX === Number.POSITIVE_INFINITY
    const chosen = all ? BEGINNINGS : [BEGINNINGS[random.below(BEGINNINGS.length)]]
    for (const [name, at] of chosen) begun.set(name, await begin(name, at))
    return begun
  }

  /** A place as a life leaves it that is killed at a call. */
  async function begin(name: string, at: RegExp): Promise<Place> {
    const point = calls.find(({ label }) => at.test(label))
    assert.ok(point !== undefined, `a life makes a call ${at}`)
    const cut = (await cutAll(world, name, calls, [point], { life, power: false })).find(({ label }) =>
      at.test(label),
    )
    assert.ok(cut !== undefined, `a life was cut at ${point.label}`)
    const torn = (await cut.place.names('journal')).at(-1)
    if (point.call === 'fdatasync' && torn !== undefined) {
      await tearTail(join(cut.place.spool, 'journal', torn), random.next())
    }
    return cut.place
  }
})

/** Evenly spread points, another set for each seed; all where there are few enough. */
function sample(points: readonly Call[], most = POINTS_MAX): Call[] {
  if (points.length <= most) return [...points]
  const step = points.length / most
  const offset = random.next() * step
  return Array.from({ length: most }, (_, i) => points[Math.floor(offset + i * step)])
}

/** The first call of each kind. */
function ofEachKind(calls: readonly Call[]): Call[] {
  const known = new Set<string>()
  return calls.filter(({ kind }) => !known.has(kind) && known.add(kind))
}

/** Says what was tried. Most points must have been hit: other threads' wake-ups may hide some of the writes. */
function report(
  t: TestContext,
  of: string,
  found: readonly Call[],
  points: readonly Call[],
  cuts: readonly Cut[],
): void {
  const hit = new Set(cuts.map(({ label }) => label))
  const missed = points.filter(({ label }) => !hit.has(label)).map(({ label }) => label)
  const killed = cuts.filter((cut) => cut.killed)
  t.diagnostic(`CRASH_SEED=${seed}`)
  t.diagnostic(`${found.length} ${of}; ${points.length} tried (CRASH_POINTS) in ${killed.length} lives`)
  if (missed.length > 0) t.diagnostic(`not hit: ${missed.join('; ')}`)
  assert.ok(
    missed.length <= 1 + points.length * MISSED_MAX,
    `${missed.length} of ${points.length} were not hit`,
  )
}

/** Each window is committed exactly once, or never begun; and there was something to compare. */
function assertJudged(summaries: readonly Summary[]): void {
  for (const { windows } of summaries)
    assert.ok(windows <= 2, `${windows} windows of a life with one rotation`)
  assert.ok(summaries.some(({ compared }) => compared > 10))
}
