import assert from 'node:assert/strict'
import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Random } from '../sim/market/mod.ts'
import { journalled } from './journalled.ts'
import { flipFrame, flipMiddle, tearTail, type Victim } from './segments.ts'
import { crashSeed, type Place, World } from './world.ts'

const RATE = 2000

describe('a spool that was damaged while nobody looked', () => {
  const seed = crashSeed()
  const random = new Random(seed, 'damage')
  let world: World
  let template: Place
  before(async () => {
    world = await World.start(seed, RATE)
    template = world.place('template')
    await world.makeSpool(template)
  })
  after(() => world.stop())

  /** A copy of the template of which nothing is sealed: every window is to be recorded. */
  async function unrecorded(name: string): Promise<Place> {
    const place = world.place(name)
    await place.copy(template)
    await place.removeSeals()
    return place
  }

  /**
   * Starts a capture on the damaged spool, drains it, and has the bucket judged. `lossy`: a whole window is gone,
   * which `verify` rightly calls a problem; the oracle agrees with what coverage says.
   */
  async function recovered(place: Place, { holes = false, lossy = false } = {}) {
    const onDisk = await journalled(place.spool)
    const output = await world.recover(place)
    const [summary] = await world.judge([{ place, journalled: onDisk }], { holes })
    if (!lossy) await place.assertVerified()
    return { output, summary }
  }

  it('undamaged, for comparison: every window is published', async () => {
    const place = await unrecorded('undamaged')
    const { length } = await place.names('journal')
    const { summary } = await recovered(place)
    await place.assertEmptied()
    assert.ok(summary.windows >= length, `${summary.windows} windows of ${length} segments`)
    assert.equal(summary.ended['journal_corrupt'], undefined)
  })

  for (const victim of ['first input', 'middle input'] satisfies Victim[]) {
    it(`a flipped bit in the ${victim} of a closed segment: published up to there, and coverage says why it ends`, async () => {
      const place = await unrecorded(victim)
      const segment = (await place.names('journal'))[3]
      await flipFrame(join(place.spool, 'journal', segment), victim)
      const { output, summary } = await recovered(place)
      await place.assertEmptied()
      assert.ok((summary.ended['journal_corrupt'] ?? 0) >= 3, JSON.stringify(summary.ended))
      assert.match(output, /the journal is damaged, coverage ends there/)
      assert.match(output, new RegExp(segment.replace('.journal', '')))
    })
  }

  it('a flipped bit in the checkpoint: nothing of the segment can be read, it is kept, the others are published', async () => {
    const place = await unrecorded('checkpoint')
    const segments = await place.names('journal')
    await flipFrame(join(place.spool, 'journal', segments[3]), 'checkpoint')
    const bytes = await readFile(join(place.spool, 'journal', segments[3]))
    const { output, summary } = await recovered(place, { holes: true, lossy: true })
    await place.assertEmptied()
    assert.match(output, /nothing of this segment can be read, it is kept aside/)
    assert.ok(summary.windows >= segments.length - 1)
    assert.ok((await readFile(join(place.spool, 'torn', `${segments[3]}.0.torn`))).equals(bytes))
  })

  it('a torn tail: published up to the last whole frame as a crash, the tail is kept aside', async (t) => {
    t.diagnostic(`CRASH_SEED=${seed}`)
    const place = await unrecorded('torn')
    const last = (await place.names('journal')).at(-1) ?? ''
    await tearTail(join(place.spool, 'journal', last), random.next())
    const { output, summary } = await recovered(place)
    await place.assertEmptied()
    assert.ok((summary.ended['crash'] ?? 0) >= 3)
    assert.match(output, /cut a torn tail; it is kept aside/)
    assert.ok((await place.names('torn')).some((name) => name.startsWith(last)))
  })

  it('a foreign file and an empty segment: the one is reported and left alone, the other goes', async () => {
    const place = await unrecorded('foreign')
    await writeFile(join(place.spool, 'journal', 'notes.txt'), 'mine')
    const last = (await place.names('journal')).at(-2) ?? ''
    await truncate(join(place.spool, 'journal', last), 0)
    const { output } = await recovered(place)
    assert.deepEqual(await place.names('journal'), ['notes.txt'])
    assert.match(output, /notes\.txt.*a file that is not ours/)
    assert.match(output, /nothing was captured in this segment/)
  })

  it('sealed files that were damaged before shipping are recorded again, and the order of commits stays', async () => {
    const place = world.place('sealed')
    await place.copy(template)
    const [, altered, missing, manifest] = await place.names('sealed')
    await flipMiddle(join(place.spool, 'sealed', altered, 'coverage.parquet'))
    await rm(join(place.spool, 'sealed', missing, 'coverage.parquet'))
    await flipMiddle(join(place.spool, 'sealed', manifest, 'manifest.json'))
    const { output } = await recovered(place)
    await place.assertEmptied()
    const remade = [...output.matchAll(/"window":"([^"]+)".*the window is recorded again/g)].map(
      (match) => match[1],
    )
    assert.deepEqual(remade, [altered, missing, manifest])
    const shipped = [...output.matchAll(/"window":"([^"]+)".*"window shipped"/g)].map((match) => match[1])
    assert.deepEqual(shipped, [...shipped].sort())
  })

  it('damaged sealed files whose segment is gone stay as they are, said aloud, and nothing of them is published', async () => {
    const place = world.place('gone')
    await place.copy(template)
    const [damaged] = await place.names('sealed')
    await flipMiddle(join(place.spool, 'sealed', damaged, 'coverage.parquet'))
    await rm(join(place.spool, 'journal', `${damaged}.journal`))
    const capture = world.capture(place, 3600)
    const { ship } = await capture.until('waiting', ({ ship }) => ship.state === 'waiting')
    assert.match(ship.reason ?? '', /local_altered/)
    await capture.kill()
    assert.match(capture.output, /the segment is gone, they are kept/)
    assert.ok((await place.names('sealed')).includes(damaged))
    assert.deepEqual(await place.published(), [])
  })
})
