import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { windowName } from '../../api/names.ts'
import { serialiseManifest } from '../../capture/ship/manifest.ts'
import { type DropStep, MANIFEST_FILE, openSpool, SpoolError } from '../../capture/ship/spool.ts'
import { contents, RUN, recordWindow, spoolWith, temporary, windowManifest } from './fixture.ts'

const STREAMS = ['books20', 'coverage']

function isError(code: string) {
  return (error: unknown) => error instanceof SpoolError && error.code === code
}

test('spool: opening creates what is missing, empties tmp and touches nothing else', async (context) => {
  const directory = path.join(await temporary(context), 'deep', 'spool')
  const first = await openSpool(directory)
  const { name } = await recordWindow(first, { window: 0, streams: STREAMS })
  await fs.writeFile(path.join(await first.makeTmp(name), 'half.parquet'), 'x')
  await fs.writeFile(path.join(first.paths.torn, 'tail'), 'x')
  const second = await openSpool(directory)
  assert.deepEqual(await fs.readdir(second.paths.tmp), [])
  assert.deepEqual(await fs.readdir(second.paths.torn), ['tail'])
  assert.deepEqual(await second.listWindows(), [
    { name, run: RUN, window: 0, hasSegment: true, hasSealed: true },
  ])
})

test('spool: windows are listed oldest first, over segments and seals, without foreign names', async (context) => {
  const spool = await openSpool(await temporary(context))
  const later = '20261123T000000000Z-00000000'
  for (const [run, window] of [
    [later, 0],
    [RUN, 1_000_000],
    [RUN, 999_999],
  ] as const) {
    await fs.writeFile(spool.segmentPath(windowName(run, window)), '')
  }
  await recordWindow(spool, { window: 7, streams: STREAMS })
  await fs.rm(spool.segmentPath(windowName(RUN, 7)))
  await fs.writeFile(path.join(spool.paths.journal, 'notes.journal'), '')
  await fs.writeFile(path.join(spool.paths.journal, `${RUN}.cut.json`), '')
  const found = (await spool.listWindows()).map((each) => [
    each.run,
    each.window,
    each.hasSegment,
    each.hasSealed,
  ])
  assert.deepEqual(found, [
    [RUN, 7, false, true],
    [RUN, 999_999, true, false],
    [RUN, 1_000_000, true, false],
    [later, 0, true, false],
  ])
})

test('spool: only a directory that is exactly what its manifest says is sealed', async (context) => {
  const spool = await openSpool(await temporary(context))
  const name = windowName(RUN, 3)
  const manifest = serialiseManifest(windowManifest({ window: 3, streams: STREAMS }))
  const fill = async (change: (directory: string) => Promise<void>): Promise<string> => {
    const directory = await spool.makeTmp(name)
    for (const stream of STREAMS) {
      await fs.writeFile(path.join(directory, `${stream}.parquet`), contents(3, stream, '0.1.0'))
    }
    await fs.writeFile(path.join(directory, MANIFEST_FILE), manifest)
    await change(directory)
    return directory
  }
  const wrong: [string, (directory: string) => Promise<void>][] = [
    ['window_incomplete', (directory) => fs.rm(path.join(directory, 'books20.parquet'))],
    ['window_incomplete', (directory) => fs.writeFile(path.join(directory, 'depth.parquet'), 'x')],
    ['window_incomplete', (directory) => fs.truncate(path.join(directory, 'books20.parquet'), 9)],
  ]
  for (const [code, change] of wrong) {
    await assert.rejects(spool.sealWindow(await fill(change), name), isError(code))
  }
  const whole = async () => undefined
  await assert.rejects(spool.sealWindow(await fill(whole), windowName(RUN, 4)), isError('window_incomplete'))
  assert.deepEqual(await fs.readdir(spool.paths.sealed), [])
  await spool.sealWindow(await fill(whole), name)
  assert.deepEqual((await fs.readdir(spool.sealedPath(name))).sort(), [
    'books20.parquet',
    'coverage.parquet',
    MANIFEST_FILE,
  ])
  await assert.rejects(spool.sealWindow(await fill(whole), name), isError('window_sealed_already'))
})

test('spool: a drop deletes Parquet, then the seal, then the segment; other windows stay', async (context) => {
  const { spool, windows } = await spoolWith(await temporary(context), 2)
  const [first, second] = windows.map((window) => window.name)
  assert.ok(first !== undefined && second !== undefined)
  const seen: [DropStep, string[]][] = []
  await spool.dropWindow(first, (step) => {
    const left = existsSync(spool.sealedPath(first)) ? readdirSync(spool.sealedPath(first)) : []
    if (existsSync(spool.segmentPath(first))) left.push('segment')
    seen.push([step, left.sort()])
  })
  assert.deepEqual(seen.slice(1), [
    ['parquet_removed', [MANIFEST_FILE, 'segment']],
    ['unsealed', ['segment']],
    ['sealed_removed', ['segment']],
    ['segment_removed', []],
  ])
  assert.deepEqual(
    (await spool.listWindows()).map((each) => each.name),
    [second],
  )
  await spool.dropWindow(first)
  assert.deepEqual(await fs.readdir(spool.paths.tmp), [])
})

test('spool: usage counts what a loss would cost: sealed files, or else the segment', async (context) => {
  const { spool, windows } = await spoolWith(await temporary(context), 1)
  const sealed = windows[0]?.manifest
  assert.ok(sealed !== undefined)
  await fs.writeFile(spool.segmentPath(windowName(RUN, 1)), 'x'.repeat(1000))
  await fs.writeFile(path.join(spool.paths.quarantine, 'q'), 'x'.repeat(10))
  const sealedBytes =
    sealed.objects.reduce((sum, object) => sum + object.bytes, 0) + serialiseManifest(sealed).byteLength
  const usage = await spool.usage()
  assert.equal(usage.windows, 2)
  assert.equal(usage.unshippedBytes, sealedBytes + 1000)
  assert.equal(usage.quarantinedBytes, 10)
  assert.equal(usage.bytes, sealedBytes + 1000 + 'journal of window 0'.length + 10)
})

test('spool: who asks while usage is counted gets the same count; the next one sees what has changed', async (context) => {
  const { spool, windows } = await spoolWith(await temporary(context), 2)
  const [first] = windows
  assert.ok(first !== undefined)
  const counting = spool.usage()
  assert.equal(spool.usage(), counting)
  const before = await counting
  await spool.dropWindow(first.name)
  const after = await spool.usage()
  assert.equal(after.windows, 1)
  assert.ok(after.bytes < before.bytes && after.unshippedBytes < before.unshippedBytes)
  await fs.writeFile(path.join(spool.sealedPath(windows[1]?.name ?? ''), 'more.parquet'), 'x'.repeat(100))
  assert.equal((await spool.usage()).unshippedBytes, after.unshippedBytes + 100)
})

test('spool: a name that is no window never becomes a path', async (context) => {
  const spool = await openSpool(await temporary(context))
  for (const name of ['..', '../x', `${RUN}-1`, '']) {
    assert.throws(() => spool.segmentPath(name), isError('window_name_invalid'))
    await assert.rejects(spool.dropWindow(name), isError('window_name_invalid'))
  }
})

test('spool: segments of sealed windows make room, oldest first; no other file goes', async (context) => {
  const spool = await openSpool(path.join(await temporary(context), 'spool'))
  const names: string[] = []
  for (let window = 0; window < 4; window++) {
    names.push((await recordWindow(spool, { window, streams: ['coverage'] })).name)
  }
  const open = windowName(RUN, 4)
  await fs.writeFile(spool.segmentPath(open), 'x'.repeat(1000))
  const segmentBytes = 'journal of window 0'.length
  const before = (await spool.usage()).bytes
  assert.equal(await spool.dropSegments(segmentBytes + 1, (name) => name === names[1]), 2 * segmentBytes)
  const left = async () =>
    (await spool.listWindows()).filter(({ hasSegment }) => hasSegment).map(({ name }) => name)
  assert.deepEqual(await left(), [names[1], names[3], open])
  assert.equal((await spool.usage()).bytes, before - 2 * segmentBytes)
  assert.equal(await spool.dropSegments(1e9, () => false), 2 * segmentBytes)
  assert.deepEqual(await left(), [open], 'what is not sealed is all there is')
  for (const window of await spool.listWindows()) assert.equal(window.hasSealed, window.name !== open)
  assert.equal(await spool.unsealWindow(names[0]), false, 'a seal without its segment stays')
})

test('spool: the oldest window tells since when it waits', async (context) => {
  const spool = await openSpool(path.join(await temporary(context), 'spool'))
  assert.equal((await spool.usage()).oldestMs, null)
  const { name } = await recordWindow(spool, { window: 0, streams: ['coverage'] })
  await recordWindow(spool, { window: 1, streams: ['coverage'] })
  await fs.utimes(spool.segmentPath(name), 1_700_000_000, 1_700_000_000)
  assert.equal((await spool.usage()).oldestMs, 1_700_000_000_000)
})
