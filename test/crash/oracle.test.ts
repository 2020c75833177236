import assert from 'node:assert/strict'
import { cp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Journalled, JudgeOptions } from '../support/judge.ts'
import { journalled } from './journalled.ts'
import { flipMiddle } from './segments.ts'
import { type Case, crashSeed, type Place, World } from './world.ts'

const RATE = 2000

describe('the oracle of the crash tests notices', () => {
  let world: World
  let sound: Case
  before(async () => {
    world = await World.start(crashSeed(), RATE)
    const place = world.place('sound')
    await world.makeSpool(place)
    const onDisk = await journalled(place.spool)
    await world.recover(place)
    sound = { place, journalled: onDisk }
  })
  after(() => world.stop())

  /** A file of the bucket, by what its key holds. */
  async function fileOf(place: Place, ...parts: readonly string[]): Promise<string> {
    const files = (await readdir(place.bucket, { recursive: true })).sort()
    const found = files.find((file) => /\.\w+$/.test(file) && parts.every((part) => file.includes(part)))
    assert.ok(found !== undefined, parts.join(' '))
    return join(place.bucket, found)
  }

  /** Index of what has the id in the midst of those that were on disk: while no capture runs, the market goes on. */
  function amid<T>(stream: keyof Journalled, emitted: readonly T[], idOf: (each: T) => bigint): number {
    const onDisk = new Set(sound.journalled?.[stream])
    const found = emitted.flatMap((each, at) => (onDisk.has(idOf(each)) ? [at] : []))
    assert.ok(found.length > 10, `${found.length} of ${stream} were on disk`)
    return found[found.length >> 1]
  }

  it('nothing in a sound bucket', async () => {
    const [summary] = await world.judge([sound])
    assert.ok(summary.compared > 10)
  })

  const inTruth: readonly (readonly [string, RegExp, NonNullable<JudgeOptions['alter']>])[] = [
    [
      'an event inside coverage that is not published',
      /were emitted, \d+ published/,
      ({ batches }) => {
        // between two of one connection, so that no published row loses its own
        const at = amid('depth', batches, ([, , , last]) => last)
        const [connection, , , last] = batches[at]
        batches.splice(at + 1, 0, [connection, last, last + 1n, last + 1n])
      },
    ],
    [
      'an event that was never emitted',
      /never emitted/,
      ({ batches }) =>
        void batches.splice(
          amid('depth', batches, ([, , , last]) => last),
          1,
        ),
    ],
    [
      'a trade that was never emitted',
      /trades: never emitted/,
      ({ trades }) =>
        void trades.splice(
          amid('trades', trades, (id) => id),
          1,
        ),
    ],
    [
      'a wrong quantity in a book',
      /asks at \d+: .* is not/,
      ({ books }) => {
        const at = amid('depth', books, ([id]) => id)
        const [id, bids, [[price], ...asks]] = books[at]
        books[at] = [id, bids, [[price, '0.00001'], ...asks]]
      },
    ],
  ]
  for (const [what, words, alter] of inTruth) {
    it(what, () => assert.rejects(world.judge([sound], { alter }), words))
  }

  const inBucket: readonly (readonly [string, RegExp, (place: Place) => Promise<void>])[] = [
    [
      'an object that no manifest lists',
      /glob and manifests differ/,
      async (place) => {
        const file = await fileOf(place, 'stream=trades', '-000001.')
        await cp(file, file.replace('-000001.', '-000009.'))
      },
    ],
    [
      'a window that is missing',
      /: windows \[/,
      async (place) => {
        for (const part of ['books20', 'depth', 'trades', 'mark_price', 'coverage']) {
          await rm(await fileOf(place, `stream=${part}/`, '-000002.parquet'))
        }
        await rm(await fileOf(place, 'manifest', '-000002.json'))
      },
    ],
    [
      'an altered object',
      /another hash/,
      async (place) => flipMiddle(await fileOf(place, 'stream=trades', '.parquet')),
    ],
    [
      'an altered manifest',
      /altered, hashes to|JSONDecodeError|UnicodeDecodeError/,
      async (place) => flipMiddle(await fileOf(place, 'manifest', '.json')),
    ],
  ]
  for (const [what, words, damage] of inBucket) {
    it(what, async () => {
      const place = world.place(what)
      await place.copy(sound.place)
      await damage(place)
      await assert.rejects(world.judge([{ place }]), words)
    })
  }

  it('something that was on disk and is not published', async () => {
    const lost: Case = { place: sound.place, journalled: { depth: [], trades: [1n] } }
    await assert.rejects(world.judge([lost]), /1 of 1 ids that were on disk are not published/)
  })
})
