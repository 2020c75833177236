import assert from 'node:assert/strict'
import { cp, mkdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describe, test } from 'node:test'
import { keyOfManifest, objectKey, parseTimeUs } from '../../capture/ship/mod.ts'
import { objectOf, remove, replaceObject, there } from './damage.ts'
import { keyIn, missing, useScenario, windowOf } from './scenario.ts'

const s = useScenario()

describe('manifests', () => {
  test('manifest_unreadable: bytes that are no manifest', async () => {
    const place = await s.copy()
    const key = keyOfManifest(windowOf(s.runA, 1))
    await writeFile(place.path(key), '{"format":1,')
    const whole = await s.verify(s.origin)
    const report = await s.expectOnly(place, 'manifest_unreadable', key)
    // a window whose manifest cannot be read is missing by itself
    for (const stream of ['books5', 'depth', 'trades', 'mark_price']) {
      assert.ok(missing(report, stream) > missing(whole, stream) + 8, stream)
    }
  })

  test('manifest_unreadable: JSON among the manifests that has no manifest’s name', async () => {
    const place = await s.copy()
    const key = keyOfManifest(windowOf(s.runA, 1)).replace(/[^/]+$/, 'notes.json')
    await writeFile(place.path(key), '{}')
    await s.expectOnly(place, 'manifest_unreadable', key)
  })

  test('manifest_altered: one digit is another one', async () => {
    const place = await s.copy()
    const key = keyOfManifest(windowOf(s.runA, 2))
    const text = await readFile(place.path(key), 'utf8')
    await writeFile(place.path(key), text.replace('"window":2', '"window":7'))
    await s.expectOnly(place, 'manifest_altered', key)
  })

  test('manifest_altered: a manifest under the key of another window', async () => {
    const place = await s.copy()
    const key = keyOfManifest(windowOf(s.runA, 2))
    await writeFile(place.path(key), await readFile(place.path(keyOfManifest(windowOf(s.runA, 3)))))
    await s.expectOnly(place, 'manifest_altered', key, /key of another/)
  })

  for (const window of [0, 2]) {
    test(`manifest_missing: window ${window} of a run is not there`, async () => {
      const place = await s.copy()
      const key = keyOfManifest(windowOf(s.runA, window))
      await remove(place, key)
      await s.expectOnly(place, 'manifest_missing', key, new RegExp(`window ${window} is not there`))
    })
  }

  test('manifest_missing: a hole of several windows is one problem, at its first window', async () => {
    const place = await s.copy()
    for (const window of [1, 2, 3]) await remove(place, keyOfManifest(windowOf(s.runA, window)))
    await s.expectOnly(
      place,
      'manifest_missing',
      keyOfManifest(windowOf(s.runA, 1)),
      /windows 1 to 3 are not there/,
    )
  })
})

describe('objects', () => {
  test('object_missing: and its time is missing', async () => {
    const place = await s.copy()
    const key = keyIn(s.runA, 1, 'trades')
    await remove(place, key)
    const whole = await s.verify(s.origin)
    const report = await s.expectOnly(place, 'object_missing', key)
    assert.ok(missing(report, 'trades') > missing(whole, 'trades') + 8)
    assert.equal(missing(report, 'depth'), missing(whole, 'depth'))
  })

  for (const stream of ['depth', 'coverage']) {
    test(`object_missing: ${stream}, and nothing that follows from it`, async () => {
      const place = await s.copy()
      await remove(place, keyIn(s.runA, 1, stream))
      await s.expectOnly(place, 'object_missing', keyIn(s.runA, 1, stream))
    })
  }

  test('object_size: cut short', async () => {
    const place = await s.copy()
    const object = objectOf(windowOf(s.runA, 1), 'books5')
    await truncate(place.path(object.key), object.bytes - 1)
    await s.expectOnly(place, 'object_size', object.key)
  })

  test('object_altered: one bit', async () => {
    const place = await s.copy()
    const key = keyIn(s.runA, 1, 'depth')
    const bytes = await readFile(place.path(key))
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
    await writeFile(place.path(key), bytes)
    await s.expectOnly(place, 'object_altered', key)
  })

  test('object_unreadable: no Parquet, though its hash agrees', async () => {
    const place = await s.copy()
    await replaceObject(place, windowOf(s.runA, 1), 'trades', Buffer.from('PAR1 it is not PAR1'))
    await s.expectOnly(place, 'object_unreadable', keyIn(s.runA, 1, 'trades'))
  })

  test('object_unreadable: the rows of another stream', async () => {
    const place = await s.copy()
    const other = await readFile(place.path(keyIn(s.runA, 1, 'trades')))
    await replaceObject(place, windowOf(s.runA, 1), 'mark_price', other)
    await s.expectOnly(place, 'object_unreadable', keyIn(s.runA, 1, 'mark_price'))
  })

  test('object_unreadable: bytes that trap the decoder are told, and what follows is still read', async () => {
    const place = await s.copy()
    const key = keyIn(s.runA, 1, 'books5')
    const bytes = await readFile(place.path(key))
    let traps = 0
    for (let at = 4; at < bytes.length - 8 && traps < 2; at += 211) {
      const bad = Buffer.from(bytes)
      bad.fill(0xff, at, at + 4)
      await replaceObject(place, windowOf(s.runA, 1), 'books5', bad)
      const { problems } = await s.verify(place)
      if (problems.length === 0) continue
      assert.deepEqual(
        problems.map((problem) => problem.key),
        [key],
      )
      if (/decoder failed/.test(there(problems[0]).detail)) traps++
    }
    assert.equal(traps, 2)
  })

  test('object_orphan: of a committed window that does not name it', async () => {
    const place = await s.copy()
    const { exchange, symbol, run, window, opened } = windowOf(s.runB, 0)
    const id = { prefix: '', exchange, symbol, run, window, openedUs: parseTimeUs(opened) }
    const key = objectKey({ ...id, stream: 'books20' })
    await cp(place.path(keyIn(s.runB, 0, 'books5')), place.path(key))
    await s.expectOnly(place, 'object_orphan', key)
  })

  test('object_orphan: of a window that only a later day has a manifest of', async () => {
    const place = await s.copy()
    const { exchange, symbol, run, window, opened } = windowOf(s.runB, 0)
    const openedUs = parseTimeUs(opened) - 86_400_000_000
    const key = objectKey({ prefix: '', exchange, symbol, run, window, stream: 'trades', openedUs })
    await mkdir(dirname(place.path(key)), { recursive: true })
    await cp(place.path(keyIn(s.runB, 0, 'trades')), place.path(key))
    await s.expectOnly(place, 'object_orphan', key)
  })

  test('object_orphan: a Parquet file of nobody', async () => {
    const place = await s.copy()
    await cp(place.path(keyIn(s.runB, 0, 'books5')), place.path('parquet/exchange=BinanceUsdm/mine.parquet'))
    await s.expectOnly(place, 'object_orphan', 'parquet/exchange=BinanceUsdm/mine.parquet')
  })
})
