import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { InspectError, type Inspection, inspectFile, inspectionOf } from '../../capture/inspect/mod.ts'
import { keyOfManifest, type Manifest } from '../../capture/ship/mod.ts'
import { objectOf, there } from './damage.ts'
import { Capture, Market, Place, play, RUN_A } from './world.ts'

let place: Place
let manifests: Manifest[] = []
let capture: Capture

before(async () => {
  place = await Place.make()
  const market = new Market()
  capture = new Capture(market, place.dir, RUN_A)
  capture.connect()
  play(market, [capture], 14)
  capture.disconnect()
  capture.connect()
  play(market, [capture], 3)
  manifests = await capture.crash(place.bucket)
})
after(() => place.remove())

async function inspect<K extends Inspection['kind']>(
  path: string,
  kind: K,
): Promise<Extract<Inspection, { kind: K }>> {
  const found = await inspectionOf(path)
  assert.equal(found.kind, kind)
  // what --json prints is all of it
  assert.deepEqual(JSON.parse(JSON.stringify(found)), found)
  return found as Extract<Inspection, { kind: K }>
}

async function scratch(name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(await mkdtemp(join(place.dir, 'file-')), name)
  await writeFile(path, bytes)
  return path
}

test('Parquet: metadata, schema, row groups, first and last rows', async () => {
  const object = objectOf(there(manifests[0]), 'trades')
  const path = place.path(object.key)
  const found = await inspect(path, 'parquet')
  assert.equal(found.rows, object.rows)
  assert.deepEqual(
    found.rowGroups.map(({ rows }) => rows),
    [object.rows],
  )
  assert.equal(JSON.parse(there(found.metadata.l2cap)).symbol, 'BTCUSDT')
  assert.deepEqual(
    found.columns.find(({ name }) => name === 'received_time'),
    {
      name: 'received_time',
      type: 'Timestamp<MICROSECOND, UTC>',
      nullable: false,
    },
  )
  const id = found.shown.indexOf('trade_id')
  assert.equal(found.first[0]?.[id], object.first_id)
  assert.equal(found.last.at(-1)?.[id], object.last_id)
  assert.equal(found.last.at(-1)?.[found.shown.indexOf('received_time')], object.last_time)
  const text = (await inspectFile(path)).join('\n')
  assert.match(text, new RegExp(`${object.rows} rows, 1 row groups`))
  assert.match(text, /… \d+ more/)
})

test('Parquet: every stream is readable, lists and nulls too', async () => {
  for (const { key, stream } of there(manifests[0]).objects) {
    assert.match((await inspectFile(place.path(key))).join('\n'), new RegExp(stream))
  }
})

test('manifest: intact, with its content as tables', async () => {
  const manifest = there(manifests[0])
  const path = place.path(keyOfManifest(manifest))
  const found = await inspect(path, 'manifest')
  assert.equal(found.intact, true)
  assert.deepEqual(found.manifest, manifest)
  const text = (await inspectFile(path)).join('\n')
  for (const part of [manifest.run, manifest.sha256, ...manifest.objects.map(({ key }) => key), 'goes on']) {
    assert.ok(text.includes(part), part)
  }
})

test('manifest: an altered one is told to be so', async () => {
  const text = await readFile(place.path(keyOfManifest(there(manifests[0]))), 'utf8')
  const path = await scratch('m.json', text.replace('"window":0', '"window":1'))
  const found = await inspect(path, 'manifest')
  assert.equal(found.intact, false)
  assert.match((await inspectFile(path)).join('\n'), /NOT intact: .*altered/)
})

test('segment: header, counts, connections, times, trailer', async () => {
  const found = await inspect(capture.segment(0), 'segment')
  assert.equal(found.header?.run, RUN_A)
  assert.equal(found.end.end, 'sealed')
  assert.equal(found.connections.length, 2)
  const messages = found.connections.reduce((sum, connection) => sum + connection.messages, 0)
  assert.equal(messages, found.inputs.message)
  assert.deepEqual(
    found.connections.map(({ route }) => route),
    ['public', 'market'],
  )
  assert.match((await inspectFile(capture.segment(0))).join('\n'), /closed in order/)
})

test('segment: after a crash it says that it has no trailer, and which connections are from before', async () => {
  const found = await inspect(capture.segment(1), 'segment')
  assert.equal(found.end.end, 'torn')
  assert.deepEqual(
    found.connections.map(({ route, why }) => [route, why]),
    [
      [null, '1006 cut'],
      [null, '1006 cut'],
      ['public', null],
      ['market', null],
    ],
  )
  assert.match((await inspectFile(capture.segment(1))).join('\n'), /without a trailer/)
})

test('segment: damage in the middle is told', async () => {
  const bytes = await readFile(capture.segment(0))
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
  const path = await scratch(`${RUN_A}-000000.journal`, bytes)
  assert.equal((await inspect(path, 'segment')).end.end, 'corrupt')
  assert.match((await inspectFile(path)).join('\n'), /DAMAGED/)
})

test('anything else: a sentence that says so', async () => {
  const cases: [string, Uint8Array | string, RegExp][] = [
    ['a.txt', 'hello', /is no Parquet, no manifest and no journal segment/],
    ['empty', '', /it is empty/],
    ['package.json', '{"name":"x"}', /is no manifest/],
    ['x.parquet', 'PAR1 broken PAR1', /cannot be read as Parquet/],
  ]
  for (const [name, bytes, expected] of cases) {
    const path = await scratch(name, bytes)
    await inspect(path, 'unknown')
    const lines = await inspectFile(path)
    assert.equal(lines.length, 1)
    assert.match(lines[0] ?? '', expected)
  }
})

test('no file: an error with a code, for a missing one and for a directory', async () => {
  const isOurs = (error: unknown) => error instanceof InspectError && error.code === 'inspect_failed'
  await assert.rejects(inspectFile(join(place.dir, 'nowhere')), isOurs)
  await assert.rejects(inspectFile(place.dir), isOurs)
  await rm(await scratch('gone', 'x'))
})
