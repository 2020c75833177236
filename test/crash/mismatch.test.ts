import assert from 'node:assert/strict'
import { readdir, readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { HALT_EXIT_CODES } from '../../api/reasons.ts'
import { Report } from '../../api/report.ts'
import { alterStateHash } from './segments.ts'
import { crashSeed, type Place, SYMBOL, World } from './world.ts'

const RATE = 2000
/** The segment whose trailer lies. */
const VICTIM = 2

describe('a replay that does not end in the state of its trailer', () => {
  let world: World
  let template: Place
  before(async () => {
    world = await World.start(crashSeed(), RATE)
    template = world.place('template')
    await world.makeSpool(template)
    await template.removeSeals()
  })
  after(() => world.stop())

  /** What was published of the run whose segment lies. */
  async function publishedOf(place: Place, run: string): Promise<string[]> {
    return (await place.published()).filter((name) => name.startsWith(run))
  }

  /** Shipped as they are; locally empty files keep their names. */
  async function assertShippedAside(place: Place, names: readonly string[]): Promise<void> {
    const folder = join(place.bucket, `quarantine/exchange=BinanceUsdm/symbol=${SYMBOL}`)
    assert.deepEqual((await readdir(folder)).sort(), names)
    for (const name of names) {
      assert.ok((await stat(join(folder, name))).size > 0, name)
      assert.equal((await stat(join(place.spool, 'quarantine', name))).size, 0, name)
    }
  }

  it('halts with exit code 19, quarantines the segment and those after it; the next start leaves them alone', async () => {
    const place = world.place('halt')
    await place.copy(template)
    const segments = await place.names('journal')
    const windows = segments.map((name) => name.replace('.journal', ''))
    const run = segments[0].slice(0, 28)
    await alterStateHash(join(place.spool, 'journal', segments[VICTIM]))

    const capture = world.capture(place, 3600)
    const { code } = await capture.exit
    assert.equal(code, HALT_EXIT_CODES.ReplayMismatch, capture.output.slice(-2000))
    const report = Report.parse(JSON.parse(await readFile(join(place.spool, 'report.json'), 'utf8')))
    assert.equal(report.reason, 'ReplayMismatch')
    assert.match(report.message, new RegExp(`${run} window ${VICTIM}`))
    assert.deepEqual(await place.names('quarantine'), segments.slice(VICTIM))
    assert.equal(report.quarantinedBytes, 0)
    await assertShippedAside(place, segments.slice(VICTIM))
    assert.deepEqual(await publishedOf(place, run), windows.slice(0, VICTIM))

    await world.recover(place)
    assert.deepEqual(await place.names('quarantine'), segments.slice(VICTIM))
    assert.deepEqual(await publishedOf(place, run), windows.slice(0, VICTIM))
    await place.assertEmptied()
    await world.judge([{ place }])
  })

  it('killed between the first and the second that it quarantines: the next start quarantines the others', async () => {
    const place = world.place('between')
    await place.copy(template)
    const segments = await place.names('journal')
    await alterStateHash(join(place.spool, 'journal', segments[VICTIM]))
    await rename(
      join(place.spool, 'journal', segments[VICTIM]),
      join(place.spool, 'quarantine', segments[VICTIM]),
    )
    await world.recover(place)
    assert.deepEqual(await place.names('quarantine'), segments.slice(VICTIM))
    assert.equal((await publishedOf(place, segments[0].slice(0, 28))).length, VICTIM)
    await place.assertEmptied()
    await world.judge([{ place }])
  })
})
